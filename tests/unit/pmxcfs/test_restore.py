"""``pmxcfs-backup``: what it saves it gives back, all of it or one path, and never half."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from quorate.cli import pmxcfs_backup
from quorate.database import backups
from quorate.database.guard import daemon_stopped
from quorate.pmxcfs.rows import Row
from quorate.settings import Settings
from tests.unit.database.support_databases import DIRECTORY, FILE, ROOT, make_database, rows_in

NOW = 1_700_000_000
ROWS = [
    ROOT,
    DIRECTORY,
    FILE,
    Row(4, 0, 4, 1, 7, 8, b"corosync.conf", b"totem {}"),
    Row(5, 0, 5, 1, 7, 4, b"priv", None),
    Row(6, 5, 6, 1, 7, 4, b"lock", None),
    Row(7, 6, 7, 1, 7, 4, b"user_cfg", None),
    Row(8, 5, 8, 1, 7, 8, b"secret\xff", b"x"),
]
LATER = [*ROWS[:2], FILE._replace(data=b"later"), Row(20, 2, 20, 1, 7, 8, b"new", b"new")]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A stopped node with a backup of ROWS; its database has changed since then."""
    settings = Settings(tmp_path)
    settings.state_dir.mkdir(parents=True)
    make_database(settings.database, ROWS)
    assert run(settings, "create") == 0
    settings.database.unlink()
    make_database(settings.database, LATER)
    return settings


def run(settings: Settings, *arguments: str, now: int = NOW) -> int:
    return pmxcfs_backup.main(arguments, settings, now)


