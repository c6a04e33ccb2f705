"""The cluster log of this node: new entries, entries of others, the state for synchronisation, the JSON text.

Pure: times and process ids are handed in (status 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from quorate.pmxcfs.logentry import MAX_PRIORITY, Entry, digest, pack, parse
from quorate.pmxcfs.logring import RING_SIZE, Ring, merge

SHOWN: Final = 50
"""Entries in ``.clusterlog``, and in an answer to who does not say how many."""


class ClusterLog:
    """The ring, the counter of own entries and the table against duplicates."""

    def __init__(self, size: int = RING_SIZE) -> None:
        self.ring = Ring(size)
        self._uid = 0
        self._latest: dict[int, tuple[int, int]] = {}

    def new(
        self, *, node: bytes, ident: bytes, tag: bytes, pid: int, priority: int, time: int, message: bytes
    ) -> bytes | None:
        """Make an entry of this node and insert it. Returns it packed for the broadcast.

        None when nothing is logged: a priority above 7. An entry that the duplicate check drops (the clock
        went back) is returned nevertheless, as the original broadcasts it.
        """
        if not 0 <= priority <= MAX_PRIORITY:
            return None
        self._uid = (self._uid + 1) & 0xFFFFFFFF
        packed = pack(
            uid=self._uid,
            time=time,
            pid=pid,
            priority=priority,
            node=node,
            ident=ident,
            tag=tag,
            message=message,
        )
        self.insert(packed)
        return packed

    def insert(self, packed: bytes) -> bool:
        """Insert an own or received entry unless it is known (status 2.6); raises EntryError if malformed."""
        if not self._accept(parse(packed)):
            return False
        self.ring.insert(packed)
        return True

    def state(self) -> bytes:
        """The ring for the other nodes. Sorts it; the sorted ring is kept."""
        self.ring = self.ring.sort()
        return bytes(self.ring.data)

    def since(self, state: Ring) -> list[bytes]:
        """What this node has logged since it gave ``state`` away, oldest first."""
        if self.ring.data == state.data:
            return []
        known = {visit.entry.identity for visit in state.walk()}
        return [self.ring.packed(visit) for visit in self.ring.walk() if visit.entry.identity not in known][
            ::-1
        ]

    def merge(self, rings: Sequence[Ring], later: Sequence[bytes] = ()) -> None:
        """Replace the ring by the merge of these (status 2.7), the own one among them; then come ``later``.

        The original merges its present ring. The others have the state that it gave away, and meet what came
        later as messages: if they drop one as too old (the clock went back), it must not stay here alone.
        """
        self.ring, taken = merge(rings)
        self._latest = {}
        for entry in taken:
            self._accept(entry)
        for packed in later:
            self.insert(packed)

    def json(self, *, user: bytes = b"", maximum: int = SHOWN) -> bytes:
        """The newest entries as text, newest first (status 2.8); ``user`` empty: those of all users.

        After a wrap the oldest one that is still whole is left out, as in the original.
        """
        wanted = digest(user + b"\0") if user else None
        lines: list[bytes] = []
        for visit in self.ring.walk():
            if len(lines) >= maximum or visit.last:
                break
            if wanted is None or visit.entry.ident_digest == wanted:
                lines.append(_line(visit.entry))
        body = b",\n".join(lines)
        return b'{\n"data": [\n' + body + (b"\n" if lines else b"") + b"]\n}\n"

    def _accept(self, entry: Entry) -> bool:
        latest = self._latest.get(entry.node_digest)
        if latest is not None and (entry.time, entry.uid) <= latest:
            return False
        self._latest[entry.node_digest] = (entry.time, entry.uid)
        return True


def _line(entry: Entry) -> bytes:
    return (
        b'{"uid": %d, "time": %d, "pri": %d, "tag": "%b", "pid": %d, "node": "%b", "user": "%b", "msg": "%b"}'
        % (
            entry.uid,
            entry.time,
            entry.priority,
            entry.tag,
            entry.pid,
            entry.node,
            entry.ident,
            entry.message,
        )
    )
