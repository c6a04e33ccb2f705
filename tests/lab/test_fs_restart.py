"""Daemons and hosts die and come back, with old databases and in any order: the cluster's state survives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lab import Lab, Node, Process, wait_for
from lab.handmade import wait_quorate
from tests.lab.support_fs import (
    PVE,
    Agent,
    agents,
    contents,
    file_system_cluster,
    kill_pmxcfs,
    pmxcfs_pid,
    service_is_up,
    start_script,
    wait_converged,
    wait_ready,
)
from tests.lab.support_node_acks import content

ANSWER_SECONDS = 60.0
KILLED = r"pve-cluster\.service: (Main process exited, code=killed|Failed with result 'signal')"
"""What systemd says about a daemon that was killed."""
REPLACED = r"changes of this node are replaced by the cluster's state: .*; they are kept in /var/lib/"
CUT_OFF = r"leaving the group: a message was delivered without quorum|cannot send \d+ message"
"""What a member says whose corosync went away under its writes."""


@pytest.fixture(scope="module")
def cluster(laboratories: Any) -> Iterator[Lab]:
    with file_system_cluster(laboratories) as lab:
        yield lab


@pytest.fixture
def whole(cluster: Lab) -> Iterator[Lab]:
    """The three nodes; on, healed and identical afterwards."""
    yield cluster
    cluster.heal()
    cluster.power_on()
    wait_ready(cluster.nodes)
    wait_converged(cluster.nodes)


class Acknowledged:
    """Files written without a pause in a node, and the numbers of those that were acknowledged."""

    def __init__(self, node: Node, directory: str) -> None:
        self.name = node.name
        self.numbers: list[int] = []
        self._process: Process = start_script(node, "support_node_acks.py", directory, node.name)
        self._reader = threading.Thread(target=self._read, name=f"acks-{node.name}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            if not line.startswith("error"):
                self.numbers.append(int(line))

    def wait_more(self, count: int = 20) -> None:
        """Until so many more were acknowledged."""
        goal = len(self.numbers) + count
        wait_for(
            lambda: len(self.numbers) >= goal,
            timeout=ANSWER_SECONDS,
            what=f"{count} more acknowledged files on {self.name}",
        )

    def stop(self) -> None:
        self._process.signal(9)
        self._reader.join(ANSWER_SECONDS)
        self._process.kill()


@contextmanager
def writing(nodes: list[Node], directory: str) -> Iterator[dict[str, Acknowledged]]:
    """All these nodes write files during the block."""
    writers = {node.name: Acknowledged(node, directory) for node in nodes}
    try:
        yield writers
    finally:
        for writer in writers.values():
            writer.stop()


def check_nothing_lost(nodes: list[Node], directory: str, acknowledged: dict[str, list[int]]) -> None:
    """Identical everywhere, and each acknowledged file is there with its content."""
    tree = wait_converged(nodes).tree()
    for name, numbers in acknowledged.items():
        lost = []
        for number in numbers:
            entry = tree.lookup(f"{directory}/{name}-{number}".encode())
            if entry is None or entry.data != content(name, number):
                lost.append(number)
        assert lost == [], f"{name} was told that these files were written, and they are gone: {lost[:20]}"
        assert numbers


def all_numbers(writers: dict[str, Acknowledged]) -> dict[str, list[int]]:
    """What each writer was told so far."""
    return {name: list(writer.numbers) for name, writer in writers.items()}


def make(node: Node, directory: str) -> None:
    node.run(["mkdir", f"{PVE}/{directory}"])


def wait_restarted(node: Node, before: int) -> None:
    """Until systemd has started pmxcfs again after the death of process ``before``, with a new mount."""

    def restarted() -> bool:
        text = node.run(["cat", "/run/pve-cluster.pid"], check=False).stdout  # systemd removes it meanwhile
        return text not in ("", f"{before}\n") and service_is_up(node)

    wait_for(
        restarted,
        timeout=ANSWER_SECONDS,
        what=f"pmxcfs on {node.name} to be started again",
        seen=lambda: node.journal("pve-cluster", "-n", "20"),
    )


# A node that was away


def test_a_node_with_a_stale_database_gets_the_clusters_state(whole: Lab) -> None:
    n1, n2, n3 = whole.nodes
    with agents([n1, n2]) as (one, two):
        one.call("mkdir", f"{PVE}/stale")
        one.call("mkdir", f"{PVE}/stale/directory")
        for name in ("kept", "changed", "deleted", "renamed", "replaced"):
            one.call("write", f"{PVE}/stale/{name}", f"old {name}")
        before = wait_converged(whole.nodes)
        n3.power_cut()
        wait_quorate([n1, n2])
        two.call("write", f"{PVE}/stale/changed", "new", timeout=ANSWER_SECONDS)
        two.call("unlink", f"{PVE}/stale/deleted")
        two.call("rmdir", f"{PVE}/stale/directory")
        two.call("rename", f"{PVE}/stale/renamed", f"{PVE}/stale/renamed-2")
        one.call("replace", f"{PVE}/stale/replaced", "new content")
        one.call("mkdir", f"{PVE}/stale/deleted")  # the name of a file is a directory now
        one.call("write", f"{PVE}/stale/deleted/inside", "new")
        one.call("utime", f"{PVE}/stale/kept", 0, 4242)
        n3.power_on()
        wait_ready(whole.nodes)
        after = wait_converged(whole.nodes)
        assert after.digest != before.digest
        tree = after.tree()
        names = sorted((tree.lookup(b"stale") or tree.root).children or {})
        assert names == [b"changed", b"deleted", b"kept", b"renamed-2", b"replaced"]
        assert contents(n3).rows == contents(n1).rows


def test_a_node_that_lost_its_database_gets_the_clusters_state(whole: Lab) -> None:
    """As a new member: it starts with corosync.conf alone."""
    n3 = whole.node("n3")
    make(n3, "fresh")
    n3.systemctl("stop", "pve-cluster")
    n3.run(["sh", "-c", "rm /var/lib/pve-cluster/config.db*"])
    n3.systemctl("start", "pve-cluster")
    wait_ready(whole.nodes)
    assert wait_converged(whole.nodes).tree().lookup(b"fresh")


# Daemons that die


@pytest.mark.parametrize("victim", ["n1", "n2", "n3"])
def test_a_daemon_killed_while_it_writes_loses_nothing_acknowledged(
    whole: Lab, victim: str, allow_warnings: Callable[[str], None]
) -> None:
    allow_warnings(KILLED)
    node = whole.node(victim)
    directory = f"killed-{victim}"
    make(node, directory)
    with writing(whole.nodes, f"{PVE}/{directory}") as writers:
        for _ in range(2):
            for writer in writers.values():
                writer.wait_more()
            before = pmxcfs_pid(node)
            kill_pmxcfs(node, "KILL")
            wait_restarted(node, before)
            for writer in writers.values():
                writer.wait_more()  # the dead mount is gone, and all go on
    wait_ready(whole.nodes)
    check_nothing_lost(whole.nodes, directory, all_numbers(writers))


def test_all_daemons_killed_at_once(whole: Lab, allow_warnings: Callable[[str], None]) -> None:
    """Only what no database had yet, the last fraction of a second, may be lost. Whoever is back first does
    not overtake what the others have stored. All are identical again."""
    allow_warnings(KILLED)
    allow_warnings(REPLACED)
    make(whole.node("n1"), "all-killed")
    with writing(whole.nodes, f"{PVE}/all-killed") as writers:
        for writer in writers.values():
            writer.wait_more()
        stored = all_numbers(writers)
        for writer in writers.values():
            writer.wait_more(50)
        before = {node.name: pmxcfs_pid(node) for node in whole.nodes}
        for node in whole.nodes:
            kill_pmxcfs(node, "KILL")
        for node in whole.nodes:
            wait_restarted(node, before[node.name])
        for writer in writers.values():
            writer.wait_more()
    wait_ready(whole.nodes)
    check_nothing_lost(whole.nodes, "all-killed", stored)


def test_a_regular_restart_loses_nothing(whole: Lab) -> None:
    make(whole.node("n1"), "restarted")
    with writing(whole.nodes, f"{PVE}/restarted") as writers:
        for node in whole.nodes:
            for writer in writers.values():
                writer.wait_more()
            before = pmxcfs_pid(node)
            node.systemctl("restart", "pve-cluster")
            assert pmxcfs_pid(node) != before
            for writer in writers.values():
                writer.wait_more()
    check_nothing_lost(whole.nodes, "restarted", all_numbers(writers))


# Corosync


def test_corosync_restarts_under_a_running_daemon(whole: Lab, allow_warnings: Callable[[str], None]) -> None:
    """On one node after the other; pmxcfs goes on, and comes back by itself."""
    allow_warnings(CUT_OFF)
    make(whole.node("n1"), "corosync")
    pids = {node.name: pmxcfs_pid(node) for node in whole.nodes}
    with writing(whole.nodes, f"{PVE}/corosync") as writers:
        for node in whole.nodes:
            for writer in writers.values():
                writer.wait_more()
            node.systemctl("restart", "corosync")
            wait_ready(whole.nodes)
            for writer in writers.values():
                writer.wait_more()
    assert {node.name: pmxcfs_pid(node) for node in whole.nodes} == pids
    check_nothing_lost(whole.nodes, "corosync", all_numbers(writers))


def test_corosync_dies_under_a_running_daemon(whole: Lab, allow_warnings: Callable[[str], None]) -> None:
    allow_warnings(CUT_OFF)
    n2 = whole.node("n2")
    with agents([n2]) as (two,):
        before = pmxcfs_pid(n2)
        n2.run(["pkill", "-KILL", "-x", "corosync"])
        wait_for(
            lambda: two.error("mkdir", f"{PVE}/refused") == "EACCES",
            timeout=ANSWER_SECONDS,
            what="n2 to refuse",
        )
        assert two.call("exists", f"{PVE}/corosync.conf")
        n2.systemctl("restart", "corosync")
        wait_ready(whole.nodes)
        assert pmxcfs_pid(n2) == before
        two.call("mkdir", f"{PVE}/accepted")


def test_corosync_restarts_everywhere_at_once(whole: Lab, allow_warnings: Callable[[str], None]) -> None:
    allow_warnings(CUT_OFF)
    for node in whole.nodes:
        node.systemctl("restart", "--no-block", "corosync")
    wait_ready(whole.nodes)
    make(whole.node("n2"), "after-all")
    assert wait_converged(whole.nodes).tree().lookup(b"after-all")


# The whole cluster


@pytest.mark.parametrize("order", ["n3 n1 n2", "n2 n3 n1", "n1 n2 n3"])
def test_a_cold_start_in_any_order_keeps_the_newest_state(whole: Lab, order: str) -> None:
    """The first of the order was cut from power first, so its database is the oldest; the last comes when
    the others are a cluster already."""
    first, second, last = (whole.node(name) for name in order.split())
    directory = f"cold-{first.name}"
    make(first, directory)
    with agents([last]) as (agent,):
        agent.call("write", f"{PVE}/{directory}/common", "known to all")
        wait_converged(whole.nodes)
        first.power_cut()
        wait_quorate([second, last])
        agent.call("unlink", f"{PVE}/{directory}/common", timeout=ANSWER_SECONDS)
        agent.call("write", f"{PVE}/{directory}/newest", "not known to the first")
        wait_converged([second, last])
    for node in (second, last):
        node.power_cut()
    first.power_on()
    with agents([first]) as (agent,):
        wait_for(
            lambda: service_is_up(first), timeout=ANSWER_SECONDS, what="the first to serve its old state"
        )
        assert agent.call("read", f"{PVE}/{directory}/common") == "known to all"
        assert agent.error("mkdir", f"{PVE}/alone") == "EACCES"
        second.power_on()
        wait_ready([first, second])
        expect_newest(agent, directory)
    last.power_on()
    wait_ready(whole.nodes)
    tree = wait_converged(whole.nodes).tree()
    assert tree.lookup(f"{directory}/newest".encode())


def expect_newest(agent: Agent, directory: str) -> None:
    agent.barrier()
    assert agent.call("listdir", f"{PVE}/{directory}") == ["newest"]
    assert agent.call("read", f"{PVE}/{directory}/newest") == "not known to the first"


def test_all_nodes_start_at_once(whole: Lab) -> None:
    make(whole.node("n1"), "at-once")
    before = wait_converged(whole.nodes)
    for node in whole.nodes:
        node.power_cut()
    whole.power_on()
    wait_ready(whole.nodes)
    after = wait_converged(whole.nodes)
    assert after.tree().lookup(b"at-once")
    ours = {row for row in before.rows if row.inode and not row.name.startswith(b".probe")}
    assert ours <= set(after.rows)
