"""A corosync.conf made by hand for all nodes at once: for tests of what needs a cluster but not pvecm."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from lab.laboratory import Lab
from lab.node import Node
from lab.record import address, node_number
from lab.waiting import wait_for

TEST_TOKEN = 1000
"""ms; stable for up to five nodes on a busy machine (400 flaps, 700 is the floor)."""
QUORATE_SECONDS = 60.0


def corosync_conf(nodes: Sequence[str], links: int, *, cluster: str = "lab", token: int = TEST_TOKEN) -> str:
    """A configuration as the cluster manager would write it, but with a short token."""
    lines = ["logging {", "  debug: off", "  to_syslog: yes", "}", "", "nodelist {"]
    for node in nodes:
        lines += ["  node {", f"    name: {node}", f"    nodeid: {node_number(node)}", "    quorum_votes: 1"]
        lines += [f"    ring{link}_addr: {address(node, link)}" for link in range(links)]
        lines.append("  }")
    lines += ["}", "", "quorum {", "  provider: corosync_votequorum", "}", "", "totem {"]
    lines += [f"  cluster_name: {cluster}", "  config_version: 1"]
    for link in range(links):
        lines += ["  interface {", f"    linknumber: {link}", "  }"]
    lines += ["  ip_version: ipv4-6", "  link_mode: passive", "  secauth: on"]
    lines += [f"  token: {token}", "  token_coefficient: 0", "  version: 2", "}", ""]
    return "\n".join(lines)


def form_by_hand(lab: Lab, nodes: Sequence[Node] | None = None, *, token: int = TEST_TOKEN) -> None:
    """Give these nodes (None: all) one configuration and key, and restart corosync and pve-cluster.

    Returns when corosync is quorate on each of them with all members.
    """
    members = list(nodes or lab.nodes)
    conf = corosync_conf([node.name for node in members], lab.record.links, token=token)
    key = secrets.token_hex(128)
    for node in members:
        # the key is 128 bytes or more of anything; it never stands in an argument list
        node.run(["sh", "-c", "umask 077; exec cat > /etc/corosync/authkey"], input=key)
        node.write_file("/etc/corosync/corosync.conf", conf)
    for node in members:
        for unit in ("pve-cluster", "corosync"):  # the first may be masked
            node.run(["systemctl", "reset-failed", unit], check=False)
            node.run(["systemctl", "restart", "--no-block", unit], check=unit == "corosync")
    wait_quorate(members)


def members_seen(node: Node) -> set[int]:
    """Node ids that corosync on this node counts as members; empty while it does not run."""
    text = node.run(["corosync-quorumtool", "-l"], check=False).stdout
    rows = [line.split() for line in text.splitlines()]
    return {int(row[0]) for row in rows if row and row[0].isdigit()}


def is_quorate(node: Node) -> bool:
    text = node.run(["corosync-quorumtool", "-s"], check=False).stdout
    return any(line.split() == ["Quorate:", "Yes"] for line in text.splitlines())


def wait_quorate(nodes: Sequence[Node], *, timeout: float = QUORATE_SECONDS) -> None:
    """Wait until each of these nodes is quorate and sees exactly these nodes."""
    wanted = {node_number(node.name) for node in nodes}
    for node in nodes:
        wait_for(
            lambda node=node: is_quorate(node) and members_seen(node) == wanted,  # type: ignore[misc]
            timeout=timeout,
            what=f"{node.name} to be quorate with members {sorted(wanted)}",
            seen=lambda node=node: node.run(["corosync-quorumtool"], check=False).stdout,  # type: ignore[misc]
        )


def wait_not_quorate(node: Node, *, timeout: float = QUORATE_SECONDS) -> None:
    """Wait until the node has lost its quorum (or its corosync)."""
    wait_for(lambda: not is_quorate(node), timeout=timeout, what=f"{node.name} to lose its quorum")
