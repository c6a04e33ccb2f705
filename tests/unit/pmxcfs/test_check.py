"""The offline check finds every fault of core 3.8, and its repair makes a database that the daemon loads."""

from __future__ import annotations

import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.cli import pmxcfs_check
from quorate.database import schema
from quorate.database.backups import listed
from quorate.database.dump import load_dump, rows_of
from quorate.database.guard import LOCKFILE, daemon_stopped
from quorate.pmxcfs.check import Code, Findings, check
from quorate.pmxcfs.load import DatabaseError
from quorate.pmxcfs.rows import ROOT_NAME, Row
from quorate.pmxcfs.tree import Tree
from quorate.settings import Settings
from tests.unit.database.support_databases import DIRECTORY, FILE, ROOT, SOUND, make_database, rows_in

NOW = 1_700_000_000
GUESTS = [
    Row(10, 0, 10, 1, 1, 4, b"nodes", None),
    Row(11, 10, 11, 1, 1, 4, b"n1", None),
    Row(12, 10, 12, 1, 1, 4, b"n2", None),
    Row(13, 11, 13, 1, 1, 4, b"qemu-server", None),
    Row(14, 12, 14, 1, 1, 4, b"lxc", None),
    Row(15, 13, 30, 1, 1, 8, b"100.conf", b"newer"),
    Row(16, 14, 16, 1, 1, 8, b"100.conf", b"older"),
]


def repaired(rows: list[Row], findings: Findings) -> list[Row]:
    left = {row.inode: row for row in rows if row.inode not in findings.batch.deletes}
    left.update({row.inode: row for row in findings.batch.rows})
    return list(left.values())


def loads(rows: list[Row]) -> bool:
    try:
        Tree.load(rows, 0)
    except DatabaseError:
        return False
    return True


@pytest.mark.parametrize(
    ("rows", "code", "aside"),
    [
        ([ROOT, DIRECTORY._replace(name=b"")], Code.ROW, {2}),
        ([ROOT, DIRECTORY._replace(name=b"a/b")], Code.ROW, {2}),
        ([ROOT, DIRECTORY, FILE._replace(name=b"..")], Code.ROW, {3}),
        ([ROOT, DIRECTORY._replace(type=5)], Code.ROW, {2}),
        ([ROOT, DIRECTORY._replace(data=b"x")], Code.ROW, {2}),
        ([ROOT, DIRECTORY._replace(parent="x")], Code.ROW, {2}),  # type: ignore[arg-type]
        ([ROOT, DIRECTORY._replace(inode=-2)], Code.ROW, {-2}),
        ([ROOT, FILE], Code.ORPHAN, {3}),
        ([ROOT, DIRECTORY._replace(type=8), FILE], Code.FILE_AS_PARENT, {3}),
        ([ROOT, DIRECTORY._replace(parent=2)], Code.CYCLE, {2}),
        (
            [ROOT, DIRECTORY._replace(parent=4), Row(4, 2, 4, 0, 0, 4, b"e", None), FILE],
            Code.CYCLE,
            {2, 3, 4},
        ),
        ([ROOT, DIRECTORY, FILE, FILE._replace(inode=4, version=4)], Code.DUPLICATE_NAME, {3}),
        ([ROOT, DIRECTORY, FILE._replace(version=5), FILE._replace(inode=4)], Code.DUPLICATE_NAME, {4}),
        ([ROOT, *GUESTS], Code.DUPLICATE_GUEST, {16}),
        ([ROOT, *GUESTS[:3], GUESTS[3]._replace(type=8)], Code.KIND_DIRECTORY, {13}),
        ([ROOT._replace(version=2), DIRECTORY, FILE], Code.VERSION, set()),
        ([ROOT, DIRECTORY._replace(version=51)], Code.VERSION, set()),
        ([ROOT._replace(version=0), DIRECTORY], Code.VERSION, set()),
        ([DIRECTORY, FILE], Code.ROOT, set()),
        ([ROOT._replace(name=b"x"), DIRECTORY], Code.ROOT, set()),
        ([ROOT._replace(type=0)], Code.ROOT, set()),
        ([ROOT._replace(version=1 << 63), DIRECTORY], Code.ROOT, set()),
    ],
)
def test_every_fault(rows: list[Row], code: Code, aside: set[int]) -> None:
    findings = check(rows)
    assert code in {fault.code for fault in findings.faults}
    assert set(findings.batch.deletes) == aside
    after = repaired(rows, findings)
    assert check(after).faults == ()
    assert loads(after)


