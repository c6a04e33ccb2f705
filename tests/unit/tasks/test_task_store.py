"""Task files: active list, index, rotation, logs (pvecm 6.9)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from quorate.settings import Settings
from quorate.tasks import (
    TaskStore,
    TaskStoreError,
    Upid,
    guarded,
    process_start_time,
    read_log,
    status_kind,
    store,
    task_status,
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=tmp_path)


def _dead(number: int) -> Upid:
    return Upid("n1", 1, 0, 0x60000000 + number, "t", str(number), "root@pam")


def _alive() -> Upid:
    start = process_start_time(os.getpid())
    assert start is not None
    return Upid("n1", os.getpid(), start, 0x70000000, "t", "", "root@pam")


def _log(tasks: TaskStore, upid: Upid, text: str) -> None:
    fd = tasks.create_log(upid)
    os.write(fd, text.encode())
    os.close(fd)


def test_running_task_is_active_and_not_archived(settings: Settings) -> None:
    tasks = TaskStore(settings)
    tasks.register(_alive())
    assert [(r.upid, r.running) for r in tasks.active()] == [(_alive(), True)]
    assert list(tasks.archive()) == []
    assert (settings.task_dir / "active").read_text() == f"{_alive()} 0\n"


def test_dead_task_is_noticed_and_archived_once(settings: Settings) -> None:
    tasks = TaskStore(settings)
    _log(tasks, _dead(1), "text\nTASK ERROR: no luck\n")
    tasks.register(_dead(1))
    for _ in range(2):
        (record,) = tasks.active()
        assert (record.running, record.status) == (False, "no luck")
    assert [r.status for r in tasks.archive()] == ["no luck"]
    line = (settings.task_dir / "index").read_text()
    assert line == f"{_dead(1)} {record.endtime:08X} no luck\n"


def test_task_records_its_own_end(settings: Settings) -> None:
    tasks = TaskStore(settings)
    tasks.register(_alive())
    tasks.finish(_alive(), "OK")
    assert [(r.running, r.status) for r in tasks.active()] == [(False, "OK")]


def test_active_list_keeps_the_newest_and_all_that_run(settings: Settings) -> None:
    tasks = TaskStore(settings)
    tasks.register(_alive())
    for number in range(store.ACTIVE_ENTRIES + 5):
        tasks.register(_dead(number))
    active = tasks.active()
    assert len(active) == store.ACTIVE_ENTRIES
    assert active[0].upid == _alive()
    assert active[-1].upid.starttime > _dead(4).starttime
    assert len(list(tasks.archive())) == store.ACTIVE_ENTRIES + 5


def test_index_is_rotated_and_old_logs_removed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "INDEX_BYTES", 100)
    tasks = TaskStore(settings)
    for number in range(6):
        _log(tasks, _dead(number), "TASK OK\n")
        tasks.register(_dead(number))
    assert (settings.task_dir / "index.1").exists()
    removed = tasks.clean()
    assert removed > 0
    assert not tasks.exists(_dead(0))
    assert tasks.exists(_dead(5))


def test_damaged_lines_are_skipped(settings: Settings) -> None:
    tasks = TaskStore(settings)
    tasks.register(_alive())
    with (settings.task_dir / "active").open("a") as file:
        file.write("garbage\nUPID:bad 0\n")
    assert [r.upid for r in tasks.active()] == [_alive()]


def test_log_of_a_task_is_made_once_and_private(settings: Settings) -> None:
    tasks = TaskStore(settings)
    _log(tasks, _dead(1), "x")
    assert tasks.log_path(_dead(1)).stat().st_mode & 0o777 == 0o640
    with pytest.raises(TaskStoreError, match="unable to create task log"):
        tasks.create_log(_dead(1))


def test_links_planted_in_the_directory_are_not_followed(settings: Settings, tmp_path: Path) -> None:
    tasks = TaskStore(settings)
    tasks.prepare()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (settings.task_dir / "active.tmp").symlink_to(victim)
    tasks.register(_alive())
    assert victim.read_text() == "precious"
    (settings.task_dir / "index").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        tasks.finish(_alive(), "OK")
    assert victim.read_text() == "precious"


@pytest.mark.parametrize(
    ("text", "status", "kind"),
    [
        ("TASK OK\n", "OK", "ok"),
        ("a\nTASK WARNINGS: 3\n", "WARNINGS: 3", "warning"),
        ("a\nTASK ERROR: it broke\n", "it broke", "error"),
        ("a\nTASK OK\nmore\n", "unexpected status", "unknown"),
        ("", "unexpected status", "unknown"),
    ],
)
def test_status_is_the_last_line(tmp_path: Path, text: str, status: str, kind: str) -> None:
    path = tmp_path / "log"
    path.write_text(text)
    assert task_status(path) == status
    assert status_kind(status) == kind


def test_status_of_a_missing_log(tmp_path: Path) -> None:
    status = task_status(tmp_path / "none")
    assert status == "unable to get last line from task log - No such file or directory"
    assert status_kind(status) == "unknown"


def test_reading_a_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("one\ntwo\nthree\n")
    assert read_log(path, 1, 1) == (3, [(2, "two")])
    assert read_log(path, 0, 0)[1] == [(1, "one"), (2, "two"), (3, "three")]
    assert read_log(path, 9, 5) == (3, [])
    path.write_text("")
    assert read_log(path) == (1, [(1, "no content")])
    assert read_log(tmp_path / "none")[1][0].t == "unable to open file - No such file or directory"


def test_a_link_in_the_place_of_a_log_is_not_read(settings: Settings, tmp_path: Path) -> None:
    """Who owns the task directory (www-data) must not read root's files by way of the privileged half."""
    tasks = TaskStore(settings)
    secret = tmp_path / "secret"
    secret.write_text("TASK ERROR: private key\n")
    _log(tasks, _dead(0), "TASK OK\n")
    tasks.log_path(_dead(0)).unlink()
    for plant in (Path.symlink_to, Path.hardlink_to):
        plant(tasks.log_path(_dead(0)), secret)
        assert "private" not in read_log(tasks.log_path(_dead(0)))[1][0].t
        assert "private" not in task_status(tasks.log_path(_dead(0)))
        assert not tasks.exists(_dead(0))
        tasks.log_path(_dead(0)).unlink()


def test_a_link_in_the_place_of_a_log_directory_is_not_followed(settings: Settings, tmp_path: Path) -> None:
    tasks = TaskStore(settings)
    tasks.prepare()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (settings.task_dir / "0").symlink_to(elsewhere)
    with pytest.raises(TaskStoreError, match="unable to create task"):
        tasks.create_log(_dead(0))
    assert list(elsewhere.iterdir()) == []
    (elsewhere / str(_dead(0))).write_text("private key\n")
    assert "private" not in read_log(tasks.log_path(_dead(0)))[1][0].t


@pytest.mark.parametrize("name", ["active", "index", "index.1", ".active.lock", "0/log"])
def test_a_pipe_in_the_place_of_a_file_does_not_block(settings: Settings, name: str) -> None:
    tasks = TaskStore(settings)
    _log(tasks, _dead(0), "TASK OK\n")
    path = settings.task_dir / name.replace("log", str(_dead(0)))
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    with pytest.raises(OSError, match="plain file"):
        guarded.open_below(settings.task_dir, str(path.relative_to(settings.task_dir)))
    if name == "active":
        with pytest.raises(OSError, match="plain file"):
            tasks.active()
    elif name.startswith("index"):
        with pytest.raises(OSError, match="plain file"):
            list(tasks.archive())
    elif name == "0/log":
        assert "plain file" in read_log(path)[1][0].t
