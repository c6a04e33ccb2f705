"""Checks of files that one process appends to: every record once, in order, none lost. No I/O."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.history.findings import Findings
from tests.history.node_values import read_log
from tests.history.promises import Floors, Promises, by_key
from tests.history.records import History, Operation

NEVER = float("-inf")


def check_logs(history: History, promises: Promises, findings: Findings) -> None:
    reads = by_key(history.operations, ("read-log",))
    for key, appends in by_key(history.operations, ("log",)).items():
        log = _Log(key, appends, promises, findings)
        for op in reads.get(key, ()):
            if op.acknowledged:
                log.look(op, op.found, op.bad)
        log.monotonic([op for op in reads.get(key, ()) if op.acknowledged and not op.bad])
        end = read_log(history.final.get(key))
        log.look(None, end.get("value"), end.get("bad", ""))


class _Log:
    def __init__(
        self, key: str, appends: Sequence[Operation], promises: Promises, findings: Findings
    ) -> None:
        self._key, self._promises, self._findings = key, promises, findings
        self._appends = {op.number: op for op in appends}
        self._sure = [op for op in appends if not promises.fragile(op)]

    def look(self, op: Operation | None, found: list[int] | None, bad: str) -> None:
        """One reading, or (None) the content at the end."""
        who = f"{self._key}: {'the end' if op is None else op}"
        if bad:
            self._findings.add("never written", f"{who}: {bad[:200]}")
            return
        numbers = found or []
        if len(set(numbers)) < len(numbers):
            self._findings.add("applied twice", f"{who}: {numbers}")
        elif sorted(numbers) != numbers:
            self._findings.add("out of order", f"{who}: {numbers}")
        for number in numbers:
            append = self._appends.get(number)
            if append is None:
                self._findings.add("never written", f"{who}: record {number}")
            elif append.outcome == "fail":
                self._findings.add("refused write seen", f"{who}: {append}")
            elif op is not None and append.invoked > op.ended:
                self._findings.add("from the future", f"{who}: {append}")
        self._complete(who, op, set(numbers))

    def _complete(self, who: str, op: Operation | None, numbers: set[int]) -> None:
        until = math.inf if op is None else op.ended
        barrier = math.inf if op is None else self._promises.barrier(op)
        since = NEVER if op is None else self._promises.served_since(op)
        for append in self._sure:
            own = op is not None and op.node == append.node and since <= append.ended < op.invoked
            if append.number not in numbers and (append.ended < barrier or own):
                kind = "lost" if op is None else "stale read"
                excused = self._promises.rolled_back(append.ended, until)
                excused = excused or (op is not None and self._promises.aged(op))
                self._findings.add(kind, f"{who} lacks {append}", excused=excused)
        if op is None:
            for append in self._appends.values():
                fragile = append.acknowledged and self._promises.fragile(append)
                if fragile and append.number not in numbers:
                    self._findings.add("lost", f"{who} lacks {append}", excused=True)

    def monotonic(self, reads: Sequence[Operation]) -> None:
        sure = {op.number for op in self._sure}
        served: dict[tuple[str, int], list[Operation]] = {}
        for op in reads:
            life = self._promises.life_of(op)
            if life is not None:
                served.setdefault((op.node, life), []).append(op)
        for ops in served.values():
            seen = Floors((op.ended, max(set(op.found or ()) & sure, default=NEVER)) for op in ops)
            for op in ops:
                floor = seen.before(op.invoked)
                missing = {number for number in sure if number <= floor} - set(op.found or ())
                if missing:
                    since = self._appends[min(missing)].ended
                    text = f"{op} lacks {sorted(missing)}, and more had been seen on {op.node}"
                    excused = self._promises.rolled_back(since, op.ended) or self._promises.aged(op)
                    self._findings.add("not monotonic", text, excused=excused)
