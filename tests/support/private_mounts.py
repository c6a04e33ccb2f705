"""A mount namespace for the tests of one module: what they mount nobody else sees, and it vanishes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Iterator
from pathlib import Path

CLONE_NEWNS = 0x0002_0000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
ATTEMPTS = 500

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


@contextlib.contextmanager
def private_mounts() -> Iterator[None]:
    """Threads and processes started inside see it too; all threads must have ended when it ends."""
    here = Path.cwd()
    before = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.unshare(CLONE_NEWNS), "unshare")
        _check(_libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount --make-rprivate")
        yield
    finally:
        # A joined thread may still be leaving the kernel; until then the namespace is shared with it.
        for _ in range(ATTEMPTS):
            if _libc.setns(before, CLONE_NEWNS) == 0:
                break
            time.sleep(0.01)
        else:
            _check(-1, "setns (does a thread of a test still run?)")
        os.close(before)
        os.chdir(here)
