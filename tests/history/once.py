"""Checks of what only one can have: names made by one, files taken by one, and that they stay. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from tests.history.findings import Findings
from tests.history.node_values import content
from tests.history.promises import Promises, by_key
from tests.history.records import History, Operation

MADE = ("create", "mkdir", "give")


def check_once(history: History, promises: Promises, findings: Findings) -> None:
    taken = by_key(history.operations, ("take",))
    for key, attempts in by_key(history.operations, MADE).items():
        _one_winner("made twice", key, attempts, promises, findings)
        if attempts[0].kind == "give":
            _check_taken(key, attempts[0], taken.get(key, ()), history.final, promises, findings)
        else:
            _check_made(key, attempts, history.final, promises, findings)
    for key, attempts in taken.items():
        _one_winner("taken twice", key, attempts, promises, findings)


def _one_winner(
    kind: str, key: str, attempts: Sequence[Operation], promises: Promises, findings: Findings
) -> None:
    won = [op for op in attempts if op.acknowledged]
    if len(won) > 1:
        reasons = [promises.why_both(one, other) for one, other in combinations(won, 2)]
        excused = "" if "" in reasons else reasons[0]
        findings.add(kind, f"{key}: " + "; ".join(map(str, won)), excused=excused)


def _check_made(
    key: str,
    attempts: Sequence[Operation],
    final: Mapping[str, bytes | None],
    promises: Promises,
    findings: Findings,
) -> None:
    """Who was told that the name is his finds it at the end, with his content."""
    won = [op for op in attempts if op.acknowledged]
    maybe = [op for op in attempts if op.outcome == "info"]
    there = key in final
    if not there:
        for op in won:
            _lost(f"{op} is not there", op, promises, findings)
    elif not won and not maybe:
        findings.add("refused write seen", f"{key} is there, and all who tried were refused: {attempts[0]}")
    elif attempts[0].kind == "create":
        data = final[key]
        if data in [content(op.value) for op in (*won, *maybe)]:
            sure = [op for op in won if not promises.fragile(op)]
            if sure and data not in [content(op.value) for op in sure]:
                _lost(
                    f"{sure[0]} has the content of another: {(data or b'')[:60]!r}",
                    sure[0],
                    promises,
                    findings,
                )
        elif won:
            _lost(f"{won[0]} has another content: {(data or b'')[:60]!r}", won[0], promises, findings)


def _check_taken(
    key: str,
    gift: Operation,
    attempts: Sequence[Operation],
    final: Mapping[str, bytes | None],
    promises: Promises,
    findings: Findings,
) -> None:
    """The file is in one place, and where the one stands who was told that he has it."""
    if gift.outcome == "fail":
        return
    places = [place for place in (key, *(op.value for op in attempts if op.value)) if place in final]
    if len(places) > 1:
        findings.add("applied twice", f"{key} is in several places: {places}")
    for op in attempts:
        if op.acknowledged and op.value and op.value not in final:
            _lost(f"{op} is not there", op, promises, findings)
        if op.acknowledged and key in final:
            _lost(f"{op}, and it is still there", op, promises, findings)
        if op.outcome == "fail" and op.value in final:
            findings.add("refused write seen", f"{op} has happened")
    gone = [op for op in attempts if op.outcome != "fail"]
    if gift.acknowledged and not places and not gone:
        _lost(f"{gift} is not there", gift, promises, findings)


def _lost(text: str, op: Operation, promises: Promises, findings: Findings) -> None:
    findings.add("lost", text, excused=promises.why_lost(op))
