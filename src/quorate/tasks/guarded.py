"""Opening files in the task directory. It belongs to www-data, but root reads and writes in it.

So nothing found there is trusted: no link is followed, nothing but a plain file with a single name is opened.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import ExitStack
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def open_below(base: Path, relative: str, flags: int = os.O_RDONLY, mode: int = 0o640) -> int:
    """A descriptor of ``base/relative``; only ``base`` itself may be reached by links. Raises OSError."""
    *directories, name = relative.split("/")
    with ExitStack() as stack:
        where = _open(stack, base)
        for directory in directories:
            where = _open(stack, directory, within=where)
        # Not blocking: a pipe in the place of a file must not hold up its reader for ever.
        fd = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode, dir_fd=where)
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(fd)
        raise OSError(errno.EPERM, "not a plain file of its own", str(base / relative))
    return fd


def open_log(path: Path, flags: int = os.O_RDONLY, mode: int = 0o640) -> int:
    """As open_below() for a task's log, which lies in a subdirectory of the task directory."""
    return open_below(path.parent.parent, f"{path.parent.name}/{path.name}", flags, mode)


def make_directory(base: Path, name: str, mode: int) -> int:
    """A descriptor of the directory ``name`` in ``base``, made if it is missing. Raises OSError."""
    with ExitStack() as stack:
        where = _open(stack, base)
        try:
            os.mkdir(name, mode, dir_fd=where)
        except FileExistsError:
            pass
        return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=where)


def _open(stack: ExitStack, path: Path | str, *, within: int | None = None) -> int:
    fd = os.open(path, _DIRECTORY | (0 if within is None else os.O_NOFOLLOW), dir_fd=within)
    stack.callback(os.close, fd)
    return fd
