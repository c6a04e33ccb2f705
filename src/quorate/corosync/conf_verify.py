"""Judgement on a corosync.conf (pvecm 2.5) and Corosync's way to resolve an address (pvecm 2.7).

Never raises: every error and warning is returned at once. Name lookup is handed in; no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from quorate import reports
from quorate.corosync.conf import CorosyncConf, Section, Value, node_links, text_of
from quorate.formats import is_ip
from quorate.reports import Report

MAX_LINKS: Final = 8
"""Corosync's limit: links 0 to 7."""

Lookup = Callable[[str], Sequence[str]]
"""Host name -> addresses as text in the resolver's order; raises OSError when the lookup fails."""

_FAMILIES: Final[dict[str, tuple[int, ...]]] = {
    "ipv4": (4,),
    "ipv6": (6,),
    "ipv6-4": (6, 4),
    "ipv4-6": (4, 6),
}


def resolve(address: str, totem: Mapping[str, Value], lookup: Lookup) -> str | None:
    """The IP that Corosync would use for ``address`` under ``totem.ip_version``; None if there is none."""
    if is_ip(address):
        return address
    try:
        found = lookup(address)
    except OSError:
        return None
    first: dict[int, str] = {}
    for text in found:
        first.setdefault(6 if ":" in text else 4, text)
    order = _FAMILIES.get((text_of(totem, "ip_version") or "ipv6-4").lower(), (6, 4))
    return next((first[family] for family in order if family in first), None)


def verify(conf: CorosyncConf, lookup: Lookup) -> list[Report]:
    """Every error and warning about ``conf``, in the order of pvecm 2.5, then our own further warnings."""
    if not conf.nodes:
        return [reports.error("NO_NODES", "no nodes found")]
    if not conf.totem:
        return [reports.error("NO_TOTEM", "no totem found")]
    found: list[Report] = []
    if text_of(conf.totem, "secauth") != "on" and text_of(conf.totem, "crypto_cipher") in (None, "none"):
        found.append(
            reports.warning(
                "NOT_ENCRYPTED",
                "warning: authentication/encryption is not explicitly enabled"
                " (secauth / crypto_cipher / crypto_hash)",
            )
        )
    for link in range(MAX_LINKS):
        found += _verify_link(conf, link, lookup)
    return found + _duplicates(conf.nodes)


def _verify_link(conf: CorosyncConf, link: int, lookup: Lookup) -> list[Report]:
    found: list[Report] = []
    interfaces = conf.interfaces
    nodes = conf.nodes
    used = any(link in node_links(node) for node in nodes.values())
    for name, node in nodes.items():
        address = node_links(node).get(link)
        if interfaces:
            if address is not None:
                found += _verify_address(conf, name, link, address, lookup)
                if str(link) not in interfaces:
                    text = (
                        f"node '{name}' has 'ring{link}_addr',"
                        f" but there is no interface number {link} configured"
                    )
                    found.append(reports.error("NO_INTERFACE", text))
            elif str(link) in interfaces:
                text = f"node '{name}' is missing address for interface number {link}"
                found.append(reports.error("NO_ADDRESS", text))
        elif used and address is None:
            text = f"node '{name}' is missing link {link}, which is configured on other nodes"
            found.append(reports.error("NO_LINK", text))
    return found


def _verify_address(conf: CorosyncConf, node: str, link: int, address: str, lookup: Lookup) -> list[Report]:
    resolved = resolve(address, conf.totem, lookup)
    if resolved is None:
        text = (
            f"warning: unable to resolve ring{link}_addr '{address}' for node '{node}' to an IP address"
            " according to Corosync's resolve strategy - cluster could fail on restart!"
        )
        return [reports.warning("UNRESOLVABLE", text)]
    if resolved != address:
        text = (
            f"warning: ring{link}_addr '{address}' for node '{node}' resolves to '{resolved}'"
            " - consider replacing it with the currently resolved IP address for stability"
        )
        return [reports.warning("RESOLVES", text)]
    return []


def _duplicates(nodes: Mapping[str, Section]) -> list[Report]:
    """Node ids and addresses used twice: the original does not look, Corosync misbehaves later."""
    found: list[Report] = []
    by_id: dict[str, str] = {}
    by_address: dict[str, str] = {}
    for name, node in nodes.items():
        nodeid = text_of(node, "nodeid")
        if nodeid is not None and by_id.setdefault(nodeid, name) != name:
            text = f"warning: nodes '{by_id[nodeid]}' and '{name}' have the same nodeid {nodeid}"
            found.append(reports.warning("DUPLICATE_NODEID", text))
        for link, address in node_links(node).items():
            owner = by_address.setdefault(address, name)
            if owner != name:
                text = f"warning: ring{link}_addr '{address}' of node '{name}' is also used by node '{owner}'"
                found.append(reports.warning("DUPLICATE_ADDRESS", text))
    return found
