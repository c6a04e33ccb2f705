"""/etc/pve as programs other than its daemon use it: read, atomic write, quorum, members, guests, locks.

Files through the mount; status, cluster log, RRD and guests' properties through the daemon's IPC. Nothing
here knows how the daemon works, and nothing of pmxcfs/ is imported.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from quorate.ipc.client import Client, IpcError, IpcUnavailableError
from quorate.ipc.shared import Changes, SharedClient, shared_client
from quorate.settings import Settings

LOCK_ACQUIRE_SECONDS: Final = 10.0
LOCK_HOLD_SECONDS: Final = 60.0
"""Half of the 120 s after which the file system may give a lock to another node (pvecm 3.6)."""
LOCK_RETRY_FACTOR: Final = 0.1
LOCK_RETRY_MINIMUM: Final = 0.05
"""Seconds; the part of what is left would become ever shorter, down to a busy loop."""
LOCK_MESSAGE_SECONDS: Final = 1.0
MAX_FILE_SIZE: Final = 1024 * 1024
"""Largest file of the cluster file system."""
OWNER_WRITE: Final = 0o200

T = TypeVar("T")


class CfsError(Exception):
    """The cluster file system did not do what was asked; the text names file and reason."""


class NoQuorumError(CfsError):
    """The cluster file system is read-only."""


class LockError(CfsError):
    """A cluster-wide lock was not to be had, or was held for too long."""


class CfsUnavailableError(CfsError):
    """The file system's daemon is not there, hangs, or does not talk to this user."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The ways to tell time and to wait; tests hand in their own."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Member:
    nodeid: int
    online: bool
    ip: str | None = None


@dataclass(frozen=True, slots=True)
class Members:
    """The content of ``.members``; without a cluster ``nodes`` is empty and ``cluster`` None."""

    nodename: str
    version: int
    nodes: dict[str, Member] = field(default_factory=dict)
    cluster: str | None = None
    quorate: bool = False


@dataclass(frozen=True, slots=True)
class Guest:
    """``version`` changes with the guest's file, and means nothing across a restart of the daemon."""

    node: str
    kind: str
    version: int = 0


class HeldLock:
    """A cluster-wide lock while it is held."""

    def __init__(self, lock_id: str, path: Path, hold: float, clock: Clock) -> None:
        self.lock_id = lock_id
        self._path = path
        self._clock = clock
        self._until = clock.monotonic() + hold
        self.inode = path.lstat().st_ino

    def remaining(self) -> float:
        """Seconds that are left; raises LockError when none are. Call it before every step that changes."""
        left = self._until - self._clock.monotonic()
        if left <= 0:
            raise LockError(f"'{self.lock_id}'-locked command timed out - aborting")
        return left

    def renew(self, hold: float = LOCK_HOLD_SECONDS) -> None:
        """Start the time anew, here and in the file system."""
        self.remaining()
        os.utime(self._path)
        self._until = self._clock.monotonic() + hold


