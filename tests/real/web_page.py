"""A page of the web interface in Debian's chromium, over both halves of the API on this machine.

Cheaper than several nodes: for what the page does when the server fails, or when a cluster has shapes that a
laboratory shows only after minutes. Answers of single paths can be given by the test.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Page, Route, expect, sync_playwright

from lab.browser import ARGUMENTS, CHROMIUM
from tests.lab.support_web import PICTURES
from tests.real.api_host import ApiHost, Session

PATIENCE_MS = 60_000.0
"""For what a quiet machine shows in less than one second: others may share it."""


class Visitor:
    """Somebody with a page open. ``faults`` are what the page itself did wrong."""

    def __init__(self, host: ApiHost, page: Page) -> None:
        self.host = host
        self.page = page
        self.faults: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.faults.append(str(error)))

    def open(self, place: str = "", session: Session | None = None) -> None:
        """A place of the interface with a ticket in the cookie, of root@pam unless another is given."""
        ticket = (session or self.host.root_session()).ticket
        self.page.context.add_cookies(
            [{"name": "PVEAuthCookie", "value": quote(ticket, safe=""), "url": self.origin, "secure": True}]
        )
        self.page.goto(f"{self.origin}/#/{place}")

    @property
    def origin(self) -> str:
        return f"https://127.0.0.1:{self.host.port}"

    def go(self, place: str) -> None:
        self.page.evaluate("place => { location.hash = `#/${place}` }", place)

    def answer(self, path: str, data: Any) -> None:
        """Let the API answer ``path`` (a glob below /api2/json) with ``data``."""
        body = json.dumps({"data": data})

        def fulfill(route: Route) -> None:
            route.fulfill(status=200, content_type="application/json", body=body)

        self.page.route(f"**/api2/json{path}", fulfill)

    def picture(self, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png")


@contextmanager
def a_visitor(host: ApiHost) -> Iterator[Visitor]:
    """Chromium with an empty page; ``expect`` is patient meanwhile, and the page must not have faults."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            context = browser.new_context(
                ignore_https_errors=True,  # the certificate is the host's own
                viewport={"width": 1280, "height": 860},
                permissions=["clipboard-read", "clipboard-write"],
            )
            visitor = Visitor(host, context.new_page())
            expect.set_options(timeout=PATIENCE_MS)
            yield visitor
            assert visitor.faults == []
        finally:
            expect.set_options(timeout=None)  # playwright's own again
            browser.close()


def a_cluster(visitor: Visitor, *, quorate: bool = True) -> None:
    """Three nodes with two votes each and a QDevice; n3 is off, without quorum n2 as well."""
    cluster = {
        "type": "cluster",
        "id": "cluster",
        "name": "lab",
        "version": 7,
        "nodes": 3,
        "quorate": int(quorate),
    }
    members = [
        {"type": "node", "id": f"node/n{number}", "name": f"n{number}", "nodeid": number, "level": ""}
        | {"ip": f"10.0.0.{number}", "local": int(number == 1), "online": int(number <= 1 + quorate)}
        for number in (1, 2, 3)
    ]
    config = [
        {"name": f"n{number}", "node": f"n{number}", "nodeid": str(number), "quorum_votes": "2"}
        | {"ring0_addr": f"10.0.0.{number}", "ring1_addr": f"10.1.0.{number}"}
        for number in (1, 2, 3)
    ]
    totem = {"cluster_name": "lab", "config_version": "7"}
    join = {"nodelist": config, "totem": totem, "preferred_node": "n1", "config_digest": "x"}
    visitor.answer("/cluster/status", [cluster, *members])
    visitor.answer("/cluster/config/nodes", config)
    visitor.answer("/cluster/config/join", join)
    device = {"name": "Qdevice", "votes": 1, "registered": 1, "alive": 1, "master_wins": 0}
    device["votes_for_us"] = int(quorate)
    counts = {
        "votes": 5 if quorate else 2,
        "expected": 7,
        "highest_expected": 7,
        "needed": 4,
        "spare": int(quorate),
    }
    quorum = {"clustered": 1, "quorate": int(quorate), "flags": [], "nodes": [], "qdevice": device}
    visitor.answer("/cluster/quorum", quorum | counts)