def test_list_and_verify(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(settings, "create", "--keep", "2", now=NOW + 1) == 0
    assert run(settings, "create", "--keep", "2", now=NOW + 2) == 0
    capsys.readouterr()
    assert run(settings, "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines] == [f"config-{NOW + 1}.sql.gz", f"config-{NOW + 2}.sql.gz"]
    assert run(settings, "verify") == 0
    assert f"config-{NOW + 2}.sql.gz' is good: 4 rows, version 50" in capsys.readouterr().out
    path = backups.find(settings.backup_dir, "latest")
    path.write_bytes(path.read_bytes()[:-9])
    assert run(settings, "verify") == 1
    assert "unable to read the dump" in capsys.readouterr().err


def test_restore_of_all(settings: Settings) -> None:
    assert run(settings, "restore", f"config-{NOW}.sql.gz", now=NOW + 5) == 0
    assert rows_in(settings.database) == ROWS
    assert settings.database.stat().st_mode & 0o777 == 0o600
    left = {path.name for path in settings.state_dir.iterdir()} - {"backup", ".pmxcfs.lockfile"}
    assert left == {"config.db"}
    assert run(settings, "restore", f"config-{NOW + 5}.sql.gz", now=NOW + 6) == 0
    assert rows_in(settings.database) == LATER


def test_a_database_that_cannot_be_saved_is_moved_aside(settings: Settings) -> None:
    settings.database.write_bytes(b"\xa5" * 9000)
    assert run(settings, "restore", "latest", now=NOW + 5) == 0
    assert rows_in(settings.database) == ROWS
    assert Path(f"{settings.database}.{NOW + 5}.bak").read_bytes() == b"\xa5" * 9000


def test_a_log_of_a_database_that_is_gone_is_not_applied(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """A daemon was killed, and somebody took ``config.db`` away alone: its log fits the restored one too."""
    with closing(sqlite3.connect(settings.database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("UPDATE tree SET version=200 WHERE inode=0")
        log = Path(f"{settings.database}-wal")
        content = log.read_bytes()
    settings.database.unlink()
    log.write_bytes(content)
    assert run(settings, "restore", "latest", now=NOW + 5) == 0
    assert rows_in(settings.database) == ROWS
    assert Path(f"{log}.{NOW + 5}.bak").read_bytes() == content
    assert f"found '{log}', which is of another database" in capsys.readouterr().out


def test_options_that_make_no_sense(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """An unset variable of a script must not mean everything."""
    before = settings.database.read_bytes()
    assert run(settings, "restore", "latest", "--path", "") == 1
    assert "--path is empty" in capsys.readouterr().err
    assert settings.database.read_bytes() == before
    for number in ("x", "0", "-1"):
        with pytest.raises(SystemExit):
            run(settings, "create", f"--keep={number}")
        assert f"'{number}' is not a number from 1 up" in capsys.readouterr().err


def test_saving_does_not_remove_what_is_restored(settings: Settings) -> None:
    for number in range(1, backups.KEEP):
        run(settings, "create", now=NOW + number)
    assert run(settings, "restore", f"config-{NOW}.sql.gz", now=NOW + 50) == 0
    assert (settings.backup_dir / f"config-{NOW}.sql.gz").exists()


def test_a_running_daemon_is_refused(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with daemon_stopped(settings.database, create=True):
        assert run(settings, "restore", "latest") == 1
    assert "Stop it first" in capsys.readouterr().err
    assert rows_in(settings.database) == LATER


def test_a_faulty_backup_is_refused(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    settings.database.unlink()
    make_database(settings.database, [ROOT, FILE])
    assert run(settings, "create", now=NOW + 1) == 0
    settings.database.unlink()
    make_database(settings.database, LATER)
    assert run(settings, "restore", "latest", now=NOW + 2) == 1
    assert "faulty database" in capsys.readouterr().err
    assert rows_in(settings.database) == LATER
    assert not Path(f"{settings.database}.restore").exists()


def test_to_a_directory(settings: Settings, tmp_path: Path) -> None:
    target = tmp_path / "out"
    assert run(settings, "restore", "latest", "--to", str(target)) == 0
    files = {os.fsencode(path.relative_to(target)): path for path in target.rglob("*") if path.is_file()}
    assert set(files) == {b"d/f", b"corosync.conf", b"priv/secret\xff"}
    assert files[b"d/f"].read_bytes() == FILE.data
    assert files[b"d/f"].stat().st_mtime == FILE.mtime
    assert all(path.stat().st_mode & 0o077 == 0 for path in target.rglob("*"))
    assert run(settings, "restore", "latest", "--to", str(target)) == 1
    assert run(settings, "restore", "latest", "--path", "/d/f", "--to", str(tmp_path / "one")) == 0
    assert (tmp_path / "one/d/f").read_bytes() == FILE.data


def test_names_that_lead_out_of_the_directory(settings: Settings, tmp_path: Path) -> None:
    settings.database.unlink()
    make_database(settings.database, [ROOT, DIRECTORY._replace(name=b".."), FILE])
    run(settings, "create", now=NOW + 1)
    assert run(settings, "restore", "latest", "--to", str(tmp_path / "out")) == 1
    assert not (tmp_path / "f").exists()


@pytest.fixture
def mounted(settings: Settings) -> Path:
    settings.mountpoint.mkdir(parents=True)
    (settings.mountpoint / "local").symlink_to("nodes/n1")
    return settings.mountpoint


def test_one_path_through_the_mount(settings: Settings, mounted: Path) -> None:
    (mounted / "d").mkdir()
    (mounted / "d/f").write_bytes(b"later")
    (mounted / "d/new").write_bytes(b"new")
    assert run(settings, "restore", f"config-{NOW}.sql.gz", "--path", "d", now=NOW + 3) == 0
    assert (mounted / "d/f").read_bytes() == FILE.data
    assert (mounted / "d/new").read_bytes() == b"new"
    assert sorted(path.name for path in (mounted / "d").iterdir()) == ["f", "new"]
    assert rows_in(settings.database) == LATER
    assert (settings.backup_dir / f"config-{NOW + 3}.sql.gz").exists()


def test_everything_through_the_mount(
    settings: Settings, mounted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (mounted / "corosync.conf").write_bytes(b"newer")
    (mounted / "d").write_text("in the way")
    assert run(settings, "restore", f"config-{NOW}.sql.gz", "--path", "/") == 2
    assert (mounted / "corosync.conf").read_bytes() == b"newer"
    assert (mounted / os.fsdecode(b"priv/secret\xff")).read_bytes() == b"x"
    assert not (mounted / "priv/lock").exists()
    said = capsys.readouterr()
    assert "corosync.conf: left as it is" in said.err
    assert "d/f:" in said.err
    assert "1 files written" in said.out
    assert run(settings, "restore", f"config-{NOW}.sql.gz", "--path", "corosync.conf") == 0
    assert (mounted / "corosync.conf").read_bytes() == b"totem {}"


def test_no_such_path_and_no_mount(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(settings, "restore", "latest", "--path", "nowhere") == 1
    assert "there is no 'nowhere' in this backup" in capsys.readouterr().err
    assert run(settings, "restore", "latest", "--path", "d") == 1
    assert "quorum" in capsys.readouterr().err
