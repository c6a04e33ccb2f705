"""Databases of the cluster file system, made row by row, sound or not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from quorate.pmxcfs.rows import ROOT_NAME, Row
from quorate.pmxcfs.store import Store

ROOT = Row(0, 0, 50, 1, 1_700_000_000, 8, ROOT_NAME, None)
DIRECTORY = Row(2, 0, 2, 1, 1_700_000_000, 4, b"d", None)
FILE = Row(3, 2, 3, 1, 1_700_000_000, 8, b"f", b"data\0\xff")
SOUND = (ROOT, DIRECTORY, FILE)

INSERT = "INSERT INTO tree VALUES (?, ?, ?, ?, ?, ?, CAST(? AS TEXT), ?)"


def make_database(path: Path, rows: Iterable[Row] = SOUND, *, schema: str | None = None) -> Path:
    """A closed database with these rows, by the daemon's own schema or another."""
    if schema is None:
        store = Store(path, durable=False)
        store.open()
        store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if schema is not None:
            connection.executescript(schema)
        connection.executemany(INSERT, rows)
    return path


def rows_in(path: Path) -> list[Row]:
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        return [Row._make(row) for row in connection.execute("SELECT * FROM tree ORDER BY inode")]
