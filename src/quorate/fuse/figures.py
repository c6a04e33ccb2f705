"""How many requests of each kind were answered, how they ended and how long they took. Pure; counted on the
hot path, so it is a handful of list operations per request.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final, NamedTuple

from quorate.fuse.abi import Opcode

BOUNDS: Final = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 10.0)
"""Seconds: from what the kernel's questions take to what a caller waits for at most."""

_NAMES: Final = {int(opcode): opcode.name.lower() for opcode in Opcode}
_KINDS: Final = max(_NAMES) + 1
"""Others are never dispatched."""


class Figures(NamedTuple):
    """Of one kind of request, since the start."""

    answered: int
    refused: int
    """Of these, with an errno."""
    seconds: float
    """All together, from the request to its answer."""
    buckets: tuple[int, ...]
    """How many took up to each of ``BOUNDS``, not added up; then those that took longer."""


class RequestCounter:
    """Counts for all kinds."""

    def __init__(self) -> None:
        self._buckets = [[0] * (len(BOUNDS) + 1) for _ in range(_KINDS)]
        self._seconds = [0.0] * _KINDS
        self._refused = [0] * _KINDS

    def answered(self, opcode: int, seconds: float, refused: bool = False) -> None:
        """A request of this kind was answered, so long after it came."""
        self._buckets[opcode][bisect_left(BOUNDS, seconds)] += 1
        self._seconds[opcode] += seconds
        if refused:
            self._refused[opcode] += 1

    def figures(self) -> dict[str, Figures]:
        """By the operation's name in lower case; kinds that never came are left out."""
        found = {}
        for opcode, name in _NAMES.items():
            buckets = self._buckets[opcode]
            answered = sum(buckets)
            if answered:
                found[name] = Figures(answered, self._refused[opcode], self._seconds[opcode], tuple(buckets))
        return found
