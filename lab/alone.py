"""One process at a time does a piece of set-up (a second one waits, and finds it done), and only where there
is room for it.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.errors import LabError
from lab.progress import Step

SHOWN_FROM_SECONDS = 1.0
MIB = 1 << 20


@contextmanager
def alone(lock: Path, doing: str) -> Iterator[None]:
    """Hold the file ``lock``; wait for the process that holds it, saying that it does ``doing``.

    The file stays: another process may be waiting at it already.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with Step(f"Waiting for another process that {doing}", quiet_below=SHOWN_FROM_SECONDS):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def at_once(lock: Path, doing: str) -> Iterator[None]:
    """Hold the file ``lock``; raises LabError, which says ``doing``, when another process holds it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LabError(f"Another process {doing}. Wait until it ends, then run this again.") from error
        yield


def require_room(place: Path, mib: int, purpose: str) -> None:
    """Raises LabError when the file system of ``place``, which may not exist yet, has less left than that."""
    existing = next(parent for parent in (place, *place.parents) if parent.exists())
    free = shutil.disk_usage(existing).free // MIB
    if free < mib:
        raise LabError(
            f"{purpose}: about {mib} MiB are needed below {existing}, and only {free} MiB are free there. "
            "Make room, then run this again."
        )
