"""Directories in /etc/pve/priv/lock are locks: taken by one, given back, or taken away when they are old."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from lab import Lab, Node, wait_for
from tests.lab.support_fs import (
    PVE,
    Agent,
    agents,
    file_system_cluster,
    run_scripts,
    start_script,
    wait_converged,
)

RACES = 1000
ADDITIONS = int(os.environ.get("QUORATE_TEST_ADDITIONS", "100"))
LOCK_SECONDS = 120
LOCKS = f"{PVE}/priv/lock"


@pytest.fixture(scope="module")
def cluster(laboratories: Any) -> Iterator[Lab]:
    with file_system_cluster(laboratories) as lab:
        with agents(lab.nodes[:1]) as (agent,):
            for directory in (f"{PVE}/priv", LOCKS):
                if not agent.call("exists", directory):
                    agent.call("mkdir", directory)
        yield lab


@pytest.fixture
def trio(cluster: Lab) -> Iterator[list[Agent]]:
    with agents(cluster.nodes) as callers:
        yield callers


def compete(nodes: list[Node], *arguments: str, timeout: float) -> dict[str, Any]:
    """Run support_node_locks.py on these nodes; it begins everywhere when it is ready everywhere."""
    processes = {node.name: start_script(node, "support_node_locks.py", *arguments) for node in nodes}
    try:
        for process in processes.values():
            assert process.stdout.readline() == "ready\n"
        for process in processes.values():
            process.stdin.write("go\n")
            process.stdin.flush()
        return run_scripts(processes, timeout=timeout)
    finally:
        for process in processes.values():
            process.kill()


class OldLock(NamedTuple):
    path: str
    taken: float
    """Monotonic time before it was taken."""


@pytest.fixture(scope="module", autouse=True)
def old_lock(cluster: Lab) -> OldLock:
    """Taken before the first test, so that the others run while it grows old."""
    taken = time.monotonic()
    with agents(cluster.nodes[1:2]) as (holder,):
        holder.call("mkdir", f"{LOCKS}/old")
    return OldLock(f"{LOCKS}/old", taken)


def test_exactly_one_of_three_takes_a_lock(cluster: Lab, trio: list[Agent]) -> None:
    trio[0].call("mkdir", f"{PVE}/race")
    results = compete(cluster.nodes, "race", f"{PVE}/race", str(RACES), timeout=240)
    assert all(result["errors"] == [] for result in results.values()), results
    winners = sorted(number for result in results.values() for number in result["won"])
    assert winners == list(range(RACES))  # each name once
    assert sum(bool(result["won"]) for result in results.values()) > 1, "there was no race"
    found = wait_converged(cluster.nodes).tree()
    writers = {name: {int(each) for each in result["won"]} for name, result in results.items()}
    directory = found.lookup(b"race")
    assert directory
    assert directory.children
    for name, entry in directory.children.items():
        assert int(name) in writers[f"n{entry.writer}"]  # who was told so, is the one on every node


def test_what_is_changed_under_a_lock_is_never_lost(cluster: Lab, trio: list[Agent]) -> None:
    """Read, add one, write, under mkdir as the lock: one stale read and the sum is too small."""
    trio[0].call("write", f"{PVE}/counter", "0\n")
    for agent in trio:
        agent.barrier()
    arguments = ("count", f"{LOCKS}/counter", f"{PVE}/counter", str(ADDITIONS))
    compete(cluster.nodes, *arguments, timeout=300)
    for agent in trio:
        agent.barrier()
        assert agent.call("read", f"{PVE}/counter") == f"{3 * ADDITIONS}\n"


def test_only_the_holder_renews_its_lock(trio: list[Agent]) -> None:
    path = f"{LOCKS}/renewed"
    holder, other, _ = trio
    holder.call("mkdir", path)
    other.barrier()
    later = int(other.call("stat", path)["mtime"]) + 10
    assert other.error("utime", path, later, later) == "EACCES"
    assert holder.error("utime", path, later - 20, later - 20) == "EACCES"
    holder.call("utime", path, later, later)
    other.barrier()
    assert other.call("stat", path)["mtime"] == later
    assert other.error("rename", path, f"{LOCKS}/stolen") == "EACCES"
    holder.call("rmdir", path)
    other.barrier()
    assert other.error("stat", path) == "ENOENT"


@pytest.mark.long
def test_an_old_lock_is_taken_away_on_request(cluster: Lab, old_lock: OldLock) -> None:
    """utime(0, 0) asks for it; the lowest node decides. The answer is EACCES in any case (core 7.5)."""
    with agents(cluster.nodes) as (_, holder, asker):
        while time.monotonic() - old_lock.taken < LOCK_SECONDS - 5:
            assert asker.error("utime", old_lock.path, 0, 0) == "EACCES"
            assert holder.call("exists", old_lock.path)
            time.sleep(1)  # as those who wait for a lock do
        holder.call("mkdir", f"{LOCKS}/young")

        def gone() -> bool:
            return asker.error("utime", old_lock.path, 0, 0) == "ENOENT"

        wait_for(gone, timeout=60, period=1, what="the old lock to be taken away")
        assert time.monotonic() - old_lock.taken > LOCK_SECONDS - 1  # clocks count whole seconds
        assert asker.error("utime", f"{LOCKS}/young", 0, 0) == "EACCES"
        assert asker.call("exists", f"{LOCKS}/young")
        asker.call("mkdir", old_lock.path)  # it is free for the next
        holder.barrier()
        assert holder.error("mkdir", old_lock.path) == "EEXIST"
    wait_converged(cluster.nodes)
