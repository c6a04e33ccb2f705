"""The whole check of one history against what docs/guarantees.md promises. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from tests.history.bounds import check_bounds, check_quorum
from tests.history.findings import Findings
from tests.history.logs import check_logs
from tests.history.node_values import SLOTS, read_slots, read_whole, value_in
from tests.history.once import check_once
from tests.history.promises import Promises, by_key
from tests.history.records import History, Operation
from tests.history.registers import Look, Register
from tests.history.sections import check_locks
from tests.history.status import check_status

IN_PLACE = "the file was being written in place"

LATE_SECONDS = 5.0
"""No node is so far behind another that is in sync with it."""

CLASSES = (
    "lost",
    "made twice",
    "taken twice",
    "applied twice",
    "out of order",
    "never written",
    "refused write seen",
    "from the future",
    "stale read",
    "not monotonic",
    "lock held twice",
    "lost under a lock",
    "written without quorum",
    "status not told",
    "logs differ",
    "hung",
    "damaged record",
    "client died",
)


def check(history: History) -> Findings:
    """All violations, and the losses that are documented as possible."""
    history.sort()
    findings = Findings()
    promises = Promises(history)
    _check_registers(history, promises, findings)
    _check_slots(history, promises, findings)
    _check_wholes(history, promises, findings)
    check_once(history, promises, findings)
    check_logs(history, promises, findings)
    check_locks(history, promises, findings)
    check_status(history, promises, findings)
    check_bounds(history, findings)
    for text in history.damaged:
        findings.add("damaged record", text)
    check_quorum(history, findings)
    return findings


def _check_registers(history: History, promises: Promises, findings: Findings) -> None:
    reads = by_key(history.operations, ("read",))
    writes = by_key(history.operations, ("write", "remove"))
    for key in sorted({*reads, *writes}):
        looks = [Look(op.found, op) for op in reads.get(key, ()) if op.acknowledged]
        looks.append(Look(value_in(history.final.get(key)), None))
        Register(key, writes.get(key, ()), promises).check(looks, findings)


def _check_slots(history: History, promises: Promises, findings: Findings) -> None:
    reads = by_key(history.operations, ("read-slots",))
    for key, writes in by_key(history.operations, ("slots",)).items():
        good = [op for op in reads.get(key, ()) if op.acknowledged and not op.bad]
        for op in reads.get(key, ()):
            if op.bad:
                findings.add("never written", f"{key}: {op}: {op.bad[:200]}")
        end = read_slots(history.final.get(key))
        if "bad" in end:
            findings.add("never written", f"{key}: the end: {end['bad'][:200]}")
        for slot in range(SLOTS):
            looks = [Look(op.found[slot], op) for op in good]
            if "value" in end:
                looks.append(Look(end["value"][slot], None))
            own = [op for op in writes if op.slot == slot]
            Register(f"{key}[{slot}]", own, promises).check(looks, findings)


def _check_wholes(history: History, promises: Promises, findings: Findings) -> None:
    reads = by_key(history.operations, ("read-whole",))
    for key, writes in by_key(history.operations, ("whole",)).items():
        looks = []
        for op in reads.get(key, ()):
            if op.acknowledged and op.torn is not None and _is_written_in_place(op, writes, promises):
                looks += [Look(token, op) for token in op.torn]
                findings.add("never written", f"{key}: {op}: {op.bad[:200]}", excused=IN_PLACE)
            elif op.acknowledged:
                looks.append(Look([op.bad] if op.bad else op.found, op))
        end = read_whole(history.final.get(key))
        looks.append(Look([end["bad"]] if "bad" in end else end["value"], None))
        Register(key, writes, promises).check(looks, findings)


def _is_written_in_place(read: Operation, writes: Sequence[Operation], promises: Promises) -> bool:
    """Whether the file may change under the read: a write is on its way that the node need not know yet."""
    barrier = max(promises.barrier(read), read.invoked - LATE_SECONDS)
    return any(
        write.invoked < read.ended and (not write.acknowledged or write.ended > barrier)
        for write in writes
        if write.outcome != "fail"
    )
