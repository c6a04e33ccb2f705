"""Dumps carry every value of every type, and are read back from us and from the sqlite3 program."""

from __future__ import annotations

import gzip
import io
import shutil
import sqlite3
import struct
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quorate.database.dump import DumpError, Text, load_dump, open_reader, rows_of, summarise, write_dump
from tests.unit.database.support_databases import FILE, ROOT, make_database, rows_in

TEMPORARY = tempfile.TemporaryDirectory()
NAMES = (
    b"plain",
    b"it's",
    b"\xff\xfe",
    b"two\nlines;\n",
    b"nul\0behind",
    "ä€".encode(),
    b"';\nDROP TABLE tree;\n",
)
VALUES = st.one_of(
    st.none(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.binary(max_size=40),
    st.text(max_size=20),
    st.floats(allow_nan=False),
)

MISREAD = 1.1713712457002818e-294
"""SQLite 3.40 reads these shortest digits as the number below it."""
BORDERS = (
    MISREAD,
    0.1,
    -0.0,
    5e-324,
    2.225073858507201e-308,  # the largest subnormal number
    2.2250738585072014e-308,
    1.7976931348623157e308,
    9007199254740991.0,
    9007199254740992.0,
    9007199254740994.0,
    1e16,
    4611686018427387904.0,
    9223372036854775808.0,
    1e22,
    1e23,
    float("inf"),
)


def dumped(database: Path, path: Path) -> Path:
    with path.open("wb") as out, closing(open_reader(database)) as connection:
        write_dump(connection, out)
    return path


def repack(path: Path, text: bytes) -> Path:
    path.write_bytes(gzip.compress(text))
    return path


def test_every_name_survives(tmp_path: Path) -> None:
    rows = [ROOT, *(FILE._replace(inode=10 + n, parent=0, name=name) for n, name in enumerate(NAMES))]
    database = make_database(tmp_path / "config.db", rows)
    dump = dumped(database, tmp_path / "dump.sql.gz")
    with closing(load_dump(dump, tmp_path / "again.db")):
        pass
    assert rows_in(tmp_path / "again.db") == rows
    gzip.decompress(dump.read_bytes()).decode()  # any program can read it


@given(st.lists(VALUES))
@example([MISREAD])
def test_every_value_survives(values: list[object]) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE tree (inode INTEGER PRIMARY KEY, data)")
        connection.executemany("INSERT INTO tree (data) VALUES (?)", [(value,) for value in values])
        connection.text_factory = Text
        out = io.BytesIO()
        written = write_dump(connection, out)
        path = Path(TEMPORARY.name) / "values.sql.gz"
        path.write_bytes(out.getvalue())
        with closing(load_dump(path)) as again:
            assert list(rows_of(again)) == list(rows_of(connection))
            assert summarise(again) == written


def floats_in(connection: sqlite3.Connection) -> list[float]:
    return [value for (value,) in connection.execute("SELECT data FROM tree ORDER BY inode")]


def bits(numbers: list[float]) -> list[bytes]:
    """To compare with: equal numbers may differ, 0.0 and -0.0."""
    return [struct.pack(">d", number) for number in numbers]


def dump_of_floats(numbers: list[float]) -> bytes:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE tree (inode INTEGER PRIMARY KEY, data)")
        connection.executemany("INSERT INTO tree (data) VALUES (?)", [(number,) for number in numbers])
        assert bits(floats_in(connection)) == bits(numbers)
        connection.text_factory = Text
        out = io.BytesIO()
        write_dump(connection, out)
        return out.getvalue()


@given(st.lists(st.floats(allow_nan=False), min_size=1))
@example([MISREAD])
@example([*BORDERS, *(-number for number in BORDERS)])
def test_every_bit_of_a_number_survives(numbers: list[float]) -> None:
    path = Path(TEMPORARY.name) / "numbers.sql.gz"
    path.write_bytes(dump_of_floats(numbers))
    with closing(load_dump(path)) as again:
        assert bits(floats_in(again)) == bits(numbers)


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="no sqlite3 program here")
def test_the_sqlite3_program_reads_every_bit_of_a_number(tmp_path: Path) -> None:
    random = Random(1)
    drawn = [struct.unpack(">d", random.randbytes(8))[0] for _ in range(2000)]
    numbers = [*BORDERS, *(-number for number in BORDERS), *(number for number in drawn if number == number)]
    text = gzip.decompress(dump_of_floats(numbers))
    subprocess.run(["sqlite3", tmp_path / "again.db"], input=text, check=True, timeout=30)
    with closing(sqlite3.connect(tmp_path / "again.db")) as again:
        assert bits(floats_in(again)) == bits(numbers)


@pytest.fixture(scope="module", autouse=True)
def _temporary() -> object:
    with TEMPORARY:
        yield


@pytest.mark.parametrize(
    "literal",
    [
        b"'\xff''A'",
        b"replace('\\xff\\nA','\\n',char(10))".replace(b"\\xff", b"\xff"),
        b"unistr('\\u000a\\\\')",
    ],
)
def test_dumps_of_the_sqlite3_program_are_read(tmp_path: Path, literal: bytes) -> None:
    expected = {b"'": b"\xff'A", b"r": b"\xff\nA", b"u": b"\n\\"}[literal[:1]]
    text = (
        b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n"
        b"CREATE TABLE tree (inode INTEGER PRIMARY KEY, name TEXT);\n"
        b"INSERT INTO tree VALUES(1,%s);\nCOMMIT;\n"
    )
    with closing(load_dump(repack(tmp_path / "d.sql.gz", text % literal))) as connection:
        assert list(rows_of(connection)) == [(1, expected)]


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="no sqlite3 program here")
def test_the_sqlite3_program_reads_ours(tmp_path: Path) -> None:
    rows = [ROOT, *(FILE._replace(inode=10 + n, parent=0, name=name) for n, name in enumerate(NAMES))]
    dump = dumped(make_database(tmp_path / "config.db", rows), tmp_path / "dump.sql.gz")
    subprocess.run(
        ["sqlite3", tmp_path / "again.db"], input=gzip.decompress(dump.read_bytes()), check=True, timeout=30
    )
    assert rows_in(tmp_path / "again.db") == rows


def test_broken_dumps_are_refused(tmp_path: Path) -> None:
    dump = dumped(make_database(tmp_path / "config.db"), tmp_path / "dump.sql.gz")
    packed, text = dump.read_bytes(), gzip.decompress(dump.read_bytes())
    broken = tmp_path / "broken.sql.gz"
    for content in (packed[:-20], packed[:40], b"no gzip", b"", packed[:60] + b"\0\0\0\0" + packed[64:]):
        broken.write_bytes(content)
        with pytest.raises(DumpError, match=r"broken\.sql\.gz"):
            load_dump(broken)
    for part in (text[:-8], text[:-20], text.replace(b"tree", b"other"), b"COMMIT;\n"):
        with pytest.raises(DumpError):
            load_dump(repack(broken, part))


def test_a_dump_touches_no_other_file(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    text = f"BEGIN;\nCOMMIT;\nATTACH '{other}' AS x;\n".encode()
    with pytest.raises(DumpError, match="not authorized"):
        load_dump(repack(tmp_path / "d.sql.gz", text))
    assert not other.exists()


def test_a_database_of_something_else(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        connection.execute("CREATE TABLE a (b)")
        connection.isolation_level = None
        with pytest.raises(DumpError, match="no table 'tree'"):
            write_dump(connection, io.BytesIO())
