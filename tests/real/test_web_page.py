"""What the web interface does when something fails under it."""

from __future__ import annotations

import base64
import os
import re
import time
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from quorate.tasks import TaskStore, Upid
from tests.lab.support_web import barriers
from tests.real.api_host import PASSWORDS, ApiHost
from tests.real.web_page import Visitor, a_cluster

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]


def test_the_consent_text_stands_before_the_login(host: ApiHost, visitor: Visitor) -> None:
    page = visitor.page
    text = "Für <b>Befugte</b>.\nSonst niemand."
    file = host.settings.mountpoint / "datacenter.cfg"
    page.route("**/api2/json/access/consent", lambda route: route.abort())
    page.goto(visitor.origin)
    expect(page.get_by_role("alert").filter(has_text="The login cannot be shown yet")).to_be_visible()
    expect(page.get_by_label("User name")).to_have_count(0)
    host.put(file, f"consent-text: {base64.b64encode(text.encode()).decode()}\n".encode(), 0o640)
    try:
        page.unroute("**/api2/json/access/consent")
        shown = page.get_by_role("region", name="Consent text")  # it asks again by itself
        expect(shown).to_have_text(text)
        expect(page.get_by_label("User name")).to_have_count(0)
        visitor.picture("26-consent")
        page.get_by_role("button", name="I agree").click()
        page.get_by_label("User name").fill("alice")
        page.get_by_label("Password").fill(PASSWORDS["alice"])
        page.get_by_label("Realm").select_option("pve")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("tree")).to_be_visible()
        page.get_by_role("button", name="alice@pve").click()
        page.get_by_role("menuitem", name="Log out").click()
        expect(page.get_by_role("button", name="I agree")).to_be_visible()  # before every login
    finally:
        file.unlink()
    page.reload()
    expect(page.get_by_label("User name")).to_be_visible()


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


def test_a_long_log_shows_its_end_and_can_be_downloaded(host: ApiHost, visitor: Visitor) -> None:
    page = visitor.page
    upid = a_task(host, lines=20_100)
    visitor.open(f"node/{host.node}/tasks")
    tasks = page.get_by_role("grid", name=f"Tasks of {host.node}")
    tasks.get_by_role("button", name="Restart service pveproxy").click()
    viewer = page.get_by_role("dialog", name="Task: Restart service pveproxy")
    expect(viewer.get_by_text("its first 101 lines are not shown here")).to_be_visible()
    expect(viewer.get_by_label("Task log")).to_contain_text("line 20100\nTASK OK")
    visitor.picture("21-long-log")
    with page.expect_download() as found:
        viewer.get_by_role("button", name="Download").click()
    saved = found.value.path().read_text()
    assert saved.startswith("line 1\n")
    assert saved.endswith("line 20100\nTASK OK\n")
    assert found.value.suggested_filename == f"task-{upid.replace(':', '-').strip('-')}.log"


def a_task(host: ApiHost, lines: int) -> str:
    """A finished task with so many lines before the last one; its identifier."""
    store = TaskStore(host.settings)
    start = int(time.time())
    upid = Upid(host.node, os.getpid(), 1, start, "srvrestart", "pveproxy", "root@pam")
    log = store.create_log(upid)
    with os.fdopen(log, "w") as file:
        file.writelines(f"line {number}\n" for number in range(1, lines + 1))
        file.write("TASK OK\n")
    store.register(upid)
    store.finish(upid, "OK")
    return str(upid)


def test_the_steps_of_a_task_are_shown(host: ApiHost, visitor: Visitor) -> None:
    page = visitor.page
    upid = Upid(host.node, os.getpid(), 1, int(time.time()), "clusterjoin", "", "root@pam")
    store = TaskStore(host.settings)
    with os.fdopen(store.create_log(upid), "w") as file:
        file.write("Request addition of this node\nTASK ERROR: Cluster join aborted!\n")
    store.register(upid)
    store.finish(upid, "Cluster join aborted!")
    visitor.open(f"node/{host.node}/tasks")
    page.get_by_role("grid", name=f"Tasks of {host.node}").get_by_role("button", name="Join Cluster").click()
    steps = page.get_by_role("list", name="Steps of the task")
    expect(steps.get_by_label("Log in to the peer: done")).to_be_visible()
    expect(steps.get_by_label("Ask for the addition: failed")).to_be_visible()
    expect(steps.get_by_label("Restart the API: pending")).to_be_visible()
    visitor.picture("25-steps")


def test_a_ticket_that_cannot_be_renewed_leaves_the_form_below_the_login(
    host: ApiHost, visitor: Visitor
) -> None:
    page = visitor.page
    page.clock.install()
    visitor.open("datacenter/users", host.login("alice@pve", PASSWORDS["alice"]))
    page.get_by_role("button", name="Add user").click()
    form = page.get_by_role("dialog", name="Add user")
    form.get_by_label("Comment").fill("typed before")
    page.route("**/access/ticket", lambda route: route.fulfill(status=401, json={"data": None}))
    page.clock.fast_forward("15:00")
    again = page.get_by_role("dialog", name="The session has ended")
    expect(again).to_be_visible()
    page.unroute("**/access/ticket")
    expect(again.get_by_label("User name")).to_have_value("alice@pve")
    again.get_by_label("Password").fill(PASSWORDS["alice"])
    again.get_by_role("button", name="Log in").click()
    expect(again).to_be_hidden()
    expect(form.get_by_label("Comment")).to_have_value("typed before")


