"""A real browser in a lab's network, where a person's machine would stand: Debian's chromium, headless.

Driven by playwright, which is in .venv and not in the Python that `./dev` itself runs on: whoever makes a
browser runs there (the browser tests, `bench.browser`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium_in(netns: str, scratch: Path, *, before: str = "") -> Iterator[Browser]:
    """Chromium in this network namespace. ``scratch`` is a directory for its starter; ``before``: lines of
    shell that run in the browser's own session before it."""
    from playwright.sync_api import sync_playwright

    starter = scratch / "chromium"
    starter.write_text(f'#!/bin/sh\n{before}\nexec ip netns exec {netns} {CHROMIUM} "$@"\n')
    starter.chmod(0o755)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(starter), args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def submit_login(page: Page, user: str, password: str, realm: str = "pam") -> None:
    """Fill in the login form and send it; what comes of it is the caller's business."""
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_label("Realm").select_option(realm)
    page.get_by_role("button", name="Log in").click()
