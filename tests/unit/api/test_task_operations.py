"""/nodes/{node}/tasks: filters, who sees what, logs as lines and as text (pvecm 6.9)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from quorate.api.calls import answer_of, pack_result
from quorate.api.results import Download, Page
from quorate.schema import ApiError
from quorate.settings import Settings
from quorate.tasks import TaskStore, Upid, process_start_time
from tests.unit.api.cluster_world import Api

USERS = """\
user:audit@pve:1:0::::::
user:bob@pve:1:0::::::
token:bob@pve!tk:0:0::
acl:1:/:audit@pve:PVEAuditor:
"""
NOW = 1_795_000_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(root=tmp_path)
    settings.mountpoint.mkdir(parents=True)
    (settings.mountpoint / "user.cfg").write_text(USERS)
    return settings


@pytest.fixture
def api(settings: Settings) -> Api:
    return Api(settings)


def _task(
    settings: Settings, kind: str, ident: str, user: str, start: int, last: str | None, *, pid: int = 0
) -> str:
    """A task with its log; without ``last`` it runs (as this process)."""
    store = TaskStore(settings)
    started = process_start_time(os.getpid()) if last is None else 1
    assert started is not None
    upid = Upid(
        "n1", os.getpid() if last is None else 4_000_000 + start % 1000, started, start, kind, ident, user
    )
    fd = store.create_log(upid)
    os.write(fd, f"step 1\nstep 2\n{last or ''}".encode())
    os.close(fd)
    store.register(upid)
    store.active()
    return str(upid)


@pytest.fixture
def tasks(settings: Settings) -> dict[str, str]:
    return {
        "done": _task(settings, "srvstart", "corosync", "root@pam", NOW, "TASK OK\n"),
        "failed": _task(settings, "clusterjoin", "", "bob@pve", NOW + 10, "TASK ERROR: no route\n"),
        "warned": _task(settings, "vzdump", "100", "bob@pve!tk", NOW + 20, "TASK WARNINGS: 2\n"),
        "torn": _task(settings, "vzdump", "101", "root@pam", NOW + 30, "killed"),
        "running": _task(settings, "vzdump", "100", "root@pam", int(time.time()), None),
    }


def _named(tasks: dict[str, str], found: list[dict[str, Any]]) -> list[str]:
    names = {upid: name for name, upid in tasks.items()}
    return [names[entry["upid"]] for entry in found]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["torn", "warned", "failed", "done"]),
        ({"source": "active"}, ["running"]),
        ({"source": "all"}, ["running", "torn", "warned", "failed", "done"]),
        ({"start": "1", "limit": "2"}, ["warned", "failed"]),
        ({"limit": "0"}, ["torn", "warned", "failed", "done"]),
        ({"typefilter": "vzdump"}, ["torn", "warned"]),
        ({"userfilter": "BOB"}, ["warned", "failed"]),
        ({"vmid": "100"}, ["warned"]),
        ({"errors": "1"}, ["torn", "failed"]),
        ({"since": str(NOW + 10), "until": str(NOW + 20)}, ["warned", "failed"]),
        ({"statusfilter": "ok,warning"}, ["warned", "done"]),
        ({"statusfilter": "error"}, ["failed"]),
        ({"statusfilter": "unknown"}, ["torn"]),
    ],
)
def test_filters(api: Api, tasks: dict[str, str], filters: dict[str, str], expected: list[str]) -> None:
    assert _named(tasks, api("GET", "/nodes/n1/tasks", **filters)) == expected


def test_total_is_that_of_all_that_match(api: Api, tasks: dict[str, str]) -> None:
    page = api.raw("GET", "/nodes/n1/tasks", limit="1")
    assert isinstance(page, Page)
    assert page.total == 4


def test_unknown_kind_of_status(api: Api) -> None:
    with pytest.raises(ApiError) as refused:
        api("GET", "/nodes/n1/tasks", statusfilter="ok,fine")
    assert (refused.value.status, list(refused.value.errors or ())) == (400, ["statusfilter"])


def test_who_sees_which_tasks(api: Api, tasks: dict[str, str]) -> None:
    assert _named(tasks, api("GET", "/nodes/n1/tasks", "bob@pve")) == ["warned", "failed"]
    assert _named(tasks, api("GET", "/nodes/n1/tasks", "bob@pve!tk")) == ["warned"]
    assert len(api("GET", "/nodes/n1/tasks", "audit@pve")) == 4


def test_entries(api: Api, tasks: dict[str, str]) -> None:
    _, warned, failed, _ = api("GET", "/nodes/n1/tasks")
    assert (warned["user"], warned["tokenid"], warned["status"]) == ("bob@pve", "tk", "WARNINGS: 2")
    assert (failed["status"], "tokenid" in failed) == ("no route", False)
    (running,) = api("GET", "/nodes/n1/tasks", source="active")
    assert (running["status"], "endtime" in running) == ("RUNNING", False)


def test_status(api: Api, tasks: dict[str, str]) -> None:
    running = api("GET", f"/nodes/n1/tasks/{tasks['running']}/status")
    assert (running["status"], "exitstatus" in running) == ("running", False)
    failed = api("GET", f"/nodes/n1/tasks/{tasks['failed']}/status", "bob@pve")
    assert (failed["status"], failed["exitstatus"]) == ("stopped", "no route")
    assert failed["steps"][:2] == [
        {"name": "Check this node", "state": "failed"},
        {"name": "Log in to the peer", "state": "pending"},
    ]
    assert "steps" not in running
    with pytest.raises(ApiError) as refused:
        api("GET", f"/nodes/n1/tasks/{tasks['done']}/status", "bob@pve")
    assert refused.value.status == 403
    assert refused.value.message == "Permission check failed (/nodes/n1, Sys.Audit)"


@pytest.mark.parametrize(
    ("upid", "problem"),
    [
        ("nonsense", "unable to parse worker upid"),
        ("UPID:n1:000004D2:0000162E:6B02ED03:x::root@pam:", "no such task"),
        ("UPID:n2:000004D2:0000162E:6B02ED03:x::root@pam:", "no such task"),
    ],
)
def test_tasks_that_are_not_there(api: Api, upid: str, problem: str) -> None:
    with pytest.raises(ApiError) as refused:
        api("GET", f"/nodes/n1/tasks/{upid}/status")
    assert (refused.value.status, refused.value.errors) == (400, {"upid": problem})


def test_log_in_parts_and_whole(api: Api, tasks: dict[str, str]) -> None:
    path = f"/nodes/n1/tasks/{tasks['done']}/log"
    page = api.raw("GET", path, start="1", limit="1")
    assert isinstance(page, Page)
    assert (page.total, page.data) == (3, [{"n": 2, "t": "step 2"}])
    assert len(api("GET", path, limit="0")) == 3
    whole = api.raw("GET", path, download="1")
    assert whole == Download("step 1\nstep 2\nTASK OK\n")
    answer = answer_of(pack_result(whole), "json")
    assert (answer.content_type, answer.body) == ("text/plain;charset=UTF-8", b"step 1\nstep 2\nTASK OK\n")
    with pytest.raises(ApiError) as refused:
        api("GET", path, download="1", start="0")
    assert refused.value.errors == {
        "download": "parameter 'download' cannot be combined with 'start' or 'limit'"
    }
