"""pvecm on real nodes: joins that fail leave everything as it was, joins that do not end in one cluster."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from lab import Lab
from lab.base import ROOT_PASSWORD
from lab.cluster import create, fingerprint, join, wait_api, wait_mounted
from lab.node import Node
from lab.waiting import wait_for
from tests.lab.conftest import Laboratories

JOIN_SECONDS = 240.0
FILES = (
    "cd / && find etc/corosync var/lib/pve-cluster etc/ssh -type f"
    " ! -path '*/backup/*' ! -name '*.db-*' | sort"
)


@pytest.fixture(scope="module")
def lab(laboratories: Laboratories) -> Iterator[Lab]:
    """A cluster of one node, and two nodes that are in none."""
    with laboratories.lab(nodes=3, links=1) as made:
        create(made.node("n1"), "lab", links=1)
        for name in ("n2", "n3"):
            wait_mounted(made.node(name))
        wait_api(made.node("n1"))
        yield made


def add(
    node: Node, peer: Node, *options: str, password: str = ROOT_PASSWORD, pin: str | None = None
) -> tuple[int, str]:
    argv = ["pvecm", "add", peer.address(), "--fingerprint", pin or fingerprint(peer), *options]
    done = node.run(argv, input=f"{password}\n", check=False, timeout=JOIN_SECONDS)
    return done.returncode, done.stdout + done.stderr


def files(node: Node) -> str:
    return node.run(["sh", "-c", FILES]).stdout


def members(node: Node) -> dict[str, object]:
    found = json.loads(node.read_file("/etc/pve/.members"))
    return dict(found.get("nodelist", {}))


@pytest.mark.parametrize(
    ("options", "password", "pin", "text"),
    [
        ((), "wrong", None, "401 authentication failure"),
        ((), ROOT_PASSWORD, ":".join(["AA"] * 32), "not verified, abort!"),
        (
            ("--link0", "10.99.0.1"),
            ROOT_PASSWORD,
            None,
            "link0: cannot use IP '10.99.0.1', not found on local node!",
        ),
        (
            ("--link0", "n2", "--link1", "n2"),
            ROOT_PASSWORD,
            None,
            "link 1 specified for new node doesn't exist",
        ),
        (("--nodeid", "1"), ROOT_PASSWORD, None, "nodeid 1 already used by node 'n1'"),
    ],
)
def test_a_refused_join_changes_nothing(
    lab: Lab,
    allow_warnings: Callable[[str], None],
    options: tuple[str, ...],
    password: str,
    pin: str | None,
    text: str,
) -> None:
    allow_warnings("pvecm: .* end task UPID:n2:")
    allow_warnings("authentication failure; rhost=10.77.0.2 user=root@pam")
    node, peer = lab.node("n2"), lab.node("n1")
    before, conf = files(node), peer.read_file("/etc/pve/corosync.conf")
    status, output = add(node, peer, *options, password=password, pin=pin)
    assert status == 255
    assert text in output
    assert files(node) == before
    assert peer.read_file("/etc/pve/corosync.conf") == conf


def test_a_join_whose_corosync_does_not_start_is_taken_back_from_a_cluster_of_one(
    lab: Lab, allow_warnings: Callable[[str], None]
) -> None:
    """The single member loses its quorum by the second entry, and gets it back."""
    allow_warnings("pvecm: .* end task UPID:n2:")
    node, peer = lab.node("n2"), lab.node("n1")
    before = files(node)
    node.run(["systemctl", "mask", "--runtime", "corosync"])
    status, output = add(node, peer)
    node.run(["systemctl", "unmask", "--runtime", "corosync"])
    assert status == 255
    assert "starting pve-cluster failed" in output
    assert "except for" not in output
    assert files(node) == before
    assert node.run(["systemctl", "is-active", "pve-cluster"]).stdout.strip() == "active"
    assert "n2" not in peer.read_file("/etc/pve/corosync.conf")
    assert node.run(["test", "-e", "/etc/pve/corosync.conf"], check=False).returncode == 1
    assert "n2" not in peer.run(["ls", "/etc/pve/nodes"]).stdout.split()
    wait_for(
        lambda: peer.run(["pvecm", "status"], check=False).returncode == 0,
        timeout=30,
        what="the cluster of one to be quorate again",
    )


def test_nodes_join_over_the_api_and_over_ssh_and_one_leaves(lab: Lab) -> None:
    n1, n2, n3 = (lab.node(name) for name in ("n1", "n2", "n3"))
    output = join(n2, n1, links=1)
    assert output.rstrip().endswith("successfully added node 'n2' to cluster.")
    assert set(members(n2)) == {"n1", "n2"}
    n1.run(["sh", "-c", "test $(stat -c %a /etc/corosync/authkey) = 400"])
    assert n2.run(["stat", "-c", "%a %s", "/etc/corosync/authkey"]).stdout.split() == ["400", "256"]
    assert n1.read_file("/etc/pve/corosync.conf") == n2.read_file("/etc/corosync/corosync.conf")
    n2.run(["openssl", "verify", "-CAfile", "/etc/pve/pve-root-ca.pem", "/etc/pve/local/pve-ssl.pem"])
    assert n2.run(["ssh", "-o", "BatchMode=yes", "root@n1", "hostname"]).stdout.strip() == "n1"
    status = json.loads(n2.run(["pvecm", "status", "--output-format", "json"]).stdout)
    assert status["quorum"]["quorate"] is True
    assert [member["name"] for member in status["members"]] == ["n1", "n2"]

    join(n3, n2, links=1)
    wait_for(lambda: set(members(n1)) == {"n1", "n2", "n3"}, timeout=30, what="n1 to know n3")
    n3.power_cut()
    wait_for(
        lambda: "n3" not in n1.run(["pvecm", "nodes"], check=False).stdout, timeout=60, what="n3 to be missed"
    )
    n1.run(["pvecm", "delnode", "n3"])
    assert "n3" not in n1.read_file("/etc/pve/corosync.conf")
    refused = n1.run(["pvecm", "delnode", "n1"], check=False)
    assert (refused.returncode, refused.stderr) == (255, "Cannot delete myself from cluster!\n")
