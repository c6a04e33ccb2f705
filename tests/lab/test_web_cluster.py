"""A person makes a cluster in the browser and lives with it: the whole way on one lab, by role and name.

One test, since each step stands on the one before. Pictures of every step lie in artifacts/web/.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Response, expect

from lab import Lab, Node
from lab.base import ROOT_PASSWORD
from lab.record import address
from tests.lab.support_web import DESK, JOIN_MS, PATIENCE, SMALL_PHONE, Person, browser_in

CLUSTER = "weblab"
LINKS = (0, 1)
MAX_FIRST_LOAD = 350_000
"""Compressed bytes until the tree is shown for the first time."""


@pytest.fixture
def lab(new_lab: Callable[..., Lab]) -> Lab:
    return new_lab(nodes=3, links=len(LINKS))


@pytest.fixture
def browser(lab: Lab, tmp_path: Path) -> Iterator[Browser]:
    with browser_in(lab, tmp_path) as found:
        yield found


@pytest.mark.timeout(1500)
def test_a_person_makes_a_cluster_and_lives_with_it(
    lab: Lab, browser: Browser, allow_warnings: Callable[[str], None]
) -> None:
    allow_warnings(r".")  # joins, a cut and a dead node; the daemons' words are other tests' business
    n1, n2, n3 = lab.nodes
    admin = Person(browser, n1)
    first_visit(admin)
    create_cluster(admin)
    information = copy_join_information(admin)
    for node in (n2, n3):
        newcomer = Person(browser, node)
        join_cluster(newcomer, information)
        admin.sees_node(node.name, "online")
        assert newcomer.faults == []
        newcomer.context.close()
    admin.sees_quorum("3 of 3 votes present, 2 needed", "One more node may fail")
    admin.picture("05-three-nodes")
    links_are_up(admin)
    write_option(admin)
    write_migration_settings(admin)
    finish_a_form_after_the_session_has_ended(admin)
    watch_a_task(admin)

    n3.power_cut()
    admin.sees_node("n3", "offline")
    admin.sees_quorum("2 of 3 votes present, 2 needed", "Losing one more node stops changes")
    admin.picture("09-node-off")
    remove_node(admin, "n3")
    admin.sees_quorum("2 of 2 votes present, 2 needed", "Losing one more node stops changes")
    the_log_tells_of_the_removal(admin)
    for node in (n1, n2):
        certificate_is_the_one_that_is_served(admin, node)

    lab.cut("n2")
    admin.sees_quorum("1 of 2 votes present, 2 needed", "Changes are stopped")
    admin.picture("11-no-quorum")
    lab.heal()
    admin.sees_quorum("2 of 2 votes present, 2 needed", "Losing one more node stops changes")
    admin.sees_node("n2", "online")
    admin.picture("12-quorum-again")
    looks(browser, lab)
    assert admin.faults == []


def first_visit(admin: Person) -> None:
    """Log in, and see the tree; what was loaded for it is bounded."""
    received: list[Response] = []

    def keep(answer: Response) -> None:
        received.append(answer)

    admin.page.on("response", keep)
    admin.open()
    expect(admin.page.get_by_label("User name")).to_be_visible()
    admin.picture("01-login")
    started = time.monotonic()
    admin.log_in()
    admin.sees_node("n1", "online")
    seconds = time.monotonic() - started
    files = [answer for answer in received if "/api2/" not in answer.url]
    admin.page.remove_listener("response", keep)
    load = sum(answer.request.sizes()["responseBodySize"] for answer in files)
    print(f"login to tree: {seconds:.2f} s; first load: {load / 1000:.0f} kB in {len(files)} files")
    assert 0 < load <= MAX_FIRST_LOAD
    expect(admin.page.get_by_text("Standalone node - no cluster defined.")).to_be_visible()
    assert admin.barriers() == []
    admin.picture("02-standalone")


def create_cluster(admin: Person) -> None:
    page = admin.page
    admin.go("datacenter/cluster")
    page.get_by_role("button", name="Create Cluster").click()
    dialog = page.get_by_role("dialog", name="Create Cluster")
    dialog.get_by_label("Cluster Name").fill("name-that-is-too-long")
    expect(dialog.get_by_text("At most 15 characters.")).to_be_visible()
    dialog.get_by_label("Cluster Name").fill(CLUSTER)
    expect(dialog.get_by_label("Address of link 0")).to_have_value(admin.node.address())
    dialog.get_by_role("button", name="Add link").click()
    second = dialog.get_by_label("Address of link 1")
    second.fill(admin.node.address())
    expect(second).to_have_accessible_description(re.compile("^Duplicate link address not allowed."))
    expect(dialog.get_by_role("button", name="Create", exact=True)).to_be_disabled()
    second.fill(address(admin.node.name, 1))
    assert admin.barriers() == []
    admin.picture("03-create")
    dialog.get_by_role("button", name="Create", exact=True).click()
    viewer = page.get_by_role("dialog", name="Create Cluster")
    expect(viewer.get_by_text("TASK OK")).to_be_visible(timeout=JOIN_MS)
    viewer.get_by_role("button", name="Close").last.click()
    expect(page.get_by_role("heading", name=f"Datacenter ({CLUSTER})")).to_be_visible(timeout=PATIENCE)
    has_addresses(admin.node, "n1")


def has_addresses(reader: Node, *names: str) -> None:
    """The cluster's configuration, as ``reader`` has it, names these nodes on both links."""
    conf = reader.read_file("/etc/pve/corosync.conf")
    wanted = [f"ring{link}_addr: {address(name, link)}" for name in names for link in LINKS]
    assert re.findall(r"ring\d_addr: \S+", conf) == wanted, conf


