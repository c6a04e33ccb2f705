"""What must hold of a node's interfaces for a change to be taken (pvecm 6.8). Pure.

Each rule looks at the configuration as it would be, and says what is wrong by the name of the parameter.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from quorate.host.interfaces import Interface

MAX_NAME: Final = 15
"""Characters of a name that the kernel takes."""
MAX_VLAN: Final = 4094
HASHING_MODES: Final = ("balance-xor", "802.3ad")
"""Kinds of bonds that distribute by a policy."""
PRIMARY_MODES: Final = ("active-backup", "balance-tlb", "balance-alb")

_PATTERNS: Final = frozenset({"regex", "glob", "all", "none"})
"""Words among the ports of a bridge that are no interfaces."""
_OVS_LISTS: Final = ("ovs_ports", "ovs_bonds")


def problems(interfaces: Sequence[Interface], name: str, existing: Collection[str]) -> dict[str, str]:
    """What is wrong with the interface ``name`` among all; ``existing``: names that the kernel knows."""
    own = next(interface for interface in interfaces if interface["iface"] == name)
    others = [interface for interface in interfaces if interface is not own]
    known = {str(interface["iface"]) for interface in interfaces} | set(existing)
    found: dict[str, str] = {}
    for rule in (
        _names(own),
        _addresses(own, others),
        _gateways(own, others),
        _bridge(own, others, known),
        _bond(own, others, known),
        _vlan(own, others, known),
        _alias(own, known),
    ):
        for parameter, text in rule:
            found.setdefault(parameter, text)
    return found


def users_of(interfaces: Sequence[Interface], name: str) -> list[str]:
    """Interfaces that are made of this one: bridges, bonds, VLANs, aliases."""
    found = []
    for interface in interfaces:
        parts = [*ports(interface), *_words(interface, "slaves")]
        parts += [word for key in _OVS_LISTS for word in _words(interface, key)]
        parts += [str(interface.get("vlan-raw-device", "")), str(interface.get("ovs_bridge", ""))]
        if interface["type"] == "alias":
            parts.append(str(interface["iface"]).partition(":")[0])
        if name in parts and interface["iface"] != name:
            found.append(str(interface["iface"]))
    return found


def ports(interface: Interface) -> list[str]:
    """What a bridge connects, as far as it is named one by one."""
    words = _words(interface, "bridge_ports")
    return [] if _PATTERNS & set(words) else words


Problems = Iterator[tuple[str, str]]


def _names(own: Interface) -> Problems:
    name = str(own["iface"])
    if len(name) > MAX_NAME:
        yield "iface", f"the kernel takes names of up to {MAX_NAME} characters"


def _addresses(own: Interface, others: Sequence[Interface]) -> Problems:
    for suffix in ("", "6"):
        address = own.get(f"address{suffix}")
        if address is None:
            continue
        parameter = f"cidr{suffix}"
        text = str(own.get(parameter, address))
        try:
            interface = ipaddress.ip_interface(text)
        except ValueError:
            yield parameter, f"'{text}' is no address with a prefix"
            continue
        if interface.version != (6 if suffix else 4):
            yield parameter, f"'{text}' is no IPv{'6' if suffix else '4'} address"
        elif "/" not in text:
            yield parameter, f"the address {text} has no prefix or netmask"
        elif (problem := _unusable(interface)) is not None:
            yield parameter, problem
        for other in others:
            if _same(other.get(f"address{suffix}"), str(address)):
                yield parameter, f"{address} is already the address of '{other['iface']}'"
        for master in _masters(others, str(own["iface"])):
            yield parameter, f"it is part of '{master}', which carries the address for it"


def _unusable(interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> str | None:
    address, network = interface.ip, interface.network
    if address.is_multicast or address.is_unspecified or address.is_loopback:
        return f"{address} cannot be an interface's address"
    if isinstance(address, ipaddress.IPv4Address) and network.prefixlen < 31:
        if address == network.network_address:
            return f"{address} is the network's own address, a host's has other bits behind the prefix"
        if address == network.broadcast_address:
            return f"{address} is the network's broadcast address"
    return None


def _gateways(own: Interface, others: Sequence[Interface]) -> Problems:
    for suffix in ("", "6"):
        parameter = f"gateway{suffix}"
        gateway, cidr = own.get(parameter), own.get(f"cidr{suffix}")
        if gateway is None:
            continue
        if cidr is None:
            yield parameter, "a gateway needs an address of the same kind"
            continue
        try:
            router, interface = ipaddress.ip_address(str(gateway)), ipaddress.ip_interface(str(cidr))
        except ValueError:
            yield parameter, f"'{gateway}' is no address"
            continue
        if router.version != interface.version:
            yield parameter, f"'{gateway}' is no IPv{interface.version} address"
        elif router == interface.ip:
            yield parameter, "the gateway is another host: this is the interface's own address"
        elif not _reaches(own, suffix, interface, router):
            yield parameter, f"{gateway} is not in the interface's network {interface.network}"
        for other in others:
            if other.get(parameter) is not None:
                yield parameter, f"Default gateway already exists on interface '{other['iface']}'."


def _reaches(
    own: Interface,
    suffix: str,
    interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface,
    router: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> bool:
    """Whether the gateway is in the network, or how it is reached is said by other lines or by nobody: hosts
    with a single address and a gateway elsewhere are usual."""
    alone = interface.network.prefixlen == interface.max_prefixlen
    return router in interface.network or router.is_link_local or alone or bool(own.get(f"options{suffix}"))


def _bridge(own: Interface, others: Sequence[Interface], known: set[str]) -> Problems:
    for port in ports(own):
        if (problem := _part(own, others, known, port)) is not None:
            yield "bridge_ports", problem
        elif any(other["iface"] == port and other["type"] == "bridge" for other in others):
            yield "bridge_ports", f"'{port}' is a bridge itself"
    if own["type"] == "bridge" and own.get("bridge_vids") and not own.get("bridge_vlan_aware"):
        yield "bridge_vids", "only for a bridge that knows VLANs (bridge_vlan_aware)"


def _bond(own: Interface, others: Sequence[Interface], known: set[str]) -> Problems:
    if own["type"] != "bond":
        return
    slaves, mode = _words(own, "slaves"), str(own.get("bond_mode", "balance-rr"))
    for slave in slaves:
        if slave == "none":
            continue
        if (problem := _part(own, others, known, slave)) is not None:
            yield "slaves", problem
        elif any(other["iface"] == slave and other["type"] not in ("eth", "unknown") for other in others):
            yield "slaves", f"'{slave}' is no network card"
    primary = own.get("bond-primary")
    if primary is not None and mode not in PRIMARY_MODES:
        yield "bond-primary", f"only for bonds of the modes {', '.join(PRIMARY_MODES)}"
    elif primary is not None and primary not in slaves:
        yield "bond-primary", f"'{primary}' is not one of the bond's slaves"
    if own.get("bond_xmit_hash_policy") is not None and mode not in HASHING_MODES:
        yield "bond_xmit_hash_policy", f"only for bonds of the modes {', '.join(HASHING_MODES)}"


def _part(own: Interface, others: Sequence[Interface], known: set[str], name: str) -> str | None:
    """Why an interface cannot be a part of this bridge or bond."""
    if name == own["iface"]:
        return "it cannot be part of itself"
    if name == "lo" or ":" in name:
        return f"'{name}' is no interface that could be part of another"
    if name not in known:
        return f"there is no interface '{name}'"
    if (user := next(iter(_masters(others, name)), None)) is not None:
        return f"'{name}' is already part of '{user}'"
    for other in others:
        if other["iface"] == name:
            if other.get("vlan-raw-device") == own["iface"]:
                return f"'{name}' is a VLAN of it"
            if other.get("address") is not None or other.get("address6") is not None:
                return f"'{name}' has an address, which '{own['iface']}' has to carry then: remove it there"
    return None


def _vlan(own: Interface, others: Sequence[Interface], known: set[str]) -> Problems:
    if own["type"] != "vlan":
        return
    device, number = own.get("vlan-raw-device"), str(own.get("vlan-id", ""))
    if device is None:
        yield "vlan-raw-device", "which interface is it a VLAN of?"
    elif device == own["iface"]:
        yield "vlan-raw-device", "it cannot be a VLAN of itself"
    elif str(device) not in known:
        yield "vlan-raw-device", f"there is no interface '{device}'"
    if not (number.isdecimal() and 1 <= int(number) <= MAX_VLAN):
        yield "vlan-id", f"a VLAN has a number from 1 to {MAX_VLAN}"
    for other in others:
        if other["type"] == "vlan" and _vlan_of(other) == (str(device), number):
            yield "vlan-id", f"'{other['iface']}' is VLAN {number} of '{device}' already"
        mtu, outer = str(own.get("mtu", "")), str(other.get("mtu", ""))
        if other["iface"] == device and mtu.isdecimal() and outer.isdecimal() and int(mtu) > int(outer):
            yield "mtu", f"larger than that of '{device}' ({outer})"


def _vlan_of(interface: Interface) -> tuple[str, str]:
    return str(interface.get("vlan-raw-device")), str(interface.get("vlan-id"))


def _alias(own: Interface, known: set[str]) -> Problems:
    if own["type"] == "alias":
        base = str(own["iface"]).partition(":")[0]
        if base not in known:
            yield "iface", f"there is no interface '{base}'"


def _masters(interfaces: Sequence[Interface], name: str) -> list[str]:
    """Bridges and bonds that an interface is part of."""
    return [
        str(interface["iface"])
        for interface in interfaces
        if name in ports(interface) or name in _words(interface, "slaves")
    ]


def _words(interface: Interface, key: str) -> list[str]:
    return str(interface.get(key, "")).split()


def _same(one: object, other: str) -> bool:
    if one is None:
        return False
    try:
        return ipaddress.ip_address(str(one)) == ipaddress.ip_address(other)
    except ValueError:
        return one == other
