"""What the cluster is told of tasks, by whichever process: log lines and the list (pvecm 6.9)."""

from __future__ import annotations

import errno
import json
import syslog
import time
from pathlib import Path
from typing import Any

import pytest

from quorate import cfs
from quorate.clusterlog import record
from quorate.ipc.client import Client, IpcUnavailableError
from quorate.ipc.operations import Op
from quorate.ipc.shared import SharedClient
from quorate.settings import Settings
from quorate.tasks import TaskError, Upid, run_foreground, start_worker, stop_task


class Told(Client):
    """A daemon that notes requests in a file, since tasks are processes of their own."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.away = False

    def call(self, operation: int, body: bytes = b"") -> bytes:
        if self.away:
            raise IpcUnavailableError(errno.ECONNREFUSED, "is pmxcfs running?")
        with self._path.open("a") as file:
            file.write(json.dumps([operation, body.hex()]) + "\n")
        return b""

    def logged(self) -> list[tuple[int, str, str]]:
        """Priority, user, message."""
        entries = []
        for operation, body in self._requests():
            if operation == Op.LOG_CLUSTER_MSG:
                ident, _tag, message = body[3:].rstrip(b"\0").split(b"\0")
                entries.append((body[0], ident.decode(), message.decode()))
        return entries

    def lists(self) -> list[list[dict[str, Any]]]:
        return [
            json.loads(body[256:].rstrip(b"\0"))
            for operation, body in self._requests()
            if operation == Op.SET_STATUS and body.startswith(b"tasklist\0")
        ]

    def _requests(self) -> list[tuple[int, bytes]]:
        lines = self._path.read_text().splitlines()
        return [(operation, bytes.fromhex(text)) for operation, text in map(json.loads, lines)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(root=tmp_path)
    found.mountpoint.mkdir(parents=True)
    (found.mountpoint / "local").symlink_to("nodes/n1")
    return found


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    (tmp_path / "requests").touch()
    client = Told(tmp_path / "requests")
    shared = SharedClient(lambda: client)
    monkeypatch.setattr(cfs, "shared_client", lambda settings: shared)
    return client


def test_begin_and_end_are_told_at_once(settings: Settings, told: Told) -> None:
    assert run_foreground("clustercreate", "lab", "root@pam", lambda upid: None, settings) == 0
    (start, end) = told.logged()
    upid = start[2].removeprefix("starting task ")
    assert start == (syslog.LOG_INFO, "root@pam", f"starting task {upid}")
    assert end == (syslog.LOG_INFO, "root@pam", f"end task {upid} OK")
    first, *_, last = told.lists()
    assert [(task["upid"], "endtime" in task) for task in first] == [(upid, False)]
    assert [(task["upid"], task["status"]) for task in last] == [(upid, "OK")]


def test_failures_are_errors_in_the_log(settings: Settings, told: Told) -> None:
    def work(upid: Upid) -> None:
        raise TaskError("the disk is full")

    assert run_foreground("t", "", "bob@pve", work, settings) == 255
    priority, user, message = told.logged()[-1]
    assert (priority, user) == (syslog.LOG_ERR, "bob@pve")
    assert message.startswith("end task UPID:")
    assert message.endswith(" the disk is full")
    assert told.lists()[-1][0]["status"] == "the disk is full"


def test_a_worker_in_the_background_tells_its_end_itself(settings: Settings, told: Told) -> None:
    upid = start_worker("t", "", "root@pam", lambda upid: time.sleep(60), settings)
    assert "pid" in told.lists()[-1][0]
    stop_task(upid, settings)
    assert told.logged()[-1][2].startswith(f"end task {upid} ")
    assert "endtime" in told.lists()[-1][0]


def test_without_the_file_system_tasks_run_and_the_journal_has_the_lines(
    settings: Settings, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(syslog, "syslog", lambda priority, text: lines.append(text))
    told.away = True
    assert run_foreground("t", "", "root@pam", lambda upid: None, settings) == 0
    assert lines[0].startswith("<root@pam> starting task UPID:")
    told.away = False
    (
        settings.mountpoint / "local"
    ).unlink()  # not mounted: nobody is asked, perhaps another's daemon would answer
    record(settings, "deleting node n2 from cluster", priority=syslog.LOG_NOTICE)
    assert lines[-1] == "<root@pam> deleting node n2 from cluster"
    assert told.logged() == []


def test_the_program_is_named(settings: Settings, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/pvecm", "create"])
    record(settings, "text")
    monkeypatch.setenv("PVE_LOG_ID", "other")
    record(settings, "text")
    assert [body[3:].split(b"\0")[1] for _, body in told._requests()] == [b"pvecm", b"other"]
