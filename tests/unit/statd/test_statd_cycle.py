"""Rounds of the status daemon: what is told under which key, and that failures stay where they are."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from quorate.cfs import Cfs, CfsError, CfsUnavailableError, Guest
from quorate.ipc.client import Client
from quorate.ipc.shared import Changes, SharedClient
from quorate.settings import Settings
from quorate.statd import cycle as cycle_module
from quorate.statd import daemon as daemon_module
from quorate.statd.cycle import Cycle, Readers
from quorate.statd.daemon import INTERVAL, keep_time
from quorate.statd.figures import NodeFigures
from quorate.statd.guestreader import GuestReader
from quorate.statd.monitors import Monitors
from quorate.statd.prober import Answer, Prober, Question
from quorate.tasks import TaskRecord, Upid
from quorate.tasks.tasklist import MAX_BYTES, task_list


class Told:
    """A file system that remembers."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.ids: dict[int, Guest] = {}
        self.files: dict[str, bytes] = {}
        self.error: CfsError | None = None

    def status_set(self, key: str, value: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.calls.append(key)
        self.values[key] = value

    def status_set_many(self, values: Iterable[tuple[str, bytes]]) -> None:
        for key, value in values:
            self.status_set(key, value)

    def status_get(self, key: str, node: str = "") -> bytes | None:
        return self.values.get(key)

    def changes(self) -> Changes:
        if self.error is not None:
            raise self.error
        return Changes(1, 1, 1)

    def guest_list(self) -> dict[int, Guest]:
        return self.ids

    def content(self, path: str) -> bytes | None:
        return self.files.get(path)


PROGRAMS = {
    "vgs": Answer(failure="'vgs' is not installed"),
    "zfs tank": Answer(failure="'zfs' has not answered yet", late=True),
}


class Programs(Prober):
    """Every file system has the same size; some programs give no answer."""

    def ask(self, questions: Iterable[Question]) -> dict[str, Answer]:
        return {question.name: PROGRAMS.get(question.name, Answer(text="10 4 512")) for question in questions}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/mounts").write_text("/dev/sda1 / ext4 rw 0 0\n")
    return Settings(tmp_path)


@pytest.fixture
def told() -> Told:
    return Told()


def make(settings: Settings, told: cycle_module.Status) -> Cycle:
    prober = Programs()
    guests = GuestReader(settings, prober, Monitors(settings))
    readers = Readers(node=lambda: NodeFigures(uptime=1), guests=guests, prober=prober, processors=2)
    return Cycle(settings, "n1", told, readers, {"version": "9"})


def test_a_round(settings: Settings, told: Told) -> None:
    told.ids = {100: Guest("n1", "qemu"), 101: Guest("n1", "lxc"), 102: Guest("n2", "qemu")}
    told.files = {
        "nodes/n1/qemu-server/100.conf": b"name: web\n",
        "nodes/n1/lxc/101.conf": b"hostname: box\ntemplate: 1\n",
        "storage.cfg": b"dir: data\n\tpath /data\n\tis_mountpoint 1\n",
    }
    cycle = make(settings, told)
    cycle.run(50.7, 0)
    assert set(told.values) == {
        "rrd/pve2-node/n1", "rrd/pve2.3-vm/100", "rrd/pve2.3-vm/101", "rrd/pve2-storage/n1/local",
        "tasklist", "kv/version-info",
    }  # fmt: skip
    assert told.values["rrd/pve2-node/n1"].startswith(b"1::50:")
    assert told.values["rrd/pve2.3-vm/101"].startswith(b"0:box:stopped:1:50:")
    assert told.values["rrd/pve2-storage/n1/local"] == b"50:5120:3072\0"
    assert told.values["tasklist"] == b"[]\0"
    assert json.loads(told.values["kv/version-info"].rstrip(b"\0")) == {"version": "9"}

    for kind in ("pve-node-9.0", "pve-vm-9.0", "pve-storage-9.0"):
        (settings.rrd_dir / kind).mkdir(parents=True)
    told.calls.clear()
    cycle.run(60, 10)
    assert told.calls == [
        "rrd/pve-node-9.0/n1", "rrd/pve-vm-9.0/100", "rrd/pve-vm-9.0/101",
        "rrd/pve-storage-9.0/n1/local", "tasklist"]  # fmt: skip
    del told.values["kv/version-info"]  # the file system was restarted
    cycle.run(70, 20)
    assert "kv/version-info" in told.values


def test_a_missing_file_system_is_no_alarm(
    settings: Settings, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    told.error = CfsUnavailableError("is pmxcfs running?")
    cycle = make(settings, told)
    for number in range(3):
        cycle.run(number, number)
    assert {record.levelname for record in caplog.records} == {"INFO"}
    assert sum("node's figures" in record.message for record in caplog.records) == 1
    told.error = None
    cycle.run(4, 4)
    assert "able to broadcast the node's figures again" in caplog.text
    assert "tasklist" in told.values


def test_one_step_fails_and_the_others_go_on(
    settings: Settings, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    settings.task_dir.parent.mkdir(parents=True)
    settings.task_dir.write_text("a file where a directory should be")
    make(settings, told).run(1, 1)
    assert "rrd/pve2-node/n1" in told.values
    assert "kv/version-info" in told.values
    assert "unable to broadcast the list of tasks" in caplog.text
    told.error = CfsError("not permitted")
    make(settings, told).run(1, 1)
    assert [record.levelname for record in caplog.records].count("WARNING") > 1


def test_without_any_daemon_a_round_ends(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    client = Client(settings, service="quorate-test-nobody", timeout=1)
    make(settings, Cfs(settings, daemon=SharedClient(lambda: client))).run(1, 1)
    assert "is pmxcfs running?; see 'systemctl status pve-cluster'; trying on" in caplog.text


def test_the_key_is_checked_with_quorum_only(
    settings: Settings, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[Settings] = []

    def rotate(found: Settings) -> bool:
        checked.append(found)
        return True

    monkeypatch.setattr(cycle_module, "rotate_if_due", rotate)
    cycle = make(settings, told)
    cycle.run(1, 1)
    assert checked == []
    (settings.mountpoint / "local").mkdir(parents=True)
    cycle.run(2, 2)
    assert checked == [settings]


def test_a_storage_whose_space_is_not_known_hinders_no_other(
    settings: Settings, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    told.files["storage.cfg"] = (
        b"lvm: disks\n\tvgname v\ndir: gone\n\tpath /x\n\tis_mountpoint 1\nzfspool: late\n\tpool tank\n"
    )
    cycle = make(settings, told)
    for number in range(3):
        cycle.run(number, number)
    assert [key for key in told.values if "storage" in key] == ["rrd/pve2-storage/n1/local"]
    logged = [(record.levelname, record.message) for record in caplog.records if "space" in record.message]
    assert logged == [
        ("WARNING", "unable to show the space of storage 'disks': 'vgs' is not installed; trying on"),
        ("INFO", "unable to show the space of storage 'gone': it is not mounted; trying on"),
    ]
    (settings.at("/proc/mounts")).write_text("/dev/sdb1 /x ext4 rw 0 0\n")
    cycle.run(4, 4)
    assert "rrd/pve2-storage/n1/gone" in told.values
    assert caplog.messages[-1] == "able to show the space of storage 'gone' again"


def test_a_stop_ends_the_round(settings: Settings, told: Told) -> None:
    make(settings, told).run(1, 1, lambda: bool(told.calls))
    assert told.calls == ["rrd/pve2-node/n1"]


class Stop(threading.Event):
    """Time passes when somebody waits for it."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.now = 100.0
        self.waited: list[float] = []
        self._rounds = rounds

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waited.append(timeout)
        self.now += timeout
        if len(self.waited) == self._rounds:
            self.set()
        return self.is_set()


def test_rounds_keep_their_time() -> None:
    stop = Stop(3)
    durations = iter((1.0, 25.0, 0.0))
    begun: list[float] = []

    def run(now: float, monotonic: float, stopped: Callable[[], bool]) -> None:
        begun.append(monotonic)
        stop.now += next(durations)

    keep_time(run, stop, clock=lambda: 0, monotonic=lambda: stop.now)
    assert begun == [100, 100 + INTERVAL, 100 + 4 * INTERVAL]
    assert stop.waited == [9, 5, 10]


ENDING = """
import os, signal, sys, threading, time
sys.path.insert(0, {source!r})
from quorate.statd.daemon import handle_signals
stop = threading.Event()
handle_signals(stop, 1)
os.kill(os.getpid(), signal.SIGTERM)
assert stop.is_set()
try:
    time.sleep(3600)  # as a round in which something hangs
finally:
    print("left in order")
"""


def test_a_round_that_hangs_does_not_keep_the_daemon_from_ending() -> None:
    source = str(Path(daemon_module.__file__).parents[2])
    command = [sys.executable, "-c", ENDING.format(source=source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "left in order\n"), done.stderr


def record(number: int, **fields: Any) -> TaskRecord:
    return TaskRecord(
        Upid("n1", 5, 6, number, "clusterjoin", "x" * 20, fields.pop("user", "root@pam")), **fields
    )


def test_task_list() -> None:
    records = [record(1, saved=True, endtime=9, status="OK"), record(2, user="bob@pve!t")]
    newest, oldest = json.loads(task_list(records).rstrip(b"\0"))
    assert newest == {
        "upid": str(records[1].upid), "node": "n1", "type": "clusterjoin", "id": "x" * 20, "user": "bob@pve",
        "tokenid": "t", "starttime": 2, "pid": 5,
    }  # fmt: skip
    assert (oldest["endtime"], oldest["status"], oldest["saved"], "pid" in oldest) == (9, "OK", 1, False)


def test_a_long_task_list_is_cut_at_its_old_end() -> None:
    text = task_list([record(number, endtime=9, status="ä" * 50) for number in range(400)])
    assert MAX_BYTES - 1000 < len(text) - 1 < MAX_BYTES
    entries = json.loads(text.rstrip(b"\0"))
    assert [entry["starttime"] for entry in entries] == list(range(399, 399 - len(entries), -1))
