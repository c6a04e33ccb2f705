"""Figures of several rounds: smallest, median, largest; ratios to the round trip; goals. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Better(Enum):
    """Which way a figure should go."""

    LOWER = "lower"
    HIGHER = "higher"


class Basis(Enum):
    """What a goal is compared with: the figure itself, or its ratio to another one of the same round."""

    VALUE = "value"
    ROUND_TRIP = "R"
    LINE = "line"


@dataclass(frozen=True)
class Goal:
    """``limit`` in the unit of the basis; ``line``: the other line for ``Basis.LINE``.

    ``ceiling``: a line that measures the most that the machine can do, for goals that came from a faster one.
    """

    limit: float
    basis: Basis = Basis.VALUE
    better: Better = Better.LOWER
    line: str = ""
    ceiling: str = ""

    def met(self, figure: float) -> bool:
        return figure <= self.limit if self.better is Better.LOWER else figure >= self.limit


@dataclass(frozen=True)
class Spread:
    """Of the values of all rounds."""

    smallest: float
    median: float
    largest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Raises ValueError for no values at all."""
        if not values:
            raise ValueError("no values to summarise: the line was never measured")
        return cls(min(values), statistics.median(values), max(values))


def ratios(values: Sequence[float], bases: Sequence[float]) -> list[float]:
    """Each round's value by the same round's basis; rounds without a basis are left out."""
    return [value / base for value, base in zip(values, bases, strict=True) if base > 0]


NEAR: Final = 0.9
"""Of the ceiling: the two are measured one after the other, and vary by a tenth."""


@dataclass(frozen=True)
class Result:
    """One line of the table. ``ratio`` is the median of the rounds' ratios, None without such a goal;
    ``ceiling`` the median of that line, None if the goal has none."""

    name: str
    unit: str
    spread: Spread
    ratio: float | None
    goal: Goal | None
    ceiling: float | None = None

    @property
    def at_ceiling(self) -> bool:
        """Whether this machine has not more to give, though the goal is missed."""
        return self.met is False and self.ceiling is not None and self.spread.median >= NEAR * self.ceiling

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if self.goal is None:
            return None
        figure = self.spread.median if self.goal.basis is Basis.VALUE else self.ratio
        return figure is not None and self.goal.met(figure)


def result(
    name: str,
    unit: str,
    values: Sequence[float],
    goal: Goal | None,
    *,
    round_trips: Sequence[float] = (),
    others: Mapping[str, Sequence[float]] | None = None,
) -> Result:
    """Summarise one line. ``round_trips``: R of the same rounds; ``others``: the values of all lines."""
    ratio = None
    bases: Sequence[float] = ()
    if goal is not None and goal.basis is Basis.LINE:
        bases = (others or {}).get(goal.line, ())
    elif goal is not None and goal.basis is Basis.ROUND_TRIP:
        bases = round_trips
    if len(bases) == len(values) and bases:
        found = ratios(values, bases)
        ratio = statistics.median(found) if found else None
    most = (others or {}).get(goal.ceiling, ()) if goal is not None else ()
    return Result(name, unit, Spread.of(values), ratio, goal, statistics.median(most) if most else None)
