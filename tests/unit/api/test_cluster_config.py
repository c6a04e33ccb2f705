"""``/cluster/config`` by the operations themselves, over files: members in and out (pvecm 6.5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.api import cluster_config
from quorate.cluster.host import Host
from quorate.corosync.conf import parse
from quorate.schema import ApiError, Context
from tests.unit.api.cluster_world import Api
from tests.unit.cluster.joinstand import Node

CONF = b"""totem { version: 2 secauth: on cluster_name: lab config_version: 4 interface { linknumber: 0 } }
nodelist { node { name: n1 nodeid: 1 quorum_votes: 1 ring0_addr: 10.0.0.1 }
node { name: n2 nodeid: 2 quorum_votes: 1 ring0_addr: 10.0.0.2 } }"""


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """This is n2."""
    found = Node(tmp_path)
    (found.settings.mountpoint / "nodes/n1").mkdir(parents=True)
    found.settings.cluster_conf.write_bytes(CONF)
    found.settings.corosync_dir.mkdir(parents=True)
    found.settings.corosync_authkey.write_bytes(b"key\xff")
    return found


@pytest.fixture
def api(node: Node, monkeypatch: pytest.MonkeyPatch) -> Api:
    def host_of(_ctx: Context) -> Host:
        return node.host

    monkeypatch.setattr(cluster_config, "host_of", host_of)
    return Api(node.settings)


def test_version_of_joining(api: Api) -> None:
    assert api("GET", "/cluster/config/apiversion") == 1


def test_a_node_is_added_and_removed(node: Node, api: Api) -> None:
    added = api("POST", "/cluster/config/nodes/n3", link0="10.0.0.3", votes="1", apiversion="1")
    assert added["corosync_authkey"].encode("latin-1") == b"key\xff"
    assert added["corosync_conf"].encode("latin-1") == node.settings.cluster_conf.read_bytes()
    assert added["warnings"] == []
    conf = parse(node.settings.cluster_conf.read_bytes())
    assert (conf.config_version, conf.nodes["n3"]["ring0_addr"]) == (5, "10.0.0.3")
    names = [entry["node"] for entry in api("GET", "/cluster/config/nodes")]
    assert names == ["n1", "n2", "n3"]
    assert api("GET", "/cluster/config/totem")["config_version"] == "5"
    assert api("DELETE", "/cluster/config/nodes/n3") is None
    conf = parse(node.settings.cluster_conf.read_bytes())
    assert (conf.config_version, list(conf.nodes)) == (6, ["n1", "n2"])
    assert "corosync-cfgtool -k 3" in node.commands.called


def test_what_stands_against_a_new_node(node: Node, api: Api) -> None:
    with pytest.raises(
        ApiError, match=r"address '10\.0\.0\.1' already used on link ring0_addr by node 'n1'"
    ) as used:
        api("POST", "/cluster/config/nodes/n3", link0="10.0.0.1", apiversion="1")
    assert used.value.status == 500
    with pytest.raises(ApiError, match=r"^can't add existing node 'n1'$"):
        api("POST", "/cluster/config/nodes/n1", link0="10.0.0.1", apiversion="1")
    with pytest.raises(ApiError, match="unsupported old API version on joining node"):
        api("POST", "/cluster/config/nodes/n3", link0="10.0.0.3", apiversion="-1")
    assert node.settings.cluster_conf.read_bytes() == CONF
    with pytest.raises(ApiError) as wrong:
        api("POST", "/cluster/config/nodes/n3", nodeid="0", link9="10.0.0.3")
    assert sorted(wrong.value.errors or ()) == ["link9", "nodeid"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("n2", "Cannot delete myself from cluster!"),
        ("n9", "Node/IP: n9 is not a known host of the cluster."),
    ],
)
def test_what_cannot_be_removed(node: Node, api: Api, name: str, text: str) -> None:
    with pytest.raises(ApiError, match=f"^{text}") as refused:
        api("DELETE", f"/cluster/config/nodes/{name}")
    assert refused.value.status == 500
    assert node.settings.cluster_conf.read_bytes() == CONF
