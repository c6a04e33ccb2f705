"""Setting up and removing a QDevice on all nodes (pvecm 5.1, 5.2)."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Sequence
from typing import Final

from quorate.cfs import Members
from quorate.cluster import conffile, ssh
from quorate.cluster.commands import CommandError, Result
from quorate.cluster.host import ClusterError, Host
from quorate.cluster.locks import COROSYNC_LOCK
from quorate.corosync.conf import CorosyncConf, Section

STEP_SECONDS: Final = 60.0
RELOAD_SECONDS: Final = 30.0
"""Until Corosync on a node has read the new file: pmxcfs has it reloaded a second after the change, or later
where several changes follow each other."""
POLL_SECONDS: Final = 0.2
INTERACTIVE_SECONDS: Final = 300.0
QNETD_STORE: Final = "/etc/corosync/qnetd/nssdb"
CA_FILE: Final = "qnetd-cacert.crt"
P12_FILE: Final = "qdevice-net-node.p12"
REQUEST_FILE: Final = "qdevice-net-node.crq"


def setup(host: Host, address: str, *, force: bool) -> None:
    """Make ``address`` the cluster's external vote; raises ClusterError."""
    conffile.require_cluster(host)
    members = _all_online(host)
    conf = conffile.read(host)
    if "device" in conf.quorum and not force:
        raise ClusterError("QDevice already configured!")
    even = len(members.nodes) % 2 == 0
    if not even and not force:
        raise ClusterError("Clusters with an odd node count are not officially supported!")
    algorithm = "ffsplit" if even else "lms"
    _copy_own_key(host, address)
    _clear_store(host, force=force)
    _exchange_certificates(host, members, conf.cluster_name or "", address)
    _info(host, "add QDevice to cluster configuration")
    with host.cfs.lock(COROSYNC_LOCK, waiting=host.out.error) as held:
        conf = conffile.read(host)
        if "device" in conf.quorum:
            raise ClusterError("Qdevice already configured, must be removed before setting up new one!")
        held.remaining()
        conffile.activate(host, with_device(conf, address, algorithm))
    for node in sorted(members.nodes):
        _info(host, f"start and enable corosync qdevice daemon on node '{node}'...")
        _wait_for_reload(host, node)
        _on_node(host, node, "systemctl start corosync-qdevice")
        _on_node(host, node, "systemctl enable corosync-qdevice")
    host.run(["corosync-cfgtool", "-R"], echo=True)


def remove(host: Host) -> None:
    """Take the external vote out of the configuration and off all nodes; raises ClusterError."""
    conffile.require_cluster(host)
    members = _all_online(host)
    with host.cfs.lock(COROSYNC_LOCK, waiting=host.out.error) as held:
        conf = conffile.read(host)
        if "device" not in conf.quorum:
            raise ClusterError("No QDevice configured!")
        held.remaining()
        conffile.activate(host, without_device(conf))
    for command in (
        "rm -rf /etc/corosync/qdevice",
        "systemctl stop corosync-qdevice",
        "systemctl disable corosync-qdevice",
    ):
        for node in sorted(members.nodes):
            _on_node(host, node, command)
    host.run(["corosync-cfgtool", "-R"], echo=True)
    host.out.line("\nRemoved Qdevice.")


def with_device(conf: CorosyncConf, address: str, algorithm: str) -> CorosyncConf:
    """The configuration with the device; only ffsplit has a fixed vote (pvecm 5.1)."""
    changed = copy.deepcopy(conf)
    device: Section = {"model": "net", "net": {"tls": "on", "host": address, "algorithm": algorithm}}
    if algorithm == "ffsplit":
        device["votes"] = "1"
    quorum = changed.main.setdefault("quorum", {"provider": "corosync_votequorum"})
    if isinstance(quorum, dict):
        quorum["device"] = device
    return changed


def without_device(conf: CorosyncConf) -> CorosyncConf:
    changed = copy.deepcopy(conf)
    changed.quorum.pop("device", None)
    return changed


def _all_online(host: Host) -> Members:
    members = host.cfs.members()
    for node, member in sorted(members.nodes.items()):
        if not member.online:
            raise ClusterError(f"All nodes must be online! Node {node} is offline, aborting.")
    return members


def _copy_own_key(host: Host, address: str) -> None:
    key = host.settings.root_ssh_dir / "id_rsa"
    host.run(
        ["ssh-copy-id", "-i", str(key), f"root@{address}"], timeout=INTERACTIVE_SECONDS, interactive=True
    )


