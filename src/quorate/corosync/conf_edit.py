"""Changes to a corosync.conf as pure functions: a new cluster (pvecm 2.4), a node more or less (3.7, 4.1).

Locks, files and propagation are not here. Every function returns a new object and leaves its argument alone.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from quorate import reports
from quorate.corosync.conf import ConfError, CorosyncConf, Section, node_links, text_of
from quorate.corosync.conf_verify import Lookup, resolve
from quorate.reports import Report

NEW_CLUSTER_IP_VERSION: Final = "ipv4-6"


@dataclass(frozen=True, slots=True)
class Link:
    """A node's end of one Corosync link. The larger ``priority`` is preferred; 0 and None are not written."""

    address: str
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class NewNode:
    """A node that asks to be added; None = not asked for."""

    name: str
    links: Mapping[int, Link] = field(default_factory=dict)
    nodeid: int | None = None
    votes: int | None = None
    fallback_ip: str | None = None
    """``new_node_ip``: used for the only link of a cluster when no links are named."""
    api_version: int = 1
    force: bool = False


@dataclass(frozen=True, slots=True)
class Addition:
    """What add_node() found: the new file when there is no error among ``reports``."""

    reports: list[Report]
    conf: CorosyncConf | None = None
    entry: Section = field(default_factory=dict)
    overwrites: bool = False


def new_cluster(name: str, node: NewNode, *, token_coefficient: int | None = None) -> CorosyncConf:
    """The file of a cluster with one node; ``config_version`` 0, the first write raises it to 1."""
    interfaces: Section = {}
    for number, link in sorted(node.links.items()):
        interface: Section = {"linknumber": str(number)}
        if link.priority:
            interface["knet_link_priority"] = str(link.priority)
        interfaces[str(number)] = interface
    totem: Section = {
        "version": "2",
        "secauth": "on",
        "cluster_name": name,
        "config_version": "0",
        "ip_version": NEW_CLUSTER_IP_VERSION,
        "link_mode": "passive",
        "interface": interfaces,
    }
    if token_coefficient is not None:
        totem["token_coefficient"] = str(token_coefficient)
    addresses = {number: link.address for number, link in node.links.items()}
    entry = _entry(node.name, node.nodeid or 1, 1 if node.votes is None else node.votes, addresses)
    return CorosyncConf(
        main={
            "totem": totem,
            "nodelist": {"node": {node.name: entry}},
            "quorum": {"provider": "corosync_votequorum"},
            "logging": {"to_syslog": "yes", "debug": "off"},
        }
    )


def raise_version(conf: CorosyncConf) -> CorosyncConf:
    """The same with ``config_version`` one higher; raises ConfError if it has none."""
    version = conf.config_version
    if version is None:
        raise ConfError("invalid corosync config: unable to read config version")
    changed = copy.deepcopy(conf)
    changed.totem["config_version"] = str(version + 1)
    return changed


def resolve_links(
    links: Mapping[int, Link], totem: Mapping[str, object], lookup: Lookup
) -> tuple[dict[int, Link], list[Report]]:
    """Host names replaced by the IP that Corosync would take; a name without one is an error (pvecm 2.7)."""
    resolved: dict[int, Link] = {}
    found: list[Report] = []
    section: Section = {key: value for key, value in totem.items() if isinstance(value, str)}
    for number, link in sorted(links.items()):
        address = resolve(link.address, section, lookup)
        if address is None:
            family = section.get("ip_version", "ipv6-4")
            text = (
                f"link{number}: cannot use '{link.address}': it resolves to no usable IP address ({family})"
            )
            found.append(reports.error("UNRESOLVABLE", text))
        else:
            resolved[number] = Link(address, link.priority)
    return resolved, found


def add_node(conf: CorosyncConf, new: NewNode, lookup: Lookup) -> Addition:
    """Steps 4 to 8 of pvecm 3.7: all faults at once, or the changed file (version not yet raised)."""
    links, found = resolve_links(new.links, conf.totem, lookup)
    others = {name: node for name, node in conf.nodes.items() if name != new.name}
    for link in links.values():
        found += _already_used(others, link.address)
    cluster_links = sorted({number for node in conf.nodes.values() for number in node_links(node)})
    addresses = {number: link.address for number, link in links.items()}
    if reports.errors(found):
        return Addition(found)
    addresses, refusals = _choose_links(new, addresses, cluster_links)
    if new.fallback_ip is not None:
        refusals += _already_used(others, new.fallback_ip)
    found += refusals
    nodeid, votes, overwrites, refusals = _identity(conf.nodes.get(new.name), others, new)
    found += refusals
    if reports.errors(found):
        return Addition(found)
    entry = _entry(new.name, nodeid, votes, addresses)
    changed = copy.deepcopy(conf)
    nodelist = changed.main["nodelist"]
    if isinstance(nodelist, dict) and isinstance(nodelist["node"], dict):
        nodelist["node"][new.name] = entry
    return Addition(found, changed, entry, overwrites)


