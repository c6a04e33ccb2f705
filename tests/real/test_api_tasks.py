"""Tasks through the API: start, list, log, status, stop; the death of both halves meanwhile (pvecm 6.9)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from quorate.tasks import TaskStore, Upid
from tests.real.api_host import PASSWORDS, ApiHost, Session

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

EXTRA = """
import os, subprocess, sys, time
from quorate.api import operations
from quorate.api.router import Router
from quorate.schema import ALL, Operation, String
from quorate.tasks import TaskError, start_worker, warn
def begin(ctx, until):
    def work(upid):
        print("begun")
        subprocess.run(["echo", "from a child"], check=True)
        while not os.path.exists(until):
            time.sleep(0.02)
        if os.path.getsize(until):
            raise TaskError("told to\\nfail")
        warn("nearly done")
    return str(start_worker("testwait", "", ctx.user, work, ctx.settings))
serving.make_router = lambda: Router([*operations.all_operations(), Operation(
    method="POST", path="/test/begin", name="begin", description="", handler=begin,
    parameters={"until": String()}, permission=ALL, protected=True)])
"""


@pytest.fixture
def host() -> Iterator[ApiHost]:
    with ApiHost(extra=EXTRA) as api:
        yield api


def _begin(host: ApiHost, session: Session) -> str:
    reply = host.api("POST", "/test/begin", session, form={"until": str(host.root / "until")})
    assert reply.status == 200, reply.reason
    upid: str = reply.data
    return upid


def _base(host: ApiHost, upid: str) -> str:
    return f"/nodes/{host.node}/tasks/{quote(upid)}"


def _wait_stopped(host: ApiHost, session: Session, upid: str) -> dict[str, object]:
    deadline = time.monotonic() + 20
    while True:
        status: dict[str, object] = host.api("GET", _base(host, upid) + "/status", session).data
        if status["status"] == "stopped":
            return status
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _wait_line(host: ApiHost, upid: str, text: str) -> None:
    path = TaskStore(host.settings).log_path(Upid.parse(upid))
    deadline = time.monotonic() + 20
    while text not in path.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_task_survives_the_death_of_both_halves(host: ApiHost) -> None:
    alice = host.login("alice@pve", PASSWORDS["alice"])
    upid = _begin(host, alice)
    _wait_line(host, upid, "from a child")
    status = host.api("GET", _base(host, upid) + "/status", alice).data
    assert (status["status"], status["user"], status["type"]) == ("running", "alice@pve", "testwait")
    listed = host.api("GET", f"/nodes/{host.node}/tasks?source=active", alice)
    assert [(entry["upid"], entry["status"]) for entry in listed.data] == [(upid, "RUNNING")]
    host.kill("pveproxy")
    host.kill("pvedaemon")
    assert Upid.parse(upid).is_running()
    host.start()
    (host.root / "until").touch()
    assert _wait_stopped(host, alice, upid)["exitstatus"] == "WARNINGS: 1"
    log = host.api("GET", _base(host, upid) + "/log", alice)
    assert [line["t"] for line in log.data] == [
        "begun",
        "from a child",
        "WARN: nearly done",
        "TASK WARNINGS: 1",
    ]
    assert log.json["total"] == 4
    archive = host.api("GET", f"/nodes/{host.node}/tasks", alice)
    assert [entry["status"] for entry in archive.data] == ["WARNINGS: 1"]


def test_failing_task_and_filters(host: ApiHost) -> None:
    alice = host.login("alice@pve", PASSWORDS["alice"])
    (host.root / "until").write_text("fail")
    upid = _begin(host, alice)
    assert _wait_stopped(host, alice, upid)["exitstatus"] == "told to fail"
    base = f"/nodes/{host.node}/tasks"
    assert len(host.api("GET", f"{base}?errors=1", alice).data) == 1
    assert host.api("GET", f"{base}?statusfilter=ok,warning", alice).data == []
    assert host.api("GET", f"{base}?typefilter=other", alice).data == []


def test_stopping_and_who_may(host: ApiHost) -> None:
    alice = host.login("alice@pve", PASSWORDS["alice"])
    bob = host.login("bob@pve", PASSWORDS["bob"])
    upid = _begin(host, bob)
    _wait_line(host, upid, "begun")
    assert host.api("GET", _base(host, upid) + "/log", alice).status == 200  # an auditor reads
    assert host.api("DELETE", _base(host, upid), alice).status == 403  # but does not stop
    reply = host.api("DELETE", _base(host, upid), bob)
    assert (reply.status, reply.data) == (200, None)
    assert not Upid.parse(upid).is_running()
    status = host.api("GET", _base(host, upid) + "/status", bob).data
    assert status["exitstatus"] == "received interrupt"


def test_tasks_of_others_are_not_shown(host: ApiHost) -> None:
    alice = host.login("alice@pve", PASSWORDS["alice"])
    bob = host.login("bob@pve", PASSWORDS["bob"])
    (host.root / "until").touch()
    upid = _begin(host, alice)
    _wait_stopped(host, alice, upid)
    assert host.api("GET", f"/nodes/{host.node}/tasks", bob).data == []
    assert host.api("GET", _base(host, upid) + "/log", bob).status == 403


def test_identifiers_that_are_none(host: ApiHost) -> None:
    session = host.root_session()
    reply = host.api("GET", f"/nodes/{host.node}/tasks/garbage/status", session)
    assert reply.json["errors"] == {"upid": "unable to parse worker upid"}
    upid = f"UPID:{host.node}:00000001:00000001:00000001:t::root@pam:"
    reply = host.api("GET", _base(host, upid) + "/log", session)
    assert reply.json["errors"] == {"upid": "no such task"}


def test_worker_killed_is_noticed(host: ApiHost) -> None:
    session = host.root_session()
    upid = _begin(host, session)
    _wait_line(host, upid, "begun")
    os.kill(Upid.parse(upid).pid, signal.SIGKILL)
    assert _wait_stopped(host, session, upid)["exitstatus"] == "unexpected status"
    listed = host.api("GET", f"/nodes/{host.node}/tasks", session).data
    assert [entry["status"] for entry in listed] == ["unexpected status"]
