"""A cluster's pages in the browser: joining by hand, keyboard alone, graphs, QDevice, small and dark screens.

One lab for all: n1 is a cluster, n2 joins it here, n3 stands outside and gives the vote of a QDevice.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Response, expect

from lab import Lab, Node
from lab.base import ROOT_PASSWORD
from lab.cluster import create, fingerprint, join, set_token, wait_api, wait_mounted
from lab.handmade import TEST_TOKEN, members_seen, wait_quorate
from lab.waiting import wait_for
from tests.lab.conftest import Laboratories
from tests.lab.support_web import JOIN_MS, PHONE, Person, browser_in, tab_to

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
PROJECT_PYTHON = "/opt/quorate/.venv/bin/python"
HISTORY = """
import math, os, sys, time
from quorate.pmxcfs import librrd, rrd
kind, name = rrd.KINDS[0], sys.argv[1]
path = f"/var/lib/rrdcached/db/{kind.directory}/{name}"
os.makedirs(os.path.dirname(path), exist_ok=True)
end = int(time.time()) // rrd.STEP * rrd.STEP
begin = end - 7200
librrd.create(path + ".new", rrd.STEP, begin, kind.creation_arguments())
gib = 1 << 30
for when in range(begin + rrd.STEP, end + 1, rrd.STEP):
    wave = math.sin(when / 500)
    load, cpu, used = 1 + wave / 2, 0.3 + wave / 5, int((4 + wave) * gib)
    values = [load, 2, cpu, 0.02, 16 * gib, used, 0, 0, 50 * gib, 20 * gib]
    traffic = [(when - begin) * 90000, (when - begin) * 30000, 12 * gib, *["U"] * 6]
    librrd.update(path + ".new", ":".join(str(each) for each in [when, *values, *traffic]))
os.rename(path + ".new", path)
print(end)
"""
"""Two hours of figures by the node's own librrd, in the place of what was measured since it booted."""
SETUP_SECONDS = 200.0
"""For the QDevice's certificates on all nodes, on a busy machine."""
CHART = (600, 160)
"""Width and height of a graph, in the units of its paths."""


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
    tab_to(page, page.get_by_role("tab", name="Cluster", exact=True))
    keys.press("Enter")
    open_button = page.get_by_role("button", name="Join Information")
    tab_to(page, open_button)
    keys.press("Enter")
    dialog = page.get_by_role("dialog", name="Cluster Join Information")
    tab_to(page, dialog.get_by_role("button", name="Copy Information"))
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
    tab_to(page, menu)
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


def test_graphs_draw_the_figures_that_the_server_has(lab: Lab, visit: Callable[..., Person]) -> None:
    recorded = int(lab.node("n1").run([PROJECT_PYTHON, "-c", HISTORY, "n1"]).stdout)
    person = visit("n1", "#/node/n1/summary")
    page, told = person.page, Figures(person)
    person.log_in()
    cpu, memory, network = (
        page.get_by_role("img", name=re.compile(f"^{title}: ")) for title in ("CPU", "Memory", "Network")
    )
    told.are_drawn(cpu, "hour", ("cpu", "iowait"), top=1)
    told.are_drawn(memory, "hour", ("memused", "memtotal"))
    told.are_drawn(network, "hour", ("netin", "netout"))
    shown = [row for row in told.of("hour")[-1] if "cpu" in row and row["time"] <= recorded]
    assert len(shown) > 50
    assert [row["cpu"] for row in shown] == [
        pytest.approx(0.3 + math.sin(row["time"] / 500) / 5) for row in shown
    ]
    expect(network).to_have_accessible_name(re.compile(r"^Network: In \d+(\.\d+)? \w+/s, Out \d"))
    assert person.barriers() == []
    person.picture("31-graphs")
    page.get_by_role("img", name=re.compile("^Root file system: Used ")).scroll_into_view_if_needed()
    person.picture("31-graphs-below")
    page.get_by_label("Graphs over the last").select_option("day")
    told.are_drawn(cpu, "day", ("cpu", "iowait"), top=1)
    person.picture("31-graphs-day")


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


