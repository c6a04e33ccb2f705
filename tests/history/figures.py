"""The figures of a run and the table that shows them. No I/O."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from tests.history.checker import check
from tests.history.findings import Findings
from tests.history.promises import Promises
from tests.history.records import History

MIN_CERTAIN = 0.5
MIN_NOTICED = 0.5
MIN_JUDGED = {"stale read": 0.5, "not monotonic": 0.4, "lost under a lock": 0.7}
"""Shares below which a run proves too little."""


@dataclass(slots=True)
class Figures:
    """What ``./dev history`` prints and writes as JSON. Times in seconds."""

    tried: int = 0
    acknowledged: int = 0
    failed: int = 0
    unknown: int = 0
    changes_acknowledged: int = 0
    certain: int = 0
    """Of these: acknowledged when nothing excused their loss."""
    lost: int = 0
    excused: int = 0
    excused_by: dict[str, int] = field(default_factory=dict)
    """Class and reason: how many."""
    replaced: int = 0
    """How often a node said that changes of its own were replaced."""
    adopted: int = 0
    """How often a node took over a state in which something was missing or different, these among them."""
    judged: dict[str, list[int]] = field(default_factory=dict)
    """Class: readings that had to show something, all that were looked at."""
    noticed: int = 0
    """How many losses would have been told, had everything been gone at the end."""
    unnoticed: int = 0
    """And how many would have been excused."""
    by_kind: dict[str, list[int]] = field(default_factory=dict)
    """Kind of operation: tried, acknowledged, failed, unknown."""
    faults: dict[str, int] = field(default_factory=dict)
    converge: list[float] = field(default_factory=list)
    """From the end of a fault until every node has acknowledged a change that began after it."""
    overtaken: int = 0
    """Faults that had another beside them, or behind them before all had recovered."""
    slowest: float = 0.0


def figures(history: History, findings: Findings) -> Figures:
    result = Figures(tried=len(history.operations))
    promises = Promises(history)
    outcomes: dict[str, Counter[str]] = {}
    for op in history.operations:
        outcomes.setdefault(op.kind, Counter())[op.outcome] += 1
        if op.acknowledged:
            result.changes_acknowledged += op.changes
            result.certain += op.changes and not promises.fragile(op)
            result.slowest = max(result.slowest, op.ended - op.invoked)
    for kind, counts in sorted(outcomes.items()):
        ok, fail, info = counts["ok"], counts["fail"], counts["info"]
        result.by_kind[kind] = [ok + fail + info, ok, fail, info]
        result.acknowledged += ok
        result.failed += fail
        result.unknown += info
    result.lost = sum(kind == "lost" for kind, _ in findings.violations)
    result.excused = len(findings.excused)
    reasons = Counter(f"{kind}: {reason}" for kind, _, reason in findings.excused)
    result.excused_by = dict(sorted(reasons.items()))
    result.replaced = len(history.replaced)
    result.adopted = sum(map(len, history.adopted.values()))
    result.judged = {kind: [findings.judged[kind], count] for kind, count in sorted(findings.looked.items())}
    result.noticed, result.unnoticed = _if_all_were_lost(history)
    result.faults = dict(sorted(Counter(fault.kind for fault in history.faults).items()))
    result.converge, result.overtaken = recoveries(history)
    return result


def _if_all_were_lost(history: History) -> tuple[int, int]:
    """What the checker says of the same history with an empty end: a checker that excuses is told from one
    that finds nothing to excuse."""
    findings = check(replace(history, final={}))
    noticed = sum(kind == "lost" for kind, _ in findings.violations)
    return noticed, sum(kind == "lost" for kind, *_ in findings.excused)


def too_little(result: Figures, faults: Collection[str]) -> list[str]:
    """Why a run proves next to nothing although no promise was broken. ``faults``: kinds it must have had."""
    shares = {"changes that must be kept": (result.certain, result.changes_acknowledged, MIN_CERTAIN)}
    everything = result.noticed + result.unnoticed
    shares["losses that would be noticed"] = (result.noticed, everything, MIN_NOTICED)
    for kind, least in MIN_JUDGED.items():
        judged, looked = result.judged.get(kind, (0, 0))
        shares[f"readings judged for {kind!r}"] = (judged, looked, least)
    texts = [f"no fault of the kind {kind!r}" for kind in faults if kind not in result.faults]
    return texts + [
        f"{name}: {part} of {whole}, below {least:.0%}"
        for name, (part, whole, least) in shares.items()
        if part < least * whole or not part
    ]


def recoveries(history: History) -> tuple[list[float], int]:
    """Times to converge, and how many faults were followed by another before all had recovered."""
    times = []
    overtaken = 0
    faults = sorted(history.faults, key=lambda fault: fault.end)
    acknowledged = {
        node: sorted(
            (op.invoked, op.ended)
            for op in history.operations
            if op.node == node and op.changes and op.acknowledged
        )
        for node in history.nodes
    }
    for fault in faults:
        others = [other.begin for other in faults if other is not fault and other.end > fault.end]
        limit = min(others, default=float("inf"))
        took = 0.0
        for node in history.nodes:
            first = _first_after(acknowledged[node], fault.end)
            took = max(took, first - fault.end)
        if fault.end + took < limit and took < float("inf"):
            times.append(took)
        else:
            overtaken += 1
    return times, overtaken


def _first_after(acknowledged: Sequence[tuple[float, float]], time: float) -> float:
    """When the first change was acknowledged that was invoked after ``time``."""
    low, high = 0, len(acknowledged)
    while low < high:
        middle = (low + high) // 2
        if acknowledged[middle][0] < time:
            low = middle + 1
        else:
            high = middle
    return min((ended for _, ended in acknowledged[low : low + 8]), default=float("inf"))


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def table(result: Figures) -> str:
    lines = [f"{'operation':<14}{'tried':>9}{'acknowledged':>14}{'failed':>9}{'unknown':>9}"]
    for kind, (tried, ok, fail, info) in result.by_kind.items():
        lines.append(f"{kind:<14}{tried:>9}{ok:>14}{fail:>9}{info:>9}")
    total = (result.tried, result.acknowledged, result.failed, result.unknown)
    lines.append(f"{'all':<14}{total[0]:>9}{total[1]:>14}{total[2]:>9}{total[3]:>9}")
    lines += ["", f"changes acknowledged: {result.changes_acknowledged}"]
    lines += [
        f"of these, must be kept: {result.certain} ({_share(result.certain, result.changes_acknowledged)})"
    ]
    lines += [f"lost: {result.lost}"]
    lines += [f"lost, undone or old where it is documented (G1, G3): {result.excused}"]
    lines += [f"  {count:>6}  {reason}" for reason, count in result.excused_by.items()]
    lines += [
        f"states taken over with something lost: {result.adopted}, own changes among it: {result.replaced}"
    ]
    everything = result.noticed + result.unnoticed
    lines += [
        f"had all been lost, noticed: {result.noticed} of {everything} ({_share(result.noticed, everything)})"
    ]
    for kind, (judged, looked) in result.judged.items():
        lines += [f"judged for {kind!r}: {judged} of {looked} ({_share(judged, looked)})"]
    lines += [f"slowest acknowledged call: {result.slowest:.2f} s", ""]
    lines += [f"{'fault':<18}{'times':>6}"]
    lines += [f"{kind:<18}{count:>6}" for kind, count in result.faults.items()]
    lines += [f"{'all':<18}{sum(result.faults.values()):>6}", ""]
    if result.converge:
        low, high = min(result.converge), max(result.converge)
        middle = statistics.median(result.converge)
        lines.append(
            f"time to converge: min {low:.2f} s, median {middle:.2f} s, max {high:.2f} s "
            f"({len(result.converge)} faults; the other {result.overtaken} were not the only one at a time)"
        )
    return "\n".join(lines)
