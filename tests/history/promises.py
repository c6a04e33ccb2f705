"""What the guarantees excuse, and what a node must know by now: the times that all checks share. No I/O.

Every excuse has its reason, so that it can be counted which of them did how much.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from tests.history.records import Fault, History, Operation
from tests.history.replaced import JOURNAL_SECONDS, Replacements

BEFORE_SECONDS = 1.0
"""A message that was acknowledged so shortly before a cut may not have left the node (G1: one rotation of the
token, which takes long on a machine under load)."""
NOTICE_SECONDS = 4.5
"""From a cut until Corosync has told that quorum is gone (G1): token timeout 1 s, consensus 1.2 s, the latter
twice when a delayed member answers late, and load."""
AFTER_SECONDS = 6.0
"""The same behind the end of a fault during which the membership may have changed at any moment."""


OLD_DISK = "old disk"
AGED_SECONDS = 60.0
"""After the start of a node with an older disk: by then the others are back as well. Sooner, when the node
says that it is in sync with all of them."""

UNKNOWN = "its outcome is unknown"
AGED = "its node had come back with an older disk"
ADOPTED = "its daemon took over another state in between"
CUT_OFF = "its node was cut off, killed or disturbed at that time"


class Floors:
    """For times: the highest of the values that were known by then."""

    def __init__(self, pairs: Iterable[tuple[float, float]]) -> None:
        """``pairs``: (when it became known, value)."""
        ordered = sorted(pairs)
        self._times = [time for time, _ in ordered]
        self._highest: list[float] = []
        highest = float("-inf")
        for _, value in ordered:
            highest = max(highest, value)
            self._highest.append(highest)

    def before(self, time: float) -> float:
        """The highest value known before ``time``, minus infinity for none."""
        position = bisect_left(self._times, time)
        return self._highest[position - 1] if position else float("-inf")


class Promises:
    """Answers for one history what of it was promised."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._replacements = Replacements(history, slack=NOTICE_SECONDS)
        self._windows: dict[str, list[tuple[float, float]]] = {node: [] for node in history.nodes}
        for fault in history.faults:
            for node in fault.disturbed:
                self._windows[node].append(_window(fault))
        for node, at in history.quorum_lost:
            self._windows[node].append((at - NOTICE_SECONDS, at))
        self._aged = {
            node: [
                (fault.begin, _whole(history, node, fault))
                for fault in history.faults
                if fault.kind == OLD_DISK and node in fault.off
            ]
            for node in history.nodes
        }
        self._adopted = history.adopted
        self._barriers: dict[str, Floors] = {
            node: Floors(
                (op.ended, op.invoked)
                for op in history.operations
                if op.node == node and op.acknowledged and op.changes
            )
            for node in history.nodes
        }
        self._lives = {node: [life for life in history.lives if life.node == node] for node in history.nodes}

    def why_fragile(self, op: Operation) -> str:
        """Why the change may be lost whatever the others have; empty when it must be kept."""
        if not op.acknowledged:
            return UNKNOWN
        if self.aged(op):
            return AGED
        return CUT_OFF if any(start <= op.ended <= end for start, end in self._windows[op.node]) else ""

    def fragile(self, op: Operation) -> bool:
        """Its outcome is unknown, or its node was cut off about when it acknowledged: it may be lost."""
        return bool(self.why_fragile(op))

    def why_lost(self, op: Operation, until: float = math.inf, *, twice: bool = False) -> str:
        """The same, or that by ``until`` a synchronisation has taken the change from its node (G3).

        ``twice``: see ``Replacements.took``.
        """
        return self.why_fragile(op) or self._replacements.took(op, until, twice=twice)

    def why_back(self, change: Operation, before: Operation, after: Operation) -> str:
        """Why one daemon showed a change ``before``, and ``after`` it no more: only because it took over a
        state without the change."""
        if self.aged(after):
            return AGED
        if not self.fragile(change):
            return self._replacements.took(change, after.ended)
        latest = after.ended + JOURNAL_SECONDS
        adopted = any(before.invoked <= at <= latest for at in self._adopted.get(after.node, ()))
        return ADOPTED if adopted else ""

    def why_both(self, one: Operation, other: Operation) -> str:
        """Why both could be told that they alone have something: the first may be lost again by then, or the
        second is of a node that had been cut off before and did not know. Empty: nothing says so."""
        first, second = (one, other) if one.ended <= other.ended else (other, one)
        return self.why_lost(first, second.ended, twice=True) or self.why_unaware(second, first.ended)

    def why_unaware(self, op: Operation, at: float) -> str:
        """Why the node of ``op`` did not know then what had been acknowledged at ``at``."""
        if self.aged(op):
            return AGED
        start = op.ended
        for begin, end in sorted(self._windows[op.node], reverse=True):  # those that overlap are one
            if begin <= start <= end:
                start = begin
        return CUT_OFF if start <= at and start < op.ended else self._replacements.apart(op, at)

    def aged(self, op: Operation) -> bool:
        """Its node had come back with an older disk, and perhaps nobody could tell it yet what is newer."""
        return any(start <= op.invoked <= end for start, end in self._aged[op.node])

    def life_of(self, op: Operation) -> int | None:
        """Which daemon of its node served the whole call; None when that is not certain."""
        for number, life in enumerate(self._lives.get(op.node, ())):
            if life.first <= op.invoked and op.ended <= life.last:
                return number
        return None

    def served_since(self, op: Operation) -> float:
        """When the daemon that serves the call was first seen; infinite when it is not certain which."""
        number = self.life_of(op)
        return float("inf") if number is None else self._lives[op.node][number].first

    def barrier(self, op: Operation) -> float:
        """All that was acknowledged anywhere before this time is known to the daemon that serves ``op``:
        since then it has had an operation of its own ordered and applied (G1)."""
        number = self.life_of(op)
        if number is None:
            return float("-inf")
        barrier = self._barriers[op.node].before(op.invoked)
        return barrier if barrier >= self._lives[op.node][number].first else float("-inf")


def _whole(history: History, node: str, fault: Fault) -> float:
    """When a node with an older disk must know what is newer."""
    latest = fault.end + AGED_SECONDS
    return min([latest, *(at for at in history.whole.get(node, ()) if at > fault.heal)])


def _window(fault: Fault) -> tuple[float, float]:
    start = fault.begin - BEFORE_SECONDS
    return start, fault.end + AFTER_SECONDS if fault.throughout else fault.applied + NOTICE_SECONDS


def by_key(operations: Iterable[Operation], kinds: Sequence[str]) -> dict[str, list[Operation]]:
    """The operations of these kinds, in order of invocation, by key."""
    found: dict[str, list[Operation]] = {}
    for op in operations:
        if op.kind in kinds:
            found.setdefault(op.key, []).append(op)
    return found
