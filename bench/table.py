"""The table that is printed, at most 80 columns, and the same as JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from bench.figures import Basis, Better, Goal, Result

WIDTH = 80
HEAD = f"{'line':20}{'min':>8}{'median':>9}{'max':>9}  {'unit':7}{'ratio':>8}  {'goal':9}"


NOTHING: Mapping[str, str] = MappingProxyType({})


def render(results: Sequence[Result], missing: Mapping[str, str] = NOTHING) -> str:
    """One row per result; a missed goal is marked so that it can't be overlooked. ``missing``: lines without
    figures, and why; those rows may be longer."""
    rows = [HEAD.rstrip(), "-" * WIDTH]
    for each in results:
        spread = each.spread
        mark = "limit" if each.at_ceiling else {True: "ok", False: "MISSED", None: ""}[each.met]
        ratio = "" if each.ratio is None else f"{each.ratio:.2f} {_basis(each.goal)}"
        rows.append(
            f"{each.name:20}{number(spread.smallest):>8}{number(spread.median):>9}{number(spread.largest):>9}"
            f"  {each.unit:7}{ratio:>8}  {goal_text(each.goal):9}{mark}".rstrip()
        )
    rows += [f"{name:20}  not measured: {reason}" for name, reason in missing.items()]
    if any(each.at_ceiling for each in results):
        rows += ["", "limit: missed, but this machine has no more to give (the line on tmpfs)"]
    return "\n".join(rows)


def number(value: float) -> str:
    """Three digits or more, no exponent: 0.0123, 1.23, 12.3, 123, 12345."""
    for limit, decimals in ((0.1, 4), (10, 2), (100, 1)):
        if abs(value) < limit:
            return f"{value:.{decimals}f}"
    return f"{value:.0f}"


def goal_text(goal: Goal | None) -> str:
    """As ``≤ 1.5 R``; empty without a goal."""
    if goal is None:
        return ""
    sign = "≤" if goal.better is Better.LOWER else "≥"
    return f"{sign} {goal.limit:g} {_basis(goal)}".rstrip()


def as_json(results: Sequence[Result]) -> list[dict[str, Any]]:
    """One object per line, all figures in the line's unit."""
    return [
        {
            "line": each.name,
            "unit": each.unit,
            "min": each.spread.smallest,
            "median": each.spread.median,
            "max": each.spread.largest,
            "ratio": each.ratio,
            "goal": goal_text(each.goal) or None,
            "met": each.met,
            "at_ceiling": each.at_ceiling,
        }
        for each in results
    ]


def _basis(goal: Goal | None) -> str:
    if goal is None or goal.basis is Basis.VALUE:
        return ""
    return "R" if goal.basis is Basis.ROUND_TRIP else "×"
