"""Corosync's maps as links and votes (additions of ours)."""

from __future__ import annotations

from quorate.corosync.cmap import Value
from quorate.corosync.links import links, nodes_of, priorities_of, quorum
from quorate.corosync.votequorum import Flag, Info, NodeState

CONFIGURATION: list[tuple[str, Value]] = [
    ("nodelist.node.0.name", "n1"),
    ("nodelist.node.0.nodeid", 1),
    ("nodelist.node.0.ring0_addr", "10.0.0.1"),
    ("nodelist.node.0.ring1_addr", "10.1.0.1"),
    ("nodelist.node.1.nodeid", 4),
    ("nodelist.node.1.ring0_addr", "10.0.0.4"),
    ("nodelist.node.1.ring1_addr", "10.1.0.4"),
    ("totem.interface.1.knet_link_priority", 20),
    ("totem.interface.1.knet_transport", "udp"),
]
STATISTICS: list[tuple[str, Value]] = [
    ("stats.knet.handle.rx_compressed_packets", 0),
    ("stats.knet.node1.link0.connected", 1),
    ("stats.knet.node4.link0.connected", 1),
    ("stats.knet.node4.link0.enabled", 1),
    ("stats.knet.node4.link0.latency_ave", 210),
    ("stats.knet.node4.link0.latency_max", 900),
    ("stats.knet.node4.link0.latency_min", 100),
    ("stats.knet.node4.link0.latency_samples", 12),
    ("stats.knet.node4.link0.down_count", 2),
    ("stats.knet.node4.link1.connected", 0),
    ("stats.knet.node4.link1.enabled", 1),
    ("stats.knet.node4.link1.latency_ave", 5),
    ("stats.knet.node9.link0.connected", 0),
]


def test_links_of_one_node() -> None:
    found = links(STATISTICS, nodes_of(CONFIGURATION), priorities_of(CONFIGURATION), 1)
    assert found[:2] == [
        {
            "node": "10.0.0.4",
            "nodeid": 4,
            "link": 0,
            "priority": 1,
            "enabled": True,
            "connected": True,
            "address": "10.0.0.4",
            "local_address": "10.0.0.1",
            "latency": 210,
            "latency_min": 100,
            "latency_max": 900,
            "down_count": 2,
        },
        {
            "node": "10.0.0.4",
            "nodeid": 4,
            "link": 1,
            "priority": 20,
            "enabled": True,
            "connected": False,
            "address": "10.1.0.4",
            "local_address": "10.1.0.1",
        },
    ]
    # Removed from the configuration, still in the statistics.
    assert (found[2]["node"], found[2]["connected"], "address" in found[2]) == ("9", False, False)
    assert len(found) == 3


def _info(nodeid: int, state: NodeState | int = NodeState.MEMBER, flags: Flag = Flag.QUORATE) -> Info:
    return Info(nodeid, state, 1, 4, 4, 3, 3, flags, 1, "Qdevice")


def test_votes_in_numbers() -> None:
    nodes = nodes_of(CONFIGURATION)
    found = quorum(_info(1), [_info(4, NodeState.DEAD), _info(1), _info(7, 9)], nodes, None)
    assert found == {
        "quorate": True,
        "votes": 3,
        "expected": 4,
        "highest_expected": 4,
        "needed": 3,
        "spare": 0,
        "flags": ["QUORATE"],
        "nodes": [
            {"name": "n1", "nodeid": 1, "votes": 1, "state": "member"},
            {"name": "10.0.0.4", "nodeid": 4, "votes": 1, "state": "dead"},
            {"name": "7", "nodeid": 7, "votes": 1, "state": "unknown"},
        ],
    }


def test_qdevice() -> None:
    flags = Flag.QUORATE | Flag.QDEVICE_REGISTERED | Flag.QDEVICE_ALIVE
    found = quorum(_info(1, flags=flags), [], {}, _info(0))
    assert found["qdevice"] == {
        "name": "Qdevice",
        "votes": 1,
        "registered": True,
        "alive": True,
        "votes_for_us": False,
        "master_wins": False,
    }


def test_qdevice_whose_daemon_does_not_run_here() -> None:
    found = quorum(_info(1), [], {}, None, has_device=True)["qdevice"]
    assert (found["registered"], found["alive"], found["votes"]) == (False, False, 1)
    assert "qdevice" not in quorum(_info(1), [], {}, None)
