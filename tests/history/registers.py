"""Checks of what is overwritten: files replaced by anybody, slots and files with one writer. No I/O.

The total order is not seen from outside. Known is: who was acknowledged before another was invoked comes
before it. A value is *definitely older* than another when its write was acknowledged before that of the other
was invoked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from tests.history.findings import Findings
from tests.history.promises import AGED, Floors, Promises
from tests.history.records import Operation

NEVER = float("-inf")
ABSENT = None
EMPTY = ""
"""Between the truncation and the content of a file that is written in place."""


class Look(NamedTuple):
    """One value that was seen: by an operation, or (None) at the end of everything."""

    value: object
    op: Operation | None


class Register:
    """One register: who wrote what into it."""

    def __init__(self, name: str, writes: Sequence[Operation], promises: Promises) -> None:
        self.name = name
        self._promises = promises
        self._writes = {op.value: op for op in writes if op.kind != "remove"}
        self._removals = sorted(
            (op for op in writes if op.kind == "remove" and op.outcome != "fail"), key=lambda op: op.invoked
        )
        self._sure = [op for op in writes if not promises.fragile(op)]
        self._known = Floors((op.ended, op.invoked) for op in self._sure)
        self._own = {
            node: Floors((op.ended, op.invoked) for op in self._sure if op.node == node)
            for node in {op.node for op in self._sure}
        }

    def check(self, looks: Sequence[Look], findings: Findings) -> None:
        self._check_values(looks, findings)
        self._check_fresh(looks, findings)
        self._check_monotonic(looks, findings)

    def _check_values(self, looks: Sequence[Look], findings: Findings) -> None:
        for value, op in looks:
            if isinstance(value, list):
                findings.add("never written", f"{self.name}: {_who(op)} found {value}")
            elif value is ABSENT or value == EMPTY:
                continue
            elif (write := self._writes.get(value)) is None:
                findings.add("never written", f"{self.name}: {_who(op)} found {value!r}")
            elif write.outcome == "fail":
                findings.add("refused write seen", f"{self.name}: {_who(op)} found the value of {write}")
            elif op is not None and write.invoked > op.ended:
                findings.add("from the future", f"{self.name}: {op} found the value of {write}")

    def _check_fresh(self, looks: Sequence[Look], findings: Findings) -> None:
        """What the node must know by now is not missing (at the end: what anybody was told)."""
        for value, op in looks:
            floor = self._floor(op)
            kind = "lost" if op is None else "stale read"
            if op is not None:
                findings.judge(kind, had_to=floor > NEVER)
            if self._written_until(value, op) < floor:
                until = math.inf if op is None else op.ended
                missing = [
                    (write, self._promises.why_lost(write, until) or self._why_aged(op))
                    for write in self._sure
                    if self._known_to(write, op)
                ]
                self._report(kind, Look(value, op), missing, findings)

    def _report(
        self, kind: str, look: Look, writes: Sequence[tuple[Operation, str]], findings: Findings
    ) -> None:
        """Of the writes that are newer than what was seen, with what excuses that: one that nothing excuses,
        if there is one."""
        value, op = look
        floor = self._written_until(value, op)
        missing = [(write, reason) for write, reason in writes if write.invoked > floor]
        newer, reason = max(missing, key=lambda pair: (not pair[1], pair[0].invoked))
        findings.add(kind, f"{self.name}: {_who(op)} found {value!r}, older than {newer}", excused=reason)

    def _why_aged(self, op: Operation | None) -> str:
        return AGED if op is not None and self._promises.aged(op) else ""

    def _known_to(self, write: Operation, op: Operation | None) -> bool:
        if op is None or write.ended < self._promises.barrier(op):
            return True
        start = self._promises.served_since(op)
        return write.node == op.node and start <= write.invoked and write.ended < op.invoked

    def _floor(self, op: Operation | None) -> float:
        """When the newest write was invoked that must be known: all before the node's last own change, and
        what was acknowledged by the node itself."""
        if op is None:
            return self._known.before(math.inf)
        known = self._known.before(self._promises.barrier(op))
        start = self._promises.served_since(op)
        own = self._own[op.node].before(op.invoked) if op.node in self._own else NEVER
        return max(known, own if own >= start else NEVER)

    def _check_monotonic(self, looks: Sequence[Look], findings: Findings) -> None:
        """What one daemon shows never goes back."""
        served: dict[tuple[str, int], list[tuple[Operation, object]]] = {}
        for value, op in looks:
            life = None if op is None else self._promises.life_of(op)
            if op is not None and life is not None:
                served.setdefault((op.node, life), []).append((op, value))
        for reads in served.values():
            shown = [(op, write) for op, value in reads if (write := self._write_of(value)) is not None]
            seen = Floors((op.ended, write.invoked) for op, write in shown)
            for op, value in reads:
                floor = seen.before(op.invoked)
                findings.judge("not monotonic", had_to=floor > NEVER)
                if self._written_until(value, op) < floor:
                    missing = [
                        (write, self._promises.why_back(write, before, op))
                        for before, write in shown
                        if before.ended < op.invoked
                    ]
                    self._report("not monotonic", Look(value, op), missing, findings)

    def _write_of(self, value: object) -> Operation | None:
        return None if value is ABSENT or isinstance(value, list) else self._writes.get(value)

    def _written_until(self, value: object, op: Operation | None) -> float:
        """The latest time by which the value may have been written; what has no known end is never old."""
        if isinstance(value, list):
            return math.inf  # reported already
        if value == EMPTY:  # while a write is under way, or when the last of them went wrong
            return math.inf if op is not None or self._ended_badly() else NEVER
        if value is ABSENT:
            end = math.inf if op is None else op.ended
            possible = [
                removal.ended if removal.acknowledged else math.inf
                for removal in self._removals
                if removal.invoked <= end
            ]
            return max(possible, default=NEVER)
        write = self._writes.get(value)
        if write is None or not write.acknowledged:
            return math.inf
        return write.ended

    def _ended_badly(self) -> bool:
        newest = max((op.invoked for op in self._sure), default=NEVER)
        return any(
            op.invoked > newest and op.outcome != "fail" and self._promises.fragile(op)
            for op in self._writes.values()
        )


def _who(op: Operation | None) -> str:
    return "the end" if op is None else str(op)
