"""A new cluster: what is refused before anything changes, and what a failure takes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from quorate.cluster import certificates as certs
from quorate.cluster.create import COROSYNC_KEYGEN, CreateRequest, create_cluster
from quorate.cluster.host import ClusterError
from quorate.corosync.conf_edit import Link
from quorate.tasks import steps_of
from tests.unit.cluster.joinstand import Node

RESTART = "systemctl restart corosync pve-cluster"


@pytest.fixture(scope="module")
def key() -> bytes:
    return certs.new_key(2048)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: bytes) -> Node:
    monkeypatch.setattr(certs, "new_key", lambda bits: key)
    found = Node(tmp_path)

    def generate() -> None:
        found.settings.corosync_authkey.write_bytes(b"generated")

    found.commands.on[f"{COROSYNC_KEYGEN} -lk {found.settings.corosync_authkey}"] = generate
    return found


def test_a_cluster_is_made(node: Node) -> None:
    create_cluster(node.host, CreateRequest("lab"))
    assert b"cluster_name: lab" in node.settings.cluster_conf.read_bytes()
    assert node.settings.corosync_authkey.exists()
    assert node.said.out == [
        f"Writing corosync config to {node.settings.cluster_conf}",
        "Restart corosync and cluster filesystem",
    ]
    assert steps_of("clustercreate", node.said.out, None)[-1].state == "running"


def test_a_link_that_is_not_of_this_node_is_refused_before_anything_changes(node: Node) -> None:
    """Corosync would not start, and the file system be read-only without it: nothing could be undone."""
    node.commands.fail.add("ip address show to 10.9.9.9/32 up")
    before = node.state()
    request = CreateRequest("lab", {0: Link("10.0.0.2"), 1: Link("10.9.9.9")})
    with pytest.raises(ClusterError, match=r"^link1: cannot use IP '10\.9\.9\.9', not found on local node!$"):
        create_cluster(node.host, request)
    assert node.state() == before
    assert not node.settings.cluster_conf.exists()


def _fails(node: Node) -> None:
    node.commands.fail.add(RESTART)


def _interrupted(node: Node) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    node.commands.on[RESTART] = interrupt


@pytest.mark.parametrize("breaks", [_fails, _interrupted])
@pytest.mark.parametrize("had_key", [False, True])
def test_a_failure_leaves_a_node_that_may_join_elsewhere(
    node: Node, breaks: Callable[[Node], None], had_key: bool
) -> None:
    breaks(node)
    if had_key:
        node.settings.corosync_dir.mkdir(parents=True)
        node.settings.corosync_authkey.write_bytes(b"own")
    with pytest.raises(ClusterError, match=r"^cluster creation failed; this node is not in a cluster\n"):
        create_cluster(node.host, CreateRequest("lab"))
    assert not node.settings.cluster_conf.exists()
    assert node.settings.corosync_authkey.exists() is had_key
