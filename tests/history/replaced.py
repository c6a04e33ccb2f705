"""Which changes a synchronisation took from a node, as that node's own backup shows (G3). No I/O.

That a node lost something excuses nothing by itself: only what its backup has, or what can leave no trace
there, and only if it was acknowledged while the node was apart from those whose state it took.
"""

from __future__ import annotations

from tests.history.node_values import SLOTS, content, number_in, read_log, read_slots, token_of
from tests.history.node_worker import LOCKS, TOP
from tests.history.records import History, Kept, Operation, Replacement

REPLACED = "replaced, and in the backup"
UNDONE = "a removal of a node whose changes were replaced"
"""What was removed is in no backup of the node that removed it."""
TWICE = "a directory that both sides made"
"""The node's own is replaced by an equal one, so it is not in the backup."""

APART = "its node was apart, and its changes were replaced"

JOURNAL_SECONDS = 1.0
"""The journal may have a line so much later than the call saw its effect."""


class Replacements:
    """Answers for single operations. ``slack``: seconds that a node may not yet know that it is apart."""

    def __init__(self, history: History, *, slack: float) -> None:
        self._all = sorted(history.replaced, key=lambda each: each.at)
        self._slack = slack
        self._writes = {op.value: op for op in history.operations if op.kind in ("write", "whole")}

    def took(self, op: Operation, until: float, *, twice: bool = False) -> str:
        """The reason for which the change may be gone at ``until``; empty if none is known.

        ``twice``: what is to be explained is that another had the same success.
        """
        for each in self._all:
            if each.since - self._slack <= op.ended <= each.at <= until + JOURNAL_SECONDS:
                reason = self._reason(each, op, twice=twice)
                if reason:
                    return reason
        return ""

    def apart(self, op: Operation, at: float) -> str:
        """The reason for which the node of ``op`` did not know what was acknowledged elsewhere at ``at``."""
        for each in self._all:
            if each.node == op.node and each.since - self._slack <= min(at, op.ended) <= op.ended <= each.at:
                return APART
        return ""

    def _reason(self, each: Replacement, op: Operation, *, twice: bool) -> str:
        own = each.node == op.node
        path = path_of(op)
        kept = each.kept.get(path)
        if removes(op):
            return UNDONE if own and (kept is None or self._holds(kept, op)) else ""
        if kept is not None and (own or kept.writer == op.node) and self._holds(kept, op):
            return REPLACED
        return TWICE if twice and own and op.kind in ("mkdir", "lock") else ""

    def _holds(self, kept: Kept, op: Operation) -> bool:
        """Whether what the node had there came from the operation, or from one behind it."""
        data = kept.data
        if data is None:
            return op.kind in ("mkdir", "lock")
        if op.kind in ("create", "give"):
            return data == content(op.value)
        if op.kind in ("write", "whole", "remove"):
            write = self._writes.get(token_of(data) or "")
            return write is not None and not write.ended < op.invoked
        if op.kind == "log":
            return op.number in (read_log(data).get("value") or ())
        if op.kind == "slots":
            token = (read_slots(data).get("value") or [None] * SLOTS)[op.slot]
            return token is not None and int(token.rsplit(":", 1)[1]) >= op.number
        if op.kind == "leave":
            return number_in(data) >= int(op.value)
        return op.kind == "take" and bool(op.value)


def removes(op: Operation) -> bool:
    return op.kind in ("remove", "unlock") or (op.kind == "take" and not op.value)


def path_of(op: Operation) -> str:
    """Where the change is found afterwards."""
    if op.kind in ("lock", "renew", "unlock"):
        return f"{LOCKS}/{op.key}"
    if op.kind in ("enter", "leave"):
        return f"{TOP}/c/{op.key}"
    return str(op.value) if op.kind == "take" and op.value else op.key
