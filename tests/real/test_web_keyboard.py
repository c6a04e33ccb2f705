"""The web interface by keyboard alone: dialogs, tree, options; where the focus is after a dialog."""

from __future__ import annotations

import os
import re
import time

import pytest
from playwright.sync_api import Route, expect

from quorate.tasks import TaskStore, Upid
from tests.lab.support_web import tab_to
from tests.real.api_host import ApiHost
from tests.real.web_page import Visitor, a_cluster

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]


def test_a_cluster_is_created(host: ApiHost, visitor: Visitor) -> None:
    """Filled in, sent, its task read and closed; the focus is back where it came from each time."""
    page, keys = visitor.page, visitor.page.keyboard
    common = {"type": "eth", "active": 1, "method": "static", "priority": 1}
    interfaces = [{"iface": f"ens{link}", "address": f"10.{link}.0.1"} | common for link in (0, 1)]
    visitor.answer("/nodes/localhost/network", interfaces)
    upid = finished_creation(host)
    sent: list[str] = []

    def create(route: Route) -> None:
        sent.append(route.request.post_data or "")
        route.fulfill(json={"data": upid})

    page.route("**/api2/json/cluster/config", create)  # the machine's own Corosync is left alone
    visitor.open("datacenter/cluster")
    opener = page.get_by_role("button", name="Create Cluster")
    expect(opener).to_be_enabled()
    tab_to(page, opener)
    keys.press("Enter")
    dialog = page.get_by_role("dialog", name="Create Cluster", exact=True)
    name = dialog.get_by_label("Cluster Name")
    expect(name).to_be_focused()
    keys.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()

    keys.press("Space")
    expect(name).to_be_focused()
    keys.type("by-keys")
    tab_to(page, dialog.get_by_role("button", name="Add link"))
    keys.press("Enter")
    expect(dialog.get_by_label("Address of link 1")).to_have_value("10.1.0.1")
    tab_to(page, dialog.get_by_label("Address of link 0"))  # on from the last field to the first
    keys.press("Control+a")
    keys.type("10.0.0.9")
    keys.press("Enter")
    viewer = page.get_by_role("dialog", name="Task: Create Cluster by-keys")
    expect(viewer.get_by_label("Task log")).to_contain_text("TASK OK")
    assert sent == ["clustername=by-keys&link0=10.0.0.9&link1=10.1.0.1"]
    tab_to(page, viewer.get_by_role("button", name="Download"))
    keys.press("Escape")
    expect(viewer).to_be_hidden()
    expect(opener).to_be_focused()


def test_what_cannot_be_used_any_more_leaves_the_focus_to_the_page(host: ApiHost, visitor: Visitor) -> None:
    page, keys = visitor.page, visitor.page.keyboard
    upid = finished_creation(host)
    page.route("**/api2/json/cluster/config", lambda route: route.fulfill(json={"data": upid}))
    visitor.open("datacenter/cluster")
    opener = page.get_by_role("button", name="Create Cluster")
    expect(opener).to_be_enabled()
    tab_to(page, opener)
    keys.press("Enter")
    expect(page.get_by_label("Cluster Name")).to_be_focused()
    keys.type("by-keys")
    tab_to(page, page.get_by_label("Address of link 0"))
    keys.press("Control+a")
    keys.type("10.0.0.9")
    a_cluster(visitor)
    keys.press("Enter")
    viewer = page.get_by_role("dialog", name="Task: Create Cluster by-keys")
    expect(viewer.get_by_label("Task log")).to_contain_text("TASK OK")
    expect(page.get_by_role("button", name="Create Cluster", include_hidden=True)).to_be_disabled()
    keys.press("Escape")
    expect(viewer).to_be_hidden()
    expect(page.get_by_role("main")).to_be_focused()
    keys.press("Tab")
    expect(page.get_by_role("main").locator(":focus")).to_have_count(1)


def test_the_tree_is_walked_by_arrows_and_a_node_is_opened(visitor: Visitor) -> None:
    page, keys = visitor.page, visitor.page.keyboard
    a_cluster(visitor)
    guests = [
        {"id": f"qemu/{vmid}", "type": "qemu", "vmid": vmid, "node": "n2", "name": f"guest-{vmid}"}
        for vmid in (100, 101)
    ]
    visitor.answer("/cluster/resources", guests)
    visitor.open("datacenter/summary")
    tree = page.get_by_role("tree")
    items = {
        name: tree.get_by_role("treeitem", name=re.compile(rf"\b{name}\b"))
        for name in ("Datacenter", "n1", "n2", "n3", "guest-100", "guest-101")
    }
    expect(items["guest-101"]).to_be_visible()
    tab_to(page, items["Datacenter"])
    for key, name in (
        ("ArrowDown", "n1"),
        ("ArrowDown", "n2"),
        ("ArrowRight", "guest-100"),
        ("ArrowDown", "guest-101"),
        ("ArrowDown", "n3"),
        ("ArrowDown", "n3"),  # there is no more
        ("ArrowUp", "guest-101"),
        ("ArrowLeft", "n2"),
        ("Home", "Datacenter"),
        ("End", "n3"),
    ):
        keys.press(key)
        expect(items[name]).to_be_focused()
    keys.press("ArrowUp")
    keys.press("ArrowLeft")
    keys.press("ArrowLeft")
    expect(items["n2"]).to_be_focused()
    expect(items["n2"]).to_have_attribute("aria-expanded", "false")
    expect(items["guest-100"]).to_have_count(0)
    keys.press("ArrowRight")
    expect(items["guest-100"]).to_be_visible()

    keys.press("Enter")
    expect(page.get_by_role("heading", name="n2")).to_be_visible()
    expect(items["n2"]).to_have_attribute("aria-current", "page")
    expect(items["n2"]).to_be_focused()
    keys.press("Shift+Tab")
    keys.press("Tab")  # the tree is one stop, and it is where one was
    expect(items["n2"]).to_be_focused()
    tab_to(page, page.get_by_role("tab", name="Certificates"))
    keys.press("Enter")
    expect(page).to_have_url(re.compile("#/node/n2/certificates$"))


def test_an_option_is_edited(host: ApiHost, visitor: Visitor) -> None:
    page, keys = visitor.page, visitor.page.keyboard
    file = host.settings.mountpoint / "datacenter.cfg"
    visitor.open("datacenter/options")
    opener = page.get_by_role("button", name="Edit Email from address")
    tab_to(page, opener)
    keys.press("Enter")
    dialog = page.get_by_role("dialog", name="Edit: Email from address")
    expect(dialog.get_by_label("Email from address")).to_be_focused()
    keys.type("keys@example.org")
    keys.press("Enter")
    try:
        expect(dialog).to_be_hidden()
        expect(opener).to_be_focused()
        expect(page.get_by_role("grid", name="Options").get_by_text("keys@example.org")).to_be_visible()
        assert "email_from: keys@example.org" in file.read_text().splitlines()
    finally:
        file.unlink(missing_ok=True)


def finished_creation(host: ApiHost) -> str:
    """A task that has created a cluster; its identifier."""
    store = TaskStore(host.settings)
    upid = Upid(host.node, os.getpid(), 1, int(time.time()), "clustercreate", "by-keys", "root@pam")
    with os.fdopen(store.create_log(upid), "w") as file:
        file.write("TASK OK\n")
    store.register(upid)
    store.finish(upid, "OK")
    return str(upid)
