"""May this node join a cluster (pvecm 3.2)? Every problem is found at once; nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping

from quorate import reports
from quorate.cfs import CfsError
from quorate.cluster.host import AddressError, ClusterError, Host
from quorate.corosync.conf_edit import NEW_CLUSTER_IP_VERSION, Link
from quorate.corosync.conf_verify import resolve
from quorate.formats import is_ip
from quorate.reports import Report

FAILED = "Check if node may join a cluster failed!"


def check_joinable(host: Host, links: Mapping[int, Link]) -> list[Report]:
    """Everything that speaks against a join of this node."""
    settings = host.settings
    found: list[Report] = []
    if settings.corosync_authkey.exists():
        text = f"authentication key '{settings.corosync_authkey}' already exists"
        found.append(reports.error("AUTHKEY_EXISTS", text))
    if settings.cluster_conf.exists():
        text = f"cluster config '{settings.cluster_conf}' already exists"
        found.append(reports.error("CONF_EXISTS", text))
    try:
        if host.cfs.guests():
            found.append(reports.error("HAS_GUESTS", "this host already contains virtual guests"))
    except CfsError as e:
        found.append(reports.error("GUESTS_UNKNOWN", f"unable to tell whether this host has guests - {e}"))
    if host.run(["corosync-quorumtool", "-l"], check=False).status == 0:
        text = "corosync is already running, is this node already in a cluster?!"
        found.append(reports.error("COROSYNC_RUNS", text))
    return found + _check_addresses(host, links)


def assert_joinable(host: Host, links: Mapping[int, Link], *, force: bool) -> None:
    """Print every problem; raise ClusterError unless there is none or ``force``."""
    problems = reports.errors(check_joinable(host, links))
    if not problems:
        return
    listed = "".join(f"* {text}\n" for text in problems)
    host.out.error(f"detected the following error(s):\n{listed}".rstrip("\n"))
    if not force:
        raise ClusterError(FAILED)
    host.out.error("\nWARNING : detected error but forced to continue!\n")


def resolve_own_links(host: Host, links: Mapping[int, Link]) -> dict[int, Link]:
    """Host names among the links replaced by their address, so that the cluster gets addresses only.

    Names that do not resolve stay as they are: check_joinable() reports them.
    """
    totem = {"ip_version": NEW_CLUSTER_IP_VERSION}
    return {
        number: Link(resolve(link.address, totem, host.lookup) or link.address, link.priority)
        for number, link in links.items()
    }


def _check_addresses(host: Host, links: Mapping[int, Link]) -> list[Report]:
    found: list[Report] = []
    try:
        ip = host.local_ip()
        if not host.has_address(ip):
            text = f"local node address: cannot use IP '{ip}', not found on local node!"
            found.append(reports.error("ADDRESS_NOT_LOCAL", text))
    except AddressError as e:
        found.append(reports.error("NO_ADDRESS", f"local node address: {e}"))
    for number, link in sorted(links.items()):
        address = resolve(link.address, {"ip_version": NEW_CLUSTER_IP_VERSION}, host.lookup)
        if address is None or not is_ip(address):
            text = f"link{number}: cannot use '{link.address}': it does not resolve to an IP address"
            found.append(reports.error("UNRESOLVABLE", text))
        elif not host.has_address(address):
            text = f"link{number}: cannot use IP '{address}', not found on local node!"
            found.append(reports.error("ADDRESS_NOT_LOCAL", text))
    return found
