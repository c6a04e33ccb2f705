"""A cluster's pages in the browser: joining by hand, keyboard alone, graphs, QDevice, small and dark screens.

One lab for all: n1 is a cluster, n2 joins it here, n3 stands outside and gives the vote of a QDevice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import product

import pytest
from playwright.sync_api import Browser, Locator, expect

from lab import Lab
from lab.base import ROOT_PASSWORD
from lab.cluster import create, fingerprint, set_token, wait_api, wait_mounted
from lab.handmade import TEST_TOKEN
from tests.lab.conftest import Laboratories
from tests.lab.support_web import JOIN_MS, PHONE, Person, browser_in

CLUSTER = "pages"
DATACENTER = (
    "summary",
    "cluster",
    "options",
    "tasks",
    "log",
    "users",
    "tokens",
    "groups",
    "roles",
    "permissions",
)
NODE = ("summary", "network", "services", "tasks", "syslog", "certificates")
MOST_TABS = 80
"""Presses of the key until one gives up finding something."""


PROJECT_PYTHON = "/opt/quorate/.venv/bin/python"
HISTORY = """
import math, os, sys, time
from quorate.pmxcfs import librrd, rrd
kind, name = rrd.KINDS[0], sys.argv[1]
path = f"/var/lib/rrdcached/db/{kind.directory}/{name}"
os.makedirs(os.path.dirname(path), exist_ok=True)
now = int(time.time())
begin = now - 7200
librrd.create(path + ".new", rrd.STEP, begin, kind.creation_arguments())
gib = 1 << 30
for when in range(begin + 60, now, 60):
    wave = math.sin(when / 500)
    load, cpu, used = 1 + wave / 2, 0.3 + wave / 5, int((4 + wave) * gib)
    values = [load, 2, cpu, 0.02, 16 * gib, used, 0, 0, 50 * gib, 20 * gib]
    traffic = [(when - begin) * 90000, (when - begin) * 30000, 12 * gib, *["U"] * 6]
    librrd.update(path + ".new", ":".join(str(each) for each in [when, *values, *traffic]))
os.rename(path + ".new", path)
"""
"""Two hours of figures by the node's own librrd, in the place of what was measured since it booted."""


@pytest.fixture(scope="module")
def lab(laboratories: Laboratories) -> Iterator[Lab]:
    with laboratories.lab(nodes=3) as lab:
        create(lab.node("n1"), CLUSTER, links=1)
        set_token(lab.node("n1"), TEST_TOKEN)
        yield lab


@pytest.fixture(scope="module")
def browser(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser_in(lab, tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def visit(browser: Browser, lab: Lab) -> Iterator[Callable[..., Person]]:
    """``visit("n1", dark=True)``: somebody at a node's login, whose page does nothing wrong until the end."""
    people: list[Person] = []

    def begin(name: str = "n1", place: str = "", **how: object) -> Person:
        person = Person(browser, lab.node(name), **how)  # type: ignore[arg-type]
        people.append(person)
        person.open(place)
        return person

    yield begin
    for person in people:
        assert person.faults == []
        person.context.close()


def test_keyboard_alone_leads_from_the_login_to_the_join_information(visit: Callable[..., Person]) -> None:
    person = visit()
    page, keys = person.page, person.page.keyboard
    expect(page.get_by_label("User name")).to_be_focused()
    keys.type("root")
    keys.press("Tab")
    keys.type(ROOT_PASSWORD)
    keys.press("Enter")
    tab_to(person, page.get_by_role("tab", name="Cluster", exact=True))
    keys.press("Enter")
    open_button = page.get_by_role("button", name="Join Information")
    tab_to(person, open_button)
    keys.press("Enter")
    dialog = page.get_by_role("dialog", name="Cluster Join Information")
    tab_to(person, dialog.get_by_role("button", name="Copy Information"))
    keys.press("Space")
    expect(dialog.get_by_text("Copied.")).to_be_visible()
    person.picture("30-keyboard")
    keys.press("Escape")
    expect(dialog).to_be_hidden()
    expect(open_button).to_be_focused()


def test_a_row_s_menu_by_keyboard_gives_the_focus_back(visit: Callable[..., Person]) -> None:
    person = visit("n1", "#/datacenter/users")
    person.log_in()
    page, keys = person.page, person.page.keyboard
    menu = page.get_by_role("button", name="Actions: root@pam")
    tab_to(person, menu)
    keys.press("Enter")
    keys.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="Edit")).to_be_focused()
    keys.press("Enter")
    dialog = page.get_by_role("dialog", name="Edit user root@pam")
    expect(dialog).to_be_visible()
    keys.press("Escape")
    expect(dialog).to_be_hidden()
    expect(menu).to_be_focused()


