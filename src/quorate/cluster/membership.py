"""The cluster's side of joining and leaving: add, remove, join information (pvecm 3.7, 3.8, 4.1)."""

from __future__ import annotations

import syslog
from dataclasses import dataclass, field
from typing import Any, Final

from quorate import reports
from quorate.cfs import CfsError
from quorate.cluster import conffile, nodefiles, ssh
from quorate.cluster.commands import CommandError
from quorate.cluster.host import ClusterError, Host
from quorate.cluster.locks import config_change_lock
from quorate.clusterlog import record
from quorate.corosync.conf import CorosyncConf, text_of
from quorate.corosync.conf_edit import NewNode, add_node, find_node, remove_node
from quorate.corosync.conf_verify import verify
from quorate.settings import JOIN_API_VERSION

OLDEST_JOINER: Final = JOIN_API_VERSION - 1
TAKE_BACK_QUORUM_SECONDS: Final = 10.0
"""After lowering the expected votes; the file system follows within a second."""
_POLL_SECONDS: Final = 0.2
NOT_CLUSTERED: Final = "node is not in a cluster, no join info available!"


class NotClusteredError(ClusterError):
    """There is no cluster to give information about (HTTP 424)."""


class RefusedError(ClusterError):
    """A request was refused for several reasons; ``errors`` names them all for the joining node to show."""

    def __init__(self, text: str, errors: dict[str, str]) -> None:
        super().__init__(text)
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Admission:
    """What a node needs to become a member. The key is secret: ``repr`` leaves it out."""

    authkey: bytes = field(repr=False)
    conf: bytes
    warnings: list[str]


def add(host: Host, new: NewNode) -> Admission:
    """Enter a node into the configuration; raises ClusterError or RefusedError, then nothing has changed."""
    if new.api_version < OLDEST_JOINER:
        raise ClusterError(
            f"error: unsupported old API version on joining node ({new.api_version}), cluster node has"
            f" {JOIN_API_VERSION} and supports >= {OLDEST_JOINER}. Please upgrade node before joining"
        )
    host.cfs.require_quorate()
    with config_change_lock(host) as held:
        conf = conffile.read(host)
        found = verify(conf, host.lookup)
        if reports.errors(found):
            raise RefusedError("invalid corosync.conf", reports.numbered(found))
        addition = add_node(conf, new, host.lookup)
        problems = reports.errors(addition.reports)
        if addition.conf is None:
            more = reports.numbered(addition.reports) if len(problems) > 1 else {}
            raise RefusedError(problems[0], more)
        if addition.overwrites:
            host.out.line(f"forcing overwrite of configured node '{new.name}'")
        authkey = host.settings.corosync_authkey.read_bytes()
        nodefiles.make_directories(host, new.name)
        try:
            ssh.merge_shared_keys(host)
        except (CfsError, OSError) as e:
            host.out.error(f"unable to merge SSH keys - {e}")
        if held is not None:
            held.remaining()
        if addition.conf.nodes != conf.nodes:
            record(host.settings, f"adding node {new.name} to cluster", priority=syslog.LOG_NOTICE)
            conffile.activate(host, addition.conf)
        # Else a node that is joining asks once more for the present file: a new version of it, of the same
        # content, would make the next one that is joining right now stale in turn.
        return Admission(authkey, host.cfs.read(conffile.CONF), reports.warnings(found))


def remove(host: Host, name_or_address: str, *, take_back: bool = False) -> None:
    """Remove a node from the configuration (pvecm 4.1).

    ``take_back`` is asked for by a node whose own join failed: if every other configured node is online here
    and the node itself is not, the expected votes are lowered first. Without that a cluster of one node that
    entered a second one, which then did not come, would stay without quorum. Corosync counts a new entry from
    a second after it was written on: quorum may go while it is taken back, and is regained then.
    """
    try:
        _remove(host, name_or_address, take_back=take_back)
    except (ClusterError, CfsError):
        if not take_back or host.cfs.quorate():
            raise
        _remove(host, name_or_address, take_back=True)


