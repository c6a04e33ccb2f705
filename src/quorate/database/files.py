"""Private files with a time in their name, and how many of a kind are kept. For everything in ``backup/``."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

KEEP: Final = 10
"""Files of one kind that are kept, as many as the join tool of the original keeps (core 3.9)."""
MAX_IN_ONE_SECOND: Final = 1000
"""Names tried for one second."""


def create_private(directory: Path, prefix: str, now: int, suffix: str) -> tuple[int, Path]:
    """A new file ``PREFIX-TIME[-N]SUFFIX``, 0600, in a directory made 0700; a descriptor and its path.

    Raises OSError; never opens a file that is there.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(MAX_IN_ONE_SECOND):
        path = directory / (f"{prefix}{now}-{number}{suffix}" if number else f"{prefix}{now}{suffix}")
        try:
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), path
        except FileExistsError:
            continue
    raise FileExistsError(f"'{directory}' has {MAX_IN_ONE_SECOND} files {prefix}{now}*{suffix}")


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