def test_a_row_that_moves_while_it_is_pressed_opens_its_menu(visit: Callable[..., Person]) -> None:
    person = visit("n1", "#/node/n1/services")
    person.log_in()
    page = person.page
    button = page.get_by_role("button", name="Actions: pvestatd")
    button.hover()
    page.mouse.down()
    page.get_by_role("grid", name="Services").evaluate("table => { table.style.marginTop = '7rem' }")
    page.mouse.up()
    expect(page.get_by_role("menuitem", name="Restart")).to_be_visible()


def test_a_session_that_ends_under_a_form_keeps_what_was_typed(visit: Callable[..., Person]) -> None:
    person = visit("n1", "#/datacenter/options")
    person.log_in()
    page = person.page
    page.get_by_role("button", name="Edit Email from address").click()
    form = page.get_by_role("dialog", name="Edit: Email from address")
    field = form.get_by_label("Email from address")
    field.fill("cluster@example.org")
    person.context.clear_cookies()  # the page's next look at the options is refused
    again = page.get_by_role("dialog", name="The session has ended")
    expect(again).to_be_visible()
    page.keyboard.press("Escape")
    again.get_by_label("Password").fill(ROOT_PASSWORD)
    again.get_by_role("button", name="Log in").click()
    expect(again).to_be_hidden()
    expect(field).to_have_value("cluster@example.org")
    form.get_by_role("button", name="OK").click()
    expect(form).to_be_hidden()
    expect(page.get_by_text("cluster@example.org")).to_be_visible()


def test_graphs_show_the_figures_of_the_node(lab: Lab, visit: Callable[..., Person]) -> None:
    lab.node("n1").run([PROJECT_PYTHON, "-c", HISTORY, "n1"])
    person = visit("n1", "#/node/n1/summary")
    person.log_in()
    for title, words in (
        ("CPU", r"CPU usage \d+\.\d %, IO delay \d"),
        ("Memory", r"Used \d+(\.\d+)? GiB, Total \d+(\.\d+)? GiB"),
        ("Network", r"In \d"),
    ):
        graph = person.page.get_by_role("img", name=re.compile(rf"^{title}: {words}"))
        expect(graph).to_be_visible()
        drawn = graph.locator("path").first.get_attribute("d") or ""
        assert len(re.findall("[ML]", drawn)) > 50, title
    assert person.barriers() == []
    person.picture("31-graphs")
    person.page.get_by_role("img", name=re.compile("^CPU: ")).scroll_into_view_if_needed()
    person.picture("31-graphs-below")
    person.page.get_by_label("Graphs over the last").select_option("day")
    expect(person.page.get_by_role("img", name=re.compile("^CPU: CPU usage"))).to_be_visible()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_page_fits_a_phone_and_keeps_nobody_out(dark: bool, visit: Callable[..., Person]) -> None:
    person = visit(dark=dark, screen=PHONE)
    person.log_in()
    kind = "dark" if dark else "light"
    places = [*product(["datacenter"], DATACENTER), *product(["node/n1"], NODE)]
    for where, tab in places:
        place = f"{where}/{tab}"
        person.go(place)
        shown = person.page.get_by_role("tab", selected=True)
        expect(shown).to_have_attribute("href", re.compile(rf"#/{place}$"))
        expect(shown).to_be_in_viewport(ratio=0.95)
        expect(person.page.get_by_role("progressbar", name=re.compile("^Loading"))).to_have_count(0)
        person.picture(f"phone-{kind}-{place.replace('/', '-')}")
        assert person.excess() <= 0, f"{place} is wider than the screen"
        assert person.stretched_signs() == [], place
        assert person.barriers() == [], place
    banner = person.page.get_by_role("banner")
    account = banner.get_by_role("button", name=re.compile("@"))
    assert height(banner) < 2.5 * height(account), "the head has more than one row"
    expect(banner.get_by_text(f"Cluster {CLUSTER}")).to_be_in_viewport(ratio=0.95)