@pytest.mark.parametrize("rows", [[], [ROOT], list(SOUND), [ROOT, *GUESTS[:-1]]])
def test_nothing_is_wrong(rows: list[Row]) -> None:
    assert check(reversed(rows)) == Findings()


def test_a_lost_version_becomes_the_lowest_that_can_be_right() -> None:
    """A higher one would win against the other members' databases (W24)."""
    findings = check([DIRECTORY, FILE._replace(version=9, mtime=7)])
    assert findings.root == Row(0, 0, 9, 0, DIRECTORY.mtime, 8, ROOT_NAME, None)


def test_numbers_set_aside_are_not_used_again() -> None:
    assert check([ROOT, FILE._replace(inode=90)]).root == ROOT._replace(version=90)


def test_where_it_was_is_told() -> None:
    rows = [
        ROOT,
        DIRECTORY._replace(parent=77),
        FILE,
        Row(5, 0, 5, 1, 1, 8, b"d2", b""),
        FILE._replace(inode=6, parent=5),
    ]
    assert [item.path for item in check(rows).aside] == [b"inode-77/d", b"inode-77/d/f", b"d2/f"]


def test_limits_are_warnings() -> None:
    findings = check([ROOT, FILE._replace(parent=0, data=bytes((1 << 20) + 1), writer=1 << 32)])
    assert findings.faults == ()
    assert len(findings.warnings) == 2


NUMBERS: st.SearchStrategy[Any] = st.one_of(
    st.integers(0, 8), st.sampled_from([-1, 1 << 32, 1 << 63, None, b"x"])
)
NAMES: st.SearchStrategy[Any] = st.sampled_from(
    [b"a", b"b", b"nodes", b"n1", b"lxc", b"qemu-server", b"100.conf", b"", b"x/y", b"\xff", None, ROOT_NAME]
)
ROWS = st.lists(
    st.builds(
        Row,
        st.integers(-1, 8),
        st.one_of(st.integers(0, 8), NUMBERS),
        NUMBERS,
        NUMBERS,
        NUMBERS,
        st.sampled_from([4, 4, 4, 8, 8, 5, 0x108]),
        NAMES,
        st.sampled_from([None, b"", b"data"]),
    ),
    max_size=9,
    unique_by=lambda row: row.inode,
)


@given(ROWS)
def test_the_check_and_the_loader_agree(rows: list[Row]) -> None:
    findings = check(rows)
    if not findings.faults:
        assert loads(rows)
        assert not findings.batch
    elif loads(rows):  # stricter in what will go wrong later, and in the root row, only
        assert {fault.code for fault in findings.faults} <= {Code.VERSION, Code.ROOT}
    after = repaired(rows, findings)
    assert check(after).faults == ()
    assert loads(after)
    kept, gone = {row.inode for row in after}, {item.row.inode for item in findings.aside}
    assert {row.inode for row in rows} - {0} == (kept - {0}) | gone
    assert not kept & gone


# The command


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(tmp_path)
    settings.state_dir.mkdir(parents=True)
    return settings


def run(settings: Settings, *arguments: str) -> int:
    return pmxcfs_check.main(arguments, settings, NOW)


