"""Rows of the database's one table, and how changes of the tree become rows (core 3.2-3.4, 3.7).

Pure: the store executes what is made here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from quorate.pmxcfs.entry import DIRECTORY, REGULAR, Change, ChangeOp, Entry

ROOT_NAME = b"__version__"


class Row(NamedTuple):
    """One row of table ``tree``, columns in the table's order."""

    inode: int
    parent: int
    version: int
    writer: int
    mtime: int
    type: int
    name: bytes
    data: bytes | None


class RowBatch(NamedTuple):
    """What one transaction does: delete these inodes, insert or replace these rows. No inode is in both."""

    deletes: tuple[int, ...] = ()
    rows: tuple[Row, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.deletes or self.rows)


def root_row(root: Entry, *, type_: int = REGULAR) -> Row:
    """The row that keeps the database's version. Type 8 from operations, 4 from a synchronisation."""
    return Row(0, 0, root.version, root.writer, root.mtime, type_, ROOT_NAME, None)


def entry_row(entry: Entry, *, empty_blob: bool = False) -> Row:
    """The row of an entry. ``empty_blob``: a directory after mtime or rename stores b'' instead of NULL."""
    data = b"" if empty_blob and entry.type == DIRECTORY else entry.data
    return Row(
        entry.inode, entry.parent, entry.version, entry.writer, entry.mtime, entry.type, entry.name, data
    )


def rows_from_changes(changes: Iterable[Change], root: Entry) -> RowBatch:
    """One batch for all ``changes`` since the last one; every inode at most once, in its present state.

    ``root`` is the tree's root entry. Call it before the tree changes again. An entry that vanished from
    memory only (ChangeOp.DROP, weakness W9) keeps its row, as in the original, but only until the next change
    (ChangeOp.PURGE): something else may get its name, or its directory may go.
    """
    touched: dict[int, tuple[Entry, bool]] = {}
    deletes: dict[int, None] = {}
    root_entry: Entry | None = None
    for change in changes:
        op = change.op
        if op is ChangeOp.DROP:
            continue
        if op is ChangeOp.FORMAT:
            root_entry = change.entry
            continue
        root_entry = root
        inode = change.entry.inode
        if op is ChangeOp.DELETE or op is ChangeOp.PURGE:
            touched.pop(inode, None)
            deletes[inode] = None
            continue
        if change.replaced is not None:
            touched.pop(change.replaced.inode, None)
            deletes[change.replaced.inode] = None
        touched[inode] = (change.entry, op is ChangeOp.MTIME or op is ChangeOp.RENAME)
    rows = [entry_row(entry, empty_blob=blob) for entry, blob in touched.values()]
    if root_entry is not None:
        rows.append(root_row(root_entry))
    return RowBatch(tuple(deletes), tuple(rows))