def copy_join_information(admin: Person) -> str:
    page = admin.page
    page.get_by_role("button", name="Join Information").click()
    dialog = page.get_by_role("dialog", name="Cluster Join Information")
    expect(dialog.get_by_label("IP Address")).to_have_value(admin.node.address())
    dialog.get_by_role("button", name="Copy Information").click()
    expect(dialog.get_by_text("Copied.")).to_be_visible()
    admin.picture("04-join-information")
    copied = str(page.evaluate("navigator.clipboard.readText()"))
    assert copied == dialog.get_by_label("Join Information").input_value()
    dialog.get_by_role("button", name="Close").last.click()
    return copied


def join_cluster(newcomer: Person, information: str) -> None:
    """Paste, join, watch it, and be brought back by the page itself."""
    page = newcomer.page
    newcomer.open("#/datacenter/cluster")
    newcomer.log_in()
    page.get_by_role("button", name="Join Cluster").click()
    dialog = page.get_by_role("dialog", name="Cluster Join")
    dialog.get_by_role("textbox", name="Information").fill("no such thing")
    expect(dialog.get_by_text("Does not seem like a valid encoded Cluster Information!")).to_be_visible()
    dialog.get_by_role("textbox", name="Information").fill(information)
    dialog.get_by_role("textbox", name="Password").fill(ROOT_PASSWORD)
    button = dialog.get_by_role("button", name=f"Join '{CLUSTER}'")
    numbers = dialog.get_by_role("textbox", name="Link", exact=True)
    expect(numbers).to_have_count(len(LINKS))
    expect(dialog.get_by_role("button", name="Add link")).to_have_count(0)  # the cluster says which
    for link in LINKS:
        expect(button).to_be_disabled()
        expect(numbers.nth(link)).to_have_value(str(link))
        expect(numbers.nth(link)).not_to_be_editable()
        own = dialog.get_by_label(f"Address of link {link}")
        expect(own).to_have_accessible_description(re.compile(f"^Peer's link address: {address('n1', link)}"))
        own.fill(address(newcomer.node.name, link))
    newcomer.picture(f"04-join-{newcomer.node.name}")
    button.click()
    expect(page.get_by_role("dialog", name=f"Joining '{CLUSTER}'")).to_be_visible()
    newcomer.picture(f"04-joining-{newcomer.node.name}")
    expect(page.get_by_role("dialog", name="Join Task Finished")).to_be_visible(timeout=JOIN_MS)
    newcomer.picture(f"04-joined-{newcomer.node.name}")
    expect(page.get_by_label("User name")).to_be_visible(timeout=PATIENCE)  # nobody pressed reload
    newcomer.log_in()
    expect(page.get_by_text(f"This node has joined '{CLUSTER}'.")).to_be_visible(timeout=PATIENCE)
    newcomer.sees_node("n1", "online")
    newcomer.picture(f"04-back-{newcomer.node.name}")


