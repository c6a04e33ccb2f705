"""A daemon runs once on a node: its PID file, and the lock beside it (pvecm 11)."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyRunningError(Exception):
    """Another process holds the lock; the text names it."""


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold ``PATH.lock``, and name this process in ``PATH``. Raises AlreadyRunningError, OSError.

    The kernel gives the lock back whenever and however the process ends; a PID file alone proves nothing.
    """
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(f"it runs already, as process {_holder(path)}") from None
        name_process(path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(lock)


def name_process(path: Path) -> None:
    """Name this process in a new file in the place of what is there; follows no links. Raises OSError."""
    path.unlink(missing_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        os.write(file, f"{os.getpid()}\n".encode())
    finally:
        os.close(file)


def names_process(path: Path) -> bool:
    """Whether this process is the one that the file names."""
    return _holder(path) == str(os.getpid())


def _holder(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()[:20] or "?"
    except OSError:
        return "?"  # it begins or ends just now
