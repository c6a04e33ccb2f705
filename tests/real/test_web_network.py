"""The page of a node's network in a browser, over the real API: what waits, what is refused, what is applied.

All of it happens below a temporary root; the program that would apply the changes is a stand-in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from quorate.host.network import RELOADERS
from tests.real.api_host import ApiHost
from tests.real.web_page import Visitor

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

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
"""


@pytest.fixture
def host() -> Iterator[ApiHost]:
    made = ApiHost()
    for path, text in (
        ("/etc/network/interfaces", INTERFACES),
        (RELOADERS[0], '#!/bin/sh\necho "reloads with $*"\n'),
        *((f"/sys/class/net/{name}/flags", "0x1003\n") for name in ("eno1", "eno2", "eno3")),
    ):
        made.settings.at(path).parent.mkdir(parents=True, exist_ok=True)
        made.settings.at(path).write_text(text)
    made.settings.at(RELOADERS[0]).chmod(0o755)
    with made:
        yield made


@pytest.fixture
def visitor(host: ApiHost, visitor: Visitor) -> Visitor:
    visitor.open(f"node/{host.node}/network")
    return visitor


def _pending(page: Page) -> Locator:
    return page.get_by_role("region", name="Pending changes")


def _act(page: Page, iface: str, action: str) -> None:
    page.get_by_role("button", name=f"Actions: {iface}", exact=True).click()
    page.get_by_role("menuitem", name=action, exact=True).click()


def test_interfaces_are_added_changed_and_applied(host: ApiHost, visitor: Visitor) -> None:
    page = visitor.page
    waiting = host.settings.at("/etc/network/interfaces.new")
    table = page.get_by_role("grid", name="Network interfaces")
    expect(table.get_by_text("vmbr0")).to_be_visible()
    expect(_pending(page)).to_have_count(0)

    page.get_by_role("button", name="Add Bond").click()
    dialog = page.get_by_role("dialog", name="Add bond")
    expect(dialog.get_by_label("Name")).to_have_value("bond0")
    dialog.get_by_label("Gateway (IPv4)").fill("10.1.0.254")
    dialog.get_by_label("Slaves").fill("eno2 eno3")
    dialog.get_by_label("Mode").select_option("active-backup")
    dialog.get_by_label("Primary slave").fill("eno2")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog.get_by_text("A gateway needs an address of the same kind.")).to_be_visible()
    assert not waiting.exists()
    dialog.get_by_label("Gateway (IPv4)").fill("")
    dialog.get_by_label("IPv4/CIDR").fill("10.1.0.1/24")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog).to_be_hidden()
    expect(_pending(page)).to_contain_text("+iface bond0 inet static")

    _act(page, "vmbr0", "Edit")
    dialog = page.get_by_role("dialog", name="Edit vmbr0")
    expect(dialog.get_by_label("IPv4/CIDR")).to_have_value("10.0.0.1/24")
    dialog.get_by_label("VLAN aware").check()
    dialog.get_by_label("VLANs").fill("2-100")
    dialog.get_by_label("Gateway (IPv4)").fill("")
    dialog.get_by_label("Comment").fill("to the world")
    dialog.get_by_role("button", name="OK").click()
    expect(dialog).to_be_hidden()
    expect(_pending(page)).to_contain_text(re.compile(r"-\s+gateway 10\.0\.0\.254"))
    expect(_pending(page)).to_contain_text(re.compile(r"\+\s+bridge-vids 2-100"))
    visitor.picture("27-network-pending")
    assert host.settings.at("/etc/network/interfaces").read_text() == INTERFACES

    page.get_by_role("button", name="Apply").click()
    page.get_by_role("dialog", name=f"Apply the network changes of {host.node}?").get_by_role(
        "button", name="Apply"
    ).click()
    log = page.get_by_label("Task log")
    expect(log).to_contain_text("reloads with -a")
    expect(log).to_contain_text("TASK OK")
    page.keyboard.press("Escape")
    expect(_pending(page)).to_have_count(0)
    text = host.settings.at("/etc/network/interfaces").read_text()
    for line in ("bond-primary eno2", "bridge-vlan-aware yes", "#to the world", "post-up echo up"):
        assert line in text
    assert "gateway" not in text
    assert not waiting.exists()


def test_what_is_refused_is_said_at_the_field_and_what_waits_is_reverted(
    host: ApiHost, visitor: Visitor
) -> None:
    page = visitor.page
    page.get_by_role("button", name="Add Bridge").click()
    dialog = page.get_by_role("dialog", name="Add bridge")
    dialog.get_by_label("Name").fill("vmbr0")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog.get_by_text("interface already exists")).to_be_visible()
    dialog.get_by_label("Name").fill("vmbr7")
    dialog.get_by_label("Bridge ports").fill("eno9")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog.get_by_label("Bridge ports")).to_be_focused()  # the server's text stands below it
    dialog.get_by_label("Bridge ports").fill("eno2")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(_pending(page)).to_contain_text("+iface vmbr7 inet manual")

    _act(page, "eno1", "Remove")
    dialog = page.get_by_role("dialog", name="Remove the interface eno1?")
    dialog.get_by_role("button", name="Remove").click()
    expect(dialog.get_by_text("interface 'eno1' is used by 'vmbr0'")).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()

    _act(page, "vmbr0", "Edit")
    dialog = page.get_by_role("dialog", name="Edit vmbr0")
    dialog.get_by_label("MTU").fill("9000")
    other = {"type": "eth", "comments": "of somebody else"}
    reply = host.api("PUT", f"/nodes/{host.node}/network/eno1", host.root_session(), form=other)
    assert reply.status == 200
    dialog.get_by_role("button", name="OK").click()
    expect(dialog.get_by_role("alert").filter(has_text="detected modified configuration")).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()

    page.get_by_role("button", name="Revert").click()
    dialog = page.get_by_role("dialog", name=f"Revert the network changes of {host.node}?")
    dialog.get_by_role("button", name="Revert").click()
    expect(_pending(page)).to_have_count(0)
    expect(page.get_by_text("vmbr7")).to_have_count(0)
    assert not host.settings.at("/etc/network/interfaces.new").exists()
