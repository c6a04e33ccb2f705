"""Single file system calls as the processes of the history check make them, and what their errors say.

Runs inside a node: standard library only.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from tests.history.node_values import Result

MOUNT = "/etc/pve"
NOTHING_HAPPENED = {
    errno.EACCES,  # no quorum when called: nothing was sent
    errno.ENOTCONN,  # the daemon was gone when called; what it had got before gives ECONNABORTED
    errno.ENOENT,
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EINVAL,
    errno.EFBIG,
    errno.ENOSPC,
}
"""What says for certain that the call changed nothing; all else leaves it open. EPERM does: this node had
lost quorum when the operation was delivered, others may have had it and applied it."""


class NotMounted(OSError):
    """The file system is not there: nothing was called."""


class Partial(OSError):
    """A call in several steps failed behind the first: a part of it may have happened."""

    def __init__(self, fault: OSError, step: str) -> None:
        super().__init__(fault.errno, os.strerror(fault.errno or 0))
        self.step = step


def open_mount() -> int:
    """The file system's root, and never the directory that it covers."""
    try:
        fd = os.open(MOUNT, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as fault:
        raise NotMounted(fault.errno, f"{MOUNT} cannot be opened") from fault
    if os.fstat(fd).st_dev == Path("/etc").stat().st_dev:
        os.close(fd)
        raise NotMounted(errno.ENODEV, f"{MOUNT} is not mounted")
    return fd


def get(mount: int, path: str) -> bytes | None:
    """The content, None if there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY, dir_fd=mount)
    except FileNotFoundError:
        return None
    try:
        parts = []
        while part := os.read(fd, 1 << 20):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def put(mount: int, path: str, flags: int, data: bytes, offset: int | None = None) -> Result:
    """Open, write, close. It is the close that acknowledges content."""
    fd = os.open(path, os.O_WRONLY | flags, 0o640, dir_fd=mount)
    try:
        try:
            written = os.write(fd, data) if offset is None else os.pwrite(fd, data, offset)
        except OSError as fault:
            raise Partial(fault, "write") from fault
    except Partial:
        try:
            os.close(fd)
        except OSError:
            pass  # the first error is the one that counts
        raise
    try:
        os.close(fd)
    except OSError as fault:
        raise Partial(fault, "close") from fault
    if written != len(data):
        raise Partial(OSError(errno.EIO, "short write"), "short write")
    return {}


def create(mount: int, path: str, data: bytes) -> Result:
    return put(mount, path, os.O_CREAT | os.O_EXCL, data)


def call(function: Callable[..., None], *arguments: object, **options: object) -> Result:
    function(*arguments, **options)
    return {}


def error_name(number: int | None) -> str:
    return errno.errorcode.get(number or 0, str(number))
