"""The database's one table (core 3.2): to make it, and to compare a file with."""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

from quorate.database.dump import TABLE

SCHEMA: Final = """
CREATE TABLE tree (
  inode INTEGER PRIMARY KEY NOT NULL,
  parent INTEGER NOT NULL CHECK(typeof(parent)=='integer'),
  version INTEGER NOT NULL CHECK(typeof(version)=='integer'),
  writer INTEGER NOT NULL CHECK(typeof(writer)=='integer'),
  mtime INTEGER NOT NULL CHECK(typeof(mtime)=='integer'),
  type INTEGER NOT NULL CHECK(typeof(type)=='integer'),
  name TEXT NOT NULL,
  data BLOB
)
"""
CREATE: Final = SCHEMA.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1)


class Column(NamedTuple):
    name: str
    type: str
    required: bool
    """NOT NULL, or the primary key."""
    key: bool


_INTEGERS: Final = ("parent", "version", "writer", "mtime", "type")
COLUMNS: Final = (
    Column("inode", "INTEGER", True, True),
    *(Column(name, "INTEGER", True, False) for name in _INTEGERS),
    Column("name", "TEXT", True, False),
    Column("data", "BLOB", False, False),
)


class Shape(NamedTuple):
    """How a file's table differs from ``SCHEMA``."""

    missing: bool
    """There is no table."""
    differences: tuple[str, ...] = ()
    rebuildable: bool = True
    """The columns are the right ones in the right order: only what is declared about them differs."""
    triggers: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """Tables, views and indexes that nobody of ours made."""


def shape_of(connection: sqlite3.Connection) -> Shape:
    """Raises sqlite3.Error. Names that are not UTF-8 are shown with escapes."""
    objects = [
        (_text(kind), _text(name))
        for kind, name in connection.execute("SELECT type, name FROM sqlite_master")
        if not _text(name).startswith("sqlite_")
    ]
    triggers = tuple(name for kind, name in objects if kind == "trigger")
    others = tuple(f"{kind} {name}" for kind, name in objects if kind != "trigger" and name != TABLE)
    if ("table", TABLE) not in objects:
        return Shape(True, triggers=triggers, others=others)
    found = [
        Column(_text(name), _text(type_).upper(), bool(required or key), bool(key))
        for _, name, type_, required, _, key in connection.execute(f"PRAGMA table_info({TABLE})")
    ]
    differences = []
    rebuildable = [column.name for column in found] == [column.name for column in COLUMNS]
    if not rebuildable:
        names = ", ".join(column.name for column in found)
        differences.append(f"table {TABLE} has the columns {names}")
    else:
        differences += [
            f"column {column.name} is not declared as it should be ({wanted.type})"
            for column, wanted in zip(found, COLUMNS, strict=True)
            if column != wanted
        ]
    return Shape(False, tuple(differences), rebuildable, triggers, others)


def _text(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
