"""Checks of locks: sections of different holders never meet, and no change under a lock is lost (G4).

A lock that was not given back is free 120 s after it was taken or last renewed, not earlier (core 1.14).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.history.findings import Findings
from tests.history.promises import Promises, by_key
from tests.history.records import History, Operation

LOCK_SECONDS = 120.0
CLOCK_SECONDS = 1.0
"""Clocks that count whole seconds may be off by one."""
KINDS = ("lock", "enter", "renew", "leave", "unlock")


@dataclass(slots=True)
class Section:
    """From the answer that the lock was taken to the moment in which it may be another's."""

    lock: Operation
    valid_until: float
    enter: Operation | None = None
    leave: Operation | None = None
    renewals: list[Operation] = field(default_factory=list)


def check_locks(history: History, promises: Promises, findings: Findings) -> None:
    for operations in by_key(history.operations, KINDS).values():
        sections = sorted(_sections(operations), key=lambda each: each.lock.ended)
        _exclusive(sections, promises, findings)
        _counted(sections, promises, findings)


def _sections(operations: Sequence[Operation]) -> list[Section]:
    """A process has one section at a time; what it does after ``lock`` belongs to that one."""
    sections: list[Section] = []
    current: dict[str, Section] = {}
    for op in operations:
        if op.kind == "lock":
            current.pop(op.process, None)
            if op.acknowledged:
                section = Section(op, op.invoked + LOCK_SECONDS - CLOCK_SECONDS)
                current[op.process] = section
                sections.append(section)
            continue
        holder = current.get(op.process)
        if holder is None:
            continue
        if op.kind == "enter":
            holder.enter = op
        elif op.kind == "leave":
            holder.leave = op
        elif op.kind == "renew" and op.acknowledged:
            holder.valid_until = op.invoked + LOCK_SECONDS - CLOCK_SECONDS
        elif op.kind == "unlock":
            holder.valid_until = min(holder.valid_until, op.invoked)
            current.pop(op.process)
    return sections


def _exclusive(sections: Sequence[Section], promises: Promises, findings: Findings) -> None:
    latest: Section | None = None
    for section in sections:
        taken = section.lock.ended
        if latest is not None and taken < latest.valid_until:
            text = f"{section.lock}, while it was held until {latest.valid_until:.3f} by {latest.lock}"
            findings.add("lock held twice", text, excused=promises.why_both(latest.lock, section.lock))
            latest = section  # what is wrong is told once
        elif latest is None or section.valid_until > latest.valid_until:
            latest = section


def _counted(sections: Sequence[Section], promises: Promises, findings: Findings) -> None:
    """Each section reads a number and writes the next: a stale read or a lost write shows as a number that
    comes twice or goes back."""
    leaves = [each.leave for each in sections if each.leave is not None]
    sure = [op for op in leaves if not promises.fragile(op)]
    late = {op.value for op in leaves if op.outcome == "info"}
    """Writes of unknown outcome may come at any time."""
    for section in sections:
        enter = section.enter
        if enter is None or not enter.acknowledged or enter.ended > section.valid_until:
            continue
        known = [op for op in sure if op.ended < section.lock.invoked]
        findings.judge("lost under a lock", had_to=bool(known))
        missing = [op for op in known if op.value > enter.found]
        if missing and enter.found not in late:
            reasons = {
                op.value: promises.why_unaware(section.lock, op.ended) or promises.why_lost(op, enter.ended)
                for op in missing
            }
            worst = max(missing, key=lambda op: (not reasons[op.value], op.value))
            text = f"{enter} under {section.lock}, though {worst}"
            findings.add("lost under a lock", text, excused=reasons[worst.value])
