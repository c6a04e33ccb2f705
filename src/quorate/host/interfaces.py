"""``/etc/network/interfaces`` as data (pvecm 6.8). Text in, dictionaries out; nothing is read here."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Final

Interface = dict[str, object]

PHYSICAL: Final = re.compile(r"(?:eth\d+|en[^:.]+|ib[^:.]+|nic\d+|wl[^:.]+)")
_FAMILIES: Final = ("inet", "inet6")
_METHODS: Final = ("static", "manual", "dhcp", "auto", "loopback")

_FIELDS: Final = {
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
    current: Interface | None = None
    family = "inet"
    for line in _lines(text):
        words = line.split()
        if words[0] in ("auto", "allow-auto"):
            automatic.update(words[1:])
            current = None
        elif words[0] == "iface" and len(words) >= 4 and words[2] in _FAMILIES:
            family = words[2]
            current = found.setdefault(words[1], {"iface": words[1], "families": []})
            _begin(current, family, words[3])
        elif words[0] in ("iface", "mapping", "source", "source-directory") or words[0].startswith("allow-"):
            current = None
        elif current is not None:
            _option(current, family, words[0], line[len(words[0]) :].strip())
    _comments(text, found)
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


def _lines(text: str) -> Iterable[str]:
    """Without comments and empty lines; lines that end with a backslash go on."""
    pending = ""
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue
        pending += line
        if pending.endswith("\\"):
            pending = pending[:-1]
            continue
        if pending.strip():
            yield pending.strip()
        pending = ""
    if pending.strip():
        yield pending.strip()


def _begin(interface: Interface, family: str, method: str) -> None:
    families = interface["families"]
    assert isinstance(families, list)
    if family not in families:
        families.append(family)
    suffix = "6" if family == "inet6" else ""
    interface[f"method{suffix}"] = method if method in _METHODS else "manual"


def _option(interface: Interface, family: str, key: str, value: str) -> None:
    suffix = "6" if family == "inet6" else ""
    if key == "address":
        address, slash, prefix = value.partition("/")
        interface[f"address{suffix}"] = address
        if slash:
            interface[f"netmask{suffix}"] = prefix
    elif key == "netmask":
        interface[f"netmask{suffix}"] = _prefix_length(value)
    elif key == "gateway":
        interface[f"gateway{suffix}"] = value
    elif (field := _FIELDS.get(key.replace("-", "_"))) is not None:
        interface[field] = value
    else:
        options = interface.setdefault(f"options{suffix}", [])
        assert isinstance(options, list)
        options.append(f"{key} {value}".strip())


def _comments(text: str, found: Mapping[str, Interface]) -> None:
    current: str | None = None
    for line in text.splitlines():
        words = line.split()
        if line.startswith("#") and current is not None:
            interface = found[current]
            interface["comments"] = f"{interface.get('comments', '')}{line[1:]}\n"
        elif words[:1] == ["iface"] and len(words) > 1:
            current = words[1] if words[1] in found else None
        elif (words and words[0] in ("auto", "source", "mapping")) or (
            words and words[0].startswith("allow-")
        ):
            current = None


def _finish(interface: Interface) -> None:
    for suffix in ("", "6"):
        interface.setdefault(f"method{suffix}", "manual")
        address, prefix = interface.get(f"address{suffix}"), interface.get(f"netmask{suffix}")
        if address and prefix:
            interface[f"cidr{suffix}"] = f"{address}/{prefix}"
    if "bridge_vlan_aware" in interface:
        interface["bridge_vlan_aware"] = int(str(interface["bridge_vlan_aware"]).lower() in _YES)
    if interface.get("bridge_ports") == "none":
        interface["bridge_ports"] = ""
    interface["type"] = kind_of(interface)
    name = str(interface["iface"])
    if interface["type"] == "vlan":
        raw, dot, number = name.rpartition(".")
        if dot and number.isdecimal():
            interface.setdefault("vlan-raw-device", raw)
            interface.setdefault("vlan-id", number)
        elif (match := re.fullmatch(r"vlan(\d+)", name)) is not None:
            interface.setdefault("vlan-id", match[1])


def _prefix_length(mask: str) -> str:
    if mask.isdecimal():
        return mask
    try:
        return str(ipaddress.ip_network(f"0.0.0.0/{mask}").prefixlen)
    except ValueError:
        return mask
