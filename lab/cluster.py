"""Forming a cluster the way a person does, with pvecm in the nodes. Used by the demo and the tests."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from lab.base import ROOT_PASSWORD
from lab.handmade import TEST_TOKEN, wait_quorate
from lab.laboratory import Lab
from lab.node import Node
from lab.record import address
from lab.waiting import wait_for

CREATE_SECONDS = 120.0  # makes RSA keys of 4096 bits, on a machine that may be busy
JOIN_SECONDS = 180.0
READY_SECONDS = 60.0


def form_cluster(
    lab: Lab,
    names: Sequence[str] | None = None,
    *,
    cluster: str = "lab",
    token: int | None = TEST_TOKEN,
    report: Callable[[str], None] = lambda text: None,
) -> None:
    """Create a cluster on the first of these nodes (None: all) and join the others over the API.

    ``token`` in ms replaces corosync's default, which makes membership changes quick (None: as pvecm
    writes it). Returns when every node is quorate with all, and its /etc/pve can be written.
    """
    members = [lab.node(name) for name in names or lab.record.node_names()]
    first = members[0]
    report(f"pvecm create {cluster} on {first.name}")
    create(first, cluster, links=len(lab.links))
    if token is not None:
        set_token(first, token)
    for node in members[1:]:
        report(f"pvecm add {first.address()} on {node.name}")
        join(node, first, links=len(lab.links))
    wait_quorate(members)
    for node in members:
        wait_writable(node)


def create(node: Node, cluster: str, *, links: int) -> None:
    """pvecm create; returns when the node's file system is writable and its API answers."""
    wait_mounted(node)
    wait_api(node)  # or it restarts the file system under a service that is just starting
    node.run(["pvecm", "create", cluster, *link_options(node, links)], timeout=CREATE_SECONDS)
    wait_quorate([node])
    wait_writable(node)
    wait_api(node)


def join(node: Node, peer: Node, *, links: int) -> str:
    """pvecm add over the API with the peer's fingerprint; what it printed."""
    wait_mounted(node)
    wait_api(node)
    wait_api(peer)
    argv = ["pvecm", "add", peer.address(), "--fingerprint", fingerprint(peer), *link_options(node, links)]
    return node.run(argv, input=f"{ROOT_PASSWORD}\n", timeout=JOIN_SECONDS).stdout


def link_options(node: Node, links: int) -> list[str]:
    return [word for link in range(links) for word in (f"--link{link}", address(node.name, link))]


def fingerprint(node: Node) -> str:
    """SHA-256 of the certificate that the node's API shows, as `pvecm add --fingerprint` takes it."""
    file = f"/etc/pve/nodes/{node.name}/pve-ssl.pem"
    return (
        node.run(["openssl", "x509", "-in", file, "-noout", "-fingerprint", "-sha256"])
        .stdout.strip()
        .partition("=")[2]
    )


def set_token(node: Node, token: int) -> None:
    """Give the cluster another totem token (ms), as the manual says: edit a copy, count up, move it."""
    text = node.read_file("/etc/pve/corosync.conf")
    text = re.sub(r"config_version: (\d+)", lambda found: f"config_version: {int(found[1]) + 1}", text)
    text = re.sub(r"\n *token(_coefficient)?: .*", "", text)
    text = re.sub(r"totem \{\n", f"totem {{\n  token: {token}\n  token_coefficient: 0\n", text)
    node.write_file("/etc/pve/corosync.conf.new", text)
    node.run(["mv", "/etc/pve/corosync.conf.new", "/etc/pve/corosync.conf"])
    wait_for(
        lambda: (
            f"= {token}"
            in node.run(["corosync-cmapctl", "-g", "runtime.config.totem.token"], check=False).stdout
        ),
        timeout=READY_SECONDS,
        what=f"corosync on {node.name} to use the token {token}",
    )


def wait_mounted(node: Node) -> None:
    wait_for(
        lambda: node.run(["mountpoint", "-q", "/etc/pve"], check=False).returncode == 0,
        timeout=READY_SECONDS,
        what=f"/etc/pve to be mounted on {node.name}",
        seen=lambda: node.journal("pve-cluster", "-n", "20"),
    )


def is_writable(node: Node) -> bool:
    """Whether a file can be made in /etc/pve; it is removed again."""
    probe = f"/etc/pve/.probe-{node.name}"
    return node.run(["sh", "-c", f"echo > {probe} && rm {probe}"], check=False).returncode == 0


def wait_writable(node: Node, *, timeout: float = READY_SECONDS) -> None:
    wait_for(
        lambda: is_writable(node),
        timeout=timeout,
        what=f"/etc/pve on {node.name} to be writable",
        seen=lambda: node.journal("pve-cluster", "-n", "20"),
    )


def wait_read_only(node: Node, *, timeout: float = READY_SECONDS) -> None:
    """Wait until the node's file system has lost its quorum.

    Looks at a directory's mode bits (core 1.9) and not by trying to write: a write on the very brink would be
    delivered without quorum, which throws the node out of the group with a warning.
    """
    wait_for(
        lambda: not int(node.run(["stat", "-c", "%a", "/etc/pve/nodes"]).stdout, 8) & 0o222,
        timeout=timeout,
        what=f"/etc/pve on {node.name} to be read-only",
    )


def wait_api(node: Node) -> None:
    """Wait until the node's API accepts connections and has its certificate in the cluster's directory."""
    test = f"test -s /etc/pve/nodes/{node.name}/pve-ssl.pem && nc -z {node.address()} 8006"
    wait_for(
        lambda: node.run(["sh", "-c", test], check=False).returncode == 0,
        timeout=READY_SECONDS,
        what=f"the API of {node.name} to answer",
        seen=lambda: node.journal("pveproxy", "-n", "20"),
    )
