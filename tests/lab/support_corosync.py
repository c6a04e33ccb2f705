"""Which corosync.conf a node's Corosync works with."""

from __future__ import annotations

import re

from lab import Node, wait_for

CONF = "/etc/pve/corosync.conf"
RELOAD_SECONDS = 60.0


def running_version(node: Node) -> int:
    """The config_version that corosync on this node works with; 0 while it does not run."""
    text = node.run(["corosync-cmapctl", "-g", "totem.config_version"], check=False).stdout
    found = re.search(r"= (\d+)", text)
    return int(found[1]) if found else 0


def version_of(text: str) -> int:
    found = re.search(r"config_version: (\d+)", text)
    assert found
    return int(found[1])


def wait_reloaded(node: Node) -> None:
    """Until corosync on this node uses what stands in the cluster's corosync.conf.

    Two changes of the list of nodes may come to Corosync as one, and it refuses to give a node that it has
    another address.
    """
    version = version_of(node.read_file(CONF))
    wait_for(
        lambda: running_version(node) == version,
        timeout=RELOAD_SECONDS,
        what=f"corosync on {node.name} to use version {version}",
        seen=lambda: node.journal(None, "-n", "20"),
    )
