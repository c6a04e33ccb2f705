"""What the web interface does when something fails under it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Route, expect

from tests.real.api_host import ApiHost
from tests.real.web_page import Visitor, a_visitor

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]


@pytest.fixture(scope="module")
def host() -> Iterator[ApiHost]:
    made = ApiHost()
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def visitor(host: ApiHost) -> Iterator[Visitor]:
    with a_visitor(host) as found:
        yield found


def test_a_part_that_cannot_be_loaded_says_so_and_comes_when_it_can(visitor: Visitor) -> None:
    page = visitor.page
    page.route("**/assets/Options-*.js", lambda route: route.abort())
    visitor.open("datacenter/options")
    failure = page.get_by_role("alert").filter(has_text="The tab Options could not be loaded")
    expect(failure).to_be_visible()
    expect(page.get_by_role("tree")).to_be_visible()  # the rest of the page is there
    visitor.picture("20-part-missing")
    visitor.go("datacenter/users")
    expect(page.get_by_role("grid", name="Users")).to_be_visible()
    visitor.go("datacenter/options")
    expect(failure).to_be_visible()

    index = f"{visitor.origin}/"
    page.route(index, lambda route: route.abort())
    failure.get_by_role("button", name="Try again").click()
    expect(failure.get_by_text("The node still does not answer.")).to_be_visible()
    page.unroute(index)
    page.unroute("**/assets/Options-*.js")
    failure.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("grid", name="Options")).to_be_visible()


def test_a_node_that_is_down_takes_no_part_away(host: ApiHost, visitor: Visitor) -> None:
    """Everything small was fetched when the page was opened."""
    page = visitor.page
    with page.expect_response("**/assets/Certificates-*.js"):
        visitor.open("datacenter/summary")
    expect(page.get_by_role("tree")).to_be_visible()
    page.wait_for_load_state("networkidle")
    page.route("**/*", lambda route: route.abort())
    for place, title in (
        ("datacenter/users", "The users could not be read"),
        (f"node/{host.node}/network", ""),
    ):
        visitor.go(place)
        expect(page.get_by_role("alert").filter(has_text=title or "could not be read").first).to_be_visible()
        expect(page.get_by_text("could not be loaded")).to_have_count(0)


def test_a_dialog_that_cannot_be_loaded_can_be_closed(visitor: Visitor) -> None:
    page = visitor.page
    page.route("**/assets/PasswordDialog-*.js", lambda route: route.abort())
    visitor.open("datacenter/summary")
    page.get_by_role("button", name="root@pam").click()
    page.get_by_role("menuitem", name="Change password").click()
    dialog = page.get_by_role("dialog", name="The dialog could not be loaded")
    expect(dialog).to_be_visible()
    visitor.picture("20-dialog-missing")
    dialog.get_by_role("button", name="Close").last.click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("heading", name="Datacenter")).to_be_visible()


def test_many_tabs_of_a_browser_share_one_event_stream(visitor: Visitor) -> None:
    """Browsers open six connections to a node: with a stream each, the seventh tab would hang for ever."""
    visitor.open("datacenter/summary")
    expect(visitor.page.get_by_role("tree")).to_be_visible()
    streams: list[str] = []
    pages = [visitor.page]
    for _ in range(7):
        page = visitor.page.context.new_page()
        page.on(
            "request", lambda request: streams.append(request.url) if "/api2/events" in request.url else None
        )
        page.goto(f"{visitor.origin}/#/datacenter/summary")
        expect(page.get_by_role("tree")).to_be_visible()
        pages.append(page)
    assert streams == []  # the first one has it for all
    for page in pages[1:]:
        page.close()


def test_the_system_log_grows_by_what_is_new_alone(host: ApiHost, visitor: Visitor) -> None:
    page = visitor.page
    asked: list[str] = []

    def entries(route: Route) -> None:
        asked.append(route.request.url.partition("?")[2])
        number = len(asked)
        entry = {"cursor": f"s=1;i={number}", "time": 1_700_000_000, "usec": 0, "priority": 6}
        entry |= {"message": f"message {number}", "identifier": "sshd", "pid": "12"}
        route.fulfill(json={"data": [entry]})

    page.route("**/api2/json/nodes/*/journal*", entries)
    with page.expect_request("**/nodes/*/journal?startcursor=*"):
        visitor.open(f"node/{host.node}/syslog")
    log = page.get_by_label(f"System log of {host.node}")
    expect(log).to_contain_text(re.compile(r"sshd\[12\]: message 1\n.*sshd\[12\]: message 2"))
    assert asked[0] == "lastentries=500"


def test_create_cluster_begins_with_the_address_of_the_host_name(visitor: Visitor) -> None:
    page = visitor.page
    own = {"type": "node", "id": "node/n1", "name": "n1", "nodeid": 0, "local": 1, "online": 1, "level": ""}
    visitor.answer("/cluster/status", [own | {"ip": "10.0.0.1"}])
    common = {"type": "eth", "active": 1, "method": "static", "priority": 1}
    interfaces = [
        {"iface": "ens1", "address": "10.9.0.1"} | common,
        {"iface": "vmbr0", "address": "10.0.0.1"} | common,
    ]
    visitor.answer("/nodes/localhost/network", interfaces)
    visitor.open("datacenter/cluster")
    page.get_by_role("button", name="Create Cluster").click()
    dialog = page.get_by_role("dialog", name="Create Cluster")
    expect(dialog.get_by_label("Address of link 0")).to_have_value("10.0.0.1")
    dialog.get_by_role("button", name="Add link").click()
    expect(dialog.get_by_label("Address of link 1")).to_have_value("10.9.0.1")
