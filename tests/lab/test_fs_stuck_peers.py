"""A peer whose daemon stands still holds up others for a bounded time, also those who wait for each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from lab import Lab, Node, Process, wait_for
from tests.lab.support_fs import (
    PVE,
    Agent,
    file_system_cluster,
    kill_pmxcfs,
    run_scripts,
    start_script,
    wait_converged,
    wait_ready,
)

QUEUED = 8
"""Processes that wait for one directory."""
BOUND_SECONDS = 30.0
"""Of one modifying call (docs/guarantees.md)."""
SLACK_SECONDS = 10.0
"""For a machine with few cores."""
SILENT = r"does not send its state; going on without it|the others went on without this node"
WITHOUT = r"starts? (the|a) synchronisation|leaving the group|does not answer|lost quorum|wait"


@pytest.fixture(scope="module")
def cluster(laboratories: Any) -> Iterator[Lab]:
    with file_system_cluster(laboratories) as lab:
        yield lab


@pytest.fixture
def whole(cluster: Lab) -> Iterator[Lab]:
    """The three nodes; healed and identical afterwards."""
    yield cluster
    cluster.heal()
    wait_ready(cluster.nodes)
    wait_converged(cluster.nodes)


@contextmanager
def queue(node: Node, directory: str) -> Iterator[Process]:
    with Agent(node) as agent:
        agent.call("mkdir", directory)
    process = start_script(node, "support_node_queue.py", directory, str(QUEUED))
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()


def end(process: Process) -> dict[str, Any]:
    process.stdin.write("stop\n")
    process.stdin.flush()
    result: dict[str, Any] = run_scripts({"queue": process}, timeout=500)["queue"]
    assert result["never came back"] == 0, result
    assert set(result["codes"]) == {0}, result
    return result


def assert_bounded(result: dict[str, Any]) -> None:
    assert min(result["done"]) > 0, result
    assert result["longest"] < BOUND_SECONDS + SLACK_SECONDS, result
    assert result["uninterruptible"] < BOUND_SECONDS + SLACK_SECONDS, result


@pytest.mark.parametrize("stopped", ["n1", "n3"])
def test_who_waits_for_a_directory_goes_on_when_the_others_agree(
    whole: Lab, stopped: str, allow_warnings: Callable[[str], None]
) -> None:
    """The lowest or the highest node is silent while a third one starts again: 15 s later they do without."""
    allow_warnings(SILENT)
    allow_warnings(WITHOUT)
    other = whole.node("n3" if stopped == "n1" else "n1")
    with queue(whole.node("n2"), f"{PVE}/queue-{stopped}") as process:
        kill_pmxcfs(whole.node(stopped), "STOP")
        try:
            other.systemctl("restart", "pve-cluster")
            with Agent(whole.node("n2")) as agent:
                agent.call("write", f"{PVE}/agreed-{stopped}", "without it")
        finally:
            kill_pmxcfs(whole.node(stopped), "CONT")
        assert_bounded(end(process))


def test_who_waits_for_a_directory_waits_no_longer_than_one_call(
    whole: Lab, allow_warnings: Callable[[str], None]
) -> None:
    """One node is gone, the other silent: nobody goes on without it, since together they have the quorum."""
    allow_warnings(SILENT)
    allow_warnings(WITHOUT)
    with queue(whole.node("n2"), f"{PVE}/queue") as process:
        kill_pmxcfs(whole.node("n3"), "STOP")
        try:
            whole.cut("n1")
            numbers = count()
            with Agent(whole.node("n2")) as agent:
                wait_for(  # behind all others in the queue
                    lambda: agent.error("mkdir", f"{PVE}/queue/last{next(numbers)}") == "EBUSY",
                    timeout=BOUND_SECONDS + SLACK_SECONDS,
                    what="a call that waited in vain",
                )
        finally:
            kill_pmxcfs(whole.node("n3"), "CONT")
        assert_bounded(end(process))
