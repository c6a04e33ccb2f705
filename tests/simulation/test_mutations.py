"""The checkers can fail: every wrong machine of ``mutations`` is noticed within a number of seeds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.simulation.checker import Violation
from tests.simulation.mutations import MUTATIONS
from tests.simulation.node import SimulatedMachine
from tests.simulation.world import World

GUARANTEES = Path(__file__).resolve().parents[2] / "docs/guarantees.md"
SEEDS = 1500
"""The worst one needs 963; most are noticed within ten."""
KNOWN = {"KeepsLateQueue": 963}
"""What is noticed late: the seed to try before all others. When the worlds have changed, all are tried."""


@pytest.mark.parametrize("mutant", MUTATIONS, ids=lambda mutant: mutant.__name__)
def test_mutation_is_noticed(mutant: type[SimulatedMachine]) -> None:
    for seed in (KNOWN.get(mutant.__name__, 0), *range(SEEDS)):
        try:
            World(seed, mutant).run()
        except Violation:
            return
    pytest.fail(f"{mutant.__name__} ({mutant.__doc__}) passes {SEEDS} seeds")


def test_the_track_record_shows_what_it_says() -> None:
    """The rows of docs/guarantees.md that name a mutation and a seed."""
    mutations = {mutant.__name__: mutant for mutant in MUTATIONS}
    rows = re.findall(r"\| M `(\w+)` (\d+) \|", GUARANTEES.read_text())
    assert len(rows) >= 2
    for name, seed in rows:
        with pytest.raises(Violation):
            World(int(seed), mutations[name]).run()
