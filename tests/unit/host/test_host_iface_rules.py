"""What must hold of interfaces for a change to be taken (pvecm 6.8)."""

from __future__ import annotations

import pytest

from quorate.host.ifacerules import problems, users_of
from quorate.host.interfaces import parse_interfaces

BASE = """\
iface eno1 inet manual
iface eno2 inet manual
iface eno3 inet static
 address 10.9.0.1/24
iface bond0 inet manual
 bond-slaves eno2
 bond-mode 802.3ad
iface vmbr0 inet static
 address 10.0.0.1/24
 gateway 10.0.0.254
 bridge-ports eno1
iface vmbr0 inet6 static
 address fd00::1/64
 gateway fd00::fe
iface bond0.7 inet manual
 mtu 1500
iface eno3:1 inet static
 address 10.9.0.2/24
"""
KERNEL = {"lo", "eno1", "eno2", "eno3", "eno4", "usb0"}


def _found(stanza: str, name: str = "new", base: str = BASE) -> dict[str, str]:
    return problems(parse_interfaces(f"{base}{stanza}\n"), name, KERNEL)


@pytest.mark.parametrize("name", ["eno1", "eno2", "eno3", "bond0", "vmbr0", "bond0.7", "eno3:1"])
def test_what_is_in_order(name: str) -> None:
    assert _found("", name) == {}


@pytest.mark.parametrize(
    ("lines", "parameter", "text"),
    [
        # Addresses
        ("address 10.1.0.1", "cidr", "the address 10.1.0.1 has no prefix or netmask"),
        ("address 10.1.0.1/33", "cidr", "'10.1.0.1/33' is no address with a prefix"),
        ("address fd00::7/64", "cidr", "'fd00::7/64' is no IPv4 address"),
        ("address 10.1.0.0/24", "cidr", "10.1.0.0 is the network's own address"),
        ("address 10.1.0.255/24", "cidr", "10.1.0.255 is the network's broadcast address"),
        ("address 224.0.0.5/24", "cidr", "224.0.0.5 cannot be an interface's address"),
        ("address 127.0.0.5/8", "cidr", "127.0.0.5 cannot be an interface's address"),
        ("address 10.0.0.1/16", "cidr", "10.0.0.1 is already the address of 'vmbr0'"),
        # Gateways
        ("gateway 10.1.0.254", "gateway", "a gateway needs an address of the same kind"),
        ("address 10.1.0.1/24\n gateway 10.1.0.1", "gateway", "this is the interface's own address"),
        ("address 10.1.0.1/24\n gateway 10.2.0.1", "gateway", "10.2.0.1 is not in the interface's network"),
        ("address 10.1.0.1/24\n gateway fd00::1", "gateway", "'fd00::1' is no IPv4 address"),
        ("address 10.1.0.1/24\n gateway x", "gateway", "'x' is no address"),
        (
            "address 10.1.0.1/24\n gateway 10.1.0.2",
            "gateway",
            "Default gateway already exists on interface 'vmbr0'.",
        ),
        # Bridges
        ("bridge-ports eno1", "bridge_ports", "'eno1' is already part of 'vmbr0'"),
        ("bridge-ports eno2", "bridge_ports", "'eno2' is already part of 'bond0'"),
        ("bridge-ports eno3", "bridge_ports", "'eno3' has an address, which 'new' has to carry then"),
        ("bridge-ports eno4 eno9", "bridge_ports", "there is no interface 'eno9'"),
        ("bridge-ports new", "bridge_ports", "it cannot be part of itself"),
        ("bridge-ports lo", "bridge_ports", "'lo' is no interface that could be part of another"),
        ("bridge-ports eno3:1", "bridge_ports", "'eno3:1' is no interface that could be part of another"),
        ("bridge-ports eno4\n bridge-vids 2-9", "bridge_vids", "only for a bridge that knows VLANs"),
        # Bonds
        ("bond-slaves eno2", "slaves", "'eno2' is already part of 'bond0'"),
        ("bond-slaves eno9", "slaves", "there is no interface 'eno9'"),
        ("bond-slaves bond0.7", "slaves", "'bond0.7' is no network card"),
        ("bond-slaves eno4\n bond-primary eno4", "bond-primary", "only for bonds of the modes active-backup"),
        (
            "bond-slaves eno4\n bond-mode active-backup\n bond-primary usb0",
            "bond-primary",
            "'usb0' is not one of the bond's slaves",
        ),
        (
            "bond-slaves eno4\n bond-mode active-backup\n bond-xmit-hash-policy layer2",
            "bond_xmit_hash_policy",
            "only for bonds of the modes balance-xor, 802.3ad",
        ),
        # VLANs
        ("vlan-raw-device eno9\n vlan-id 5", "vlan-raw-device", "there is no interface 'eno9'"),
        ("vlan-raw-device new\n vlan-id 5", "vlan-raw-device", "it cannot be a VLAN of itself"),
        ("vlan-raw-device eno4", "vlan-id", "a VLAN has a number from 1 to 4094"),
        ("vlan-raw-device eno4\n vlan-id 4095", "vlan-id", "a VLAN has a number from 1 to 4094"),
        ("vlan-raw-device bond0\n vlan-id 7", "vlan-id", "'bond0.7' is VLAN 7 of 'bond0' already"),
    ],
)
def test_what_is_not(lines: str, parameter: str, text: str) -> None:
    found = _found(f"iface new inet static\n {lines}")
    assert list(found) == [parameter]
    assert text in found[parameter]


