"""The cluster that the other tests start from: formed by pvecm, on real Corosync, with a short token."""

from __future__ import annotations

from collections.abc import Callable

from lab import Lab, wait_for
from lab.cluster import is_writable, wait_read_only, wait_writable


def test_a_cluster_on_two_links_replicates(new_cluster: Callable[..., Lab]) -> None:
    lab = new_cluster(nodes=2, links=2)
    n1, n2 = lab.nodes
    assert n1.run(["corosync-cmapctl", "-g", "runtime.config.totem.token"]).stdout.split()[-1] == "1000"
    assert "ring1_addr: 10.77.1.2" in n2.read_file("/etc/pve/corosync.conf")
    n1.write_file("/etc/pve/from-n1", "hello")
    wait_for(
        lambda: n2.run(["cat", "/etc/pve/from-n1"], check=False).stdout == "hello",
        timeout=30,
        what="the file to be on n2",
    )


def test_a_node_that_is_cut_off_is_read_only_until_it_is_back(cluster: Lab) -> None:
    n1, _, n3 = cluster.nodes
    cluster.cut("n3")
    wait_read_only(n3)
    assert is_writable(n1)
    cluster.heal()
    wait_writable(n3)
