"""The bench's table and JSON; every line of the bench fits into it."""

from __future__ import annotations

import pytest

from bench.figures import Basis, Better, Goal, Result, Spread, result
from bench.lines import ONCE, REPEATED
from bench.table import WIDTH, as_json, goal_text, number, render


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123, "0.0123"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (476543.2, "476543")],
)
def test_numbers_are_short_and_without_exponent(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("goal", "text"),
    [
        (None, ""),
        (Goal(1.5, Basis.ROUND_TRIP), "≤ 1.5 R"),
        (Goal(4.0, Basis.LINE, Better.HIGHER, line="x"), "≥ 4 ×"),
        (Goal(10000, better=Better.HIGHER), "≥ 10000"),
    ],
)
def test_goals_are_told_in_their_basis(goal: Goal | None, text: str) -> None:
    assert goal_text(goal) == text


def test_a_missed_goal_is_marked_and_a_met_one_too() -> None:
    table = render(
        [
            result("slow", "µs", [300.0], Goal(1.5, Basis.ROUND_TRIP), round_trips=[100.0]),
            result("fast", "µs", [120.0], Goal(1.5, Basis.ROUND_TRIP), round_trips=[100.0]),
        ]
    ).splitlines()
    assert table[2].endswith("MISSED")
    assert "3.00 R" in table[2]
    assert table[3].endswith("ok")


def test_what_the_machine_cannot_do_is_told_apart() -> None:
    goal = Goal(400.0, better=Better.HIGHER, ceiling="most")
    fast = result("fast", "1/s", [271.0], goal, others={"most": [300.0]})
    slow = result("slow", "1/s", [269.0], goal, others={"most": [300.0]})
    alone = result("alone", "1/s", [271.0], goal)
    met = result("met", "1/s", [400.0], goal, others={"most": [300.0]})
    table = render([fast, slow, alone, met]).splitlines()
    assert [row.split()[-1] for row in table[2:6]] == ["limit", "MISSED", "MISSED", "ok"]
    assert table[-1].startswith("limit: ")
    assert not any(row.startswith("limit: ") for row in render([slow, met]).splitlines())
    assert [line["at_ceiling"] for line in as_json([fast, slow])] == [True, False]


def test_every_line_fits_into_80_columns() -> None:
    spread = Spread(476543.0, 476543.0, 1476543.0)
    lines = [Result(line.name, line.unit, spread, 99.99, line.goal, 1e6) for line in (*REPEATED, *ONCE)]
    lines.append(Result("x", "1/s", spread, None, Goal(1e9, better=Better.HIGHER), 1.0))
    for row in render(lines).splitlines():
        assert len(row) <= WIDTH, row


def test_names_are_unique_and_bases_exist() -> None:
    lines = (*REPEATED, *ONCE)
    names = [line.name for line in lines]
    assert len(set(names)) == len(names)
    for line in lines:
        if line.goal is not None and line.goal.basis is Basis.LINE:
            assert line.goal.line in names
        if line.goal is not None and line.goal.ceiling:
            assert line.goal.ceiling in names


def test_json_has_the_figures_and_the_verdict() -> None:
    (line,) = as_json([result("x", "B/B", [5.0, 7.0, 6.5], Goal(6))])
    assert line["median"] == 6.5
    assert line["goal"] == "≤ 6"
    assert line["met"] is False
