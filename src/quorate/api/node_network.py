"""``/nodes/{node}/network``: the configured interfaces and what the kernel knows of them (pvecm 6.8)."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Final

from quorate.access.directory import directory_of
from quorate.api.nodes import NODE
from quorate.api.results import Page
from quorate.host.interfaces import Interface, matches, parse_interfaces, with_kernel
from quorate.host.machine import read_or_empty
from quorate.schema import (
    All,
    AnyValue,
    ApiError,
    Array,
    Check,
    Context,
    Integer,
    Object,
    Operation,
    Parameter,
    String,
)
from quorate.settings import Settings

FILE: Final = "/etc/network/interfaces"
PENDING: Final = "/etc/network/interfaces.new"
_BRIDGES: Final = ("bridge", "OVSBridge")
_UP: Final = 0x1
"""IFF_UP."""


def _list(ctx: Context, node: str, type: str | None = None) -> Page:  # noqa: A002 - the parameter's name
    present = read_or_empty(ctx.settings.at(FILE))
    pending = read_or_empty(ctx.settings.at(PENDING))
    interfaces = with_kernel(parse_interfaces(pending or present), existing_interfaces(ctx.settings), {})
    directory = directory_of(ctx.settings)
    shown = [
        interface
        for interface in interfaces
        if matches(interface, type)
        and (
            interface["type"] not in _BRIDGES
            or directory.may(
                ctx.user, f"/sdn/zones/localnetwork/{interface['iface']}", "SDN.Use", "SDN.Audit"
            )
        )
    ]
    return Page(shown, 0, changes=_difference(present, pending) if pending else "")


def _one(ctx: Context, node: str, iface: str) -> Interface:
    text = read_or_empty(ctx.settings.at(PENDING)) or read_or_empty(ctx.settings.at(FILE))
    for interface in with_kernel(parse_interfaces(text), existing_interfaces(ctx.settings), {}):
        if interface["iface"] == iface:
            return interface
    raise ApiError(400, "Parameter verification failed.", {"iface": "interface does not exist"})


def existing_interfaces(settings: Settings) -> dict[str, bool]:
    """Names of the kernel's interfaces and whether each is up."""
    try:
        names = sorted(path.name for path in settings.at("/sys/class/net").iterdir())
    except FileNotFoundError:
        return {}
    return {name: _is_up(settings.at(f"/sys/class/net/{name}/flags")) for name in names}


def _is_up(flags: Path) -> bool:
    try:
        return bool(int(flags.read_text(encoding="ascii"), 16) & _UP)
    except (OSError, ValueError):
        return False


def _difference(present: str, pending: str) -> str:
    lines = difflib.unified_diff(
        present.splitlines(keepends=True), pending.splitlines(keepends=True), FILE, PENDING
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


_TEXTS: Final = {
    "method": "How it gets its IPv4 address.",
    "method6": "How it gets its IPv6 address.",
    "address": "IPv4 address.",
    "address6": "IPv6 address.",
    "netmask": "Length of the network's prefix.",
    "netmask6": "Length of the network's prefix.",
    "cidr": "Address and prefix.",
    "cidr6": "Address and prefix.",
    "gateway": "Default gateway.",
    "gateway6": "Default gateway.",
    "bridge_ports": "What a bridge connects.",
    "bridge_stp": "Spanning tree protocol.",
    "bridge_fd": "Forward delay in seconds.",
    "bridge_vids": "VLANs that a bridge passes.",
    "slaves": "What a bond is made of.",
    "bond_mode": "Kind of bond.",
    "bond_miimon": "Milliseconds between two checks of a bond.",
    "bond-primary": "Interface that a bond prefers.",
    "bond_xmit_hash_policy": "How a bond distributes.",
    "vlan-id": "Number of a VLAN.",
    "vlan-raw-device": "What a VLAN is on.",
    "mtu": "Largest packet.",
    "ovs_type": "Type of Open vSwitch.",
    "ovs_bridge": "Its bridge.",
    "ovs_ports": "Ports of a bridge.",
    "ovs_bonds": "What a bond is made of.",
    "ovs_tag": "VLAN of a port.",
    "ovs_options": "Further options.",
    "comments": "Notes in the file.",
}
_FLAGS: Final = {
    "active": "It is up.",
    "exists": "The kernel has it.",
    "autostart": "It is brought up at boot.",
    "bridge_vlan_aware": "A bridge knows VLANs.",
}
_PROPERTIES: Final[dict[str, Parameter]] = {
    "iface": String(description="Its name."),
    "type": String(description="E.g. eth, bridge, bond, vlan, alias, unknown."),
    "families": Array(description="inet, inet6.", items=String()),
    "priority": Integer(description="Its place in the file."),
    **{key: String(description=text, optional=True) for key, text in _TEXTS.items()},
    **{key: Integer(description=text, enum=(0, 1), optional=True) for key, text in _FLAGS.items()},
    "options": Array(description="Other lines.", items=String(), optional=True),
    "options6": Array(description="Other lines.", items=String(), optional=True),
    "altnames": Array(description="Other names.", items=String(), optional=True),
}
_INTERFACE: Final = Object(properties=_PROPERTIES, additional=AnyValue())

OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/nodes/{node}/network",
        name="index",
        description="The node's interfaces but lo. Changes that wait for being applied are shown as applied,"
        " and their difference in the envelope's 'changes'.",
        handler=_list,
        parameters={
            "node": NODE,
            "type": String(
                description="Only of this type.",
                enum=(
                    *("bridge", "bond", "eth", "alias", "vlan", "fabric", "OVSBridge", "OVSBond", "OVSPort"),
                    *("OVSIntPort", "vnet", "any_bridge", "any_local_bridge", "include_sdn"),
                ),
                optional=True,
            ),
        },
        returns=Array(items=_INTERFACE, link="{iface}"),
        permission=All(note="Bridges are shown with SDN.Use or SDN.Audit on /sdn/zones/localnetwork/BRIDGE."),
        proxyto_node=True,
    ),
    Operation(
        method="GET",
        path="/nodes/{node}/network/{iface}",
        name="network_config",
        description="One interface.",
        handler=_one,
        parameters={
            "node": NODE,
            "iface": String(description="Its name.", min_length=2, max_length=20),
        },
        returns=_INTERFACE,
        permission=Check("/nodes/{node}", ("Sys.Audit",)),
        proxyto_node=True,
    ),
]