def test_options_are_edited_by_a_double_click(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open("datacenter/options")
    table = page.get_by_role("grid", name="Options")
    table.get_by_text("Cluster Resource Scheduling").dblclick()
    dialog = page.get_by_role("dialog", name="Edit: Cluster Resource Scheduling")
    dialog.get_by_label("Imbalance that starts it").fill("0.3")
    dialog.get_by_role("button", name="OK").click()
    expect(table.get_by_text("ha-auto-rebalance-threshold=0.3")).to_be_visible()


@pytest.mark.parametrize(("key", "label"), [("migration", "Migration"), ("replication", "Replication")])
def test_an_insecure_type_is_not_made_secure_unsaid(
    host: ApiHost, visitor: Visitor, key: str, label: str
) -> None:
    """The dialog always sends type=secure (pvecm 9.2): who opens it for the network alone is told."""
    page = visitor.page
    file = host.settings.mountpoint / "datacenter.cfg"
    host.put(file, f"{key}: insecure,network=10.1.0.0/24\n".encode(), 0o640)
    try:
        visitor.open("datacenter/options")
        row = page.get_by_role("grid", name="Options").get_by_role("row").filter(has_text=f"{label} Settings")
        expect(row).to_contain_text("type=insecure")
        opener = page.get_by_role("button", name=f"Edit {label} Settings")
        opener.click()
        dialog = page.get_by_role("dialog", name=f"Edit: {label} Settings")
        note = dialog.get_by_text("datacenter.cfg says type=insecure. OK makes it type=secure")
        expect(note).to_be_visible()
        assert barriers(page) == []
        visitor.picture(f"27-{key}-insecure")
        dialog.get_by_role("button", name="Cancel").click()
        expect(dialog).to_be_hidden()
        assert file.read_text() == f"{key}: insecure,network=10.1.0.0/24\n"
        opener.click()
        dialog.get_by_label("Network").fill("10.2.0.0/24")
        dialog.get_by_role("button", name="OK").click()
        expect(row).to_contain_text("type=secure")
        assert f"{key}: secure,network=10.2.0.0/24" in file.read_text().splitlines()
        opener.click()
        expect(dialog).to_be_visible()
        expect(note).to_have_count(0)
    finally:
        file.unlink()


# -- a cluster as it rarely is --------------------------------------------------------------------------


def a_link(node: str, number: int, **more: Any) -> dict[str, Any]:
    up = {"enabled": 1, "connected": 1, "latency": 180, "priority": 10 - number}
    return {"node": node, "nodeid": int(node[1:]), "link": number} | up | more


def test_links_and_quorum_device_from_every_nodes_view(visitor: Visitor) -> None:
    page = visitor.page
    a_cluster(visitor)
    seen = [a_link("n2", 0), a_link("n2", 1, connected=0), a_link("n3", 0, connected=0)]
    visitor.answer("/nodes/n1/corosync/links", seen)
    page.route("**/nodes/n2/corosync/links", lambda route: None)  # hangs
    device = {"configured": 1, "host": "10.0.0.9", "algorithm": "ffsplit", "votes": 1}
    daemon = {"State": "Connected", "Tie-breaker": "Node with lowest node ID"}
    works = {"registered": 1, "alive": 1, "votes_for_us": 1, "daemon": daemon}
    visitor.answer("/nodes/n1/corosync/qdevice", device | works)
    idle = {"registered": 0, "alive": 0, "votes_for_us": 0, "daemon": {}}
    visitor.answer("/nodes/n2/corosync/qdevice", device | idle)
    visitor.open("datacenter/cluster")

    first = page.get_by_role("grid", name="Link 0").get_by_role("row", name="n1 10")
    heads = page.get_by_role("grid", name="Link 0").get_by_role("rowheader")
    expect(heads).to_have_text(["n1", "n2", "n3"])
    expect(first.get_by_role("gridcell")).to_have_text(["10", "–", "up 0.18 ms", "down"])
    row = page.get_by_role("grid", name="Link 0").get_by_role("row").filter(has=page.get_by_text("asking …"))
    expect(row).to_contain_text("n2")  # holds up nobody else
    expect(page.get_by_role("grid", name="Link 0").get_by_text("node is off")).to_have_count(2)
    expect(page.get_by_role("grid", name="Link 1").get_by_text("down")).to_be_visible()
    card = page.get_by_role("grid", name="Quorum Device")
    expect(card.get_by_role("row").filter(has_text="n1")).to_contain_text("cast for this node")
    expect(card.get_by_role("row").filter(has_text="n2")).to_contain_text("does not run")
    expect(page.get_by_text("n2 gave no answer within 10 s.")).to_be_visible()
    page.set_viewport_size({"width": 1280, "height": 1900})
    visitor.picture("22-links-and-device")

    page.unroute("**/nodes/n2/corosync/links")
    visitor.answer("/nodes/n2/corosync/links", [a_link("n1", 0, priority=3), a_link("n1", 1)])
    disagreement = "The nodes do not agree on the priority of link 0: n1 10, n2 3."
    expect(page.get_by_text(disagreement)).to_be_visible()
    expect(page.get_by_role("grid", name="Link 1").get_by_text(re.compile("^up"))).to_have_count(1)
    visitor.picture("22-priorities-differ")


def test_removing_a_node_says_what_quorum_will_be(visitor: Visitor) -> None:
    page = visitor.page
    a_cluster(visitor)
    visitor.open("datacenter/cluster")
    open_removal(page, "n3")
    dialog = page.get_by_role("dialog", name="Remove node n3")
    expect(dialog.get_by_text("with its 2 votes")).to_be_visible()
    expect(dialog.get_by_text("5 of 5 votes present, 3 needed. One more node may fail")).to_be_visible()
    dialog.get_by_label("Type the node's name, n3, to confirm").fill("n3")
    remove = dialog.get_by_role("button", name="Remove", exact=True)
    expect(remove).to_be_disabled()
    visitor.picture("23-remove-with-device")
    dialog.get_by_label("n3 is lost for good: remove it although a quorum device is configured").check()
    expect(remove).to_be_enabled()
    dialog.get_by_role("button", name="Cancel").click()

    a_cluster(visitor, quorate=False)
    expect(page.get_by_role("treeitem", name=re.compile("n3"))).to_be_visible()
    open_removal(page, "n3")
    expect(dialog.get_by_text("2 of 7 votes present, 4 needed")).to_be_visible()
    expect(dialog.get_by_text("'pvecm expected 2'")).to_be_visible()
    visitor.picture("23-remove-without-quorum")


def open_removal(page: Page, name: str) -> None:
    page.get_by_role("grid", name="Cluster Nodes").get_by_role("button", name=f"Remove node: {name}").click()


def test_a_join_whose_certificate_is_not_trusted_loads_the_page_anew(host: ApiHost, visitor: Visitor) -> None:
    """A browser refuses every request then, which looks like a node that is not there."""
    page = visitor.page
    page.clock.install()
    upid = str(Upid(host.node, os.getpid(), 1, int(time.time()), "clusterjoin", "", "root@pam"))
    state = {"upid": upid, "node": host.node, "type": "clusterjoin", "user": "root@pam", "status": "running"}

    def join(route: Route) -> None:
        if route.request.method == "POST":
            route.fulfill(json={"data": upid})
        else:
            route.fulfill(status=424, json={"data": None, "message": "node is not in a cluster"})

    page.route("**/api2/json/cluster/config/join", join)
    visitor.answer(f"/nodes/{host.node}/tasks/*/status", state)
    visitor.answer(f"/nodes/{host.node}/tasks/*/log?*", [{"n": 1, "t": "Establishing API connection"}])
    visitor.open("datacenter/cluster")
    page.get_by_role("button", name="Join Cluster").click()
    page.get_by_label("Assisted join").uncheck()
    page.get_by_label("Peer Address").fill("10.0.0.1")
    page.get_by_role("textbox", name="Password").fill("secret")
    page.get_by_role("textbox", name="Fingerprint").fill(":".join(["AB"] * 32))
    page.get_by_label("Address of link 0").fill("10.0.0.2")
    page.get_by_role("button", name="Join", exact=True).click()
    expect(page.get_by_text("Establishing API connection")).to_be_visible()

    page.route("**/api2/**", lambda route: route.abort())
    page.clock.run_for(5000)
    expect(page.get_by_text("If the browser does not trust the new certificate")).to_be_visible()
    visitor.picture("24-join-restarting")
    with page.expect_navigation():
        page.clock.run_for(30_000)
    page.unroute("**/api2/**")  # the browser trusts it now
    expect(page.get_by_label("User name")).to_be_visible()


def test_a_long_table_shows_its_beginning_and_more_when_asked(visitor: Visitor) -> None:
    guests = [
        {"id": f"qemu/{vmid}", "type": "qemu", "vmid": vmid, "node": "n1", "name": f"guest-{vmid}"}
        for vmid in range(100, 350)
    ]
    visitor.answer("/cluster/resources", guests)
    visitor.open("datacenter/summary")
    table = visitor.page.get_by_role("grid", name="Guests")
    rows = table.get_by_role("row")
    expect(rows).to_have_count(1 + 100)
    expect(visitor.page.get_by_text("The first 100 of 250 are shown.")).to_be_visible()
    table.get_by_role("button", name="ID").click()
    table.get_by_role("button", name="ID").click()
    expect(rows.nth(1)).to_contain_text("guest-349")  # the order is of all rows, not of those shown
    more = visitor.page.get_by_role("button", name="Show more")
    more.click()
    expect(rows).to_have_count(1 + 200)
    more.click()
    expect(rows).to_have_count(1 + 250)
    expect(more).to_have_count(0)
