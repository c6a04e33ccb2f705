"""What the commands of ``pvecm`` do, beyond those that only show Corosync's state. Loaded when one runs."""

from __future__ import annotations

import functools
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from quorate.api import cluster_config
from quorate.cfs import CfsError
from quorate.cli.commandtree import FAILED, CommandFailed
from quorate.cluster.commands import CommandError
from quorate.cluster.host import ClusterError, Host, Output
from quorate.schema import ApiError
from quorate.settings import Settings
from quorate.tasks import TaskError, run_foreground

ROOT: Final = "root@pam"
UPDATE_LIMIT_SECONDS: Final = 85.0
"""The update's own limit is 80 s; above it, its process hangs in a file system call and is killed."""

_Run = Callable[[Settings, dict[str, Any]], int]


def _shows_errors(run: _Run) -> _Run:
    @functools.wraps(run)
    def wrapped(settings: Settings, params: dict[str, Any]) -> int:
        from quorate.cli.prompt import PromptError

        try:
            return run(settings, params)
        except ApiError as e:
            lines = [e.message, *(f"{key}: {text}" for key, text in sorted((e.errors or {}).items()))]
            raise CommandFailed("\n".join(lines)) from e
        except (ClusterError, CfsError, CommandError, TaskError, PromptError) as e:
            raise CommandFailed(str(e)) from e
        except OSError as e:
            raise CommandFailed(f"{e.filename}: {e.strerror}" if e.filename else str(e)) from e

    return wrapped


@_shows_errors
def create(settings: Settings, params: dict[str, Any]) -> int:
    from quorate.cluster.create import assert_not_clustered, create_cluster

    host = Host(settings=settings)
    assert_not_clustered(host)
    request = cluster_config.create_request(_keywords(params))
    return run_foreground(
        "clustercreate", request.cluster_name, ROOT, lambda _upid: create_cluster(host, request), settings
    )


@_shows_errors
def add(settings: Settings, params: dict[str, Any]) -> int:
    from quorate.cluster.join import join
    from quorate.cluster.join_ssh import join_by_ssh

    _refuse_working_directory(settings)
    host = Host(settings=settings)
    hostname = params["hostname"]
    request = cluster_config.join_request(hostname, params)
    if params.get("use_ssh"):
        return run_foreground("clusterjoin", "", ROOT, lambda _upid: join_by_ssh(host, request), settings)

    from quorate.cli import prompt
    from quorate.cluster.peer import Peer

    password = prompt.read_password(f"Please enter superuser (root) password for '{hostname}': ")
    peer = Peer(
        hostname,
        pin=params.get("fingerprint"),
        ask=prompt.confirm_fingerprint,
        second_factor=prompt.second_factor,
    )
    # The certificate is decided on before the task, which has no terminal to ask at.
    peer.identify()
    return run_foreground(
        "clusterjoin", "", ROOT, lambda _upid: join(host, request, peer, password), settings
    )


@_shows_errors
def addnode(settings: Settings, params: dict[str, Any]) -> int:
    from quorate.cluster import membership

    try:
        admitted = membership.add(Host(settings=settings), cluster_config.new_node(params))
    except membership.RefusedError as e:
        lines = [str(e), *(f"{key}: {text}" for key, text in sorted(e.errors.items()))]
        raise CommandFailed("\n".join(lines)) from e
    for text in admitted.warnings:
        print(text, file=sys.stderr)
    return 0


@_shows_errors
def delnode(settings: Settings, params: dict[str, Any]) -> int:
    from quorate.cluster import membership

    membership.remove(Host(settings=settings), params["node"])
    return 0


@_shows_errors
def keygen(_settings: Settings, params: dict[str, Any]) -> int:
    path = Path(params["filename"])
    if path.exists():
        raise CommandFailed(f"key file '{path}' already exists")
    path.parent.mkdir(parents=True, exist_ok=True)
    Host().run(["corosync-keygen", "-l", "-k", str(path)], echo=True)
    return 0


@_shows_errors
def updatecerts(settings: Settings, params: dict[str, Any]) -> int:
    """In a process of its own: a hung file system must not keep pveproxy from starting."""
    sys.stdout.flush()
    sys.stderr.flush()
    silent = bool(params.get("silent"))
    pid = os.fork()
    if pid == 0:
        os._exit(_updatecerts_child(settings, params))
    end = time.monotonic() + UPDATE_LIMIT_SECONDS
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= end:
            os.kill(pid, signal.SIGKILL)
            return _updates_late(silent)
        time.sleep(0.05)


def _updatecerts_child(settings: Settings, params: dict[str, Any]) -> int:
    from quorate.cluster import nodefiles

    silent = bool(params.get("silent"))
    status = FAILED
    try:
        nodefiles.updatecerts(
            Host(settings=settings),
            force=bool(params.get("force")),
            silent=silent,
            unmerge_known_hosts=bool(params.get("unmerge-known-hosts")),
        )
        status = 0
    except nodefiles.UpdateTimeoutError:
        status = _updates_late(silent)
    except (ClusterError, CfsError, CommandError, OSError) as e:
        print(e, file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return status


def _updates_late(silent: bool) -> int:
    from quorate.cluster.nodefiles import UPDATE_TIMEOUT_TEXT

    print(UPDATE_TIMEOUT_TEXT, file=sys.stderr, flush=True)
    return 0 if silent else FAILED


@_shows_errors
def mtunnel(settings: Settings, params: dict[str, Any]) -> int:
    from quorate.cluster import tunnel

    return tunnel.run(
        Host(settings=settings),
        Output(),
        network=params.get("migration_network"),
        get_migration_ip=bool(params.get("get_migration_ip")),
        run_command=bool(params.get("run-command")),
        command=params.get("extra-args") or [],
    )


@_shows_errors
def qdevice_setup(settings: Settings, params: dict[str, Any]) -> int:
    from quorate.cluster import qdevice_setup as qdevice

    qdevice.setup(Host(settings=settings), params["address"], force=bool(params.get("force")))
    return 0


@_shows_errors
def qdevice_remove(settings: Settings, _params: dict[str, Any]) -> int:
    from quorate.cluster import qdevice_setup as qdevice

    qdevice.remove(Host(settings=settings))
    return 0


def _keywords(params: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("-", "_"): value for name, value in params.items()}


def _refuse_working_directory(settings: Settings) -> None:
    mountpoint = settings.mountpoint
    here = Path.cwd()
    if here == mountpoint or mountpoint in here.parents:
        raise CommandFailed(
            f"Navigate out of {mountpoint} before running 'pvecm add', for example by running 'cd'."
        )
