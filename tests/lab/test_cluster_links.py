"""Two links with priorities, given by host names; and two clusters in one network."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from lab import Lab, wait_for
from lab.cluster import (
    CREATE_SECONDS,
    is_writable,
    set_token,
    wait_api,
    wait_mounted,
    wait_writable,
)
from lab.handmade import TEST_TOKEN, is_quorate
from lab.node import Node
from tests.lab.conftest import Laboratories
from tests.lab.support_pvecm import add, configured, members, wait_members


@pytest.fixture(scope="module")
def lab(laboratories: Laboratories) -> Iterator[Lab]:
    """Three nodes on two links, whose addresses were given as names wherever possible."""
    with laboratories.lab(nodes=3, links=2) as made:
        n1, n2, n3 = made.nodes
        for node in made.nodes:
            wait_mounted(node)
            wait_api(node)
            names = "".join(f"10.77.1.{number} ring{number}.lab\n" for number in (1, 2, 3))
            node.run(["sh", "-c", 'printf "%s" "$1" >> /etc/hosts', "sh", names])
        n1.run(
            [
                "pvecm",
                "create",
                "lab",
                "--link0",
                "n1,priority=15",
                "--link1",
                "address=ring1.lab,priority=20",
            ],
            timeout=CREATE_SECONDS,
        )
        wait_writable(n1)
        wait_api(n1)
        set_token(n1, TEST_TOKEN)
        status, output = add(n2, n1, "--link0", "10.77.0.2", "--link1", "ring2.lab")
        assert status == 0, output
        status, output = add(n3, n1, "-link0=n3", "-link1=10.77.1.3,priority=7")
        assert status == 0, output
        for node in made.nodes:
            wait_members(node, "n1", "n2", "n3")
        yield made


def bytes_sent(node: Node, link: int) -> int:
    """What corosync on this node has sent as data to its peers on one link.

    What it sends to itself counts as link 0 of its own number.
    """
    text = node.run(["corosync-cmapctl", "-m", "stats"]).stdout
    found = re.findall(rf"stats\.knet\.node(\d+)\.link{link}\.tx_data_bytes \(u64\) = (\d+)", text)
    return sum(int(sent) for peer, sent in found if f"n{peer}" != node.name)


def connected_links(node: Node) -> set[tuple[int, int]]:
    """(node id, link) of the peers' links that corosync reports as connected."""
    text = node.run(["corosync-cmapctl", "-m", "stats"]).stdout
    found = re.findall(r"stats\.knet\.node(\d+)\.link(\d+)\.connected \(u8\) = 1", text)
    return {(int(peer), int(link)) for peer, link in found}


def test_names_became_addresses_when_they_were_entered(lab: Lab) -> None:
    text = lab.node("n2").read_file("/etc/pve/corosync.conf")
    assert "ring1.lab" not in text
    assert {
        name: (entry["ring0_addr"], entry["ring1_addr"]) for name, entry in configured(lab.node("n2")).items()
    } == {f"n{number}": (f"10.77.0.{number}", f"10.77.1.{number}") for number in (1, 2, 3)}


def test_priorities_are_those_of_the_creation(lab: Lab) -> None:
    text = lab.node("n3").read_file("/etc/corosync/corosync.conf")
    assert re.findall(r"knet_link_priority: (\d+)\n +linknumber: (\d)", text) == [("15", "0"), ("20", "1")]


def test_the_link_with_the_higher_priority_carries_the_traffic(lab: Lab) -> None:
    n1 = lab.node("n1")
    wait_for(
        lambda: {(2, 0), (2, 1), (3, 0), (3, 1)} <= connected_links(n1),
        timeout=30,
        what="both links to both peers",
    )
    last: list[int] = []

    def is_on_link_1() -> bool:
        nonlocal last
        before = [bytes_sent(n1, link) for link in (0, 1)]
        for number in range(10):
            n1.write_file(f"/etc/pve/traffic-{number}", "x" * 10_000)
        last = [bytes_sent(n1, link) - start for link, start in zip((0, 1), before, strict=True)]
        return last[1] > 100_000 and last[0] < last[1] / 10

    # knet takes a link into use some time after it is connected
    wait_for(is_on_link_1, timeout=30, what="the traffic to be on link 1", seen=lambda: last)


def test_without_the_better_link_the_other_one_carries_on(lab: Lab) -> None:
    n1, n2, _ = lab.nodes
    lab.cut("n1", link=1)
    wait_for(lambda: not {(2, 1), (3, 1)} & connected_links(n1), timeout=30, what="corosync to see the cut")
    for node in lab.nodes:
        assert is_quorate(node)
        assert members(node) == {"n1", "n2", "n3"}
    n1.write_file("/etc/pve/over-link-0", "still here")
    assert n2.read_file("/etc/pve/over-link-0") == "still here"
    lab.heal()
    wait_for(lambda: {(2, 1), (3, 1)} <= connected_links(n1), timeout=30, what="link 1 to be back")


def test_two_clusters_in_one_network_do_not_touch_each_other(laboratories: Laboratories) -> None:
    """Even with one name: each has its own key."""
    with laboratories.lab(nodes=4) as lab:
        n1, n2, n3, n4 = lab.nodes
        for node in lab.nodes:
            wait_mounted(node)
            wait_api(node)
        for first, second in ((n1, n2), (n3, n4)):
            first.run(["pvecm", "create", "twin"], timeout=CREATE_SECONDS)
            wait_api(first)
            set_token(first, TEST_TOKEN)
            status, output = add(second, first)
            assert status == 0, output
        for node, other in ((n1, "n2"), (n2, "n1"), (n3, "n4"), (n4, "n3")):
            wait_members(node, node.name, other)
        n1.write_file("/etc/pve/first", "1")
        n3.write_file("/etc/pve/second", "2")
        wait_for(
            lambda: n2.run(["test", "-e", "/etc/pve/first"], check=False).returncode == 0,
            timeout=20,
            what="the file on n2",
        )
        assert n4.run(["test", "-e", "/etc/pve/first"], check=False).returncode == 1
        assert n2.run(["test", "-e", "/etc/pve/second"], check=False).returncode == 1
        keys = {node.run(["sha256sum", "/etc/corosync/authkey"]).stdout for node in lab.nodes}
        assert len(keys) == 2
        n4.power_cut()
        wait_members(n3, "n3")
        assert is_quorate(n1)
        assert is_writable(n2)
