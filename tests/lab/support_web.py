"""A person at a browser in a lab's network: Debian's chromium, driven by role and name.

The browser runs in the switch's network namespace, where a person's machine would stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from lab import Lab, Node
from lab.base import ROOT_PASSWORD
from lab.browser import chromium_in, submit_login

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "artifacts/web"
AXE = ROOT / "web/node_modules/axe-core/axe.min.js"
PATIENCE = 60_000.0
"""Milliseconds for what a quiet machine shows in less than one: other labs may share it."""
JOIN_MS = 300_000.0
DESK, PHONE, SMALL_PHONE = (1280, 860), (390, 844), (360, 740)
"""Width and height of what a person looks at."""


@contextmanager
def browser_in(lab: Lab, scratch: Path) -> Iterator[Browser]:
    """Chromium in the lab's network."""
    expect.set_options(timeout=PATIENCE)
    with chromium_in(lab.record.switch_netns, scratch) as browser:
        yield browser


class Person:
    """Somebody with a page of one node open. ``faults`` are what the page itself did wrong."""

    def __init__(
        self, browser: Browser, node: Node, *, dark: bool = False, screen: tuple[int, int] = DESK
    ) -> None:
        self.node = node
        self.faults: list[str] = []
        self.context: BrowserContext = browser.new_context(
            ignore_https_errors=True,  # the certificates are the cluster's own
            color_scheme="dark" if dark else "light",
            viewport={"width": screen[0], "height": screen[1]},
            permissions=["clipboard-read", "clipboard-write"],
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._on_console)

    def open(self, place: str = "") -> None:
        self.page.goto(f"https://{self.node.address()}:8006/{place}")

    def log_in(self, password: str = ROOT_PASSWORD, user: str = "root", realm: str = "pam") -> None:
        self.enter(password, user, realm)
        expect(self.page.get_by_role("button", name="Tree", exact=True)).to_be_visible()

    def enter(self, password: str, user: str, realm: str) -> None:
        """What the login asks for; what comes of it is the caller's business."""
        submit_login(self.page, user, password, realm)

    def log_out(self) -> None:
        self.account("Log out")
        expect(self.page.get_by_label("User name")).to_be_visible()

    def account(self, choice: str) -> None:
        """An entry of the menu behind the user's name."""
        self.page.get_by_role("banner").get_by_role("button", name=re.compile("@")).click()
        self.page.get_by_role("menuitem", name=choice, exact=True).click()

    def go(self, place: str) -> None:
        """To a page of the interface by its address, e.g. ``datacenter/cluster``."""
        self.page.evaluate("place => { location.hash = `#/${place}` }", place)

    def choose(self, row: Locator, action: str) -> None:
        """An action of a table's row: behind its menu, or on a button where there is but one."""
        only = row.get_by_role("button", name=re.compile(f"^{action}: "))
        menu = row.get_by_role("button", name=re.compile("^Actions: "))
        expect(only.or_(menu)).to_be_visible()
        if only.count():
            only.click()
            return
        menu.click()
        self.page.get_by_role("menuitem", name=action, exact=True).click()

    def remove(self, row: Locator) -> None:
        """What a row stands for, and wait until that is done: the table is out of reach below the dialog."""
        self.choose(row, "Remove")
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_role("button", name="Remove", exact=True).click()
        expect(dialog).to_have_count(0)

    def sees_node(self, name: str, state: str) -> None:
        item = self.page.get_by_role("treeitem", name=re.compile(rf"^{name}\b.*{state}"))
        expect(item).to_be_visible(timeout=PATIENCE)

    def sees_quorum(self, votes: str, meaning: str) -> None:
        self.go("datacenter/summary")
        expect(self.page.get_by_text(votes)).to_be_visible(timeout=PATIENCE)
        expect(self.page.get_by_text(meaning)).to_be_visible(timeout=PATIENCE)

    def picture(self, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png")

    def excess(self) -> int:
        """Pixels by which the page, or a dialog over it, is wider than the screen."""
        return excess(self.page)

    def stretched_signs(self) -> list[str]:
        """Signs of states in tables that are wider than their words need."""
        found = self.page.evaluate(
            """[...document.querySelectorAll("td .pf-v6-c-label")].filter((sign) => {
                const width = sign.getBoundingClientRect().width;
                sign.style.width = "max-content";
                const needed = sign.getBoundingClientRect().width;
                sign.style.width = "";
                return width > needed + 1;
            }).map((sign) => sign.textContent)"""
        )
        return [str(text) for text in found]

    def barriers(self) -> list[str]:
        """What axe-core finds wrong on the present page, serious things only."""
        return barriers(self.page)

    def _on_console(self, message: ConsoleMessage) -> None:
        # Refused requests are the server's business and shown on the page
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(message.text)


MOST_TABS = 80
"""Presses of the key until one gives up finding something."""


def tab_to(page: Page, target: Locator) -> None:
    """Press the key until the focus is there."""
    expect(target).to_be_visible()
    for _ in range(MOST_TABS):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the key does not lead to {target}")


def excess(page: Page) -> int:
    """Pixels by which the page, or a dialog over it, is wider than the screen. What stands in a dialog may
    scroll sideways in a box of its own, as a log does, but not the dialog's whole body."""
    return int(
        page.evaluate(
            """Math.max(
                document.documentElement.scrollWidth - innerWidth,
                ...[...document.querySelectorAll("[role=dialog]")].flatMap((dialog) => [
                    Math.ceil(dialog.getBoundingClientRect().right) - innerWidth,
                    Math.ceil(-dialog.getBoundingClientRect().left),
                    ...[dialog, ...dialog.children].map((part) => part.scrollWidth - part.clientWidth),
                ]),
            )"""
        )
    )


def barriers(page: Page) -> list[str]:
    """What axe-core finds wrong on the present page, serious things only."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {rule['help']} ({rule['nodes'][0]['html'][:160]})"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
    ]
