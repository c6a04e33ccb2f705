"""corosync.conf is edited in one place, as the manual says, and reaches every host and every corosync."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab import Lab, Node, wait_for
from tests.lab.support_corosync import RELOAD_SECONDS, running_version, version_of
from tests.lab.support_fs import PVE, agents, file_system_cluster, wait_converged, wait_ready

HOST_COPY = "/etc/corosync/corosync.conf"


@pytest.fixture(scope="module")
def cluster(laboratories: Any) -> Iterator[Lab]:
    with file_system_cluster(laboratories) as lab:
        yield lab


def with_version(text: str, version: int) -> str:
    return re.sub(r"config_version: \d+", f"config_version: {version}", text)


def edit(node: Node, text: str) -> None:
    """The manual's way: edit a copy, then move it over the file."""
    node.run(["cp", f"{PVE}/corosync.conf", f"{PVE}/corosync.conf.new"])
    node.write_file(f"{PVE}/corosync.conf.new", text)
    node.run(["mv", f"{PVE}/corosync.conf.new", f"{PVE}/corosync.conf"])


def wait_everywhere(nodes: list[Node], text: str) -> None:
    for node in nodes:
        wait_for(
            lambda node=node: node.read_file(HOST_COPY) == text,  # type: ignore[misc]
            timeout=RELOAD_SECONDS,
            what=f"the new corosync.conf on {node.name}",
            seen=lambda node=node: node.read_file(HOST_COPY),  # type: ignore[misc]
        )
    for node in nodes:
        wait_for(
            lambda node=node: running_version(node) == version_of(text),  # type: ignore[misc]
            timeout=RELOAD_SECONDS,
            what=f"corosync on {node.name} to use version {version_of(text)}",
            seen=lambda node=node: node.journal(None, "-n", "20"),  # type: ignore[misc]
        )


@pytest.mark.parametrize("editor", ["n1", "n3"])
def test_an_edited_corosync_conf_is_used_by_all(cluster: Lab, editor: str) -> None:
    node = cluster.node(editor)
    old = node.read_file(f"{PVE}/corosync.conf")
    version = version_of(old) + 1
    new = re.sub(r"\btoken: \d+", f"token: {1000 + version}", with_version(old, version))
    edit(node, new)
    wait_everywhere(cluster.nodes, new)
    for each in cluster.nodes:
        assert f"= {1000 + version}\n" in each.run(["corosync-cmapctl", "-g", "totem.token"]).stdout
        assert each.run(["stat", "-c", "%a %U:%G", HOST_COPY]).stdout == "644 root:root\n"
    wait_ready(cluster.nodes)
    wait_converged(cluster.nodes)


def test_an_older_corosync_conf_is_not_used(cluster: Lab, allow_warnings: Callable[[str], None]) -> None:
    allow_warnings(r"older than version \d+ on this host: the host's file is kept")
    n2 = cluster.node("n2")
    text = n2.read_file(f"{PVE}/corosync.conf")
    edit(n2, with_version(text, version_of(text) - 1))
    for node in cluster.nodes:
        wait_for(
            lambda node=node: "the host's file is kept" in node.journal("pve-cluster"),  # type: ignore[misc]
            timeout=RELOAD_SECONDS,
            what=f"{node.name} to refuse the older configuration",
        )
        assert node.read_file(HOST_COPY) == text
        assert running_version(node) == version_of(text)
    newer = with_version(text, version_of(text) + 1)
    edit(n2, newer)
    wait_everywhere(cluster.nodes, newer)


def test_a_node_that_was_away_gets_the_new_corosync_conf(cluster: Lab) -> None:
    n1, n2, n3 = cluster.nodes
    text = n1.read_file(f"{PVE}/corosync.conf")
    newer = with_version(text, version_of(text) + 1)
    n3.systemctl("stop", "pve-cluster")
    edit(n1, newer)
    wait_everywhere([n1, n2], newer)
    assert n3.read_file(HOST_COPY) == text
    n3.systemctl("start", "pve-cluster")
    wait_for(
        lambda: n3.read_file(HOST_COPY) == newer, timeout=RELOAD_SECONDS, what="the newer corosync.conf on n3"
    )
    wait_ready(cluster.nodes)
    with agents([n3]) as (third,):
        assert third.call("read", f"{PVE}/corosync.conf") == newer
