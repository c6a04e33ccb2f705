"""The status daemon: nodes see each other's figures and tasks; the database's commands work in a node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from lab import Lab, Node, wait_for

pytestmark = pytest.mark.lab

ROUNDS_SECONDS = 60.0
"""Several rounds of 10 s."""


@pytest.fixture(scope="module")
def pair(laboratories: Any) -> Iterator[Lab]:
    with laboratories.cluster(nodes=2) as lab:
        yield lab


def figures(node: Node) -> dict[str, list[str]]:
    """Columns by node. Without rrdcached's directory there are no files, and the old format is told."""
    lines = [line.partition(":") for line in node.read_file("/etc/pve/.rrd").splitlines()]
    kinds = ("pve-node-9.0/", "pve2-node/")
    return {key.partition("/")[2]: value.split(":") for key, _, value in lines if key.startswith(kinds)}


def sees(node: Node, keys: set[str]) -> bool:
    return keys <= figures(node).keys()


def test_nodes_see_each_others_figures(pair: Lab) -> None:
    keys = {node.name for node in pair.nodes}
    for node in pair.nodes:
        wait_for(partial(sees, node, keys), timeout=ROUNDS_SECONDS, what="both nodes' figures")
        for key in keys:
            columns = figures(node)[key]
            assert len(columns) in (15, 22)
            assert int(columns[7]) > int(columns[8]) > 0  # memory
            assert int(columns[4]) > 0  # processors


def test_the_figures_are_archived_on_every_node(pair: Lab) -> None:
    for node in pair.nodes:
        for other in pair.nodes:
            file = f"/var/lib/rrdcached/db/pve-node-9.0/{other.name}"
            wait_for(partial(has, node, file), timeout=ROUNDS_SECONDS, what=f"{file} on {node.name}")


def test_lists_of_tasks_are_told(pair: Lab) -> None:
    first, second = pair.nodes
    wait_for(
        lambda: {"tasklist", "kv/version-info"} <= set(told(second).get(first.name, {})),
        timeout=ROUNDS_SECONDS,
        what="the keys of the other node",
    )


def has(node: Node, file: str) -> bool:
    return node.run(["test", "-s", file], check=False).returncode == 0


def told(node: Node) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = json.loads(node.read_file("/etc/pve/.version"))["kvstore"]
    return found


def test_backup_and_check_in_a_node(pair: Lab) -> None:
    first, second = pair.nodes
    first.write_file("/etc/pve/kept", "before")
    first.run(["pmxcfs-backup", "create"])
    first.write_file("/etc/pve/kept", "after")
    first.run(["pmxcfs-backup", "restore", "latest", "--path", "kept"])
    wait_for(lambda: second.read_file("/etc/pve/kept") == "before", timeout=20, what="the restored file")
    assert first.run(["pmxcfs-check"], check=False).returncode == 8
    first.run(["systemctl", "stop", "pve-cluster"])
    try:
        assert "clean" in first.run(["pmxcfs-check"], check=False).stdout
    finally:
        first.run(["systemctl", "start", "pve-cluster"])
    wait_for(lambda: first.read_file("/etc/pve/kept") == "before", timeout=30, what="the file system again")