def links_are_up(admin: Person) -> None:
    """Both links, each from every node's view, and the members' addresses on them."""
    page = admin.page
    admin.go("datacenter/cluster")
    names = ("n1", "n2", "n3")
    has_addresses(admin.node, *names)
    members = page.get_by_role("grid", name="Cluster Nodes")
    for link in LINKS:
        matrix = page.get_by_role("grid", name=f"Link {link}")
        for name in names:
            view = matrix.get_by_role("row", name=re.compile(f"^{name} "))
            expect(view.get_by_text(re.compile(r"^up"))).to_have_count(2, timeout=PATIENCE)
            member = members.get_by_role("row").filter(has_text=name)
            expect(member.get_by_role("gridcell", name=address(name, link), exact=True)).to_be_visible()
    admin.picture("06-cluster")
    page.get_by_role("grid", name="Link 1").scroll_into_view_if_needed()
    admin.picture("06-links")
    assert admin.barriers() == []


def write_option(admin: Person) -> None:
    page = admin.page
    admin.go("datacenter/options")
    page.get_by_role("button", name="Edit Next Free VMID Range").click()
    dialog = page.get_by_role("dialog", name="Edit: Next Free VMID Range")
    dialog.get_by_label("Lower").fill("2000")
    dialog.get_by_label("Upper").fill("1000")
    expect(dialog.get_by_text("The upper end lies below the lower one.")).to_be_visible()
    dialog.get_by_label("Upper").fill("3000")
    dialog.get_by_role("button", name="OK").click()
    expect(page.get_by_text("lower=2000,upper=3000")).to_be_visible()
    admin.picture("07-options")
    assert "next-id: lower=2000,upper=3000" in admin.node.read_file("/etc/pve/datacenter.cfg")


def write_migration_settings(admin: Person) -> None:
    page = admin.page
    page.get_by_role("button", name="Edit Migration Settings").click()
    dialog = page.get_by_role("dialog", name="Edit: Migration Settings")
    expect(dialog.get_by_label("Type")).to_have_value("secure")
    expect(dialog.get_by_label("Type")).not_to_be_editable()
    dialog.get_by_label("Network").fill("10.77.1.0/33")
    expect(dialog.get_by_role("button", name="OK")).to_be_disabled()
    dialog.get_by_label("Network").fill("10.77.1.0/24")
    dialog.get_by_role("button", name="OK").click()
    row = page.get_by_role("grid", name="Options").get_by_role("row").filter(has_text="Migration Settings")
    expect(row).to_contain_text("network=10.77.1.0/24")
    expect(row).to_contain_text("type=secure")
    lines = admin.node.read_file("/etc/pve/datacenter.cfg").splitlines()
    assert "migration: secure,network=10.77.1.0/24" in lines


def finish_a_form_after_the_session_has_ended(admin: Person) -> None:
    """What was typed before the ticket was refused is sent after the login over the form."""
    page = admin.page
    page.get_by_role("button", name="Edit MAC address prefix").click()
    page.get_by_label("MAC address prefix").last.fill("02:AB")
    admin.context.clear_cookies()
    page.get_by_role("button", name="OK").click()
    again = page.get_by_role("dialog", name="The session has ended")
    expect(again).to_be_visible()
    admin.picture("07-session-ended")
    again.get_by_label("Password").fill(ROOT_PASSWORD)
    again.get_by_role("button", name="Log in").click()
    expect(again).to_be_hidden()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_text("02:AB")).to_be_visible()
    assert "mac_prefix: 02:AB" in admin.node.read_file("/etc/pve/datacenter.cfg")


def watch_a_task(admin: Person) -> None:
    """Restart a service of another node, from here."""
    page = admin.page
    admin.go("node/n2/services")
    row = page.get_by_role("row").filter(has_text="pvestatd")
    admin.choose(row, "Restart")
    viewer = page.get_by_role("dialog", name=re.compile("Restart service"))
    expect(viewer.get_by_text("TASK OK")).to_be_visible(timeout=PATIENCE)
    expect(viewer.get_by_text("OK", exact=True)).to_be_visible(timeout=PATIENCE)
    admin.picture("08-task")
    viewer.get_by_role("button", name="Close").last.click()
    admin.go("datacenter/tasks")
    table = page.get_by_role("grid", name="Cluster tasks")
    expect(table.get_by_role("button", name=re.compile("Restart service")).first).to_be_visible()
    admin.picture("08-tasks")