def test_joining_by_hand_says_at_the_fields_what_is_wrong(
    lab: Lab, visit: Callable[..., Person], allow_warnings: Callable[[str], None]
) -> None:
    allow_warnings(r".")  # two joins that fail and one that restarts everything: other tests' business
    n1, n2 = lab.node("n1"), lab.node("n2")
    wait_mounted(n2)
    wait_api(n2)
    person = visit("n2", "#/datacenter/cluster")
    person.log_in()
    page = person.page
    page.get_by_role("button", name="Join Cluster").click()
    dialog = page.get_by_role("dialog", name="Cluster Join")
    dialog.get_by_label("Assisted join").uncheck()
    button = dialog.get_by_role("button", name="Join", exact=True)
    address, password, print_ = (
        dialog.get_by_role("textbox", name=name) for name in ("Peer Address", "Password", "Fingerprint")
    )
    link = dialog.get_by_label("Address of link 0")
    expect(link).to_have_value(n2.address())
    expect(button).to_be_disabled()
    address.fill("no address at all")
    password.fill("not-the-password")
    print_.fill("AA:BB")
    link.fill("10.77.0.256")
    says(address, "Neither an IP address nor a host name.")
    says(print_, "A SHA-256 fingerprint has 32 pairs of hex digits")
    says(link, "Neither an IP address nor a host name.")
    expect(button).to_be_disabled()
    assert person.barriers() == []
    person.picture("32-join-by-hand-faults")

    link.fill(n2.address())
    address.fill(n1.address())
    print_.fill(":".join(["AA"] * 32))
    for field in (address, print_, link):
        expect(field).to_have_attribute("aria-invalid", "false")
    join_in_vain(person, button)
    says(print_, re.compile("fingerprint .* not verified"))
    expect(print_).to_be_focused()
    expect(password).to_have_value("not-the-password")  # nothing is typed twice
    assert person.barriers() == []
    person.picture("32-join-by-hand-fingerprint")
    print_.fill(fingerprint(n1))
    join_in_vain(person, button)
    says(password, "authentication failure")
    expect(password).to_be_focused()
    person.picture("32-join-by-hand-password")

    password.fill(ROOT_PASSWORD)
    button.click()
    expect(page.get_by_role("dialog", name="Join Task Finished")).to_be_visible(timeout=JOIN_MS)
    expect(page.get_by_label("User name")).to_be_visible()  # nobody pressed reload
    person.log_in()
    expect(page.get_by_text("This node has joined the cluster.")).to_be_visible()
    expect(page.get_by_role("grid", name="Cluster Nodes").get_by_role("row")).to_have_count(3)
    person.sees_node("n1", "online")
    person.picture("32-joined-by-hand")


def height(what: Locator) -> float:
    box = what.bounding_box()
    assert box is not None
    return box["height"]


def tab_to(person: Person, target: Locator) -> None:
    """Press the key until the focus is there."""
    expect(target).to_be_visible()
    for _ in range(MOST_TABS):
        if target.evaluate("element => element === document.activeElement"):
            return
        person.page.keyboard.press("Tab")
    raise AssertionError(f"the key does not lead to {target}")


def says(field: Locator, fault: str | re.Pattern[str]) -> None:
    """The field is marked as wrong, and its description is the reason."""
    expect(field).to_have_attribute("aria-invalid", "true")
    text = fault if isinstance(fault, re.Pattern) else re.compile(re.escape(fault))
    expect(field).to_have_accessible_description(text)


def join_in_vain(person: Person, button: Locator) -> None:
    """Join, see it fail, and go back to the form."""
    button.click()
    again = person.page.get_by_role("button", name="Change and try again")
    expect(again).to_be_visible(timeout=JOIN_MS)
    again.click()
