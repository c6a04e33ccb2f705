"""Private files with a time in their name, and how many of a kind are kept. For everything in ``backup/``."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from quorate.durable import sync_directory

KEEP: Final = 10
"""Files of one kind that are kept, as many as the join tool of the original keeps (core 3.9)."""
MAX_IN_ONE_SECOND: Final = 1000
"""Names tried for one second."""
PART: Final = ".part"
"""At the end of the name of a file that is not complete."""


@dataclass(frozen=True)
class NewFile:
    """One that is being written: nobody who looks for files of its kind finds it yet."""

    file: BinaryIO
    part: Path
    """Where it is until it is complete."""
    path: Path
    """Where it will be."""


@contextmanager
def new_private(directory: Path, prefix: str, now: int, suffix: str) -> Iterator[NewFile]:
    """Write ``PREFIX-TIME[-N]SUFFIX``, 0600, in a directory made 0700; it is there, and on disk, at the end.

    After an error nothing of it stays. What somebody who was killed left of the kind is removed first. Raises
    OSError; never replaces a file that is there.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_leftovers(directory, prefix, suffix)
    fd, part, path = _begin(directory, prefix, now, suffix)
    with os.fdopen(fd, "wb") as file:
        try:
            yield NewFile(file, part, path)
            file.flush()
            os.fsync(fd)
            part.rename(path)
        except BaseException:  # half of it helps nobody, and the disk may be full
            part.unlink(missing_ok=True)
            raise
    sync_directory(directory)


def kept_files(directory: Path, prefix: str, suffix: str) -> list[Path]:
    """All files of the kind, oldest first; foreign names are left out."""
    pattern = re.compile(re.escape(prefix) + r"(\d{1,19})(?:-(\d{1,4}))?" + re.escape(suffix))
    found = []
    for path in directory.iterdir() if directory.is_dir() else ():
        match = pattern.fullmatch(path.name)
        if match is not None:
            found.append((int(match[1]), int(match[2] or 0), path))
    return [path for _, _, path in sorted(found)]


def prune(
    directory: Path, prefix: str, suffix: str, keep: int = KEEP, *, made: Path | None = None
) -> list[Path]:
    """Remove all but the newest ``keep``; returns what was removed. Raises OSError.

    ``made`` was written just now and stays, though a clock that went back makes it look older than others.
    """
    old = [path for path in kept_files(directory, prefix, suffix) if path != made]
    old = old[: max(0, len(old) + (made is not None) - keep)]
    for path in old:
        path.unlink(missing_ok=True)
    return old


def told(error: Exception) -> str:
    """What went wrong, for people: also of the system's errors, whose own text begins with a number."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"'{os.fsdecode(error.filename)}': {error.strerror}"
    return str(error)


def _begin(directory: Path, prefix: str, now: int, suffix: str) -> tuple[int, Path, Path]:
    for number in range(MAX_IN_ONE_SECOND):
        path = directory / (f"{prefix}{now}-{number}{suffix}" if number else f"{prefix}{now}{suffix}")
        part = path.with_name(path.name + PART)
        try:
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        is_free = False
        try:
            if _is_ours(fd, part):  # else somebody took it for a leftover just now
                is_free = not path.exists()  # looked at only now: who has the part has the name
                if is_free:
                    return fd, part, path
                part.unlink()
        finally:
            if not is_free:
                os.close(fd)
    raise FileExistsError(f"'{directory}' has {MAX_IN_ONE_SECOND} files {prefix}{now}*{suffix}")


def _remove_leftovers(directory: Path, prefix: str, suffix: str) -> None:
    """Parts that nobody is writing any more. Their writers hold a lock, which ends with them."""
    for part in kept_files(directory, prefix, suffix + PART):
        try:
            fd = os.open(part, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:  # complete or removed meanwhile, or nothing that we make
            continue
        try:
            if _is_ours(fd, part):
                part.unlink()
        finally:
            os.close(fd)


def _is_ours(fd: int, part: Path) -> bool:
    """Lock the part; whether nobody else had, and its name still means this file."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(fd), part.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
