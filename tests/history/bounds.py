"""Checks of time and quorum: calls are answered within their bound, nobody without quorum writes. No I/O."""

from __future__ import annotations

import math

from tests.history.findings import Findings
from tests.history.promises import NOTICE_SECONDS
from tests.history.records import History, Operation

REQUEST_SECONDS = 30.0
"""Bound of one modifying call (guarantees, "Waiting has an end")."""
SLACK_SECONDS = 10.0
"""On a machine with few cores, beside real-time Corosync."""
STEPS = {"write": 4, "leave": 4, "create": 3, "give": 3, "log": 3, "slots": 3, "whole": 3}
"""Modifying calls in an operation, at most: create, truncate, close, rename. The others: one."""


def check_bounds(history: History, findings: Findings) -> None:
    for text in history.stuck:
        findings.add("hung", f"a process never came back: {text}")
    for text in history.died:
        findings.add("client died", text)
    for op in history.operations:
        if op.ended == math.inf:
            if not any(op.node in fault.off and fault.heal >= op.invoked for fault in history.faults):
                findings.add("hung", f"nothing was heard any more of {op}")
        elif op.ended - op.invoked > bound(op, history):
            findings.add("hung", f"{op} took {op.ended - op.invoked:.1f} s")


def bound(op: Operation, history: History) -> float:
    """Seconds that the call may take; while the node's own daemons stand still nobody can answer."""
    limit = REQUEST_SECONDS * STEPS.get(op.kind, 1) + SLACK_SECONDS
    if op.ended - op.invoked <= limit:  # most; saves looking at the faults
        return limit
    for fault in history.faults:
        if op.node in fault.stalled:
            limit += max(0.0, min(op.ended, fault.end) - max(op.invoked, fault.begin))
    return limit


def check_quorum(history: History, findings: Findings) -> None:
    """A change begun when the node must have known that it is alone, acknowledged before it was not."""
    for fault in history.faults:
        if not fault.isolated:
            continue
        start = fault.applied + NOTICE_SECONDS
        for op in history.operations:
            inside = start < op.invoked and op.ended < fault.heal
            if inside and op.node in fault.isolated and op.changes and op.acknowledged:
                findings.add("written without quorum", f"{op} during {fault.text}")
