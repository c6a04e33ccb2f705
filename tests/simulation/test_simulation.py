"""Thousands of small clusters with seeded faults: none diverges, none loses what it promised, all recover."""

from __future__ import annotations

import pytest

from tests.simulation.checker import Violation
from tests.simulation.world import World

SEEDS = 2000
CHUNK = 50
MANY_SEEDS = 10_000
MANY_CHUNK = 250
LARGE = [
    *((32, first, 5) for first in range(0, 20, 5)),
    *((64, first, 2) for first in range(0, 10, 2)),
    *((128, first, 1) for first in range(5)),
]
"""Nodes, first seed, how many of them: each in less than a minute."""
REPLAY = ".venv/bin/python -m tests.simulation.run --trace --seed"


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_seeds(first: int) -> None:
    applied = 0
    for seed in range(first, first + CHUNK):
        world = World(seed)
        try:
            world.run()
        except Violation as violation:
            pytest.fail(f"{violation}\nreplay: {REPLAY} {seed}")
        applied += len(world.checker.acknowledged)
    assert applied > CHUNK, "the clusters did next to nothing"


def test_a_seed_gives_the_same_run_every_time() -> None:
    runs = []
    for _ in range(2):
        world = World(11, trace=True)
        world.run()
        runs.append(world.trace)
    assert runs[0] == runs[1]


@pytest.mark.long
@pytest.mark.parametrize("first", range(SEEDS, MANY_SEEDS, MANY_CHUNK))
def test_many_more_seeds(first: int) -> None:
    for seed in range(first, first + MANY_CHUNK):
        try:
            World(seed).run()
        except Violation as violation:
            pytest.fail(f"{violation}\nreplay: {REPLAY} {seed}")


@pytest.mark.long
@pytest.mark.parametrize(("size", "first", "count"), LARGE)
def test_large_clusters(size: int, first: int, count: int) -> None:
    for seed in range(first, first + count):
        world = World(seed, size=size)
        try:
            world.run()
        except Violation as violation:
            pytest.fail(f"{violation}\nreplay: {REPLAY} {seed} --size {size}")
