"""Links and votes out of a real Corosync's maps, with two nodes and with a cut cable (additions of ours)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from quorate.corosync.links import read_links, read_quorum
from tests.real.corosync_host import config, connect, corosync_host, set_link, wait_until

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        os.geteuid() != 0 or not Path("/usr/sbin/corosync").exists(),
        reason="needs root and Debian's package corosync",
    ),
]


def test_one_node_has_no_links_and_all_votes(tmp_path: Path) -> None:
    def body() -> None:
        assert read_links() == []
        assert read_quorum() == {
            "quorate": True,
            "votes": 1,
            "expected": 1,
            "highest_expected": 1,
            "needed": 1,
            "spare": 0,
            "flags": ["QUORATE"],
            "nodes": [{"name": "node1", "nodeid": 1, "votes": 1, "state": "member"}],
        }

    with corosync_host(tmp_path) as host:
        host.write_config(config([(1, "127.0.0.1")]))
        host.start()
        host.run(body)


def test_a_link_with_its_latency_and_without_its_cable(tmp_path: Path) -> None:
    def body() -> None:
        wait_until(lambda: read_quorum()["quorate"])
        wait_until(lambda: [link["connected"] for link in read_links()] == [True])
        wait_until(lambda: "latency" in read_links()[0])
        (link,) = read_links()
        assert (link["node"], link["nodeid"], link["link"]) == ("node2", 2, 0)
        assert (link["address"], link["local_address"]) == ("10.99.0.2", "10.99.0.1")
        assert link["enabled"]
        assert 0 < link["latency_min"] <= link["latency"] <= link["latency_max"] < 10_000_000
        assert link["rx_total_bytes"] > 0
        set_link("down")
        wait_until(lambda: not read_quorum()["quorate"])
        wait_until(lambda: not read_links()[0]["connected"])
        (link,) = read_links()
        assert "latency" not in link
        votes = read_quorum()
        assert (votes["votes"], votes["expected"], votes["needed"], votes["spare"]) == (1, 2, 2, 0)
        states = {node["name"]: node["state"] for node in votes["nodes"]}
        assert states["node1"] == "member"
        assert states["node2"] != "member"

    with corosync_host(tmp_path / "1") as one, corosync_host(tmp_path / "2") as two:
        connect(one, two)
        for host in (one, two):
            host.write_config(config([(1, "10.99.0.1"), (2, "10.99.0.2")]))
            host.start()
        one.run(body)
