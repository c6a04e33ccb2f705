"""Tasks as processes: foreground of a command, background worker, warnings, errors, stop (pvecm 6.9)."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from quorate.settings import Settings
from quorate.tasks import (
    TaskError,
    TaskStore,
    Upid,
    UpidError,
    process_start_time,
    run_foreground,
    start_worker,
    stop_task,
    warn,
    worker,
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=tmp_path)


def _wait_end(settings: Settings, upid: Upid) -> str | None:
    deadline = time.monotonic() + 20
    while upid.is_running():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (record,) = TaskStore(settings).active()
    return record.status


def test_foreground_shows_what_the_log_has(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    def work(upid: Upid) -> None:
        print("first")
        subprocess.run(["echo", "from a command"], check=True)
        print("to standard error", file=sys.stderr)

    assert run_foreground("t", "", "root@pam", work, settings) == 0
    shown = capsys.readouterr()
    assert shown.out == "first\nfrom a command\nto standard error\n"
    assert shown.err == ""
    (record,) = TaskStore(settings).active()
    assert record.status == "OK"
    assert TaskStore(settings).log_path(record.upid).read_text() == shown.out + "TASK OK\n"


def test_foreground_failure(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    def work(upid: Upid) -> None:
        print("TASK force of habit")
        raise TaskError("two\nlines")

    assert run_foreground("t", "", "root@pam", work, settings) == 255
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("TASK force of habit\n", "two lines\n")


def test_warnings_are_counted(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    def work(upid: Upid) -> None:
        warn("one")
        warn("two")

    assert run_foreground("t", "", "root@pam", work, settings) == 0
    assert capsys.readouterr().out == "WARN: one\nWARN: two\n"
    assert [r.status for r in TaskStore(settings).active()] == ["WARNINGS: 2"]


def test_exit_and_faults_of_ours_are_errors(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_foreground("t", "", "u", lambda _: sys.exit(3), settings) == 255
    assert run_foreground("t", "", "u", lambda _: os.environ["NO_SUCH_VARIABLE"], settings) == 255
    shown = capsys.readouterr()
    assert "exit status 3" in shown.err
    assert "Traceback" in shown.out


def test_worker_is_nobodys_child_and_has_its_own_session(settings: Settings) -> None:
    def work(upid: Upid) -> None:
        print(os.getsid(0) == os.getpid(), sys.stdin.read(), os.getppid() != int(upid.id))

    upid = start_worker("t", str(os.getpid()), "root@pam", work, settings)
    assert _wait_end(settings, upid) == "OK"
    assert TaskStore(settings).log_path(upid).read_text() == "True  True\nTASK OK\n"


def test_worker_keeps_no_descriptor_of_the_caller(settings: Settings) -> None:
    read, write = os.pipe()
    upid = start_worker("t", "", "root@pam", lambda _: time.sleep(60), settings)
    try:
        while not TaskStore(settings).exists(upid):
            time.sleep(0.01)
        os.close(write)
        assert os.read(read, 1) == b""  # the end comes although the worker lives on
    finally:
        stop_task(upid, settings)
        os.close(read)


def test_stopping_asks_first(settings: Settings) -> None:
    upid = start_worker("t", "", "root@pam", lambda _: time.sleep(60), settings)
    stop_task(upid, settings)
    assert _wait_end(settings, upid) in ("received interrupt", "unexpected status")
    stop_task(upid, settings)  # once more does no harm


def test_a_process_that_is_no_task_is_not_stopped(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who owns the task directory can make a log with the name of any process."""
    monkeypatch.setattr(worker, "STOP_SECONDS", 0.1)
    with subprocess.Popen(["sleep", "60"], process_group=0) as process:
        start = process_start_time(process.pid)
        assert start is not None
        upid = Upid("n1", process.pid, start, 0x70000000, "t", "", "root@pam")
        os.close(TaskStore(settings).create_log(upid))
        with pytest.raises(TaskError, match="does not write the log"):
            stop_task(upid, settings)
        assert process.poll() is None
        process.kill()


def test_what_cannot_be_registered_does_not_run(settings: Settings, tmp_path: Path) -> None:
    def work(upid: Upid) -> None:
        (tmp_path / "ran").touch()

    with pytest.raises(UpidError):
        start_worker("bad type", "", "root@pam", work, settings)
    settings.task_dir.parent.mkdir(parents=True)
    settings.task_dir.write_text("a file in the place of the directory")
    with pytest.raises(TaskError, match="unable to register task 't'"):
        start_worker("t", "", "root@pam", work, settings)
    with pytest.raises(TaskError):
        run_foreground("t", "", "root@pam", work, settings)
    assert not (tmp_path / "ran").exists()


def test_package_needs_neither_web_framework_nor_cryptography() -> None:
    code = "import sys, quorate.tasks; print({'aiohttp', 'cryptography', 'asyncio'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == "set()\n"


def test_the_end_of_a_task_is_recorded_on_a_full_disk(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log cannot take the last line; the status is known all the same."""
    write = os.write

    def full(fd: int, data: bytes) -> int:
        if fd == 1 and data.startswith(b"TASK "):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(os, "write", full)
    upid = start_worker("t", "", "root@pam", lambda _: None, settings)
    assert _wait_end(settings, upid) == "OK"


def test_a_background_task_has_the_descriptors_it_was_left_and_no_others(settings: Settings) -> None:
    kept, end = os.pipe()
    lost = os.open("/dev/null", os.O_RDONLY)

    def work(upid: Upid) -> None:
        print(os.read(kept, 5).decode())
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(lost)

    try:
        upid = start_worker("t", "", "root@pam", work, settings, keep=(kept,))
        os.write(end, b"hello")
        assert _wait_end(settings, upid) == "OK"
    finally:
        for fd in (kept, end, lost):
            os.close(fd)
    assert TaskStore(settings).log_path(upid).read_text() == "hello\nTASK OK\n"
