"""Dialogs on a phone: no wider than the screen, their buttons in reach, nobody kept out; light and dark."""

from __future__ import annotations

import base64
import json
import os
import time

import pytest
from playwright.sync_api import Locator, expect

from quorate.tasks import TaskStore, Upid
from tests.lab.support_web import PHONE, barriers, excess
from tests.real.api_host import ApiHost
from tests.real.web_page import Visitor, a_cluster

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

LONG_ADDRESS = "2001:db8:1234:5678:9abc:def0:1234:5678"


@pytest.fixture
def visitor(visitor: Visitor) -> Visitor:
    visitor.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    visitor.page.emulate_media(reduced_motion="reduce")
    return visitor


def fits(visitor: Visitor, dialog: Locator, button: str, name: str) -> None:
    """``button``: one of the dialog's own at its end, which must not lie below what one sees."""
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button", name=button, exact=True).last).to_be_in_viewport(ratio=0.95)
    for kind in ("light", "dark"):
        visitor.page.emulate_media(color_scheme=kind)
        visitor.picture(f"28-phone-{name}-{kind}")
        assert excess(visitor.page) <= 0, f"{name} is wider than the screen"
        assert barriers(visitor.page) == [], f"{name}, {kind}"
    visitor.page.emulate_media(color_scheme="light")


def test_create_and_join(visitor: Visitor) -> None:
    """With several links: rows of number, address and a button; with long addresses and faults."""
    page = visitor.page
    visitor.open("datacenter/cluster")
    page.get_by_role("button", name="Create Cluster").click()
    dialog = page.get_by_role("dialog", name="Create Cluster")
    dialog.get_by_label("Cluster Name").fill("far-too-long-a-name")
    for _ in range(3):
        dialog.get_by_role("button", name="Add link").click()
    for link in range(2):
        dialog.get_by_label(f"Address of link {link}").fill(LONG_ADDRESS)
    expect(dialog.get_by_text("Duplicate link address not allowed.").first).to_be_visible()
    fits(visitor, dialog, "Create", "create")
    dialog.get_by_label("Address of link 1").scroll_into_view_if_needed()
    fits(visitor, dialog, "Create", "links")
    dialog.get_by_role("button", name="Cancel").click()

    page.get_by_role("button", name="Join Cluster").click()
    dialog = page.get_by_role("dialog", name="Cluster Join")
    fits(visitor, dialog, "Join", "join")
    dialog.get_by_role("textbox", name="Information").fill(join_information())
    expect(dialog.get_by_label("Address of link 1")).to_be_visible()
    fits(visitor, dialog, "Join 'fifteen-letters'", "join-assisted")
    dialog.get_by_label("Assisted join").uncheck()
    dialog.get_by_label("Peer Address").fill("no address at all")
    dialog.get_by_role("textbox", name="Fingerprint").fill("AA:BB")
    fits(visitor, dialog, "Join", "join-by-hand")


def test_join_information_and_removal(visitor: Visitor) -> None:
    page = visitor.page
    a_cluster(visitor, quorate=False)
    visitor.open("datacenter/cluster")
    page.get_by_role("button", name="Join Information").click()
    dialog = page.get_by_role("dialog", name="Cluster Join Information")
    fits(visitor, dialog, "Close", "join-information")
    dialog.get_by_role("button", name="Close").last.click()
    page.get_by_role("button", name="Remove node: n3").click()
    dialog = page.get_by_role("dialog", name="Remove node n3")
    expect(dialog.get_by_text("'pvecm expected 2'")).to_be_visible()
    fits(visitor, dialog, "Remove", "remove")


def test_a_task_with_long_lines(host: ApiHost, visitor: Visitor) -> None:
    store = TaskStore(host.settings)
    upid = Upid(host.node, os.getpid(), 1, int(time.time()), "clusterjoin", "", "root@pam")
    with os.fdopen(store.create_log(upid), "w") as file:
        file.write(f"Request addition of this node\n{'x' * 400}\n{'word ' * 80}\nTASK ERROR: no such thing\n")
    store.register(upid)
    store.finish(upid, "no such thing")
    page = visitor.page
    visitor.open(f"node/{host.node}/tasks")
    page.get_by_role("grid", name=f"Tasks of {host.node}").get_by_role("button", name="Join Cluster").click()
    viewer = page.get_by_role("dialog", name="Task: Join Cluster")
    expect(viewer.get_by_role("list", name="Steps of the task")).to_be_visible()
    viewer.get_by_text("Identifier").click()
    fits(visitor, viewer, "Close", "task")


def test_users_tokens_and_options(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open("datacenter/users")
    page.get_by_role("button", name="Add user").click()
    fits(visitor, page.get_by_role("dialog", name="Add user"), "Add", "user")
    page.keyboard.press("Escape")
    visitor.go("datacenter/tokens")
    page.get_by_role("button", name="Add API token").click()
    fits(visitor, page.get_by_role("dialog", name="Add API token"), "Add", "token")
    page.keyboard.press("Escape")
    visitor.go("datacenter/options")
    page.get_by_role("button", name="Edit Cluster Resource Scheduling").click()
    fits(visitor, page.get_by_role("dialog", name="Edit: Cluster Resource Scheduling"), "OK", "option")


def join_information() -> str:
    """Of a member with two links and long addresses, as its page encodes it."""
    addresses = [LONG_ADDRESS, LONG_ADDRESS.replace("5678", "5679")]
    links = {str(number): {"linknumber": str(number)} for number in range(2)}
    text = {
        "ipAddress": LONG_ADDRESS,
        "fingerprint": ":".join(["AB"] * 32),
        "peerLinks": {str(number): address for number, address in enumerate(addresses)},
        "ring_addr": addresses,
        "totem": {"cluster_name": "fifteen-letters", "interface": links, "config_version": "1"},
    }
    return base64.b64encode(json.dumps(text).encode()).decode()
