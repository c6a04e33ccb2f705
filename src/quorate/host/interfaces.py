"""What ``/etc/network/interfaces`` says of each interface (pvecm 6.8). Text in, dictionaries out.

How the file is made of stanzas is known by `ifacefile`. Nothing is read here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Final

from quorate.host.ifacefile import Stanza, is_automatic, parse

Interface = dict[str, object]

PHYSICAL: Final = re.compile(r"(?:eth\d+|en[^:.]+|ib[^:.]+|nic\d+|wl[^:.]+)")
_METHODS: Final = ("static", "manual", "dhcp", "auto", "loopback")

FIELDS: Final = {
    "bridge_ports": "bridge_ports",
    "bridge_stp": "bridge_stp",
    "bridge_fd": "bridge_fd",
    "bridge_vlan_aware": "bridge_vlan_aware",
    "bridge_vids": "bridge_vids",
    "bond_slaves": "slaves",
    "slaves": "slaves",
    "bond_mode": "bond_mode",
    "bond_miimon": "bond_miimon",
    "bond_primary": "bond-primary",
    "bond_xmit_hash_policy": "bond_xmit_hash_policy",
    "vlan_raw_device": "vlan-raw-device",
    "vlan_id": "vlan-id",
    "mtu": "mtu",
    "ovs_type": "ovs_type",
    "ovs_bridge": "ovs_bridge",
    "ovs_ports": "ovs_ports",
    "ovs_bonds": "ovs_bonds",
    "ovs_tag": "ovs_tag",
    "ovs_options": "ovs_options",
}
"""Option of the file, dashes as underscores -> field; the rest goes into ``options``."""
_YES: Final = frozenset({"yes", "on", "1", "true"})


def parse_interfaces(text: str) -> list[Interface]:
    """All interfaces but ``lo``, in the order of the file (``priority``)."""
    found: dict[str, Interface] = {}
    automatic: set[str] = set()
    for stanza in parse(text):
        if is_automatic(stanza):
            automatic.update(stanza.words[1:])
        name = stanza.iface
        if name is not None and stanza.family is not None:
            _add(found.setdefault(name, {"iface": name, "families": []}), stanza)
    result = []
    for priority, (name, interface) in enumerate(
        ((name, interface) for name, interface in found.items() if name != "lo"), 3
    ):
        if name in automatic:
            interface["autostart"] = 1
        interface["priority"] = priority
        _finish(interface)
        result.append(interface)
    return result


def kind_of(interface: Mapping[str, object]) -> str:
    """Type of an interface by its options, else by its name."""
    name = str(interface["iface"])
    if "ovs_type" in interface:
        return str(interface["ovs_type"])
    if "bridge_ports" in interface:
        return "bridge"
    if "slaves" in interface:
        return "bond"
    if ":" in name:
        return "alias"
    if "vlan-raw-device" in interface or re.fullmatch(r"\S+\.\d+|vlan\d+", name):
        return "vlan"
    if PHYSICAL.fullmatch(name):
        return "eth"
    if re.fullmatch(r"vmbr\d+|br\d+", name):
        return "bridge"
    return "bond" if re.fullmatch(r"bond\d+", name) else "unknown"


def with_kernel(
    interfaces: Iterable[Interface], existing: Mapping[str, bool], alternative: Mapping[str, list[str]]
) -> list[Interface]:
    """Add what the kernel knows: ``existing`` names and whether each is up; cards without configuration."""
    result = list(interfaces)
    known = {str(interface["iface"]) for interface in result}
    for name in sorted(existing):
        if name not in known and PHYSICAL.fullmatch(name):
            blank: Interface = {"iface": name, "families": ["inet"], "method": "manual", "method6": "manual"}
            result.append({**blank, "type": "eth", "priority": len(result) + 3})
    for interface in result:
        name = str(interface["iface"])
        if name in existing:
            interface["exists"] = 1
            if existing[name]:
                interface["active"] = 1
        if alternative.get(name):
            interface["altnames"] = alternative[name]
    return result


def matches(interface: Mapping[str, object], wanted: str | None) -> bool:
    """Whether an interface is of the ``type`` asked for (pvecm 6.8)."""
    kind = interface["type"]
    if wanted is None or wanted == "include_sdn":
        return True
    if wanted in ("any_bridge", "any_local_bridge"):
        return kind in ("bridge", "OVSBridge")
    return kind == wanted


def prefix_length(mask: str) -> str:
    """``24`` or ``255.255.255.0`` -> ``24``; anything else comes back as it is."""
    if mask.isdecimal():
        return mask
    try:
        return str(ipaddress.ip_network(f"0.0.0.0/{mask}").prefixlen)
    except ValueError:
        return mask


def _add(interface: Interface, stanza: Stanza) -> None:
    families = interface["families"]
    assert isinstance(families, list)
    if stanza.family not in families:
        families.append(stanza.family)
    suffix = "6" if stanza.family == "inet6" else ""
    method = stanza.method if stanza.method in _METHODS else "manual"
    if method == "static" or f"method{suffix}" not in interface:
        interface[f"method{suffix}"] = method  # of several stanzas the one with addresses counts
    for line in stanza.options:
        _option(interface, suffix, line.words[0], line.value)
    for line in stanza.comments:
        key = f"comments{suffix}"
        text = line.raw[1:].removesuffix("\n").removesuffix("\r")
        interface[key] = f"{interface.get(key, '')}{text}\n"


def _option(interface: Interface, suffix: str, key: str, value: str) -> None:
    if key == "address" and f"address{suffix}" not in interface:
        address, slash, prefix = value.partition("/")
        interface[f"address{suffix}"] = address
        if slash:
            interface[f"netmask{suffix}"] = prefix
    elif key == "netmask":
        interface.setdefault(f"netmask{suffix}", prefix_length(value))
    elif key == "gateway":
        interface[f"gateway{suffix}"] = value
    elif (field := FIELDS.get(key.replace("-", "_"))) is not None:
        interface[field] = value
    else:
        options = interface.setdefault(f"options{suffix}", [])
        assert isinstance(options, list)
        options.append(f"{key} {value}".strip())


def _finish(interface: Interface) -> None:
    for suffix in ("", "6"):
        interface.setdefault(f"method{suffix}", "manual")
        address, prefix = interface.get(f"address{suffix}"), interface.get(f"netmask{suffix}")
        if address and prefix:
            interface[f"cidr{suffix}"] = f"{address}/{prefix}"
    if "bridge_vlan_aware" in interface:
        interface["bridge_vlan_aware"] = int(str(interface["bridge_vlan_aware"]).lower() in _YES)
    for key in ("bridge_ports", "slaves"):
        if interface.get(key) == "none":
            interface[key] = ""
    interface["type"] = kind_of(interface)
    name = str(interface["iface"])
    if interface["type"] == "vlan":
        raw, dot, number = name.rpartition(".")
        if dot and number.isdecimal():
            interface.setdefault("vlan-raw-device", raw)
            interface.setdefault("vlan-id", number)
        elif (match := re.fullmatch(r"vlan(\d+)", name)) is not None:
            interface.setdefault("vlan-id", match[1])
