"""Changing a node's network over a temporary root: what waits, what is refused, applying (pvecm 6.8)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from quorate.api import node_network_changes
from quorate.api.results import Page
from quorate.host.files import HostFileError
from quorate.schema import ApiError
from quorate.settings import Settings
from tests.unit.api.cluster_world import Api

INTERFACES = """\
auto lo
iface lo inet loopback

iface eno1 inet manual

auto vmbr0
iface vmbr0 inet static
	address 10.0.0.1/24
	gateway 10.0.0.254
	bridge-ports eno1
	bridge-stp off
	bridge-fd 0
	post-up echo up

source /etc/network/interfaces.d/*
"""
PATH = "/nodes/n1/network"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(root=tmp_path)
    settings.mountpoint.mkdir(parents=True)
    (settings.mountpoint / "user.cfg").write_text("")
    for path, text in (
        ("/etc/network/interfaces", INTERFACES),
        ("/etc/network/interfaces.d/storage", "iface eno5 inet static\n\taddress 10.5.0.1/24\n"),
        *((f"/sys/class/net/{name}/flags", "0x1003\n") for name in ("eno1", "eno2", "eno5", "em1")),
    ):
        settings.at(path).parent.mkdir(parents=True, exist_ok=True)
        settings.at(path).write_text(text)
    return settings


@pytest.fixture
def api(settings: Settings) -> Api:
    return Api(settings)


def _pending(settings: Settings) -> str:
    path = settings.at("/etc/network/interfaces.new")
    return path.read_text() if path.exists() else ""


def _vlan(device: str, number: int) -> dict[str, Any]:
    return {"vlan-id": number, "vlan-raw-device": device}


def _refused(api: Api, method: str, path: str, **params: Any) -> dict[str, str]:
    with pytest.raises(ApiError) as refused:
        api(method, path, **params)
    assert refused.value.status == 400, refused.value
    return refused.value.errors or {}


# -- changes that wait ----------------------------------------------------------------------------------


def test_a_new_bridge_waits(api: Api, settings: Settings) -> None:
    settings.at("/etc/network/interfaces").chmod(0o640)
    assert (
        api("POST", PATH, iface="vmbr1", type="bridge", bridge_ports="eno2", cidr="10.1.0.1/24", autostart=1)
        is None
    )
    added = (
        "\nauto vmbr1\niface vmbr1 inet static\n\taddress 10.1.0.1/24\n\tbridge-ports eno2\n"
        "\tbridge-stp off\n\tbridge-fd 0\n"
    )
    assert _pending(settings) == INTERFACES + added
    assert settings.at("/etc/network/interfaces").read_text() == INTERFACES
    assert settings.at("/etc/network/interfaces.new").stat().st_mode & 0o777 == 0o640
    shown = api.raw("GET", PATH)
    assert isinstance(shown, Page)
    assert "".join(f"+{line}\n" for line in added.splitlines()) in shown.changes
    assert api("GET", f"{PATH}/vmbr1")["cidr"] == "10.1.0.1/24"


def test_changes_add_up_and_are_forgotten_together(api: Api, settings: Settings) -> None:
    api("PUT", f"{PATH}/vmbr0", type="bridge", cidr="10.0.0.2/24")
    api("PUT", f"{PATH}/eno1", type="eth", mtu=9000)
    assert "address 10.0.0.2/24" in _pending(settings)
    assert "mtu 9000" in _pending(settings)
    assert api("DELETE", PATH) is None
    assert _pending(settings) == ""
    shown = api.raw("GET", PATH)
    assert isinstance(shown, Page)
    assert shown.changes == ""
    assert api("DELETE", PATH) is None


def test_what_is_taken_back_waits_no_more(api: Api, settings: Settings) -> None:
    api("POST", PATH, iface="vmbr1", type="bridge")
    assert _pending(settings)
    api("DELETE", f"{PATH}/vmbr1")
    assert not settings.at("/etc/network/interfaces.new").exists()


def test_only_what_is_named_changes(api: Api, settings: Settings) -> None:
    api("PUT", f"{PATH}/vmbr0", type="bridge", comments="the\nmain one", delete="gateway,autostart")
    before, after = INTERFACES.splitlines(), _pending(settings).splitlines()
    assert [line for line in before if line not in after] == ["auto vmbr0", "\tgateway 10.0.0.254"]
    assert [line for line in after if line not in before] == ["#the", "#main one"]


def test_the_older_form_of_an_address(api: Api, settings: Settings) -> None:
    api("PUT", f"{PATH}/vmbr0", type="bridge", address="10.0.0.7", netmask="255.255.255.0")
    assert "\taddress 10.0.0.7/24\n" in _pending(settings)
    api("PUT", f"{PATH}/vmbr0", type="bridge", address6="fd00::7", netmask6=64, cidr6="fd00:0::7/64")
    assert api("GET", f"{PATH}/vmbr0")["cidr6"] == "fd00::7/64"
    api("PUT", f"{PATH}/vmbr0", type="bridge", delete="address6,netmask6")
    assert "inet6" not in _pending(settings)


def test_a_card_that_nobody_configured_yet(api: Api, settings: Settings) -> None:
    api("PUT", f"{PATH}/eno2", type="eth", cidr="10.2.0.1/24")
    assert _pending(settings).endswith("\niface eno2 inet static\n\taddress 10.2.0.1/24\n")
    api("POST", PATH, iface="em1", type="unknown", cidr="10.3.0.1/24", autostart=0)
    assert "auto em1" not in _pending(settings)


def test_bonds_vlans_and_aliases(api: Api, settings: Settings) -> None:
    api("POST", PATH, iface="bond0", type="bond", slaves="eno2,em1", bond_mode="802.3ad", autostart=1)
    api("POST", PATH, iface="bond0.7", type="vlan", **_vlan("bond0", 7))
    api("POST", PATH, iface="guests", type="vlan", **_vlan("bond0", 8))
    api("POST", PATH, iface="vlan9", type="vlan", **{"vlan-raw-device": "bond0"})
    api("POST", PATH, iface="vmbr0:1", type="alias", cidr="10.0.0.9/24")
    assert "\nauto bond0\niface bond0 inet manual\n\tbond-slaves eno2 em1\n" in _pending(settings)
    assert "\tbond-miimon 100\n\tbond-mode 802.3ad\n" in _pending(settings)
    assert "\niface bond0.7 inet manual\n\n" in _pending(settings)
    assert "\niface guests inet manual\n\tvlan-id 8\n\tvlan-raw-device bond0\n" in _pending(settings)
    kinds = {each["iface"]: (each["type"], each.get("vlan-id")) for each in api("GET", PATH)}
    assert kinds["bond0.7"] == ("vlan", "7")
    assert kinds["guests"] == ("vlan", "8")
    assert kinds["vlan9"] == ("vlan", "9")
    assert kinds["vmbr0:1"] == ("alias", None)


def test_a_bridge_with_vlans(api: Api, settings: Settings) -> None:
    api(
        "POST", PATH, iface="vmbr1", type="bridge", bridge_vlan_aware=1, bridge_vids="2-9 11", bridge_ports=""
    )
    text = "\tbridge-ports none\n\tbridge-stp off\n\tbridge-fd 0\n\tbridge-vlan-aware yes\n"
    assert f"{text}\tbridge-vids 2-9 11\n" in _pending(settings)
    api("PUT", f"{PATH}/vmbr1", type="bridge", bridge_vlan_aware=0, delete="bridge_vids,bridge_ports")
    assert _pending(settings).endswith("\tbridge-ports none\n\tbridge-stp off\n\tbridge-fd 0\n")


def test_digests_keep_changes_of_two_apart(api: Api) -> None:
    digest = api("GET", f"{PATH}/vmbr0")["digest"]
    api("PUT", f"{PATH}/vmbr0", type="bridge", mtu=1400, digest=digest)
    asked: list[tuple[str, dict[str, Any]]] = [("PUT", {"type": "bridge", "mtu": 1300}), ("DELETE", {})]
    for method, params in asked:
        with pytest.raises(ApiError, match=r"^detected modified configuration") as refused:
            api(method, f"{PATH}/vmbr0", digest=digest, **params)
        assert refused.value.status == 500
    api("DELETE", f"{PATH}/vmbr0", digest=api("GET", f"{PATH}/vmbr0")["digest"])


# -- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "errors"),
    [
        ({"iface": "vmbr0", "type": "bridge"}, {"iface": "interface already exists"}),
        (
            {"iface": "eno5", "type": "eth"},
            {"iface": "interface already exists (in '/etc/network/interfaces.d/storage')"},
        ),
        (
            {"iface": "vmbr1", "type": "bridge", "slaves": "eno2"},
            {"slaves": "not a setting of type 'bridge'"},
        ),
        (
            {"iface": "vmbr1", "type": "bridge", "bridge_ports": "eno1"},
            {"bridge_ports": "'eno1' is already part of 'vmbr0'"},
        ),
        (
            {"iface": "vmbr1", "type": "bridge", "bridge_ports": "eno5"},
            {"bridge_ports": "'eno5' has an address, which 'vmbr1' has to carry then: remove it there"},
        ),
        (
            {"iface": "vmbr1", "type": "bridge", "cidr": "10.1.0.1/24", "gateway": "10.1.0.2"},
            {"gateway": "Default gateway already exists on interface 'vmbr0'."},
        ),
        (
            {"iface": "vmbr1", "type": "bridge", "address": "10.5.0.1", "netmask": "16"},
            {"address": "10.5.0.1 is already the address of 'eno5'"},
        ),
        (
            {"iface": "vmbr1", "type": "bridge", "gateway6": "fe80::1"},
            {"gateway6": "a gateway needs an address of the same kind"},
        ),
        (
            {"iface": "vmbr1", "type": "bridge", "address": "10.1.0.1", "netmask": "33"},
            {"netmask": "'33' is no netmask for 10.1.0.1"},
        ),
        (
            {"iface": "vmbr1", "type": "bridge", "address": "10.1.0.1"},
            {"netmask": "missing property required by 'address'"},
        ),
        (
            {"iface": "vmbr1", "type": "bridge", "address": "10.1.0.1", "netmask": "8", "cidr": "10.1.0.1/9"},
            {"cidr": "says something else than address and netmask: 10.1.0.1/8"},
        ),
        (
            {"iface": "vmbr1", "type": "eth"},
            {"type": "an interface named 'vmbr1' with these settings is of type 'bridge'"},
        ),
        (
            {"iface": "eno1.5", "type": "vlan", "vlan-id": 6},
            {"vlan-id": "the name 'eno1.5' says '5'"},
        ),
        (
            {"iface": "eno9:1", "type": "alias", "cidr": "10.1.0.1/24"},
            {"iface": "there is no interface 'eno9'"},
        ),
        ({"iface": "guests", "type": "vlan"}, {"type": "an interface named 'guests' with these settings is"}),
    ],
)
def test_new_interfaces_that_cannot_be(
    api: Api, settings: Settings, params: dict[str, Any], errors: dict[str, str]
) -> None:
    found = _refused(api, "POST", PATH, **params)
    assert list(found) == list(errors)
    assert all(found[key].startswith(text) for key, text in errors.items()), found
    assert _pending(settings) == ""


@pytest.mark.parametrize(
    "params",
    [
        {"iface": "a b"},
        {"iface": "../x"},
        {"iface": "x"},
        {"type": "OVSBridge"},
        {"comments": "x\0"},
        {"bridge_ports": "eno2\n\tpost-up reboot"},
        {"bridge_vids": "2\n"},
        {"mtu": "100"},
        {"cidr": "10.0.0.1"},
        {"cidr6": "fe80::1%eth0/64"},
        {"gateway": "router"},
        {"bond_mode": "fast"},
    ],
)
def test_values_that_are_none(api: Api, settings: Settings, params: dict[str, str]) -> None:
    given = {"iface": "vmbr1", "type": "bridge", **params}
    if "bridge_vids" in params:
        api("POST", PATH, **{**given, "bridge_vlan_aware": "1"})
        assert "\tbridge-vids 2\n" in _pending(settings)  # one line, whatever was typed around it
        return
    if "bridge_ports" in params:
        assert list(_refused(api, "POST", PATH, **given)) == ["bridge_ports"]
    else:
        assert list(_refused(api, "POST", PATH, **given)) == list(params)
    assert _pending(settings) == ""


def test_changes_that_cannot_be(api: Api, settings: Settings) -> None:
    assert _refused(api, "PUT", f"{PATH}/eno9", type="eth", mtu=1400) == {"iface": "interface does not exist"}
    assert _refused(api, "PUT", f"{PATH}/vmbr0", type="bond", mtu=1400) == {
        "type": "interface 'vmbr0' is of type 'bridge'"
    }
    assert _refused(api, "PUT", f"{PATH}/eno5", type="eth", mtu=1400) == {
        "iface": "interface is configured in '/etc/network/interfaces.d/storage': edit that by hand"
    }
    assert _refused(api, "PUT", f"{PATH}/eno1", type="eth", cidr="10.3.0.1/24") == {
        "cidr": "it is part of 'vmbr0', which carries the address for it"
    }
    assert _refused(api, "PUT", f"{PATH}/vmbr0", type="bridge", delete="slaves") == {
        "delete": "not a setting of type 'bridge': 'slaves'"
    }
    with settings.at("/etc/network/interfaces").open("a") as file:
        file.write("iface eno2\n\taddress 10.0.0.3/24\n")
    assert _refused(api, "PUT", f"{PATH}/eno2", type="eth", mtu=1400) == {
        "iface": "the configuration of 'eno2' has a form that can only be edited by hand"
    }
    assert _pending(settings) == ""


def test_what_was_wrong_before_does_not_stand_in_the_way(api: Api, settings: Settings) -> None:
    text = INTERFACES.replace("iface eno1 inet manual", "iface eno1 inet static\n\taddress 10.7.0.1/24")
    settings.at("/etc/network/interfaces").write_text(text)
    api("PUT", f"{PATH}/eno1", type="eth", comments="to be mended")
    assert "#to be mended\n" in _pending(settings)


def test_what_others_are_made_of_is_not_removed(api: Api, settings: Settings) -> None:
    assert _refused(api, "DELETE", f"{PATH}/eno1") == {"iface": "interface 'eno1' is used by 'vmbr0'"}
    assert _refused(api, "DELETE", f"{PATH}/vmbr9") == {"iface": "interface does not exist"}
    assert _refused(api, "DELETE", f"{PATH}/lo") == {"iface": "interface does not exist"}
    api("DELETE", f"{PATH}/vmbr0")
    api("DELETE", f"{PATH}/eno1")
    assert (
        _pending(settings)
        == INTERFACES[: INTERFACES.index("iface eno1")] + INTERFACES[INTERFACES.index("source") :]
    )


# -- applying -------------------------------------------------------------------------------------------


def _with_ifreload(settings: Settings, script: str) -> None:
    program = settings.at("/usr/sbin/ifreload")
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def _run_at_once(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    started: list[tuple[Any, ...]] = []

    def start(kind: str, ident: str, user: str, work: Any, settings: Settings) -> str:
        started.append((kind, ident, user))
        work("UPID")
        return "UPID"

    monkeypatch.setattr(node_network_changes, "start_worker", start)
    return started


def test_applying_puts_the_file_in_place_and_reloads(
    api: Api, settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _with_ifreload(
        settings, f'echo "reloading $* with $(cat {settings.at("/etc/network/interfaces")} | wc -l)"'
    )
    started = _run_at_once(monkeypatch)
    api("PUT", f"{PATH}/vmbr0", type="bridge", mtu=1400)
    wanted = _pending(settings)
    assert api("PUT", PATH) == "UPID"
    assert started == [("srvreload", "networking", "root@pam")]
    assert settings.at("/etc/network/interfaces").read_text() == wanted
    assert settings.at("/etc/network/interfaces.old").read_text() == INTERFACES
    assert not settings.at("/etc/network/interfaces.new").exists()
    assert capfd.readouterr().out.splitlines() == [
        "'/etc/network/interfaces.new' is '/etc/network/interfaces' now",
        "ifreload -a",
        f"reloading -a with {len(wanted.splitlines())}",
    ]
    assert api("PUT", PATH) == "UPID"  # nothing waits: the file in use once more
    assert settings.at("/etc/network/interfaces.old").read_text() == INTERFACES


def test_a_reload_that_fails_says_how_to_go_back(
    api: Api, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_ifreload(settings, "echo broken >&2; exit 1")
    _run_at_once(monkeypatch)
    api("PUT", f"{PATH}/vmbr0", type="bridge", mtu=1400)
    with pytest.raises(ApiError, match=r"to go back to the one before: 'mv /etc/network/interfaces.old"):
        api("PUT", PATH)


def test_without_ifupdown2_nothing_is_touched(api: Api, settings: Settings) -> None:
    api("PUT", f"{PATH}/vmbr0", type="bridge", mtu=1400)
    with pytest.raises(
        ApiError, match=r"apt-get install ifupdown2.*mv /etc/network/interfaces.new"
    ) as refused:
        api("PUT", PATH)
    assert refused.value.status == 500
    assert "mtu 1400" in _pending(settings)


def test_a_file_that_cannot_be_written(api: Api, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise HostFileError("unable to write 'x' - Read-only file system")

    monkeypatch.setattr("quorate.host.network.replace_file", refuse)
    with pytest.raises(ApiError, match=r"^unable to write 'x' - Read-only file system$"):
        api("PUT", f"{PATH}/vmbr0", type="bridge", mtu=1400)


def test_sourced_files_are_found_by_every_way_of_naming_them(api: Api, settings: Settings) -> None:
    base = settings.at("/etc/network")
    (base / "more").mkdir()
    (base / "more/a").write_text("iface eno7 inet manual\n")
    (base / "own").write_text("iface eno8 inet manual\n")
    (base / "bad").mkdir()
    with (base / "interfaces").open("a") as file:
        file.write("source-directory more\nsource own\nsource bad\nsource /\nsource /**/x\nsource\n")
    for name in ("eno7", "eno8"):
        assert "already exists (in " in _refused(api, "POST", PATH, iface=name, type="eth")["iface"]
    assert os.listdir(base / "bad") == []  # noqa: PTH208