def _clear_store(host: Host, *, force: bool) -> None:
    store = host.settings.qdevice_store
    if not store.exists():
        return
    if not force:
        raise ClusterError("QDevice certificate store already initialised, set force to delete!")
    shutil.rmtree(store)


def _exchange_certificates(host: Host, members: Members, cluster: str, address: str) -> None:
    mount = host.settings.mountpoint
    store = host.settings.qdevice_store
    nodes = sorted(members.nodes)
    _info(host, "initializing qnetd server")
    _on_server(host, address, "corosync-qnetd-certutil -i", check=False)
    _info(host, "copying CA cert and initializing on all nodes")
    ca = mount / CA_FILE
    try:
        _scp(host, f"root@[{address}]:{QNETD_STORE}/{CA_FILE}", str(ca))
        for node in nodes:
            _on_node(host, node, f"corosync-qdevice-net-certutil -i -c {ca}", check=False)
    finally:
        host.cfs.remove(CA_FILE)
    _info(host, "generating cert request")
    host.run(["corosync-qdevice-net-certutil", "-r", "-n", cluster], timeout=STEP_SECONDS, echo=True)
    _info(host, "copying exported cert request to qnetd server")
    _scp(host, str(store / REQUEST_FILE), f"root@[{address}]:/tmp")
    _info(host, "sign and export cluster cert")
    _on_server(host, address, f"corosync-qnetd-certutil -s -c /tmp/{REQUEST_FILE} -n {cluster}")
    _info(host, "copy exported CRT")
    certificate = f"cluster-{cluster}.crt"
    _scp(host, f"root@[{address}]:{QNETD_STORE}/{certificate}", str(store))
    _info(host, "import certificate")
    host.run(
        ["corosync-qdevice-net-certutil", "-M", "-c", str(store / certificate)],
        timeout=STEP_SECONDS,
        echo=True,
    )
    _info(host, "copy and import pk12 cert to all nodes")
    try:
        _scp(host, str(store / P12_FILE), f"{mount}/")
        for node in nodes:
            _on_node(host, node, f"corosync-qdevice-net-certutil -m -c {mount / P12_FILE}")
    finally:
        host.cfs.remove(P12_FILE)


def _wait_for_reload(host: Host, node: str) -> None:
    """Until Corosync on ``node`` knows the device: the daemon ends at once where it does not (pvecm 5.1)."""
    argv = [*_member_command(host, node), "corosync-cmapctl -g quorum.device.model"]
    end = host.clock.monotonic() + RELOAD_SECONDS
    while (result := host.run(argv, timeout=STEP_SECONDS, check=False)).status != 0:
        if host.clock.monotonic() >= end:
            raise ClusterError(
                f"node '{node}': corosync has not taken over the QDevice after {RELOAD_SECONDS:g} s"
                f" ({(result.stderr or result.stdout).strip()}); see 'journalctl -u pve-cluster -u corosync'"
                " there, then remove the QDevice and set it up again"
            )
        host.clock.sleep(POLL_SECONDS)


def _info(host: Host, text: str) -> None:
    host.out.line(f"\nINFO: {text}")


def _on_server(host: Host, address: str, command: str, *, check: bool = True) -> Result:
    argv = ["ssh", "-o", "BatchMode=yes", "-lroot", address, command]
    return host.run(argv, timeout=STEP_SECONDS, check=check, echo=True)


def _on_node(host: Host, node: str, command: str, *, check: bool = True) -> None:
    argv = [*_member_command(host, node), command]
    try:
        result = host.run(argv, timeout=STEP_SECONDS, check=check)
    except CommandError as e:
        raise ClusterError(f"node '{node}': {e}") from e
    for line in (result.stdout + result.stderr).splitlines():
        host.out.line(f"\nnode '{node}': {line}")


def _member_command(host: Host, node: str) -> list[str]:
    member = host.cfs.members().nodes.get(node)
    if member is None or member.ip is None:
        raise ClusterError(f"cannot get the cluster IP for node '{node}'.")
    return ssh.member_command(host, node, member.ip)


def _scp(host: Host, source: str, target: str) -> None:
    argv: Sequence[str] = ["scp", "-o", "BatchMode=yes", source, target]
    host.run(argv, timeout=STEP_SECONDS)
