"""The ring that holds the cluster log and travels as a state: insert, walk, sort, merge (status 2.4-2.7).

A ring from another node is checked at every step: what does not hold together ends its walk.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from quorate.pmxcfs.logentry import MAX_ENTRY, OVERHEAD, Entry, EntryError, parse, sort_key

RING_SIZE: Final = 131072
MIN_RING_SIZE: Final = 40960
FIRST: Final = 8
"""Position of the first entry: behind the ring's size and the position of the newest entry."""
MERGE_LIMIT: Final = RING_SIZE - FIRST - MAX_ENTRY
"""A merge ends when it has taken this many bytes."""

_U32: Final = struct.Struct("<I")
_LINKS: Final = struct.Struct("<II")


class Visit(NamedTuple):
    """One step of a walk."""

    position: int
    prev: int
    next: int
    entry: Entry
    last: bool
    """The walk stops here although there is a ``prev``: what it points to was overwritten."""


class Ring:
    """Entries in a circle of fixed size; the newest overwrite the oldest."""

    __slots__ = ("data",)

    def __init__(self, size: int = RING_SIZE) -> None:
        self.data = bytearray(max(size, MIN_RING_SIZE))
        _U32.pack_into(self.data, 0, len(self.data))

    @classmethod
    def received(cls, state: bytes) -> Ring | None:
        """Another node's ring; None if it is not even as long as it says."""
        if len(state) <= FIRST or _U32.unpack_from(state)[0] != len(state):
            return None
        ring = cls.__new__(cls)
        ring.data = bytearray(state)
        return ring

    @property
    def newest(self) -> int:
        """Position of the newest entry, 0 when empty."""
        return int(_U32.unpack_from(self.data, 4)[0])

    def insert(self, packed: bytes) -> None:
        """Append a packed entry."""
        size = len(packed)
        assert OVERHEAD < size <= MAX_ENTRY
        newest = self.newest
        taken = -(-size // 8) * 8
        position = int(_LINKS.unpack_from(self.data, newest)[1]) if newest else FIRST
        if position + taken >= len(self.data):
            position = FIRST
        _LINKS.pack_into(self.data, position, newest, position + taken)
        self.data[position + 8 : position + size] = packed[8:]
        _U32.pack_into(self.data, 4, position)

    def walk(self) -> Iterator[Visit]:
        """From the newest entry to the oldest that is still whole. Ends at the first fault."""
        head = position = self.newest
        for _ in range(len(self.data) // OVERHEAD):  # a circle of links ends too
            if position == 0 or head < position <= head + MAX_ENTRY:
                return
            try:
                entry = parse(self.data, position, exact=False)
            except EntryError:
                return
            prev, after = _LINKS.unpack_from(self.data, position)
            if position < FIRST or after != position + -(-entry.size // 8) * 8:
                return
            overwritten = position < prev <= head
            yield Visit(position, prev, after, entry, overwritten)
            if overwritten:
                return
            position = prev

    def packed(self, visit: Visit) -> bytes:
        """The bytes of the visited entry."""
        return bytes(self.data[visit.position : visit.position + visit.entry.size])

    def sort(self) -> Ring:
        """A new ring of the same size with the same entries in order; an empty ring stays itself."""
        entries: dict[tuple[int, int, int], tuple[Entry, bytes]] = {}
        for visit in self.walk():
            entries.setdefault(visit.entry.identity, (visit.entry, self.packed(visit)))
        return _filled(entries, len(self.data)) if entries else self


def merge(rings: Sequence[Ring]) -> tuple[Ring, list[Entry]]:
    """One ring out of several, and its entries in the order in which they were taken, newest first.

    ``rings`` are ordered as the members are: at equal times the earlier one is taken first.
    """
    cursors = [
        (ring, walk, first) for ring in rings if (first := next(walk := ring.walk(), None)) is not None
    ]
    entries: dict[tuple[int, int, int], tuple[Entry, bytes]] = {}
    total = 0
    while cursors:
        best = max(range(len(cursors)), key=lambda index: (cursors[index][2].entry.time, -index))
        ring, walk, visit = cursors[best]
        if visit.entry.time == 0:
            break
        if visit.entry.identity not in entries:
            entries[visit.entry.identity] = (visit.entry, ring.packed(visit))
            total += visit.next - visit.position
            if total >= MERGE_LIMIT:
                break
        following = next(walk, None)
        if following is None:
            del cursors[best]
        else:
            cursors[best] = (ring, walk, following)
    return _filled(entries, RING_SIZE), [entry for entry, _ in entries.values()]


def _filled(entries: dict[tuple[int, int, int], tuple[Entry, bytes]], size: int) -> Ring:
    ring = Ring(size)
    for _, packed in sorted(entries.values(), key=lambda item: sort_key(item[0])):
        ring.insert(packed)
    return ring
