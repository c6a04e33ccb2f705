"""The SQLite database of one node (core 3): opening, and a worker thread that writes batches of rows.

Only rows come in and go out; what they mean is decided in tree.py and load.py. Open it after the daemon has
detached: SQLite's locks do not survive a fork (W14).
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from quorate.database.schema import CREATE
from quorate.pmxcfs.load import DatabaseError
from quorate.pmxcfs.rows import Row, RowBatch

log = logging.getLogger(__name__)

BUSY_TIMEOUT = 10.0
"""Seconds that SQLite waits for another process's lock, as the original does."""
MAX_WAITING = 65536
"""Submitted batches not yet written. Their rows are merged by inode, so that memory stays bounded by the size
of the tree; a disk that is this far behind does not work."""
CHECKPOINT_BYTES = 4 << 20
"""Written bytes after which the write-ahead log is copied into the database when the worker is idle."""
CHECKPOINT_FORCED_BYTES = 64 << 20
"""The same under continuous load, so that the log cannot grow for ever."""
GATHER_SECONDS = 0.04
"""How long the worker waits for more before it writes, when nobody waits for the commit (not ``durable``).
Each transaction writes whole pages and takes the interpreter from the thread that answers requests; a killed
daemon gets the last moments back from the cluster (decision 0021)."""
CLOSE_TIMEOUT = 30.0
"""Seconds for the last transaction; longer than BUSY_TIMEOUT, shorter than a stop may take."""

Done = Callable[[Exception | None], None]

_SELECT = "SELECT inode, parent, version, writer, mtime, type, name, data FROM tree ORDER BY inode"
# The cast stores the bytes as TEXT without asking whether they are UTF-8.
_REPLACE = (
    "INSERT OR REPLACE INTO tree (inode, parent, version, writer, mtime, type, name, data)"
    " VALUES (?, ?, ?, ?, ?, ?, CAST(? AS TEXT), ?)"
)
_DELETE = "DELETE FROM tree WHERE inode = ?"
_ROW_OVERHEAD = 4096
"""What a small row costs in the log: about one page."""


