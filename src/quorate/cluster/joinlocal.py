"""The steps of a join on this node (pvecm 3.5, steps 1 to 5), each with its undo."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from quorate.cfs import CfsError
from quorate.cluster.backup import BackupError, backup_database
from quorate.cluster.commands import CommandError
from quorate.cluster.host import ClusterError, Host
from quorate.cluster.undo import UndoList

SERVICE_SECONDS: Final = 90.0
QUORUM_SECONDS: Final = 120.0
"""A member is quorate 2 to 5 s after its start; a large or loaded cluster takes longer, but not for ever."""
MAX_REFRESHES: Final = 10
"""Each answers to another node that joined meanwhile: more than a person adds within the limit above."""
LOOK_SECONDS: Final = 5.0
"""How long corosync gets to find the members before the cluster is asked for its present file."""
SYNC_SECONDS: Final = 60.0
POLL_SECONDS: Final = 1.0
SYNC_POLL_SECONDS: Final = 0.1

_ASIDE: Final = ".pre-join"
_DATABASE_PARTS: Final = ("", "-wal", "-shm")


def install(
    host: Host, authkey: bytes, conf: bytes, undo: UndoList, *, present_conf: Callable[[], bytes]
) -> None:
    """Swap this node's configuration for the cluster's, start the services, wait until it is in sync.

    ``present_conf`` asks the cluster for its corosync.conf once more, in case it has changed meanwhile.
    """
    # First on the list, so that it happens last: with the old files and the old database in place.
    undo.add(
        "start pve-cluster again",
        lambda: _systemctl(host, "start", "pve-cluster"),
        by_hand="run 'systemctl start pve-cluster'",
    )
    _install_corosync_files(host, authkey, conf, undo)
    _stop_cluster_service(host)
    saved = _set_database_aside(host, undo)
    _start_services(host, undo)
    _wait_for_quorum(host, present_conf)
    _wait_for_sync(host)
    undo.commit()
    _drop_database(host, saved)


def _install_corosync_files(host: Host, authkey: bytes, conf: bytes, undo: UndoList) -> None:
    settings = host.settings
    settings.corosync_dir.mkdir(parents=True, exist_ok=True)
    for path, content, mode in (
        (settings.corosync_authkey, authkey, 0o400),
        (settings.corosync_conf, conf, 0o644),
    ):
        before = path.read_bytes() if path.exists() else None
        undo.add(
            f"restore '{path}'",
            functools.partial(_restore, path, before, mode),
            by_hand=f"remove '{path}'",
        )
        _write(path, content, mode)


def _stop_cluster_service(host: Host) -> None:
    host.out.line("stopping pve-cluster service")
    try:
        _systemctl(host, "stop", "pve-cluster")
    except CommandError as e:
        raise ClusterError(f"can't stop pve-cluster service: {e}") from e
    if host.cfs.mounted():
        # Its database must not be moved away under a daemon that is not the service's.
        raise ClusterError(
            f"can't stop pve-cluster service: {host.cfs.root} is still mounted. Was pmxcfs started by hand?"
            f" Then end it ('killall pmxcfs') and repeat the command"
        )


def _set_database_aside(host: Host, undo: UndoList) -> bool:
    """Back the database up and move it out of the way; whether the backup succeeded."""
    saved = True
    try:
        backup_database(host)
    except BackupError as e:
        host.out.warning(f"failed to create backup of pre-join config database - {e}")
        saved = False
    database = host.settings.database
    undo.add(
        "restore the database",
        lambda: _move_database(database, _ASIDE, ""),
        by_hand=f"with pve-cluster stopped rename '{database}{_ASIDE}' to '{database}'",
    )
    _move_database(database, "", _ASIDE)
    return saved


def _start_services(host: Host, undo: UndoList) -> None:
    undo.add(
        "stop corosync and pve-cluster",
        lambda: _stop_services(host),
        by_hand="run 'systemctl stop corosync pve-cluster'",
    )
    try:
        _systemctl(host, "start", "corosync", "pve-cluster")
    except CommandError as e:
        raise ClusterError(f"starting pve-cluster failed: {e}") from e


def _stop_services(host: Host) -> None:
    _systemctl(host, "stop", "corosync", "pve-cluster")
    # A unit that failed would be shown as failed from now on, and after some attempts not start again.
    host.run(["systemctl", "reset-failed", "corosync", "pve-cluster"], check=False, timeout=SERVICE_SECONDS)


def _wait_for_quorum(host: Host, present_conf: Callable[[], bytes]) -> None:
    """Wait, and keep up with a corosync.conf that changes meanwhile, as when another node joins.

    With an older file corosync either ends itself or, not knowing the other newcomer, makes the membership
    of the whole cluster form anew every few seconds: it must get the present file soon.
    """
    end = host.clock.monotonic() + QUORUM_SECONDS
    look = host.clock.monotonic() + LOOK_SECONDS
    refreshes = 0
    waited = False
    while not host.cfs.quorate():
        runs = _corosync_runs(host)
        if host.clock.monotonic() >= end or (not runs and refreshes >= MAX_REFRESHES):
            host.out.line()
            raise ClusterError(_no_quorum_text(runs))
        if not waited:
            host.out.part("waiting for quorum...")
            waited = True
        if not runs or host.clock.monotonic() >= look:
            look = host.clock.monotonic() + LOOK_SECONDS
            refreshes += _refresh(host, present_conf, runs=runs)
        host.clock.sleep(POLL_SECONDS)
    if waited:
        host.out.line("OK")


def _refresh(host: Host, present_conf: Callable[[], bytes], *, runs: bool) -> bool:
    """Give corosync the present file if it has an older one or does not run; whether it was started.

    The cluster may be without quorum itself until one of those that join at the same time is there: then it
    does not answer, and is asked again.
    """
    try:
        conf = present_conf()
    except (ClusterError, CommandError) as e:
        if not runs:
            host.out.error(f"corosync ended itself; unable to get the present corosync.conf yet - {e}")
        return False
    if runs and conf == host.settings.corosync_conf.read_bytes():
        return False
    _write(host.settings.corosync_conf, conf, 0o644)
    host.run(["systemctl", "reset-failed", "corosync"], check=False, timeout=SERVICE_SECONDS)
    host.run(["systemctl", "restart", "corosync"], check=False, timeout=SERVICE_SECONDS)
    return True


def _corosync_runs(host: Host) -> bool:
    return host.run(["systemctl", "is-active", "--quiet", "corosync"], check=False).status == 0


def _no_quorum_text(runs: bool) -> str:
    if not runs:
        return (
            "no quorum: corosync ends itself soon after its start, 'journalctl -u corosync' on this node says"
            " why. If other nodes were joining at the same time let them finish and repeat the command"
        )
    return (
        f"no quorum within {QUORUM_SECONDS:g} s: corosync runs, but does not reach the other members."
        f" Check that the link addresses are in the right networks and that UDP 5405 and up is not"
        f" filtered ('journalctl -u corosync')"
    )


def _wait_for_sync(host: Host) -> None:
    """The cluster made this node's directory when it let it in: once it is here, so is the rest."""
    end = host.clock.monotonic() + SYNC_SECONDS
    while not _in_sync(host):
        if host.clock.monotonic() >= end:
            raise ClusterError(
                f"the cluster file system was not in sync within {SYNC_SECONDS:g} s although there is quorum"
                f" ('journalctl -u pve-cluster')"
            )
        host.clock.sleep(SYNC_POLL_SECONDS)


