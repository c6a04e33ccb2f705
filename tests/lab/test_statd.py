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


def test_the_daemons_words(pair: Lab) -> None:
    node = pair.nodes[0]
    assert says(node, "status") == "running"
    again = node.run(["pvestatd", "start", "--debug"], check=False)
    assert again.returncode == 1
    assert f"it runs already, as process {process_of(node)}" in again.stderr
    node.run(["pvestatd", "stop"])
    assert says(node, "status") == "stopped"
    assert node.run(["test", "-e", "/run/pvestatd.pid"], check=False).returncode == 1
    node.run(["pvestatd", "start"])
    first = wait_for(lambda: process_of(node), timeout=ROUNDS_SECONDS, what="its process")
    node.run(["pvestatd", "restart"])
    wait_for(lambda: process_of(node) not in ("", first), timeout=ROUNDS_SECONDS, what="the new process")
    assert says(node, "status") == "running"


def says(node: Node, word: str) -> str:
    return node.run(["pvestatd", word]).stdout.strip()


def process_of(node: Node) -> str:
    return node.run(["cat", "/run/pvestatd.pid"], check=False).stdout.strip()


CONTAINER = """
set -e
tree=/var/lib/lxc/101/rootfs
mkdir -p $tree/bin $tree/sbin $tree/etc $tree/proc $tree/sys $tree/dev
cp /bin/busybox $tree/bin/busybox
ln -s busybox $tree/bin/sh
ln -s ../bin/busybox $tree/sbin/init
cat > /var/lib/lxc/101/config <<END
lxc.uts.name = box
lxc.rootfs.path = dir:$tree
lxc.init.cmd = /sbin/init
lxc.signal.halt = SIGUSR1
lxc.net.0.type = empty
lxc.mount.auto = proc:mixed sys:mixed
lxc.apparmor.profile = unconfined
END
lxc-start -n 101 -P /var/lib/lxc
"""


def test_a_containers_figures(pair: Lab) -> None:
    first, second = pair.nodes
    first.write_file("/etc/pve/lxc/101.conf", "hostname: box\nmemory: 64\nrootfs: local:101/x.raw,size=1G\n")
    told = wait_for(lambda: guest(second, 101), timeout=ROUNDS_SECONDS, what="the stopped container")
    assert told[:4] == ["0", "box", "stopped", "0"]
    assert told[9:11] == [str(1 << 30), "0"]
    first.run(["sh", "-c", CONTAINER])
    wait_for(lambda: guest(second, 101)[2] == "running", timeout=ROUNDS_SECONDS, what="the running container")
    wait_for(lambda: guest(second, 101)[6] != "U", timeout=ROUNDS_SECONDS, what="its load")
    told = guest(second, 101)
    assert int(told[0]) >= 0
    assert int(told[9]) > int(told[10]) > 0  # of the file system that its root lies on
    first.run(["lxc-stop", "-n", "101", "-P", "/var/lib/lxc", "--kill"])
    wait_for(lambda: guest(second, 101)[2] == "stopped", timeout=ROUNDS_SECONDS, what="the stopped container")


def guest(node: Node, vmid: int) -> list[str]:
    """What this node was told of a guest; nothing yet: an empty list."""
    lines = [line.partition(":") for line in node.read_file("/etc/pve/.rrd").splitlines()]
    values = {key: value.split(":") for key, _, value in lines}
    # The old format is told until there are files, and stays for a while
    return values.get(f"pve-vm-9.0/{vmid}") or values.get(f"pve2.3-vm/{vmid}") or []


OLD_CERTIFICATE = """
import datetime
from quorate.cluster import certificates as certs
from quorate.cluster.host import Host
host = Host()
host.cfs.write(certs.node_certificate(host.node), certs.new_node_certificate(
    ca_pem=host.cfs.read(certs.CA_CERTIFICATE), ca_key_pem=host.cfs.read(certs.CA_KEY),
    key_pem=host.cfs.read(certs.node_key(host.node)), node=host.node, ip=host.local_ip(), domain=None,
    serial=77, now=datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=720)))
"""
"""Puts one in place that ends in some days."""


def test_a_certificate_is_renewed_by_the_daily_upkeep(pair: Lab) -> None:
    node = pair.nodes[0]
    assert node.run(["systemctl", "is-active", "pve-daily-update.timer"]).stdout.strip() == "active"
    node.run(["/opt/quorate/.venv/bin/python", "-c", OLD_CERTIFICATE])
    node.run(["pveproxy", "restart"])
    wait_for(lambda: served(node) == "serial=4D", timeout=ROUNDS_SECONDS, what="the old certificate served")
    node.run(["systemctl", "start", "pve-daily-update.service"])
    assert "renewing the certificate: it expires on" in node.journal("pve-daily-update")
    wait_for(lambda: served(node) not in ("", "serial=4D"), timeout=ROUNDS_SECONDS, what="a new one served")
    assert node.run(["pveupdate"]).stdout.startswith("leaving the certificate as it is: it is valid until")


def served(node: Node) -> str:
    """By the front, in openssl's words."""
    script = "openssl s_client -connect 127.0.0.1:8006 </dev/null 2>/dev/null | openssl x509 -noout -serial"
    return node.run(["sh", "-c", script], check=False).stdout.strip()


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
