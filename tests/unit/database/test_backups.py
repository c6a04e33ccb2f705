"""Backups: verified, private, bounded in number, and harmless to a daemon that runs."""

from __future__ import annotations

import fcntl
import os
import queue
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from quorate.database import backups, dump, guard
from quorate.database.backups import BackupError
from quorate.pmxcfs.rows import Row, RowBatch
from quorate.pmxcfs.store import Store
from tests.unit.database.support_databases import FILE, ROOT, SOUND, make_database, rows_in

NOW = 1_700_000_000


def test_create_list_find(tmp_path: Path) -> None:
    database, directory = make_database(tmp_path / "config.db"), tmp_path / "backup"
    before = os.umask(0)
    try:
        paths = [backups.create(database, directory, NOW + n // 2, keep=3) for n in range(5)]
    finally:
        os.umask(before)
    assert [backup.path for backup in backups.listed(directory)] == paths[2:]
    assert [backup.time for backup in backups.listed(directory)] == [NOW + 1, NOW + 1, NOW + 2]
    assert paths[4].stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700
    assert backups.find(directory, "latest") == paths[4]
    assert backups.find(directory, paths[3].name) == paths[3]
    assert backups.find(tmp_path, str(paths[3])) == paths[3]
    assert backups.summary(paths[4]).rows == len(SOUND)
    with pytest.raises(BackupError, match="pmxcfs-backup list"):
        backups.find(directory, "config-1.sql.gz")
    with pytest.raises(BackupError, match="pmxcfs-backup create"):
        backups.find(tmp_path / "none", "latest")


def test_what_cannot_be_verified_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, directory = make_database(tmp_path / "config.db"), tmp_path / "backup"
    kept = backups.create(database, directory, NOW)
    monkeypatch.setattr(backups, "read_summary", lambda path: dump.Summary(3, "another"))
    with pytest.raises(BackupError, match="does not hold what was read"):
        backups.create(database, directory, NOW + 1)
    assert list(directory.iterdir()) == [kept]


def test_no_database(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="unable to save"):
        backups.create(tmp_path / "config.db", tmp_path / "backup", NOW)
    (tmp_path / "text.db").write_text("this is not a database, but long enough to look at" * 40)
    with pytest.raises(BackupError, match="not a database"):
        backups.create(tmp_path / "text.db", tmp_path / "backup", NOW)
    assert not (tmp_path / "config.db").exists()
    assert not list((tmp_path / "backup").iterdir())


def _in_another_process(code: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": "src"},
    )  # fmt: skip


CREATE = """
import sys
from pathlib import Path
from quorate.database import backups
try:
    backups.create(Path(sys.argv[1]), Path(sys.argv[2]), 1700000000)
except backups.BackupError as error:
    sys.exit(str(error))
"""


def _write(store: Store, row: Row) -> None:
    done: queue.Queue[Exception | None] = queue.Queue()
    store.submit(RowBatch(rows=(row,)), done.put)
    assert done.get(timeout=20) is None


def test_a_reader_takes_nothing_from_a_running_daemon(tmp_path: Path) -> None:
    """W14: what is written after a backup came and went is still in the database at the end."""
    database = make_database(tmp_path / "config.db")
    lock = os.open(tmp_path / guard.LOCKFILE, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    store = Store(database, durable=False)
    store.open()
    try:
        _write(store, FILE._replace(inode=7, name=b"before"))
        log = Path(f"{database}-wal").stat().st_ino
        done = _in_another_process(CREATE, database, tmp_path / "backup")
        assert done.returncode == 0, done.stderr
        assert Path(f"{database}-wal").stat().st_ino == log
        _write(store, FILE._replace(inode=8, name=b"after"))
    finally:
        store.close()
        os.close(lock)
    assert [row.name for row in rows_in(database)][-2:] == [b"before", b"after"]
    with closing(dump.load_dump(backups.find(tmp_path / "backup", "latest"))) as saved:
        assert b"before" in [row[6] for row in dump.rows_of(saved)]


def test_a_daemon_without_its_lock_is_left_alone(tmp_path: Path) -> None:
    """The original's daemon: it runs, and SQLite does not know."""
    database = make_database(tmp_path / "config.db")
    lock = os.open(tmp_path / guard.LOCKFILE, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        done = _in_another_process(CREATE, database, tmp_path / "backup")
    finally:
        os.close(lock)
    assert done.returncode == 1
    assert "does not hold SQLite's lock" in done.stderr
    assert not (tmp_path / "backup").exists()


def test_a_log_left_by_a_crash_is_read(tmp_path: Path) -> None:
    database = make_database(tmp_path / "config.db")
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("UPDATE tree SET version = 51 WHERE inode = 0")
        crashed = tmp_path / "crashed"
        crashed.mkdir()
        for suffix in ("", "-wal"):
            (crashed / f"config.db{suffix}").write_bytes(Path(f"{database}{suffix}").read_bytes())
    path = backups.create(crashed / "config.db", tmp_path / "backup", NOW)
    with closing(dump.load_dump(path)) as saved:
        assert next(dump.rows_of(saved))[2] == ROOT.version + 1


def test_the_daemons_lock(tmp_path: Path) -> None:
    database = tmp_path / "config.db"
    assert not guard.daemon_runs(database)
    with guard.daemon_stopped(database):
        assert not (tmp_path / guard.LOCKFILE).exists()
    with guard.daemon_stopped(database, create=True):
        assert guard.daemon_runs(database)
        with (
            pytest.raises(guard.InUseError, match="systemctl stop pve-cluster"),
            guard.daemon_stopped(database),
        ):
            raise AssertionError
    assert not guard.daemon_runs(database)