def test_a_quorum_device_is_shown_as_every_node_sees_it(
    lab: Lab, visit: Callable[..., Person], allow_warnings: Callable[[str], None]
) -> None:
    """A real one, on n3: set up, its server gone, a daemon stopped, removed. Nobody presses reload."""
    allow_warnings(r".")  # Corosync's configuration changes twice, n2 may have just joined
    n1, n2, outside = lab.nodes
    ensure_joined(n2, n1)
    person = visit("n1", "#/datacenter/cluster")
    person.log_in()
    page = person.page
    none = page.get_by_text("No quorum device is configured.")
    expect(none).to_be_visible()
    let_in(n1, outside)
    outside.run(["systemctl", "start", "corosync-qnetd"])
    n1.run(["pvecm", "qdevice", "setup", outside.address()], timeout=SETUP_SECONDS)
    expect(page.get_by_text(f"Server {outside.address()}, ffsplit, 1 vote")).to_be_visible()
    table = page.get_by_role("grid", name="Quorum Device")
    rows = [table.get_by_role("row").filter(has_text=node.name) for node in (n1, n2)]
    for row in rows:
        for words in ("runs", "Connected", "cast for this node", "Node with lowest node ID"):
            expect(row.get_by_role("gridcell", name=words, exact=True)).to_be_visible()
    table.scroll_into_view_if_needed()
    assert person.barriers() == []
    person.picture("33-qdevice")
    person.sees_quorum("3 of 3 votes present, 2 needed", "One more node may fail; losing two stops changes.")
    person.picture("33-qdevice-quorum")

    outside.run(["systemctl", "stop", "corosync-qnetd"])
    person.sees_quorum("2 of 3 votes present, 2 needed", "Losing one more node stops changes.")
    person.go("datacenter/cluster")
    for row in rows:
        expect(row.get_by_role("gridcell", name="not cast for this node", exact=True)).to_be_visible()
        expect(row.get_by_role("gridcell", name="Connected", exact=True)).to_have_count(0)
    table.scroll_into_view_if_needed()
    person.picture("33-qdevice-server-gone")
    outside.run(["systemctl", "start", "corosync-qnetd"])
    n2.run(["systemctl", "stop", "corosync-qdevice"])
    expect(rows[0].get_by_role("gridcell", name="Connected", exact=True)).to_be_visible()
    expect(rows[1].get_by_role("gridcell", name=re.compile("^does not run"))).to_be_visible()
    table.scroll_into_view_if_needed()
    person.picture("33-qdevice-daemon-stopped")

    n1.run(["pvecm", "qdevice", "remove"], timeout=SETUP_SECONDS)
    expect(none).to_be_visible()


class Figures:
    """What the server has answered for a node's graphs."""

    def __init__(self, person: Person) -> None:
        self._answers: list[Response] = []
        person.page.on("response", self._keep)

    def of(self, frame: str) -> list[list[dict[str, Any]]]:
        """Every answer for this time, in the order of their coming."""
        return [answer.json()["data"] for answer in self._answers if f"timeframe={frame}" in answer.url]

    def are_drawn(self, graph: Locator, frame: str, lines: tuple[str, ...], top: int | None = None) -> None:
        """Wait until the graph's lines are one of the answers. ``top``: None for the next power of 2."""
        paths = graph.locator("path")

        def is_drawn() -> bool:
            found = [drawn(paths.nth(index)) for index in range(len(lines))]  # answers are told meanwhile
            return any(found == as_paths(rows, lines, top) for rows in self.of(frame))

        wait_for(
            is_drawn,
            timeout=60,
            what=f"the server's {', '.join(lines)} of one {frame} to be drawn",
            seen=lambda: ([path.get_attribute("d") for path in paths.all()], self.of(frame)),
        )

    def _keep(self, answer: Response) -> None:
        if "/rrddata?" in answer.url and answer.ok:
            self._answers.append(answer)


def as_paths(rows: list[dict[str, Any]], lines: tuple[str, ...], top: float | None) -> list[list[Any]]:
    """Where the lines' points must lie; they are written with one decimal."""
    first, last = rows[0]["time"], rows[-1]["time"]
    most = max((row[line] for row in rows for line in lines if line in row), default=1)
    full = top or 2 ** math.ceil(math.log2(most))
    width, depth = CHART
    return [
        [
            pytest.approx(
                (width * (row["time"] - first) / (last - first), depth * (1 - min(row[line], full) / full)),
                abs=0.06,
            )
            for row in rows
            if line in row
        ]
        for line in lines
    ]


def drawn(path: Locator) -> list[tuple[float, float]]:
    points = re.findall(r"[ML]([\d.]+) ([\d.]+)", path.get_attribute("d") or "")
    return [(float(x), float(y)) for x, y in points]


def height(what: Locator) -> float:
    box = what.bounding_box()
    assert box is not None
    return box["height"]


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


def ensure_joined(node: Node, peer: Node) -> None:
    """By the command, where no test before has done it in the browser."""
    if len(members_seen(peer)) < 2:
        join(node, peer, links=1)
    wait_quorate([peer, node])


def let_in(member: Node, server: Node) -> None:
    """The member's root may enter the server by its key, as after the password that ssh-copy-id asks for."""
    keys = "umask 077; mkdir -p /root/.ssh; exec cat >> /root/.ssh/authorized_keys"
    server.run(["sh", "-c", keys], input=member.read_file("/root/.ssh/id_rsa.pub"))
    known = server.read_file("/etc/ssh/ssh_host_ed25519_key.pub")
    member.run(["sh", "-c", "exec cat >> /root/.ssh/known_hosts"], input=f"{server.address()} {known}")