class Store:
    """One database file. ``open`` once, ``submit`` from one thread, ``close`` at the end.

    ``durable``: every commit reaches the disk before ``done`` (synchronous FULL), for a node that has no
    cluster to recover from; otherwise a power failure can cost the last commits (W15).
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        self._path = path
        self._durable = durable
        self._synchronous_full = durable
        self._connection: sqlite3.Connection | None = None
        self._worker: threading.Thread | None = None
        self._condition = threading.Condition()
        # Guarded by the condition:
        self._pending: dict[int, Row | None] = {}
        self._waiting: list[Done] = []
        self._first: list[Callable[[], None]] = []
        self._closing = False
        self._idle = False
        """The worker sleeps until there is something. Else it looks by itself, and is not woken in vain."""

    def open(self) -> list[Row]:
        """Create or open the file (0600 before anything is in it) and read all rows. Raises DatabaseError."""
        if self._connection is not None:
            raise RuntimeError("the database is already open")
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.fchmod(descriptor, 0o600)
            finally:
                os.close(descriptor)
            connection = sqlite3.connect(
                self._path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise self._unusable("open", error) from error
        try:
            connection.text_factory = bytes
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            if mode != b"wal":
                raise DatabaseError([f"{self._path}: journal mode is {mode!r}, WAL was refused"])
            connection.execute(f"PRAGMA synchronous={'FULL' if self._durable else 'NORMAL'}")
            # Checkpoints are made by the worker when nobody waits.
            connection.execute("PRAGMA wal_autocheckpoint=0")
            connection.execute(CREATE)
            rows = [Row._make(row) for row in connection.execute(_SELECT)]
        except (OSError, sqlite3.Error) as error:
            connection.close()
            raise self._unusable("read", error) from error
        except DatabaseError:
            connection.close()
            raise
        self._connection = connection
        self._worker = threading.Thread(target=self._run, args=(connection,), name="store", daemon=True)
        self._worker.start()
        return rows

    def submit(self, batch: RowBatch, done: Done, first: Callable[[], None] | None = None) -> None:
        """Write ``batch`` in one transaction, perhaps together with later ones; then ``done(None)``.

        ``first`` is called from the worker thread before anything of ``batch`` is written, and must not
        raise: what saves the rows that are about to be replaced.

        ``done`` is called exactly once, from the worker thread, and must not raise. After a failure it gets
        a DatabaseError; the rows are kept and tried again with the next batch and at close, so a full disk
        costs nothing once there is room. Raises DatabaseError when too much is waiting.
        """
        with self._condition:
            if self._worker is None or self._closing:
                raise RuntimeError("the database is not open")
            if not self._worker.is_alive():
                raise DatabaseError([f"{self._path}: the writer thread has ended, see the log"])
            if len(self._waiting) >= MAX_WAITING:
                raise DatabaseError([f"{self._path}: {MAX_WAITING} transactions wait for the disk"])
            for inode in batch.deletes:
                self._pending[inode] = None
            for row in batch.rows:
                self._pending[row.inode] = row
            self._waiting.append(done)
            if first is not None:
                self._first.append(first)
            if self._idle:
                self._idle = False
                self._condition.notify()

    def set_durable(self, durable: bool) -> None:
        """Change the promise from the next batch on (a single node became a member, or the reverse)."""
        with self._condition:
            self._durable = durable
            self._condition.notify()

    def close(self) -> None:
        """Write what is pending, stop the worker, close the file. Raises DatabaseError if rows remained."""
        connection, worker = self._connection, self._worker
        if connection is None or worker is None:
            return
        with self._condition:
            self._closing = True
            self._condition.notify()
        worker.join(CLOSE_TIMEOUT)
        if worker.is_alive():
            raise DatabaseError(
                [f"{self._path}: the disk did not take the last rows in {CLOSE_TIMEOUT:.0f} s"]
            )
        self._connection = self._worker = None
        connection.close()
        if self._pending:
            raise DatabaseError([f"{self._path}: {len(self._pending)} rows could not be written"])

    # Worker thread

    def _run(self, connection: sqlite3.Connection) -> None:
        since_checkpoint = 0
        while True:
            with self._condition:
                if not self._waiting and not self._closing and since_checkpoint < CHECKPOINT_BYTES:
                    self._idle = True
                    self._condition.wait_for(lambda: self._waiting or self._closing)
                    self._idle = False
                if self._waiting and not self._durable:
                    self._condition.wait_for(lambda: self._closing or self._durable, GATHER_SECONDS)
                waiting, self._waiting = self._waiting, []
                first, self._first = self._first, []
                closing, durable = self._closing, self._durable
                pending: dict[int, Row | None] = {}
                # Rows of a failed transaction wait for the next batch: no retries in a circle.
                if waiting or closing:
                    pending, self._pending = self._pending, {}
            _call_all(first)
            error = self._write(connection, pending, durable) if pending else None
            if error is None:
                since_checkpoint += sum(
                    _ROW_OVERHEAD + len(row.data or b"") for row in pending.values() if row is not None
                )
            for done in waiting:
                done(error)
            if since_checkpoint >= (CHECKPOINT_FORCED_BYTES if waiting else CHECKPOINT_BYTES):
                self._checkpoint(connection)
                since_checkpoint = 0
            if closing and not waiting:
                return

    def _write(
        self, connection: sqlite3.Connection, pending: dict[int, Row | None], durable: bool
    ) -> DatabaseError | None:
        """One transaction. On failure it is rolled back and its rows are kept for the next try."""
        try:
            if durable != self._synchronous_full:
                connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                self._synchronous_full = durable
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_DELETE, [(inode,) for inode, row in pending.items() if row is None])
            connection.executemany(_REPLACE, [row for row in pending.values() if row is not None])
            connection.execute("COMMIT")
        except (sqlite3.Error, OverflowError, OSError) as error:
            log.critical("[database] cannot write %d rows to %s: %s", len(pending), self._path, error)
            self._roll_back(connection)
            with self._condition:
                self._pending = {**pending, **self._pending}
            return self._unusable("write to", error)
        return None

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:
            try:
                connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                log.warning("[database] cannot roll back on %s: %s", self._path, error)

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            # Nothing is lost: the log keeps the rows, and the next checkpoint tries again.
            log.warning("[database] cannot checkpoint %s: %s", self._path, error)

    def _unusable(self, verb: str, error: Exception) -> DatabaseError:
        return DatabaseError([f"cannot {verb} {self._path}: {error}"])


def _call_all(calls: list[Callable[[], None]]) -> None:
    """One after the other; nothing of them is kept, for they hold what they save."""
    while calls:
        calls.pop(0)()
