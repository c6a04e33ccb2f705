"""The status group under faults: after healing everybody knows all keys and has the same log."""

from __future__ import annotations

from collections import deque

import pytest

from quorate.pmxcfs.clusterlog import ClusterLog
from quorate.pmxcfs.effects import Clock, Message
from quorate.pmxcfs.status import Status
from tests.simulation.checker import Violation
from tests.simulation.status_world import StatusWorld


def run(first: int, count: int) -> int:
    entries = 0
    for seed in range(first, first + count):
        world = StatusWorld(seed)
        try:
            world.run()
        except Violation as violation:
            pytest.fail(f"seed {seed}: {violation}")
        entries += world.entries
    return entries


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_status_converges(first: int) -> None:
    assert run(first, 20) > 20, "next to nothing was logged"


@pytest.mark.parametrize("seed", [1053, 2326])
def test_seeds_that_failed(seed: int) -> None:
    assert run(seed, 1) > 0


@pytest.mark.long
@pytest.mark.parametrize("first", range(60, 560, 100))
def test_status_converges_at_length(first: int) -> None:
    assert run(first, 100) > 100


def announce_nothing(store: Status, clock: Clock) -> list[Message]:
    return []


def keep_own_log(store: Status, *_: object) -> None:
    return


@pytest.mark.parametrize("broken", ["synced", "merge"])
def test_a_wrong_status_is_noticed(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if broken == "synced":
        monkeypatch.setattr(Status, "synced", announce_nothing)
    else:
        monkeypatch.setattr(ClusterLog, "merge", keep_own_log)
    worlds = [StatusWorld(seed) for seed in range(20)]
    with pytest.raises(Violation):
        deque(map(StatusWorld.run, worlds))
