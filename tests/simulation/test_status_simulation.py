"""The status group under faults: after healing everybody knows all keys and has the same log."""

from __future__ import annotations

from collections import deque

import pytest

from quorate.pmxcfs import kvstore
from quorate.pmxcfs.clusterlog import ClusterLog
from quorate.pmxcfs.effects import Clock, Message
from quorate.pmxcfs.logentry import parse
from quorate.pmxcfs.status import Status
from tests.simulation.checker import Violation
from tests.simulation.status_world import StatusWorld


def run(first: int, count: int) -> int:
    entries = dropped = 0
    for seed in range(first, first + count):
        world = StatusWorld(seed)
        try:
            world.run()
        except Violation as violation:
            pytest.fail(f"seed {seed}: {violation}")
        entries += world.entries
        dropped += world.dropped
    assert 10 * dropped <= max(entries, 100), "nearly everything that was logged is excused"
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


def drop_some(log: ClusterLog, packed: bytes) -> bool:
    """All nodes alike."""
    if parse(packed).uid % 7 == 3:
        return False
    log.ring.insert(packed)
    return True


def keep_first_text(store: Status, key: bytes, value: bytes) -> bool:
    """Of each key, as if it never changed."""
    key = key.removeprefix(kvstore.RRD)
    if key not in store._rrd._table:
        store._rrd.store(key, value, store._now())
    return True


@pytest.mark.parametrize(
    ("owner", "name", "broken"),
    [
        (Status, "synced", announce_nothing),
        (ClusterLog, "merge", keep_own_log),
        (ClusterLog, "insert", drop_some),
        (Status, "_store_rrd", keep_first_text),
    ],
)
def test_a_wrong_status_is_noticed(
    owner: type, name: str, broken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, broken)
    worlds = [StatusWorld(seed) for seed in range(20)]
    with pytest.raises(Violation):
        deque(map(StatusWorld.run, worlds))
