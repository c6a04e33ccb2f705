"""Runs on this machine in .venv, for the bench: a person logs in at a node, in a real browser.

One request as JSON on standard input (see `main`), one answer: {"visits": [...]}, a `Visit` per round, or
{"error": text}. Every visit has a browser profile of its own: nothing is cached.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from lab.browser import chromium_in, submit_login

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SCREEN = {"width": 1280, "height": 860}
PATIENCE = 60_000.0
"""Milliseconds for what a quiet machine does in one second."""
QUIET_MS = 1000
"""The page is loaded when nothing more came for so long."""

WATCH = """
names => {
    const marks = window.benchMarks = {};
    addEventListener("submit", () => { marks.begin ??= performance.now(); }, { capture: true });
    const shown = name => [...document.querySelectorAll('[role="treeitem"]')]
        .some(item => item.checkVisibility() && item.innerText.split(/\\s/)[0] === name);
    marks.tree = new Promise(there => {
        const look = () => {
            if (!names.every(shown)) return requestAnimationFrame(look);
            marks.end = performance.now();
            there();
        };
        look();
    });
}
"""
"""Looks at every frame of the page: a driver outside would see the tree later than a person."""

LOADED = """
quiet => new Promise(there => {
    let count = -1;
    const look = () => {
        const files = performance.getEntriesByType("resource").filter(({ name }) => !name.includes("/api2/"));
        if (files.length === count) return there();
        count = files.length;
        setTimeout(look, quiet);
    };
    look();
})
"""

MARKS = "() => ({ begin: window.benchMarks.begin, end: window.benchMarks.end })"

RECEIVED = """
() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .map(({ name, startTime, encodedBodySize }) => ({ name, startTime, encodedBodySize }))
"""


class Visit(TypedDict):
    """``seconds`` from sending the form until the tree shows all nodes; bytes of files as they were sent."""

    seconds: float
    first_bytes: int
    """Files that were asked for until then."""
    all_bytes: int
    """And those that the page loads afterwards, for what the person may open next."""
    files: int


def visit_of(marks: Mapping[str, float], received: Sequence[Mapping[str, Any]]) -> Visit:
    """``marks``: when the form was sent and the tree was there, in ms of the page's clock. Answers of the API
    are no files."""
    files = [entry for entry in received if "/api2/" not in entry["name"]]
    first = [entry for entry in files if entry["startTime"] <= marks["end"]]
    return {
        "seconds": (marks["end"] - marks["begin"]) / 1000,
        "first_bytes": sum(entry["encodedBodySize"] for entry in first),
        "all_bytes": sum(entry["encodedBodySize"] for entry in files),
        "files": len(first),
    }


def visit(browser: Browser, url: str, password: str, nodes: Sequence[str]) -> Visit:
    """Open the page with an empty cache, log in, and wait for the tree."""
    context = browser.new_context(ignore_https_errors=True, viewport=SCREEN)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE)
    try:
        page = context.new_page()
        page.goto(url)
        page.get_by_label("User name").wait_for()
        page.evaluate(WATCH, list(nodes))
        submit_login(page, "root", password)
        page.evaluate("window.benchMarks.tree")  # its own policy forbids wait_for_function in the page
        for name in nodes:  # and a person with a screen reader finds them, too
            page.get_by_role("treeitem", name=re.compile(rf"^{re.escape(name)}\b")).wait_for()
        page.evaluate(LOADED, QUIET_MS)
        return visit_of(page.evaluate(MARKS), page.evaluate(RECEIVED))
    finally:
        context.close()


def main() -> None:
    """Fields: ``netns``, ``url``, ``password``, ``nodes``, ``rounds``, ``before`` (see `chromium_in`)."""
    from playwright.sync_api import Error

    request = json.load(sys.stdin)
    place = (request["url"], request["password"], request["nodes"])
    try:
        with (
            tempfile.TemporaryDirectory(prefix="quorate-bench-") as scratch,
            chromium_in(request["netns"], Path(scratch), before=request["before"]) as browser,
        ):
            visit(browser, *place)  # the first one reads the browser itself from the disk
            answer: dict[str, Any] = {"visits": [visit(browser, *place) for _ in range(request["rounds"])]}
    except Error as error:
        answer = {"error": str(error).strip()}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
