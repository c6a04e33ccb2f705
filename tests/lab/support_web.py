"""A person at a browser in a lab's network: Debian's chromium, driven by role and name.

The browser runs in the switch's network namespace, where a person's machine would stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    expect,
    sync_playwright,
)
from playwright.sync_api import TimeoutError as BrowserTimeoutError

from lab import Lab, Node
from lab.base import ROOT_PASSWORD

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "artifacts/web"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE = ROOT / "web/node_modules/axe-core/axe.min.js"
PATIENCE = 60_000.0
"""Milliseconds for what a quiet machine shows in less than one: other labs may share it."""
JOIN_MS = 300_000.0
MENU_MS = 5_000.0
MENU_TRIES = 5


@contextmanager
def browser_in(lab: Lab, scratch: Path) -> Iterator[Browser]:
    """Chromium in the lab's network."""
    wrapper = scratch / "chromium"
    wrapper.write_text(f'#!/bin/sh\nexec ip netns exec {lab.record.switch_netns} {CHROMIUM} "$@"\n')
    wrapper.chmod(0o755)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(wrapper), args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Person:
    """Somebody with a page of one node open. ``faults`` are what the page itself did wrong."""

    def __init__(self, browser: Browser, node: Node, *, dark: bool = False, phone: bool = False) -> None:
        self.node = node
        self.faults: list[str] = []
        self.context: BrowserContext = browser.new_context(
            ignore_https_errors=True,  # the certificates are the cluster's own
            color_scheme="dark" if dark else "light",
            viewport={"width": 360, "height": 740} if phone else {"width": 1280, "height": 860},
            permissions=["clipboard-read", "clipboard-write"],
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._on_console)

    def open(self, place: str = "") -> None:
        self.page.goto(f"https://{self.node.address()}:8006/{place}")

    def log_in(self, password: str = ROOT_PASSWORD, user: str = "root", realm: str = "pam") -> None:
        page = self.page
        page.get_by_label("User name").fill(user)
        page.get_by_label("Password").fill(password)
        page.get_by_label("Realm").select_option(realm)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("tree")).to_be_visible(timeout=PATIENCE)

    def go(self, place: str) -> None:
        """To a page of the interface by its address, e.g. ``datacenter/cluster``."""
        self.page.evaluate("place => { location.hash = `#/${place}` }", place)

    def choose(self, row: Locator, action: str) -> None:
        """An action of a table's row. A menu that is opened while the table is still being drawn may close at
        once: then a person clicks again."""
        item = self.page.get_by_role("menuitem", name=action)
        for _ in range(MENU_TRIES):
            row.get_by_role("button").click()
            try:
                item.click(timeout=MENU_MS)
            except BrowserTimeoutError:
                continue
            return
        raise AssertionError(f"the menu with '{action}' does not open")

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

    def barriers(self) -> list[str]:
        """What axe-core finds wrong on the present page, serious things only."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{rule['id']}: {rule['help']} ({rule['nodes'][0]['html'][:160]})"
            for rule in found["violations"]
            if rule["impact"] in ("serious", "critical")
        ]

    def _on_console(self, message: ConsoleMessage) -> None:
        # Refused requests are the server's business and shown on the page
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(message.text)
