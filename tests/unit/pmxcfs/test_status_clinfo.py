"""The cluster info object from Corosync's map (status 5.2)."""

from __future__ import annotations

import pytest

from quorate.pmxcfs.clinfo import ClusterInfo, ClusterInfoError, Node, Value, read

VALUES: list[tuple[str, Value]] = [
    ("nodelist.local_node_pos", 0),
    ("nodelist.node.0.name", "n1"),
    ("nodelist.node.0.nodeid", 1),
    ("nodelist.node.0.quorum_votes", 1),
    ("nodelist.node.0.ring0_addr", "10.0.0.1"),
    ("nodelist.node.1.nodeid", 2),
    ("nodelist.node.1.ring0_addr", "n2"),
    ("nodelist.node.10.name", "n3"),
    ("nodelist.node.10.nodeid", 7),
    ("totem.cluster_name", "lab"),
    ("totem.config_version", (1 << 32) + 3),
]


def test_names_ids_and_votes() -> None:
    info = ClusterInfo.from_values(VALUES)
    assert (info.name, info.version) == ("lab", 3)
    assert dict(info.nodes) == {1: Node(1, "n1", 1), 2: Node(2, "n2", 0), 7: Node(7, "n3", 0)}
    assert info.named("n3") == Node(7, "n3", 0)
    assert info.named("n4") is None


@pytest.mark.parametrize("missing", ["nodelist.node.0.nodeid", "nodelist.node.0.name"])
def test_the_name_wins_over_the_address_and_a_node_needs_id_and_name(missing: str) -> None:
    info = ClusterInfo.from_values([item for item in reversed(VALUES) if item[0] != missing])
    if missing.endswith("nodeid"):
        assert 1 not in info.nodes
    else:
        assert info.nodes[1].name == "10.0.0.1"


def test_no_cluster_name_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ClusterInfoError, match="set 'cluster_name'"):
        ClusterInfo.from_values([item for item in VALUES if item[0] != "totem.cluster_name"])


def test_a_missing_version_is_0_and_values_of_other_types_are_ignored() -> None:
    info = ClusterInfo.from_values([("totem.cluster_name", "x"), ("nodelist.node.0.nodeid", "text")])
    assert (info.version, dict(info.nodes)) == (0, {})


class FakeMap:
    def find(self, key: str) -> Value | None:
        return dict(VALUES).get(key)

    def iterate(self, prefix: str = "") -> list[tuple[str, Value]]:
        return [item for item in VALUES if item[0].startswith(prefix)]


def test_reading_asks_for_the_nodes_and_the_two_keys() -> None:
    assert read(FakeMap()) == ClusterInfo.from_values(VALUES)
