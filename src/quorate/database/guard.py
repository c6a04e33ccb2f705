"""Who uses a database: the daemon's lock file, and SQLite's own locks on the database file."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LOCKFILE: Final = ".pmxcfs.lockfile"
"""Beside the database; a running daemon holds it."""

_FLOCK: Final = struct.Struct("hhqqi4x")
_PENDING_BYTE: Final = 0x40000000
_LOCK_BYTES: Final = 512
"""Where SQLite's locks on a database file lie."""


class InUseError(Exception):
    """A daemon uses the database; the text says what to do."""


class UnsafeReadError(Exception):
    """Reading the database would do harm; the text says what to do."""


def lockfile_of(database: Path) -> Path:
    return database.parent / LOCKFILE


@contextmanager
def daemon_stopped(database: Path, *, create: bool = False) -> Iterator[None]:
    """Hold the daemon's lock, so that none starts meanwhile. Raises InUseError if one runs; OSError.

    Without a lock file no daemon has ever run there: nothing is held then, or with ``create`` it is made.
    """
    path = lockfile_of(database)
    try:
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        fd = os.open(path, flags, 0o600)
    except FileNotFoundError:
        yield
        return
    try:
        if not _try_lock(fd):
            raise InUseError(
                f"'{database}' is in use: '{path}' is locked by a running pmxcfs. Stop it first"
                " ('systemctl stop pve-cluster')"
            )
        yield
    finally:
        os.close(fd)


def daemon_runs(database: Path) -> bool:
    """Whether a daemon holds the lock beside ``database``. Raises OSError."""
    try:
        fd = os.open(lockfile_of(database), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(fd)
    finally:
        os.close(fd)


def require_safe_read(database: Path) -> None:
    """Raise UnsafeReadError if a daemon runs that does not hold SQLite's lock on its database.

    The original's daemon lost that lock when it forked (W14): a reader that comes and goes then takes itself
    for the last user and removes the write-ahead log under the daemon. Ours holds it. To be called before the
    database is opened in this process: closing any descriptor of a file drops the process's locks on it.
    """
    if daemon_runs(database) and not _is_locked(database):
        raise UnsafeReadError(
            f"the daemon that runs on '{database}' does not hold SQLite's lock on it, so reading it could"
            " lose what the daemon writes. Stop the daemon first ('systemctl stop pve-cluster')"
        )


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_locked(database: Path) -> bool:
    """Whether another process holds a POSIX lock on the bytes that SQLite uses."""
    fd = os.open(database, os.O_RDONLY | os.O_CLOEXEC)
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _PENDING_BYTE, _LOCK_BYTES, 0)
        answer = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, asked))
    finally:
        os.close(fd)
    return bool(answer[0] != fcntl.F_UNLCK)
