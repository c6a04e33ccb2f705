"""``/nodes/{node}/network``: the configured interfaces and what the kernel knows of them (pvecm 6.8)."""

from __future__ import annotations

from typing import Final

from quorate.access.directory import directory_of
from quorate.api.nodes import NODE
from quorate.api.results import Page
from quorate.host.altnames import alternative_names
from quorate.host.interfaces import Interface, matches, with_kernel
from quorate.host.network import existing_interfaces, read_network
from quorate.schema import (
    VERIFICATION_FAILED,
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

_BRIDGES: Final = ("bridge", "OVSBridge")


def _list(ctx: Context, node: str, type: str | None = None) -> Page:  # noqa: A002 - the parameter's name
    network = read_network(ctx.settings)
    interfaces = with_kernel(network.interfaces, existing_interfaces(ctx.settings), alternative_names())
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
    return Page(shown, 0, changes=network.difference)


def _one(ctx: Context, node: str, iface: str) -> Interface:
    network = read_network(ctx.settings)
    for interface in with_kernel(network.interfaces, existing_interfaces(ctx.settings), alternative_names()):
        if interface["iface"] == iface:
            return {**interface, "digest": network.digest}
    raise ApiError(400, VERIFICATION_FAILED, {"iface": "interface does not exist"})


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
    "comments6": "Notes at its IPv6 part.",
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
        returns=Array(items=_INTERFACE, link="{iface}", has_changes=True),
        permission=All(note="Bridges are shown with SDN.Use or SDN.Audit on /sdn/zones/localnetwork/BRIDGE."),
        proxyto_node=True,
    ),
    Operation(
        method="GET",
        path="/nodes/{node}/network/{iface}",
        name="network_config",
        description="One interface, with the changes that wait, and the digest to send along with another.",
        handler=_one,
        parameters={
            "node": NODE,
            "iface": String(description="Its name.", min_length=2, max_length=20),
        },
        returns=Object(
            properties={**_PROPERTIES, "digest": String(description="SHA-1 of the whole configuration.")},
            additional=AnyValue(),
        ),
        permission=Check("/nodes/{node}", ("Sys.Audit",)),
        proxyto_node=True,
    ),
]
