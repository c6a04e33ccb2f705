"""The node's own lock file and the lock for changes to the cluster's configuration (pvecm 3.6)."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from quorate.cfs import HeldLock, file_lock_id
from quorate.cluster.host import ClusterError, Host

LOCAL_LOCK_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.1

COROSYNC_LOCK: Final = file_lock_id("corosync.conf")


@contextmanager
def local_lock(host: Host, path: Path, *, timeout: float = LOCAL_LOCK_SECONDS) -> Iterator[None]:
    """Hold ``path`` against other processes of this node; raises ClusterError after ``timeout`` seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        _flock(host, fd, path, timeout)
        yield
    finally:
        os.close(fd)


@contextmanager
def config_change_lock(host: Host) -> Iterator[HeldLock | None]:
    """Hold what a change of corosync.conf needs: the node's lock and, with other members, the cluster's."""
    with ExitStack() as stack:
        stack.enter_context(local_lock(host, host.settings.pvecm_lock))
        held = None
        if len(host.cfs.members().nodes) > 1:
            held = stack.enter_context(host.cfs.lock(COROSYNC_LOCK, waiting=host.out.error))
        yield held


def _flock(host: Host, fd: int, path: Path, timeout: float) -> None:
    end = host.clock.monotonic() + timeout
    waited = False
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if host.clock.monotonic() >= end:
                raise ClusterError(f"can't lock file '{path}' - got timeout") from None
            if not waited:
                host.out.error("trying to acquire lock...")
                waited = True
            host.clock.sleep(_POLL_SECONDS)
        else:
            if waited:
                host.out.error(" OK")
            return