def _remove(host: Host, name_or_address: str, *, take_back: bool) -> None:
    if name_or_address == host.node:
        raise ClusterError("Cannot delete myself from cluster!")
    if take_back and not host.cfs.quorate():
        _regain_quorum(host, name_or_address)
    if not host.cfs.quorate():
        raise ClusterError("cluster not ready - no quorum?")
    with config_change_lock(host) as held:
        conf = conffile.read(host)
        name = find_node(conf, name_or_address)
        if name is None:
            raise ClusterError(f"Node/IP: {name_or_address} is not a known host of the cluster.")
        if name == host.node:
            raise ClusterError("Cannot delete myself from cluster!")
        record(host.settings, f"deleting node {name} from cluster", priority=syslog.LOG_NOTICE)
        nodeid = text_of(conf.nodes[name], "nodeid")
        if nodeid is not None:
            try:
                host.run(["corosync-cfgtool", "-k", nodeid], check=False, echo=True)
            except CommandError as e:
                host.out.error(str(e))
        if held is not None:
            held.remaining()
        conffile.activate(host, remove_node(conf, name))
        if take_back:
            nodefiles.remove_empty_directories(host, name)


def nodes(host: Host) -> list[dict[str, Any]]:
    """Every node section with ``node`` = its name; empty without a cluster."""
    return [{**section, "node": name} for name, section in conffile.read(host).nodes.items()]


def totem(host: Host) -> dict[str, Any] | None:
    """The totem section; None without a cluster."""
    conf = conffile.read(host)
    return dict(conf.totem) if conf.main else None


def join_info(host: Host, preferred: str | None = None) -> dict[str, Any]:
    """What a node that wants to join needs to know (pvecm 3.8); raises ClusterError."""
    preferred = preferred or host.node
    conf = conffile.read(host)
    if not conf.nodes:
        raise NotClusteredError(NOT_CLUSTERED)
    if preferred not in conf.nodes:
        raise ClusterError(f"unknown node '{preferred}'")
    nodelist = [
        {**section, "pve_addr": host.node_ip(name), "pve_fp": node_fingerprint(host, name)}
        for name, section in conf.nodes.items()
    ]
    return {
        "nodelist": nodelist,
        "preferred_node": preferred,
        "totem": dict(conf.totem),
        "config_digest": conf.digest,
    }


def node_fingerprint(host: Host, node: str) -> str:
    """Fingerprint of the certificate that the node's API shows; raises ClusterError."""
    from quorate.cluster.certificates import fingerprint

    for path in (f"nodes/{node}/pveproxy-ssl.pem", f"nodes/{node}/pve-ssl.pem"):
        try:
            return fingerprint(host.cfs.read(path))
        except FileNotFoundError:
            continue
        except (ValueError, CfsError) as e:
            raise ClusterError(f"unable to get fingerprint from certificate '{path}' - {e}") from e
    raise ClusterError(
        f"unable to get fingerprint of node '{node}' - it has no certificate yet"
        f" (run 'pvecm updatecerts' on it)"
    )


def may_regain_quorum(conf: CorosyncConf, online: set[str], leaving: str) -> bool:
    """Whether the partition may lower its expected votes to let ``leaving`` go: all the others are in it,
    so no other partition can exist."""
    others = set(conf.nodes) - {leaving}
    return leaving in conf.nodes and leaving not in online and bool(others) and others <= online


def _regain_quorum(host: Host, leaving: str) -> None:
    conf = conffile.read(host)
    online = {name for name, member in host.cfs.members().nodes.items() if member.online}
    # The own entry may be missing for a moment after a reload; this node is certainly here.
    if not may_regain_quorum(conf, online | {host.node}, leaving):
        raise ClusterError(
            f"cluster not ready - no quorum? (not all members but '{leaving}' are online, so its entry"
            f" cannot be taken back safely)"
        )
    others = [section for name, section in conf.nodes.items() if name != leaving]
    votes = sum(int(text_of(section, "quorum_votes") or "0") for section in others)
    host.run(["corosync-quorumtool", "-e", str(max(votes, 1))])
    end = host.clock.monotonic() + TAKE_BACK_QUORUM_SECONDS
    while not host.cfs.quorate() and host.clock.monotonic() < end:
        host.clock.sleep(_POLL_SECONDS)
