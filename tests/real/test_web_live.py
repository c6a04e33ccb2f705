"""What an open page shows while things change under it: by the event stream, and a task's log as it grows.

The file system's daemon is not there: what it would tell of changes stands in a file, at which the real event
stream looks.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from quorate.tasks import Upid
from tests.real.api_host import ApiHost
from tests.real.web_page import Visitor

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

EXTRA = """
import json, time
from quorate.api import operations
from quorate.api.router import Router
from quorate.cfs import Cfs
from quorate.ipc.shared import Changes
from quorate.schema import ALL, Operation, String
from quorate.tasks import start_worker

def told(cfs):
    return json.loads((cfs.root / "told").read_text())

def tell(cfs, key, value):
    found = told(cfs)
    found["kvstore"]["n1"][key] = found["kvstore"]["n1"].get(key, 0) + 1
    new = cfs.root / "told.new"
    new.write_text(json.dumps(found))
    new.rename(cfs.root / "told")

Cfs.changes = lambda cfs: Changes.of(told(cfs))
Cfs.status_set = tell
Cfs.status_of_all = lambda cfs, key: {}
Cfs.guest_properties = lambda cfs, names, vmid=0: {}
Cfs.rrd_dump = lambda cfs: {}
Cfs.cluster_log = lambda cfs, maximum=0, user="": []

def repeat(ctx, script):
    def work(upid):
        said = 0
        while True:
            lines = Path(script).read_text().splitlines()
            for line in lines[said:]:
                if line == "end":
                    return
                print(line)
            said = len(lines)
            time.sleep(0.02)
    return str(start_worker("testrepeat", "", ctx.user, work, ctx.settings))

serving.make_router = lambda: Router([*operations.all_operations(), Operation(
    method="POST", path="/test/repeat", name="repeat", description="", handler=repeat,
    parameters={"script": String()}, permission=ALL, protected=True)])
"""
"""Counters of changes out of a file; and a task that says what is written into its script, until ``end``."""


@pytest.fixture(scope="module")
def host() -> Iterator[ApiHost]:
    made = ApiHost(extra=EXTRA)
    _tell(made, clinfo=1)
    with made:
        yield made


@pytest.fixture
def script(host: ApiHost, tmp_path: Path) -> Iterator[Path]:
    """Of a task that ends with the test at the latest."""
    path = tmp_path / "script"
    path.touch()
    yield path
    _say(path, "end")


def test_an_event_alone_changes_the_tree(host: ApiHost, visitor: Visitor) -> None:
    page = visitor.page
    _members(host, n1=True, n2=True)
    _tell(host, clinfo=2)
    _open_without_polls(visitor, "datacenter/summary")
    node = page.get_by_role("treeitem", name=re.compile("^n2"))
    expect(node).to_contain_text("online")
    _members(host, n1=True, n2=False)
    _tell(host, clinfo=3)
    expect(node).to_contain_text("offline")


def test_an_event_alone_shows_a_task_and_its_end_in_the_history(
    host: ApiHost, visitor: Visitor, script: Path
) -> None:
    _open_without_polls(visitor, f"node/{host.node}/tasks")
    row = _history(host, visitor).get_by_role("row").filter(has_text="testrepeat")
    expect(visitor.page.get_by_role("searchbox", name="Kind of task")).to_be_visible()
    expect(row).to_have_count(0)
    _repeat(host, script)
    expect(row).to_contain_text("running")
    _say(script, "end")
    expect(row).to_contain_text("OK")


def test_a_task_is_watched_while_it_runs_and_stopped(host: ApiHost, visitor: Visitor, script: Path) -> None:
    page = visitor.page
    _say(script, "the first line")
    upid = _repeat(host, script)
    visitor.open(f"node/{host.node}/tasks")
    row = _history(host, visitor).get_by_role("row").filter(has_text="running")
    row.get_by_role("button", name="testrepeat").click()
    viewer = page.get_by_role("dialog", name="Task: testrepeat")
    log = viewer.get_by_label("Task log")
    expect(log).to_have_text("the first line")
    _say(script, "a line while one looks")
    expect(log).to_have_text("the first line\na line while one looks")
    expect(viewer.get_by_text("running", exact=True)).to_be_visible()
    assert upid.is_running()
    visitor.picture("28-task-runs")

    viewer.get_by_role("button", name="Stop").click()
    expect(log).to_contain_text("TASK ERROR: received interrupt")
    expect(viewer.get_by_text("received interrupt", exact=True)).to_be_visible()
    expect(viewer.get_by_role("button", name="Stop")).to_have_count(0)
    assert not upid.is_running()
    viewer.get_by_role("button", name="Close").last.click()
    expect(_history(host, visitor).get_by_text("received interrupt")).to_be_visible()


def _open_without_polls(visitor: Visitor, place: str) -> None:
    """From here on no timer of the page fires: only what is told can change it."""
    page = visitor.page
    page.clock.install()
    with page.expect_request("**/api2/events"):
        visitor.open(place)
    expect(page.get_by_role("tree")).to_be_visible()
    page.clock.pause_at(time.time() + 10)  # less than a request that is under way may take


def _history(host: ApiHost, visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("grid", name=f"Tasks of {host.node}")


def _members(host: ApiHost, **online: bool) -> None:
    nodes = {name: {"id": id_, "online": int(up)} for id_, (name, up) in enumerate(online.items(), 1)}
    cluster = {"name": "lab", "version": 2, "nodes": len(nodes), "quorate": 1}
    members = {"nodename": "n1", "version": 1, "cluster": cluster, "nodelist": nodes}
    host.put(host.settings.mountpoint / ".members", json.dumps(members).encode(), 0o640)


def _tell(host: ApiHost, *, clinfo: int) -> None:
    counters = {"starttime": 1, "clinfo": clinfo, "vmlist": 1, "kvstore": {"n1": {}}}
    new = host.settings.mountpoint / "told.new"
    host.put(new, json.dumps(counters).encode(), 0o644)
    new.rename(host.settings.mountpoint / "told")


def _repeat(host: ApiHost, script: Path) -> Upid:
    reply = host.api("POST", "/test/repeat", host.root_session(), form={"script": str(script)})
    assert reply.status == 200, reply.reason
    return Upid.parse(reply.data)


def _say(script: Path, line: str) -> None:
    with script.open("a") as file:
        file.write(f"{line}\n")