def _in_sync(host: Host) -> bool:
    try:
        return host.cfs.quorate() and (host.cfs.root / "nodes" / host.node).is_dir()
    except (OSError, CfsError):
        return False


def _drop_database(host: Host, saved: bool) -> None:
    """The old database has its backup; without one it stays under a name that says when."""
    database = host.settings.database
    if saved:
        for part in _DATABASE_PARTS:
            Path(f"{database}{_ASIDE}{part}").unlink(missing_ok=True)
    else:
        _move_database(database, _ASIDE, f".{int(host.clock.now())}.bak")


def _move_database(database: Path, source: str, target: str) -> None:
    """Rename the database with what SQLite keeps beside it; a database that is in the way is dropped.

    The main file goes last, so that an interrupted move never leaves a database without its log.
    """
    if not Path(f"{database}{source}").exists():
        return
    for part in _DATABASE_PARTS:
        Path(f"{database}{target}{part}").unlink(missing_ok=True)
    for part in reversed(_DATABASE_PARTS):
        old = Path(f"{database}{source}{part}")
        if old.exists():
            old.rename(f"{database}{target}{part}")


def _restore(path: Path, before: bytes | None, mode: int) -> None:
    if before is None:
        path.unlink(missing_ok=True)
    else:
        _write(path, before, mode)


def _write(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(f"{path.name}.tmp.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "wb") as file:
        os.fchmod(fd, mode)
        file.write(content)
        file.flush()
        os.fsync(fd)
    temporary.rename(path)


def _systemctl(host: Host, verb: str, *units: str) -> None:
    host.run(["systemctl", verb, *units], timeout=SERVICE_SECONDS)
