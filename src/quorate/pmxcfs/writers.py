"""Who writes his files with one call each, as far as it was seen. Pure.

Content leaves this node when a file is closed, whatever the number of writes: one message. Who needs one
write only has nothing to add, so his content may leave with it and be under way while he closes the file
(decision 52). Whether there will be another write nobody says beforehand; the last file tells.
"""

from __future__ import annotations

from typing import Final

MAX_WRITERS: Final = 256
"""Threads remembered; beyond it the one that is known longest is forgotten."""


class Writers:
    """Threads (the kernel's ids of callers) whose last file took one write request."""

    def __init__(self) -> None:
        self._single: dict[int, None] = {}

    def wrote(self, thread: int, written: int) -> bool:
        """This thread made the file's write request of that number: whether the file is likely complete."""
        if written > 1:
            self._single.pop(thread, None)
            return False
        return thread in self._single

    def closed(self, thread: int, written: int) -> None:
        """This thread closes a file; it took so many write requests, 0: it says nothing."""
        if written > 1:
            self._single.pop(thread, None)
        elif written and thread not in self._single:
            if len(self._single) >= MAX_WRITERS:
                del self._single[next(iter(self._single))]
            self._single[thread] = None
