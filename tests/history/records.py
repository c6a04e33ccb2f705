"""The history of a run: operations, faults and what was there at the end, read from JSON lines. No I/O.

A process's file has ``{"t": "invoke", "i": number, "op": kind, "key": ..., "at": ns}`` before each call and
``{"t": outcome, "i": number, ...}`` after it. Outcomes: ``ok`` (acknowledged), ``fail`` (certainly nothing
changed), ``info`` (unknown). Times here are seconds of the monotonic clock that all nodes of a lab share.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

READS = frozenset({"read", "read-log", "read-slots", "read-whole", "enter"})
"""Kinds that change nothing; ``expire`` is neither a read nor acknowledged (core 7.5)."""
STATUS = frozenset({"tell", "ask", "note"})
"""Kinds that go to the daemon by IPC: status keys and log entries, which need no quorum (G9)."""
NO_CHANGES = READS | STATUS | {"expire"}
"""Kinds after which the file system is as it was, or may be."""
MAX_SHOWN = 200
"""Characters of a damaged line in a text."""


@dataclass(slots=True)
class Operation:
    """One call. ``ended`` is infinite when nothing was heard of it any more; then the outcome is ``info``."""

    process: str
    number: int
    kind: str
    key: str
    invoked: float
    ended: float = math.inf
    outcome: str = "info"
    value: Any = None
    """What it wrote."""
    slot: int = 0
    found: Any = None
    """What it read."""
    bad: str = ""
    """Content that is nobody's."""
    torn: list[str] | None = None
    """The values that such a content is made of."""
    error: str = ""

    @property
    def node(self) -> str:
        return self.process.partition("-")[0]

    @property
    def acknowledged(self) -> bool:
        return self.outcome == "ok"

    @property
    def changes(self) -> bool:
        return self.kind not in NO_CHANGES

    def __str__(self) -> str:
        times = f"{self.invoked:.3f}-{self.ended:.3f}"
        written = "" if self.value is None else f" {self.value}"
        found = "" if self.found is None else f" found {str(self.found)[:200]}"
        what = f"{self.kind} {self.key}{written}{found}"
        return f"{self.process}#{self.number} {what}: {self.outcome} {self.error} ({times})"


@dataclass(frozen=True, slots=True)
class Fault:
    """What the nemesis did. ``begin`` and ``applied`` enclose the breaking, ``heal`` and ``end`` the healing.

    disturbed: nodes that were cut off or lost their Corosync: what they acknowledged about then may be lost
    (G1); ``throughout``: at any moment until the end, not only at the beginning. stalled: nodes whose
    own daemons or processes stood still. isolated: nodes that had no quorum. off: nodes without power.
    """

    kind: str
    text: str
    begin: float
    applied: float
    heal: float
    end: float
    disturbed: tuple[str, ...] = ()
    throughout: bool = False
    stalled: tuple[str, ...] = ()
    isolated: tuple[str, ...] = ()
    off: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Life:
    """One daemon on one node, from when it was first to when it was last seen."""

    node: str
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry that a node gave up, as its backup has it. ``data`` None: a directory. ``writer``: a node."""

    writer: str
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Replacement:
    """A node said that changes of its own were replaced by the cluster's state (G3).

    ``since``: when it had last been in sync with all whom it met again then. ``kept``: what its backup has.
    """

    node: str
    at: float
    since: float
    kept: Mapping[str, Kept]


@dataclass(slots=True)
class History:
    """Everything that the checker looks at."""

    nodes: tuple[str, ...]
    operations: list[Operation] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    """Processes that did not come back: with the call and the process's state."""
    died: list[str] = field(default_factory=list)
    """Processes that ended by an error of their own: a fault of the check itself."""
    damaged: list[str] = field(default_factory=list)
    """Lines of the processes' files that cannot be read, or belong to no call."""
    replaced: list[Replacement] = field(default_factory=list)
    adopted: dict[str, list[float]] = field(default_factory=dict)
    """When which node said that it took over a state in which something was missing or different."""
    whole: dict[str, list[float]] = field(default_factory=dict)
    """When which node said that it is in sync with all the others."""
    quorum_lost: list[tuple[str, float]] = field(default_factory=list)
    """When which node said that it has no quorum any more: it had been cut off some moments before."""
    final: dict[str, bytes | None] = field(default_factory=dict)
    """Path to content of every file at the end, to None for directories."""
    known: dict[str, dict[str, str | None]] = field(default_factory=dict)
    """Node that was asked at the end, then "NODE KEY": the status value that it knows."""
    logs: dict[str, list[str]] = field(default_factory=dict)
    """The cluster log of every node at the end."""
    healed: float = 0.0
    """When the last fault was taken away."""

    def sort(self) -> None:
        self.operations.sort(key=lambda op: op.invoked)
        self.faults.sort(key=lambda fault: fault.begin)


def read_process(name: str, text: str, history: History) -> None:
    """The operations of one process's file. What cannot be read is noted as damaged."""
    operations: dict[int, Operation] = {}
    for record in _lines(name, text, history):
        if record["t"] == "invoke":
            operations[record["i"]] = Operation(
                name,
                record["i"],
                record["op"],
                record["key"],
                record["at"] / 1e9,
                value=record.get("value"),
                slot=record.get("slot", 0),
            )
        elif record["i"] not in operations:
            history.damaged.append(f"{name}: the outcome of a call that was never begun: {record}")
        else:
            op = operations[record["i"]]
            op.outcome = record["t"]
            op.ended = record["at"] / 1e9
            op.found = record.get("value")
            op.bad = record.get("bad", "")
            op.torn = record.get("torn")
            op.error = record.get("error", "")
    history.operations += operations.values()


def _lines(name: str, text: str, history: History) -> Iterator[Mapping[str, Any]]:
    """The records. A node that lost power may leave half a last line, any other leaves whole ones."""
    node = name.partition("-")[0]
    lost_power = any(node in fault.off for fault in history.faults)
    lines = text.split("\n")
    if lines[-1] and not lost_power:
        history.damaged.append(f"{name}: half a last line: {lines[-1][:MAX_SHOWN]!r}")
    for line in lines[:-1]:
        try:
            record = json.loads(line)
        except ValueError:
            history.damaged.append(f"{name}: {line[:MAX_SHOWN]!r}")
        else:
            yield record


def read_supervisor(name: str, text: str, history: History) -> None:
    """Daemons, stuck and dead processes that a node's supervisor saw."""
    node = name.partition("-")[0]
    since: float | None = None
    at = 0.0
    for record in _lines(name, text, history):
        at = record["at"] / 1e9
        if record["t"] == "daemon":
            if since is not None:
                history.lives.append(Life(node, since, record["seen"] / 1e9))
            since = at if record["daemon"] else None
        elif record["t"] == "stuck":
            history.stuck.append(f"{record['p']}#{record['i']} in state {record['state']} at {at:.3f}")
        elif record["t"] == "died":
            history.died.append(f"{record['p']} at {at:.3f}")
    if since is not None:
        history.lives.append(Life(node, since, at))