@pytest.mark.parametrize(
    "lines",
    [
        "address 10.1.0.0/31",
        "address 10.1.0.1/32",
        "bridge-ports eno4 usb0\n bridge-vlan-aware yes\n bridge-vids 2-4094",
        "bridge-ports none",
        "bridge-ports regex en.*",
        "bridge-ports bond0.7",
        "bond-slaves eno4 usb0\n bond-mode active-backup\n bond-primary usb0",
        "bond-slaves none",
        "bond-slaves eno4\n bond-mode balance-xor\n bond-xmit-hash-policy layer3+4",
        "vlan-raw-device bond0\n vlan-id 8",
    ],
)
def test_what_is_allowed(lines: str) -> None:
    assert _found(f"iface new inet static\n {lines}") == {}


@pytest.mark.parametrize(
    "lines",
    [
        "address 10.1.0.1/32\n gateway 10.2.0.1",
        "address 10.1.0.1/24\n gateway 10.2.0.1\n pointopoint 10.2.0.1",
        "address 10.1.0.1/24\n gateway 10.1.0.2",
    ],
)
def test_gateways_where_there_is_no_other(lines: str) -> None:
    assert _found(f"iface new inet static\n {lines}", base="iface eno1 inet manual\n") == {}


def test_the_second_family_has_its_own_gateway() -> None:
    found = _found("iface new inet6 static\n address fd01::1/64\n gateway fe80::1")
    assert found == {"gateway6": "Default gateway already exists on interface 'vmbr0'."}
    assert _found("iface new inet6 static\n address fd00:0::1/48") == {
        "cidr6": "fd00:0::1 is already the address of 'vmbr0'"
    }
    assert _found("iface new inet6 static\n address ff02::1/64") == {
        "cidr6": "ff02::1 cannot be an interface's address"
    }


def test_parts_carry_no_address() -> None:
    text = BASE.replace("iface eno1 inet manual", "iface eno1 inet static\n address 10.7.0.1/24")
    assert _found("", "eno1", text) == {"cidr": "it is part of 'vmbr0', which carries the address for it"}


def test_a_bridge_of_bridges_and_of_its_own_vlan() -> None:
    assert _found("iface new inet manual\n bridge-ports vmbr0 ")["bridge_ports"].startswith("'vmbr0' has an")
    assert _found(
        "iface new inet manual\n bridge-ports plain\niface plain inet manual\n bridge-ports none"
    ) == {"bridge_ports": "'plain' is a bridge itself"}
    assert _found("iface new inet manual\n bridge-ports new.5\niface new.5 inet manual") == {
        "bridge_ports": "'new.5' is a VLAN of it"
    }


def test_names_that_say_what_they_are_on() -> None:
    assert _found("iface eno9.5 inet manual", "eno9.5") == {"vlan-raw-device": "there is no interface 'eno9'"}
    assert _found("iface vlan5 inet manual", "vlan5") == {
        "vlan-raw-device": "which interface is it a VLAN of?"
    }
    assert _found("iface eno9:1 inet manual", "eno9:1") == {"iface": "there is no interface 'eno9'"}
    long = "bridge_of_guests1"
    assert _found(f"iface {long} inet manual", long) == {
        "iface": "the kernel takes names of up to 15 characters"
    }


def test_packets_that_do_not_fit_into_the_device_of_a_vlan() -> None:
    base = "iface eno1 inet manual\n mtu 1500\n"
    assert _found("iface eno1.5 inet manual\n mtu 9000", "eno1.5", base) == {
        "mtu": "larger than that of 'eno1' (1500)"
    }


def test_who_is_made_of_what() -> None:
    interfaces = parse_interfaces(
        BASE
        + "iface ovs0 inet manual\n ovs_type OVSBridge\n ovs_ports eno4 bond1\n"
        + "iface bond1 inet manual\n ovs_type OVSBond\n ovs_bridge ovs0\n ovs_bonds usb0\n"
    )
    used = {name: users_of(interfaces, name) for name in ("eno1", "eno2", "eno3", "bond0", "vmbr0", "usb0")}
    assert used == {
        "eno1": ["vmbr0"],
        "eno2": ["bond0"],
        "eno3": ["eno3:1"],
        "bond0": ["bond0.7"],
        "vmbr0": [],
        "usb0": ["bond1"],
    }
    assert users_of(interfaces, "ovs0") == ["bond1"]
    assert users_of(interfaces, "bond1") == ["ovs0"]