def test_a_clean_database_is_not_touched(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    make_database(settings.database)
    before = settings.database.read_bytes()
    assert run(settings) == 0
    assert run(settings, "--repair") == 0
    assert settings.database.read_bytes() == before
    assert not settings.backup_dir.exists()
    assert "clean" in capsys.readouterr().out


@pytest.mark.parametrize("make", ["CREATE TABLE x (a)", "", None])
def test_a_database_with_nothing_in_it_is_not_called_clean(
    settings: Settings, make: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if make is None:
        make_database(settings.database, [ROOT])
    else:
        with closing(sqlite3.connect(settings.database)) as connection:
            connection.executescript(f"{make}; DROP TABLE IF EXISTS x; VACUUM")
    assert run(settings) == 0
    said = capsys.readouterr().out
    assert "clean" not in said
    assert "empty" in said
    assert "pmxcfs-backup restore" in said


def test_faults_are_told_and_repaired(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        ROOT._replace(version=2),
        DIRECTORY,
        FILE._replace(name=b"f\xff"),
        FILE._replace(inode=9, parent=70),
    ]
    make_database(settings.database, rows)
    before = settings.database.read_bytes()
    assert run(settings) == 4
    assert settings.database.read_bytes() == before
    said = capsys.readouterr().out
    assert "orphan: inode 9 ('inode-70/f')" in said
    assert "--repair" in said
    assert run(settings, "--repair") == 1
    assert rows_in(settings.database) == [ROOT._replace(version=9), *rows[1:3]]
    assert run(settings) == 0
    assert listed(settings.backup_dir) == []  # 'latest' is never a broken one
    with closing(load_dump(settings.backup_dir / f"before-repair-{NOW}.sql.gz")) as saved:
        assert list(rows_of(saved)) == rows
    with tarfile.open(settings.backup_dir / f"repaired-{NOW}.tar.gz") as archive:
        file = archive.extractfile("inode-70/f")
        assert file is not None
        assert file.read() == FILE.data


def test_another_schema_is_rebuilt(settings: Settings) -> None:
    columns = "inode INTEGER, parent, version, writer, mtime, type INTEGER, name TEXT, data BLOB"
    loose = f"CREATE TABLE tree ({columns})"
    make_database(settings.database, schema=loose)
    assert run(settings) == 4
    assert run(settings, "--repair") == 1
    assert rows_in(settings.database) == list(SOUND)
    assert run(settings) == 0
    make_database(settings.state_dir / "twice.db", [*SOUND, FILE], schema=loose)
    assert run(settings, "--repair", str(settings.state_dir / "twice.db")) == 4
    assert len(rows_in(settings.state_dir / "twice.db")) == len(SOUND) + 1


def test_what_has_no_remedy_is_left_alone(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    make_database(settings.database, [DIRECTORY])
    with closing(sqlite3.connect(settings.database)) as connection:
        connection.execute("CREATE TRIGGER t AFTER INSERT ON tree BEGIN DELETE FROM tree; END")
    assert run(settings, "--repair") == 4
    assert rows_in(settings.database) == [DIRECTORY]
    assert "trigger" in capsys.readouterr().out


@pytest.mark.parametrize("start", [0, 4096])
def test_a_damaged_file(settings: Settings, start: int, capsys: pytest.CaptureFixture[str]) -> None:
    make_database(settings.database)
    with settings.database.open("r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * 2000)
    assert run(settings, "--repair") == 4
    assert "pmxcfs-backup restore" in capsys.readouterr().out
    assert not settings.backup_dir.exists()


def test_it_refuses_a_database_in_use(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    make_database(settings.database)
    with daemon_stopped(settings.database, create=True):
        assert run(settings) == 8
    assert "Stop it first" in capsys.readouterr().err
    assert (settings.state_dir / LOCKFILE).exists()


def test_no_database_and_no_sense(settings: Settings) -> None:
    assert run(settings, str(settings.root / "nowhere.db")) == 8
    with pytest.raises(SystemExit) as end:
        run(settings, "--wrong")
    assert end.value.code == 8


def test_a_repair_without_room_for_the_backup(settings: Settings, tmp_path: Path) -> None:
    make_database(settings.database, [DIRECTORY])
    (tmp_path / "file").touch()
    assert run(settings, "--repair", "--backup-dir", str(tmp_path / "file")) == 8
    assert rows_in(settings.database) == [DIRECTORY]


def test_the_schema_is_the_daemons(settings: Settings) -> None:
    make_database(settings.database)
    with closing(sqlite3.connect(settings.database)) as daemons, closing(sqlite3.connect(":memory:")) as ours:
        ours.execute(schema.SCHEMA)
        assert schema.shape_of(daemons) == schema.shape_of(ours) == schema.Shape(False)
        texts = [db.execute("SELECT sql FROM sqlite_master").fetchone()[0].split() for db in (daemons, ours)]
    assert texts[0] == texts[1]