def remove_node(admin: Person, name: str) -> None:
    page = admin.page
    admin.go("datacenter/cluster")
    table = page.get_by_role("grid", name="Cluster Nodes")
    expect(table.get_by_role("row")).to_have_count(4)
    open_removal(admin, "n2")
    expect(page.get_by_text("n2 is online. Power it off first")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    open_removal(admin, name)
    dialog = page.get_by_role("dialog", name=f"Remove node {name}")
    dialog.get_by_label(f"Type the node's name, {name}, to confirm").fill(name)
    admin.picture("10-remove")
    dialog.get_by_role("button", name="Remove", exact=True).click()
    expect(dialog).to_be_hidden(timeout=PATIENCE)
    expect(table.get_by_role("row")).to_have_count(3, timeout=PATIENCE)


def the_log_tells_of_the_removal(admin: Person) -> None:
    """On the page of the log, and in the panel at the bottom of every page, which has the tasks as well."""
    page = admin.page
    panel = page.get_by_role("region", name="Recent tasks and log")
    admin.go("datacenter/log")
    log = page.get_by_role("grid", name="Cluster log")
    tells_of_the_removal(log)
    admin.picture("10-log")
    admin.go("datacenter/summary")
    expect(panel).to_contain_text("n2: Restart service pvestatd")
    panel.get_by_role("button", name="Recent tasks").click()
    tasks = panel.get_by_role("grid", name="Recent tasks")
    for node, title in (("n1", "Create Cluster"), ("n2", "Join Cluster"), ("n2", "Restart service pvestatd")):
        row = tasks.get_by_role("row").filter(has=page.get_by_role("button", name=title))
        row = row.filter(has=page.get_by_role("gridcell", name=node, exact=True))
        expect(row.get_by_role("gridcell", name="OK", exact=True)).to_be_visible()
    admin.picture("10-recent-tasks")
    panel.get_by_role("button", name="Cluster log").click()
    tells_of_the_removal(log)
    panel.get_by_role("button", name="Recent tasks").click()
    expect(log).to_have_count(0)


def tells_of_the_removal(log: Locator) -> None:
    row = log.get_by_role("row").filter(has_text="deleting node n3 from cluster")
    expect(row).to_have_count(1)
    for cell in ("n1", "root@pam", "notice"):
        expect(row.get_by_role("gridcell", name=cell, exact=True)).to_be_visible()


def certificate_is_the_one_that_is_served(admin: Person, node: Node) -> None:
    admin.go(f"node/{node.name}/certificates")
    asking = f"openssl s_client -connect {node.address()}:8006 < /dev/null 2> /dev/null"
    reading = "openssl x509 -noout -fingerprint -sha256"
    served = admin.node.run(["sh", "-c", f"{asking} | {reading}"]).stdout.strip().partition("=")[2]
    assert re.fullmatch(r"([0-9A-F]{2}:){31}[0-9A-F]{2}", served)
    expect(admin.page.get_by_role("definition").filter(has_text=served)).to_have_text(served)
    admin.picture(f"10-certificates-{node.name}")


def open_removal(admin: Person, name: str) -> None:
    row = admin.page.get_by_role("grid", name="Cluster Nodes").get_by_role("row").filter(has_text=name)
    admin.choose(row, "Remove node")


def looks(browser: Browser, lab: Lab) -> None:
    """The same pages dark and on a phone: nothing is wider than the screen, nothing keeps anybody out."""
    for kind, dark, screen in (
        ("dark-desk", True, DESK),
        ("light-phone", False, SMALL_PHONE),
        ("dark-phone", True, SMALL_PHONE),
    ):
        person = Person(browser, lab.node("n1"), dark=dark, screen=screen)
        person.open()
        person.log_in()
        for place in ("datacenter/summary", "datacenter/cluster", "datacenter/options", "node/n1/summary"):
            person.go(place)
            expect(person.page.get_by_role("progressbar", name=re.compile("^Loading"))).to_have_count(0)
            person.picture(f"{kind}-{place.replace('/', '-')}")
            assert person.barriers() == [], (kind, place)
            assert person.excess() <= 0, f"{kind} {place}: wider than the screen"
        assert person.faults == []
        person.context.close()
