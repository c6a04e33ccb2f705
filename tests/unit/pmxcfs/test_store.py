"""The database file: schema, privacy, raw bytes, transactions, failures that lose nothing (core 3.1-3.7)."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quorate.pmxcfs import store as store_module
from quorate.pmxcfs.load import DatabaseError
from quorate.pmxcfs.rows import ROOT_NAME, Row, RowBatch
from quorate.pmxcfs.store import Store
from quorate.pmxcfs.tree import Tree

WAIT = 20  # seconds until a worker that does not answer fails the test

ROOT = Row(0, 0, 9, 1, 2, 8, ROOT_NAME, None)
FILE = Row(3, 0, 3, 1, 2, 8, b"f\xff\xfe", b"\0\1data")


class Outcome:
    """Receives ``done`` from the worker."""

    def __init__(self) -> None:
        self.results: queue.Queue[Exception | None] = queue.Queue()

    def __call__(self, error: Exception | None) -> None:
        self.results.put(error)

    def wait(self) -> Exception | None:
        return self.results.get(timeout=WAIT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[..., tuple[Store, list[Row]]]]:
    stores: list[Store] = []

    def make(*, durable: bool = False) -> tuple[Store, list[Row]]:
        store = Store(path, durable=durable)
        rows = store.open()
        stores.append(store)
        return store, rows

    yield make
    for store in stores:
        store.close()


Opened = Callable[..., tuple[Store, list[Row]]]


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        connection.text_factory = bytes
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def write(store: Store, *rows: Row, deletes: tuple[int, ...] = ()) -> Exception | None:
    outcome = Outcome()
    store.submit(RowBatch(deletes, rows), outcome)
    return outcome.wait()


@pytest.mark.parametrize("durable", [False, True])
def test_rows_come_back_byte_for_byte(path: Path, opened: Opened, durable: bool) -> None:
    store, rows = opened(durable=durable)
    assert rows == []
    directory = Row(4, 0, 4, 0xFFFFFFFF, 0xFFFFFFFF, 4, b"d", b"")
    assert write(store, ROOT, FILE, directory) is None
    store.close()
    _, rows = opened()
    assert rows == [ROOT, FILE, directory]


def test_what_comes_first_sees_the_database_as_it_was(path: Path, opened: Opened) -> None:
    store, _ = opened()
    write(store, ROOT)
    seen: list[object] = []
    looking, go_on = threading.Event(), threading.Event()

    def look() -> None:
        looking.set()
        seen.append(go_on.wait(5))
        seen.append(query(path, "SELECT inode FROM tree"))

    outcome = Outcome()
    store.submit(RowBatch((), (FILE,)), outcome, look)
    assert looking.wait(5)
    later = Outcome()
    store.submit(RowBatch((), (FILE,)), later)  # nobody waits for it
    go_on.set()
    assert outcome.wait() is None
    assert later.wait() is None
    assert seen == [True, [(0,)]]
    assert query(path, "SELECT inode FROM tree ORDER BY inode") == [(0,), (FILE.inode,)]


def test_what_came_first_is_not_kept(path: Path, opened: Opened) -> None:
    """It holds what it saves: up to the whole tree."""

    class Saver:
        def __call__(self) -> None:
            pass

    store, _ = opened()
    saver = Saver()
    gone = threading.Event()
    weakref.finalize(saver, gone.set)
    outcome = Outcome()
    store.submit(RowBatch((), (ROOT,)), outcome, saver)
    del saver
    assert outcome.wait() is None
    assert gone.wait(5)


def test_the_file_is_private_before_anything_is_in_it(path: Path, opened: Opened) -> None:
    path.touch(0o644)
    path.chmod(0o644)
    store, _ = opened()
    write(store, ROOT)
    for suffix in ("", "-wal", "-shm"):
        assert path.with_name(path.name + suffix).stat().st_mode & 0o777 == 0o600


def test_the_schema_is_the_originals(path: Path, opened: Opened) -> None:
    store, _ = opened()
    write(store, ROOT, FILE)
    store.close()
    columns = query(path, "SELECT name, type, \"notnull\", pk FROM pragma_table_info('tree')")
    assert columns == [
        (b"inode", b"INTEGER", 1, 1),
        (b"parent", b"INTEGER", 1, 0),
        (b"version", b"INTEGER", 1, 0),
        (b"writer", b"INTEGER", 1, 0),
        (b"mtime", b"INTEGER", 1, 0),
        (b"type", b"INTEGER", 1, 0),
        (b"name", b"TEXT", 1, 0),
        (b"data", b"BLOB", 0, 0),
    ]
    assert query(path, "SELECT typeof(name) FROM tree") == [(b"text",), (b"text",)]
    assert query(path, "PRAGMA journal_mode") == [(b"wal",)]
    assert query(path, "PRAGMA user_version") == [(0,)]
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT INTO tree VALUES (7, 'x', 1, 1, 1, 4, 'n', NULL)")
    connection.close()


def test_deletes_and_replacements_of_many_batches_arrive_in_order(path: Path, opened: Opened) -> None:
    store, _ = opened()
    outcomes = []
    for number in range(200):
        outcome = Outcome()
        row = FILE._replace(inode=10 + number % 7, version=number)
        store.submit(RowBatch((10 + (number + 1) % 7,), (row, ROOT._replace(version=number))), outcome)
        outcomes.append(outcome)
    assert [outcome.wait() for outcome in outcomes] == [None] * 200
    store.close()
    _, rows = opened()
    assert [(row.inode, row.version) for row in rows] == [
        (0, 199),
        (10, 196),
        (11, 197),
        (12, 198),
        (13, 199),  # and 14 was deleted last
        (15, 194),
        (16, 195),
    ]


def test_a_failed_transaction_is_reported_and_its_rows_are_written_later(
    path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store_module, "BUSY_TIMEOUT", 0.01)
    store, _ = opened()
    assert write(store, ROOT) is None
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with caplog.at_level(logging.CRITICAL):
        error = write(store, FILE, deletes=(77,))
    assert isinstance(error, DatabaseError)
    assert "locked" in str(error)
    assert "cannot write" in caplog.text
    other.execute("ROLLBACK")
    other.close()
    assert write(store, ROOT._replace(version=10)) is None
    store.close()
    _, rows = opened()
    assert rows == [ROOT._replace(version=10), FILE]


def test_a_transaction_is_all_or_nothing(
    path: Path, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    store, _ = opened()
    assert write(store, ROOT, FILE) is None
    with caplog.at_level(logging.CRITICAL):
        assert write(store, ROOT._replace(version=1 << 70), deletes=(FILE.inode,)) is not None
    assert query(path, "SELECT inode FROM tree ORDER BY inode") == [(0,), (FILE.inode,)]
    assert write(store, ROOT._replace(version=11)) is None
    assert query(path, "SELECT inode, version FROM tree") == [(0, 11)]


def test_closing_writes_what_is_pending(opened: Opened) -> None:
    store, _ = opened()
    outcome = Outcome()
    store.submit(RowBatch((), (ROOT,)), outcome)
    store.close()
    assert outcome.wait() is None
    _, rows = opened()
    assert rows == [ROOT]


def test_closing_tells_when_rows_could_not_be_written(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store_module, "BUSY_TIMEOUT", 0.01)
    store = Store(path, durable=False)
    store.open()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with caplog.at_level(logging.CRITICAL):
        assert write(store, ROOT) is not None
        with pytest.raises(DatabaseError, match="1 rows"):
            store.close()
    other.close()


def test_the_log_is_checkpointed_and_stays_small(
    path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "CHECKPOINT_BYTES", 1 << 16)
    monkeypatch.setattr(store_module, "CHECKPOINT_FORCED_BYTES", 1 << 17)
    store, _ = opened()
    content = bytes(1 << 15)
    for number in range(100):
        assert write(store, FILE._replace(version=number, data=content)) is None
    assert path.with_name("config.db-wal").stat().st_size < 1 << 20


def test_too_many_waiting_transactions_are_refused(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_WAITING", 0)
    store, _ = opened()
    with pytest.raises(DatabaseError, match="wait for the disk"):
        store.submit(RowBatch((), (ROOT,)), Outcome())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_worker_is_noticed(path: Path) -> None:
    store = Store(path, durable=False)
    store.open()

    def done(error: Exception | None) -> None:
        raise ValueError("a fault of the caller")

    store.submit(RowBatch((), (ROOT,)), done)
    assert store._worker is not None
    store._worker.join(WAIT)
    with pytest.raises(DatabaseError, match="writer"):
        store.submit(RowBatch((), (ROOT,)), done)
    store.close()


def test_durability_can_change_while_open(path: Path, opened: Opened) -> None:
    store, _ = opened(durable=True)
    assert write(store, ROOT) is None
    store.set_durable(False)
    assert write(store, FILE) is None
    assert store._connection is not None
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (1,)


@pytest.mark.parametrize(
    "content", [b"this is no database at all, only text " * 50, b"SQLite format 3\0" * 100]
)
def test_something_else_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DatabaseError, match=r"config\.db"):
        Store(path, durable=False).open()
    assert path.read_bytes() == content


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="no-such-directory"):
        Store(tmp_path / "no-such-directory" / "config.db", durable=False).open()


def test_a_store_that_is_not_open_takes_nothing(path: Path, opened: Opened) -> None:
    store, _ = opened()
    with pytest.raises(RuntimeError):
        store.open()
    store.close()
    with pytest.raises(RuntimeError):
        store.submit(RowBatch(), Outcome())


def test_a_database_of_the_original_loads(path: Path, opened: Opened) -> None:
    opened()[0].close()
    connection = sqlite3.connect(path)
    rows = [
        (0, 0, 9, 2, 1700000009, 4, b"__version__", None),  # type 4: after a synchronisation
        (2, 0, 9, 1, 1700000002, 4, b"dir", b""),  # after a rename: a blob of no length
        (3, 2, 3, 1, 1700000003, 8, b"\xff\xfe name", b"\x00text"),  # no UTF-8
        (4, 2, 4, 4294967295, 1700000004, 8, b"__version__", b""),
    ]
    connection.executemany("INSERT INTO tree VALUES (?, ?, ?, ?, ?, ?, CAST(? AS TEXT), ?)", rows)
    connection.commit()
    connection.close()
    tree = Tree.load(opened()[1], 0)
    assert tree.root.version == 9
    assert sorted(tree.by_inode) == [0, 2, 3, 4]
    named = tree.lookup(b"dir/\xff\xfe name")
    assert named is not None
    assert named.data == b"\x00text"
    assert tree.by_inode[4].data is None
    assert tree.by_inode[4].writer == 4294967295