def find_node(conf: CorosyncConf, name_or_address: str) -> str | None:
    """The name of the node with this name, ring0_addr or ring1_addr (pvecm 4.1 step 3)."""
    nodes = conf.nodes
    if name_or_address in nodes:
        return name_or_address
    for name, node in nodes.items():
        links = node_links(node)
        if name_or_address in (links.get(0), links.get(1)):
            return name
    return None


def remove_node(conf: CorosyncConf, name: str) -> CorosyncConf:
    """The file without node ``name`` (version not yet raised)."""
    changed = copy.deepcopy(conf)
    nodelist = changed.main["nodelist"]
    if isinstance(nodelist, dict) and isinstance(nodelist["node"], dict):
        del nodelist["node"][name]
    return changed


def _entry(name: str, nodeid: int, votes: int, addresses: Mapping[int, str]) -> Section:
    entry: Section = {"name": name, "nodeid": str(nodeid)}
    if votes:
        entry["quorum_votes"] = str(votes)
    for number, address in sorted(addresses.items()):
        entry[f"ring{number}_addr"] = address
    return entry


def _already_used(others: Mapping[str, Section], address: str) -> list[Report]:
    for name, node in others.items():
        for number, used in node_links(node).items():
            if used == address:
                text = (
                    f"corosync: address '{address}' already used on link ring{number}_addr by node '{name}'"
                )
                return [reports.error("ADDRESS_IN_USE", text)]
    return []


def _choose_links(
    new: NewNode, addresses: dict[int, str], cluster_links: list[int]
) -> tuple[dict[int, str], list[Report]]:
    fallback = new.fallback_ip
    # A client of before version 1 names its only address as a link.
    old_client = new.api_version == 0 and fallback is None and len(addresses) == 1
    if old_client:
        fallback, addresses = next(iter(addresses.values())), {}
    if addresses:
        found = [
            reports.error(
                "LINK_MISSING",
                f"corosync: link {number} exists in cluster config but wasn't specified for new node",
            )
            for number in cluster_links
            if number not in addresses
        ]
        found += [
            reports.error(
                "LINK_UNKNOWN",
                f"corosync: link {number} specified for new node doesn't exist in cluster config",
            )
            for number in sorted(addresses)
            if number not in cluster_links
        ]
        return addresses, found
    if fallback is None:
        text = "no links and no fallback ip (new_node_ip) given, cannot join cluster"
        return {}, [reports.error("NO_LINKS", text)]
    if len(cluster_links) == 1:
        return {cluster_links[0]: fallback}, []
    if old_client:
        text = f"cluster has {len(cluster_links)} links, but only 1 given"
    else:
        text = (
            "no links given but multiple links found on other nodes,"
            " fallback only supported on single-link clusters"
        )
    return {}, [reports.error("NO_LINKS", text)]


def _identity(
    existing: Section | None, others: Mapping[str, Section], new: NewNode
) -> tuple[int, int, bool, list[Report]]:
    if existing is not None:
        old_id, old_votes = _number(existing, "nodeid"), _number(existing, "quorum_votes")
        nodeid = old_id if new.nodeid is None else new.nodeid
        votes = old_votes if new.votes is None else new.votes
        if new.force and nodeid is not None and nodeid == old_id and (votes or 0) == (old_votes or 0):
            return nodeid, votes or 0, True, []
        return 0, 0, False, [reports.error("NODE_EXISTS", f"can't add existing node '{new.name}'")]
    owners = {
        number: name for name, node in others.items() if (number := _number(node, "nodeid")) is not None
    }
    votes = 1 if new.votes is None else new.votes
    if new.nodeid is None:
        free = next(number for number in range(1, len(owners) + 2) if number not in owners)
        return free, votes, False, []
    if new.nodeid in owners:
        text = f"corosync: nodeid {new.nodeid} already used by node '{owners[new.nodeid]}'"
        return 0, 0, False, [reports.error("NODEID_IN_USE", text)]
    return new.nodeid, votes, False, []


def _number(section: Section, key: str) -> int | None:
    text = text_of(section, key)
    return int(text) if text is not None and text.isdecimal() else None