class Cfs:
    """The cluster file system of one node. Paths are relative to the mount point, e.g. ``nodes/n1``.

    Objects of it are cheap: all of a process share one connection to the daemon and what it answered.
    """

    def __init__(
        self, settings: Settings, clock: Clock | None = None, daemon: SharedClient | None = None
    ) -> None:
        """``daemon``: another connection than the process's."""
        self.root = settings.mountpoint
        self._clock = clock or Clock()
        self._daemon = daemon or shared_client(settings)

    def mounted(self) -> bool:
        return (self.root / "local").is_symlink()

    def quorate(self) -> bool:
        """Mounted and writable: the file system clears write bits when it has no quorum."""
        try:
            return bool((self.root / "local").lstat().st_mode & OWNER_WRITE)
        except OSError:
            return False

    def require_quorate(self) -> None:
        if not self.quorate():
            raise NoQuorumError("cluster not ready - no quorum?")

    def exists(self, path: str) -> bool:
        return os.path.lexists(self.root / path)

    def read(self, path: str) -> bytes:
        """The content; raises FileNotFoundError, or CfsError for anything else that goes wrong."""
        try:
            with (self.root / path).open("rb") as file:
                return file.read(MAX_FILE_SIZE + 1)
        except FileNotFoundError:
            raise
        except OSError as e:
            raise CfsError(f"unable to read '{self.root / path}' - {e.strerror}") from e

    def write(self, path: str, content: bytes, *, mode: int = 0o640) -> None:
        """Replace the file at once: readers see the old content or the new (temporary file, rename).

        ``mode`` is what the file is created with; the cluster file system imposes its own by path.
        """
        target = self.root / path
        temporary = target.with_name(f"{target.name}.tmp.{os.getpid()}")
        try:
            temporary.unlink(missing_ok=True)
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(content)
                temporary.rename(target)
            except OSError:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise
        except OSError as e:
            hint = "" if self.quorate() else " (no quorum: the cluster file system is read-only)"
            raise CfsError(f"unable to write '{target}' - {e.strerror}{hint}") from e

    def remove(self, path: str) -> None:
        try:
            (self.root / path).unlink(missing_ok=True)
        except OSError as e:
            raise CfsError(f"unable to remove '{self.root / path}' - {e.strerror}") from e

    def make_directory(self, path: str, *, mode: int = 0o755) -> None:
        """Create the directory and what lies above it, where missing."""
        target = self.root / path
        if target.is_dir():
            return
        try:
            target.mkdir(mode=mode, parents=True, exist_ok=True)
        except OSError as e:
            raise CfsError(f"unable to create directory '{target}' - {e.strerror}") from e

    def members(self) -> Members:
        """The member list as this node's file system knows it; raises CfsError."""
        found = self._json(".members")
        cluster = found.get("cluster") or {}
        nodes = {
            name: Member(int(entry["id"]), bool(int(entry["online"])), entry.get("ip"))
            for name, entry in (found.get("nodelist") or {}).items()
        }
        return Members(
            nodename=str(found.get("nodename", "")),
            version=int(found.get("version", 0)),
            nodes=nodes,
            cluster=cluster.get("name"),
            quorate=bool(int(cluster.get("quorate", 0))),
        )

    def guests(self) -> dict[int, Guest]:
        """Every guest of the cluster by its number; raises CfsError."""
        return _guests(self._json(".vmlist"))

    # Through the daemon. All raise CfsError; CfsUnavailableError if it does not answer.

    def changes(self) -> Changes:
        """The change counters: of members, guests, tracked files and the nodes' keys. One call."""
        return self._ask("read the change counters", SharedClient.changes)

    def status_set(self, key: str, value: bytes) -> None:
        """Tell the cluster ``value`` for ``key`` of this node ; empty removes it (status 1.4). Root only."""
        self._ask(f"tell '{key}'", lambda daemon: daemon.use(lambda client: client.set_status(key, value)))

    def status_set_many(self, values: Sequence[tuple[str, bytes]]) -> None:
        """As `status_set` for each key and value, much faster; one that is refused hinders no other."""
        what = f"tell some of '{values[0][0]}' to '{values[-1][0]}'" if values else "tell nothing"
        self._ask(what, lambda daemon: daemon.use(lambda client: client.set_statuses(values)))

    def status_get(self, key: str, node: str = "") -> bytes | None:
        """What ``node`` (empty: this one) tells under ``key``, as it came; None if nothing. One call."""
        return self._ask(
            f"read '{key}'", lambda daemon: daemon.use(lambda client: client.get_status(key, node))
        )

    def status_of_all(self, key: str) -> dict[str, bytes]:
        """What each node tells under ``key``; nodes that tell nothing are left out.

        One call when nothing has changed since this process asked before, else one more per changed node.
        """

        def ask(daemon: SharedClient) -> dict[str, bytes]:
            changes = daemon.changes()
            values = {node: daemon.value(node, key, changes) for node in changes.status}
            return {node: value for node, value in values.items() if value is not None}

        return self._ask(f"read the nodes' '{key}'", ask)

    def guest_list(self) -> dict[int, Guest]:
        """As `guests`, and never older than the counters that were read before."""
        return _guests(self._ask("read the guest list", lambda daemon: daemon.use(Client.guests)))

    def content(self, path: str) -> bytes | None:
        """As `read`, and never older than the counters that were read before; None: no such file."""
        return self._ask(f"read '{path}'", lambda daemon: daemon.use(lambda client: client.get_config(path)))

    def cluster_log(self, maximum: int = 0, user: str = "") -> list[dict[str, Any]]:
        """The newest ``maximum`` (0: 50) entries, newest first; of one user, or of all (status 2.8)."""
        return self._ask(
            "read the cluster log",
            lambda daemon: daemon.use(lambda client: client.cluster_log(maximum=maximum, user=user)),
        )

    def log(self, message: str, *, user: str = "root@pam", tag: str, priority: int = 6) -> None:
        """Make an entry of the cluster log; ``priority`` as of syslog, 0 to 7. For root only."""
        self._ask(
            "write to the cluster log",
            lambda daemon: daemon.use(
                lambda client: client.log(message, ident=user, tag=tag, priority=priority)
            ),
        )

    def rrd_dump(self) -> dict[str, list[str]]:
        """The latest figures of the cluster: key, e.g. ``pve-node-9.0/n1``, and columns (status 3.3, 3.6)."""
        text = self._ask("read the figures", lambda daemon: daemon.use(Client.rrd_dump))
        lines = (line.split(":") for line in text.decode("utf-8", "replace").splitlines())
        return {key: columns for key, *columns in lines}

    def figures(self) -> dict[str, Any]:
        """What the daemon counts (``quorate.pmxcfs.figures``)."""
        figures: dict[str, Any] = self._ask(
            "read the daemon's figures", lambda daemon: daemon.use(Client.figures)
        )
        return figures

    def guest_properties(self, names: Sequence[str], vmid: int = 0) -> dict[int, dict[str, str]]:
        """These properties of guest ``vmid`` (0: of all guests); guests that have none are left out."""
        return self._ask(
            "read the guests' configuration",
            lambda daemon: daemon.use(lambda client: client.guest_properties(names, vmid)),
        )

    def verify_token(self, token: str, secret: str) -> bool:
        """Whether ``secret`` is that of ``USER@REALM!TOKENID``."""
        return self._ask(
            "verify a token",
            lambda daemon: daemon.use(lambda client: client.verify_token(f"{token} {secret}")),
        )

    def _ask(self, what: str, call: Callable[[SharedClient], T]) -> T:
        try:
            return call(self._daemon)
        except IpcUnavailableError as e:
            raise CfsUnavailableError(
                f"unable to {what} - {e.strerror}; see 'systemctl status pve-cluster'"
            ) from e
        except (IpcError, ValueError) as e:
            raise CfsError(f"unable to {what} - {e}") from e

    @contextmanager
    def lock(
        self,
        lock_id: str,
        *,
        timeout: float = LOCK_ACQUIRE_SECONDS,
        hold: float = LOCK_HOLD_SECONDS,
        waiting: Callable[[str], None] | None = None,
    ) -> Iterator[HeldLock]:
        """Hold the cluster-wide lock ``lock_id`` (pvecm 3.6); raises LockError if it is not to be had.

        ``waiting`` gets a line at most once a second while another holds it (default: standard error).
        """
        path = self.root / "priv" / "lock" / lock_id
        self._acquire(lock_id, path, timeout, waiting or _to_stderr)
        held = HeldLock(lock_id, path, hold, self._clock)
        try:
            yield held
        finally:
            # Held for too long it may be another's by now: only the directory that we made is ours.
            with suppress(OSError):
                if path.lstat().st_ino == held.inode:
                    path.rmdir()

    def _acquire(self, lock_id: str, path: Path, timeout: float, waiting: Callable[[str], None]) -> None:
        end = self._clock.monotonic() + timeout
        next_message = 0.0
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as e:
            reason = "no quorum!" if self.mounted() and not self.quorate() else None
            reason = reason or f"pve cluster filesystem not online. ({e.strerror})"
            raise LockError(f"cfs-lock '{lock_id}' error: {reason}") from e
        while True:
            if not self.quorate():
                raise LockError(f"cfs-lock '{lock_id}' error: no quorum!")
            try:
                path.mkdir(mode=0o700)
                return
            except OSError:
                # Times of 0 ask the file system to drop the lock if it has expired.
                with suppress(OSError):
                    os.utime(path, (0, 0))
            now = self._clock.monotonic()
            if now >= end:
                raise LockError(f"cfs-lock '{lock_id}' error: got lock request timeout")
            if now >= next_message:
                waiting(f"trying to acquire cfs lock '{lock_id}' ...")
                next_message = now + LOCK_MESSAGE_SECONDS
            self._clock.sleep(max(min(end - now, 10.0) * LOCK_RETRY_FACTOR, LOCK_RETRY_MINIMUM))

    def _json(self, path: str) -> dict[str, Any]:
        try:
            found = json.loads(self.read(path))
        except (FileNotFoundError, ValueError) as e:
            raise CfsError(f"unable to read '{self.root / path}' - {e}") from e
        if not isinstance(found, dict):
            raise CfsError(f"unable to read '{self.root / path}' - not a JSON object")
        return found


def _guests(found: dict[str, Any]) -> dict[int, Guest]:
    return {
        int(vmid): Guest(str(entry["node"]), str(entry["type"]), int(entry.get("version", 0)))
        for vmid, entry in (found.get("ids") or {}).items()
    }


def file_lock_id(path: str) -> str:
    """The lock of a configuration file: ``user.cfg`` -> ``file-user_cfg``."""
    return "file-" + path.replace(".", "_").replace("/", "_")


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
