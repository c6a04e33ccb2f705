"""Checks of what nodes tell each other by IPC: status keys and the cluster log (G9). No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from tests.history.findings import Findings
from tests.history.promises import Promises, by_key
from tests.history.records import History, Life, Operation


def check_status(history: History, promises: Promises, findings: Findings) -> None:
    tells, asks = by_key(history.operations, ("tell",)), by_key(history.operations, ("ask",))
    for key in sorted({*tells, *asks}):
        told = {op.value: op for op in tells.get(key, ())}
        for op in asks.get(key, ()):
            if op.acknowledged:
                _check_value(key, op.found, op, told, findings)
                _check_own(key, op, tells.get(key, ()), promises, findings)
        for node, look in history.known.items():
            _check_value(key, look.get(key), None, told, findings)
            _check_end(key, node, look.get(key), tells.get(key, ()), history, findings)
    logs = set(map(tuple, history.logs.values()))
    if len(logs) > 1:
        common = set.intersection(*map(set, history.logs.values()))
        alone = {node: [line for line in log if line not in common] for node, log in history.logs.items()}
        findings.add("logs differ", f"entries that not all have: {alone}"[:2000])


def _check_value(
    key: str, value: object, op: Operation | None, told: dict[object, Operation], findings: Findings
) -> None:
    who = "the end" if op is None else str(op)
    if value is not None and value not in told:
        findings.add("never written", f"{key}: {who}: {value!r}")
    elif value is not None and op is not None and told[value].invoked > op.ended:
        findings.add("from the future", f"{key}: {who}")


def _check_own(
    key: str, op: Operation, tells: Sequence[Operation], promises: Promises, findings: Findings
) -> None:
    """A daemon knows what it was told itself."""
    if not key.startswith(f"{op.node} "):
        return
    since = promises.served_since(op)
    known = [
        each for each in tells if each.acknowledged and since <= each.invoked and each.ended < op.invoked
    ]
    findings.judge("status not told", had_to=bool(known))
    if known and _older(op.found, known[-1], tells):
        findings.add("status not told", f"{key}: {op}, after {known[-1]}")


def _check_end(
    key: str, node: str, value: object, tells: Sequence[Operation], history: History, findings: Findings
) -> None:
    """When all is whole every node knows what a daemon was told that still runs."""
    life = _last_life(history, key.partition(" ")[0])
    known = [op for op in tells if op.acknowledged and life is not None and op.invoked >= life.first]
    findings.judge("status not told", had_to=bool(known))
    if known and _older(value, known[-1], tells):
        findings.add("status not told", f"{key}: at the end {node} has {value!r}, not that of {known[-1]}")


def _last_life(history: History, node: str) -> Life | None:
    return max(
        (life for life in history.lives if life.node == node), key=lambda life: life.first, default=None
    )


def _older(value: object, than: Operation, tells: Sequence[Operation]) -> bool:
    """Of a key's tells, which its one writer made one after the other. The outcome of later ones is open."""
    found = next((op for op in tells if op.value == value), None)
    return found is None or found.invoked < than.invoked
