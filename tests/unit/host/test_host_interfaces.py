"""/etc/network/interfaces as data (pvecm 6.8)."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from quorate.host.interfaces import matches, parse_interfaces, with_kernel

TEXT = """\
# The loopback
auto lo
iface lo inet loopback

auto eno1
iface eno1 inet manual

auto bond0
iface bond0 inet manual
	bond-slaves eno1 \\
		eno2
	bond-mode active-backup
	bond-miimon 100

auto vmbr0
iface vmbr0 inet static
	address 10.0.0.1/24
	gateway 10.0.0.254
	bridge-ports bond0
	bridge-stp off
	bridge-fd 0
	bridge-vlan-aware yes
	post-up ip route add 10.9.0.0/16 via 10.0.0.9
#the main one
iface vmbr0 inet6 static
	address fd00::1
	netmask 64

iface vmbr1 inet static
	address 192.168.5.1
	netmask 255.255.252.0
	bridge_ports none

iface bond0.7 inet dhcp
iface vlan9 inet manual
	vlan-raw-device eno1
iface eno1:1 inet manual
iface strange inet ppp

source /etc/network/interfaces.d/*
"""


def _by_name(text: str) -> dict[str, Any]:
    return {str(interface["iface"]): interface for interface in parse_interfaces(text)}


def test_a_bridge_with_both_families() -> None:
    assert _by_name(TEXT)["vmbr0"] == {
        "iface": "vmbr0",
        "type": "bridge",
        "families": ["inet", "inet6"],
        "method": "static",
        "method6": "static",
        "address": "10.0.0.1",
        "netmask": "24",
        "cidr": "10.0.0.1/24",
        "gateway": "10.0.0.254",
        "address6": "fd00::1",
        "netmask6": "64",
        "cidr6": "fd00::1/64",
        "bridge_ports": "bond0",
        "bridge_stp": "off",
        "bridge_fd": "0",
        "bridge_vlan_aware": 1,
        "options": ["post-up ip route add 10.9.0.0/16 via 10.0.0.9"],
        "comments": "the main one\n",
        "autostart": 1,
        "priority": 5,
    }


def test_types_and_methods() -> None:
    found = _by_name(TEXT)
    assert {name: interface["type"] for name, interface in found.items()} == {
        "eno1": "eth",
        "bond0": "bond",
        "vmbr0": "bridge",
        "vmbr1": "bridge",
        "bond0.7": "vlan",
        "vlan9": "vlan",
        "eno1:1": "alias",
        "strange": "unknown",
    }
    assert found["bond0"]["slaves"].split() == ["eno1", "eno2"]
    assert (found["bond0.7"]["vlan-raw-device"], found["bond0.7"]["vlan-id"]) == ("bond0", "7")
    assert (found["vlan9"]["vlan-raw-device"], found["vlan9"]["vlan-id"]) == ("eno1", "9")
    assert found["bond0.7"]["method"] == "dhcp"
    assert found["strange"]["method"] == "manual"
    assert "autostart" not in found["vmbr1"]


def test_old_spelling_of_masks_and_options() -> None:
    vmbr1 = _by_name(TEXT)["vmbr1"]
    assert (vmbr1["cidr"], vmbr1["bridge_ports"]) == ("192.168.5.1/22", "")


def test_what_the_kernel_has() -> None:
    found = with_kernel(
        parse_interfaces("iface eth0 inet dhcp\niface vmbr7 inet manual\n"),
        {"lo": True, "eth0": True, "eth1": False, "veth1": True},
        {"eth0": ["enp0s1"]},
    )
    by_name = {str(interface["iface"]): interface for interface in found}
    assert list(by_name) == ["eth0", "vmbr7", "eth1"]
    assert (by_name["eth0"]["active"], by_name["eth0"]["exists"]) == (1, 1)
    assert by_name["eth0"]["altnames"] == ["enp0s1"]
    assert "exists" not in by_name["vmbr7"]
    assert (by_name["eth1"]["type"], by_name["eth1"].get("active")) == ("eth", None)


def test_choosing_by_type() -> None:
    bridge = {"type": "bridge"}
    assert matches(bridge, None)
    assert matches(bridge, "bridge")
    assert matches(bridge, "any_bridge")
    assert not matches(bridge, "bond")
    assert not matches({"type": "eth"}, "any_local_bridge")


@given(st.text(st.sampled_from("auto iface inet6 static address /24#\\\n\t .:vmbr0eno1"), max_size=120))
def test_any_text_can_be_read(text: str) -> None:
    for interface in parse_interfaces(text):
        assert {"iface", "type", "families", "method", "method6", "priority"} <= interface.keys()
