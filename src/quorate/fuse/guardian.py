"""A small process that cuts a mount's connection when the daemon dies in a way in which it cannot end.

A helper thread that hands a notice to the kernel may wait there for a directory's lock, which the process
holds whose request the daemon has not answered. Killed at that moment the daemon stays: the thread cannot
leave the kernel, so /dev/fuse stays open, so the request is never aborted, so the lock is never given back.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Final

from quorate.fuse.mountpoint import MNT_FORCE

PR_SET_PDEATHSIG: Final = 1
FIRST_FD: Final = 3
ALL_FDS: Final = 1 << 20

_PROGRAM: Final = f"""
import ctypes, os, signal, sys
signal.sigwait([signal.SIGTERM])
held = os.open(sys.argv[1], os.O_PATH)
ctypes.CDLL(None).umount2(os.fsencode(sys.argv[1]), {MNT_FORCE})
"""
"""Forced unmounting aborts the connection first, and takes no file's lock for that. The mount itself stays,
as it is held: nobody must write into the directory that it covers. O_PATH asks the daemon nothing."""

_libc = ctypes.CDLL(None, use_errno=True)


class Guardian:
    """Watches the thread that makes it, which must be the main one: the kernel tells of its end."""

    def __init__(self, mountpoint: Path) -> None:
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            _become(parent, mountpoint)

    def dismiss(self) -> None:
        """The file system was unmounted in good order: nothing is left to do."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _become(parent: int, mountpoint: Path) -> None:
    """In the child: never returns. It must hold nothing of the daemon's, /dev/fuse least of all."""
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() == parent:
            nothing = os.open(os.devnull, os.O_RDWR)
            for fd in range(FIRST_FD):  # somebody may be waiting for the end of the daemon's output
                os.dup2(nothing, fd)
            os.closerange(FIRST_FD, ALL_FDS)
            os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", _PROGRAM, str(mountpoint)])
    finally:
        os._exit(1)
