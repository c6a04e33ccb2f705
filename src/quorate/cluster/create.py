"""``pvecm create``: a cluster of one node (pvecm 1.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from quorate import reports
from quorate.cfs import CfsError
from quorate.cluster import conffile, nodefiles, ssh
from quorate.cluster.commands import CommandError
from quorate.cluster.host import ClusterError, Host
from quorate.cluster.locks import local_lock
from quorate.corosync.conf_edit import (
    NEW_CLUSTER_IP_VERSION,
    Link,
    NewNode,
    new_cluster,
    resolve_links,
)

COROSYNC_KEYGEN: Final = "/usr/sbin/corosync-keygen"
DEFAULT_TOKEN_COEFFICIENT: Final = 125
RESTART_SECONDS: Final = 90.0
"""systemd's own limit for starting a unit."""
QUORUM_SECONDS: Final = 30.0
"""A single node is quorate within two seconds of its start."""
QUORUM_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class CreateRequest:
    cluster_name: str
    links: Mapping[int, Link] = field(default_factory=dict)
    nodeid: int | None = None
    votes: int | None = None
    token_coefficient: int = DEFAULT_TOKEN_COEFFICIENT


def assert_not_clustered(host: Host) -> None:
    """Refused before any task is made of it."""
    if host.settings.cluster_conf.exists():
        raise ClusterError(f"cluster config '{host.settings.cluster_conf}' already exists")


def create_cluster(host: Host, request: CreateRequest) -> None:
    """Make this node the first of a new cluster; raises ClusterError.

    A failure takes back what would keep the node from joining another cluster: configuration and key. Files
    that any later attempt uses stay.
    """
    with local_lock(host, host.settings.pvecm_lock):
        assert_not_clustered(host)
        links = _links(host, request.links)
        ssh.setup_sshd(host)
        ssh.setup_root_client(host)
        ssh.setup_shared_keys(host)
        made_key = _ensure_corosync_key(host)
        node = NewNode(name=host.node, links=links, nodeid=request.nodeid, votes=request.votes)
        conf = new_cluster(request.cluster_name, node, token_coefficient=request.token_coefficient)
        host.out.line(f"Writing corosync config to {host.settings.cluster_conf}")
        try:
            conffile.activate(host, conf)
            ssh.merge_shared_keys(host)
            nodefiles.generate_node_files(host)
            ssh.write_node_host_key(host, host.node)
            ssh.merge_host_keys(host, create_link=True)
            host.out.line("Restart corosync and cluster filesystem")
            host.run(["systemctl", "restart", "corosync", "pve-cluster"], timeout=RESTART_SECONDS)
            _wait_until_usable(host)
        except BaseException as e:
            text = _take_back(host, made_key=made_key)
            raise ClusterError(f"{text}\n{str(e) or 'interrupted'}") from e


def _links(host: Host, wanted: Mapping[int, Link]) -> dict[int, Link]:
    if not wanted:
        return {0: Link(host.local_ip())}
    links, found = resolve_links(wanted, {"ip_version": NEW_CLUSTER_IP_VERSION}, host.lookup)
    problems = reports.errors(found)
    # Corosync would not start with it, and without Corosync nothing could be taken back.
    problems += [
        f"link{number}: cannot use IP '{link.address}', not found on local node!"
        for number, link in links.items()
        if not host.has_address(link.address)
    ]
    if problems:
        raise ClusterError("\n".join(problems))
    return links


def _ensure_corosync_key(host: Host) -> bool:
    """Whether the key had to be made."""
    key = host.settings.corosync_authkey
    if key.exists():
        return False
    key.parent.mkdir(parents=True, exist_ok=True)
    host.run([COROSYNC_KEYGEN, "-lk", str(key)], echo=True)
    if not key.exists():
        raise ClusterError(
            f"no authentication key available: {COROSYNC_KEYGEN} reported success but '{key}' is missing"
        )
    return True


def _wait_until_usable(host: Host) -> None:
    """So that the next command, here or a join from elsewhere, finds a cluster that accepts it."""
    end = host.clock.monotonic() + QUORUM_SECONDS
    while not host.cfs.quorate():
        if host.clock.monotonic() >= end:
            host.out.warning(f"the new cluster is not quorate after {QUORUM_SECONDS:g} s, see 'pvecm status'")
            return
        host.clock.sleep(QUORUM_POLL_SECONDS)


def _take_back(host: Host, *, made_key: bool) -> str:
    """Undo the configuration so that the node is as it was; says what could not be undone."""
    text = "cluster creation failed; this node is not in a cluster"
    try:
        host.cfs.remove(conffile.CONF)
        host.settings.corosync_conf.unlink(missing_ok=True)
        host.run(["systemctl", "stop", "corosync"], timeout=RESTART_SECONDS)
        host.run(["systemctl", "restart", "pve-cluster"], timeout=RESTART_SECONDS)
        if made_key:
            host.settings.corosync_authkey.unlink(missing_ok=True)
    except (CfsError, CommandError, OSError) as e:
        return (
            f"{text}, but not everything could be undone ({e}). Before the next attempt stop corosync"
            f" and pve-cluster, remove '{host.settings.corosync_conf}' and '{host.settings.corosync_authkey}'"
            f" and, with 'pmxcfs -l' running, '{host.settings.cluster_conf}', then start pve-cluster again"
        )
    return text
