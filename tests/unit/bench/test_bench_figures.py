"""Statistics and goals of the bench."""

from __future__ import annotations

import pytest

from bench.figures import Basis, Better, Goal, Spread, ratios, result


def test_the_spread_is_of_all_rounds() -> None:
    assert Spread.of([3.0, 1.0, 9.0, 2.0, 4.0]) == Spread(1.0, 3.0, 9.0)


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(ValueError, match="never measured"):
        Spread.of([])


def test_ratios_are_taken_round_by_round() -> None:
    assert ratios([10.0, 30.0, 7.0], [10.0, 10.0, 0.0]) == [1.0, 3.0]


def test_a_goal_in_round_trips_is_judged_by_the_median_of_the_ratios() -> None:
    goal = Goal(1.5, Basis.ROUND_TRIP)
    found = result("x", "µs", [100.0, 900.0, 130.0], goal, round_trips=[100.0, 300.0, 100.0])
    assert found.ratio == pytest.approx(1.3)
    assert found.met is True


def test_a_goal_relative_to_another_line() -> None:
    goal = Goal(4.0, Basis.LINE, Better.HIGHER, line="one")
    found = result("eight", "1/s", [400.0, 300.0, 410.0], goal, others={"one": [100.0, 100.0, 100.0]})
    assert found.ratio == pytest.approx(4.0)
    assert found.met is True


def test_a_goal_whose_basis_was_not_measured_is_not_met() -> None:
    found = result("eight", "1/s", [400.0], Goal(4.0, Basis.LINE, line="one"), others={})
    assert found.ratio is None
    assert found.met is False


@pytest.mark.parametrize(("better", "met"), [(Better.LOWER, False), (Better.HIGHER, True)])
def test_an_absolute_goal(better: Better, met: bool) -> None:
    assert result("x", "1/s", [11.0], Goal(10.0, better=better)).met is met


def test_without_a_goal_nothing_is_judged() -> None:
    assert result("x", "s", [1.0], None).met is None
