"""Checks of files that one process appends to: every record once, in order, none lost. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from tests.history.findings import Findings
from tests.history.node_values import read_log
from tests.history.promises import AGED, Promises, by_key
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
        if op is None:
            for append in self._appends.values():
                if append.acknowledged and append.number not in numbers:
                    reason = self._promises.why_lost(append)
                    self._findings.add("lost", f"{who} lacks {append}", excused=reason)
            return
        barrier, since = self._promises.barrier(op), self._promises.served_since(op)
        newest = max(numbers, default=NEVER)
        known = [
            append
            for append in self._sure
            if append.ended < barrier
            or append.number < newest
            or (op.node == append.node and since <= append.ended < op.invoked)
        ]
        self._findings.judge("stale read", had_to=bool(known))
        for append in known:
            if append.number not in numbers:
                reason = self._promises.why_lost(append, op.ended) or self._why_aged(op)
                self._findings.add("stale read", f"{who} lacks {append}", excused=reason)

    def _why_aged(self, op: Operation) -> str:
        return AGED if self._promises.aged(op) else ""

    def monotonic(self, reads: Sequence[Operation]) -> None:
        served: dict[tuple[str, int], list[Operation]] = {}
        for op in reads:
            life = self._promises.life_of(op)
            if life is not None:
                served.setdefault((op.node, life), []).append(op)
        for ops in served.values():
            for op in ops:
                shown = {
                    number: before
                    for before in ops
                    if before.ended < op.invoked
                    for number in before.found or ()
                }
                self._findings.judge("not monotonic", had_to=bool(shown))
                for number in sorted(shown.keys() - set(op.found or ())):
                    append = self._appends.get(number)
                    if append is not None:
                        text = f"{op} lacks {append}, which had been seen on {op.node}"
                        reason = self._promises.why_back(append, shown[number], op)
                        self._findings.add("not monotonic", text, excused=reason)
