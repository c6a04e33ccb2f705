"""Checks that a set of entries is a tree: of rows read from the database, or of a synchronisation (core 3.8).

Every fault is found, not only the first. Nothing is repaired here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from quorate.pmxcfs.entry import DIRECTORY, REGULAR, Entry
from quorate.pmxcfs.rows import ROOT_NAME, Row

MAX_VERSION = 1 << 62
"""Highest version and inode taken as real. SQLite ends at 2^63 - 1; nobody makes that many changes."""

_MAX_FAULTS_SHOWN = 50
_U32 = 0xFFFFFFFF
_ADVICE = (
    "Nothing was changed. Restore the database file from a backup (the dumps in the backup directory"
    " beside it are gzipped SQL). Or, if other members of the cluster are healthy, move it away on this"
    " node and start again: the contents are fetched from them."
)


class DatabaseError(Exception):
    """The database cannot be used. ``faults`` has every reason; the text lists them and says what to do."""

    def __init__(self, faults: Sequence[str], *, advice: str = _ADVICE) -> None:
        self.faults = tuple(faults)
        shown = list(self.faults[:_MAX_FAULTS_SHOWN])
        if len(self.faults) > _MAX_FAULTS_SHOWN:
            shown.append(f"and {len(self.faults) - _MAX_FAULTS_SHOWN} more")
        super().__init__(
            "\n".join(["the database is not usable:", *(f"- {fault}" for fault in shown), advice])
        )


def entries_from_rows(rows: Iterable[Row]) -> tuple[Entry | None, dict[int, Entry], list[str]]:
    """Root (None without a root row), all entries by ascending inode, and the faults found so far.

    NULL and a zero-length blob are the same; u32 columns are masked to 32 bits, the type to 8.
    """
    faults: list[str] = []
    root: Entry | None = None
    entries: dict[int, Entry] = {}
    for row in rows:
        numbers = row[:6]
        if not all(type(number) is int for number in numbers):
            faults.append(f"row {row[0]!r}: a column that should be an integer is not")
            continue
        inode, parent, version, writer, mtime, type_ = numbers
        name, data = row[6:]
        type_ &= 0xFF
        if inode == 0:
            fault = _root_fault(version, type_, name)
        else:
            fault = entry_fault(inode, parent, version, type_, name, data)
        if fault is None and (inode in entries or (inode == 0 and root is not None)):
            fault = "exists twice"
        if fault is not None:
            faults.append(f"inode {inode}: {fault}")
            continue
        if inode == 0:
            root = Entry(0, 0, version, writer & _U32, mtime & _U32, DIRECTORY, b"")
        else:
            entries[inode] = Entry(
                inode, parent, version, writer & _U32, mtime & _U32, type_, name, data or None
            )
    inodes = list(entries)
    if inodes != sorted(inodes):
        entries = dict(sorted(entries.items()))
    return root, entries, faults


def entry_fault(inode: int, parent: int, version: int, type_: int, name: object, data: object) -> str | None:
    """What is wrong with one entry (not the root) by itself, None when nothing is."""
    if not 0 <= inode <= MAX_VERSION or not 0 <= parent <= MAX_VERSION or not 0 <= version <= MAX_VERSION:
        return f"inode, parent {parent} or version {version} is out of range"
    if not isinstance(name, bytes) or not name:
        return "the name is empty"
    if b"/" in name or b"\0" in name:
        return f"the name {name!r} contains a slash or NUL"
    if name in (b".", b".."):
        return f"the name {name!r} is no entry's"
    if type_ not in (DIRECTORY, REGULAR):
        return f"type {type_} is neither 4 nor 8"
    if data is not None and not isinstance(data, bytes):
        return "the content is not a blob"
    if type_ == DIRECTORY and data:
        return "a directory with content"
    return None


def _root_fault(version: int, type_: int, name: object) -> str | None:
    if name != ROOT_NAME:
        return f"the root row is called {name!r} instead of {ROOT_NAME!r}"
    if not 0 <= version <= MAX_VERSION:
        return f"version {version} is out of range"
    return None if type_ in (DIRECTORY, REGULAR) else f"type {type_} is neither 4 nor 8"


def link(root: Entry, entries: dict[int, Entry]) -> list[str]:
    """Hang every entry into its directory. Returns all faults of structure.

    ``entries`` is without the root; ``root.children`` must be empty.
    """
    faults: list[str] = []
    for entry in entries.values():
        parent = entries.get(entry.parent) if entry.parent else root
        if parent is None:
            faults.append(f"inode {entry.inode}: its directory, inode {entry.parent}, does not exist")
        elif parent.children is None:
            faults.append(f"inode {entry.inode}: its directory, inode {entry.parent}, is a regular file")
        elif entry.name in parent.children:
            faults.append(
                f"inode {entry.inode}: name {entry.name!r} exists twice in directory {entry.parent}"
                f" (the other is inode {parent.children[entry.name].inode})",
            )
        else:
            parent.children[entry.name] = entry
    if not faults:
        unreachable = entries.keys() - _reachable(root)
        if unreachable:
            shown = ", ".join(map(str, sorted(unreachable)[:10]))
            faults.append(f"directories contain each other in a circle: inodes {shown}")
    highest = max(entries, default=0)
    if highest > root.version:
        faults.append(
            f"the version of the database, {root.version}, is lower than inode {highest}: later changes would"
            " overwrite entries",
        )
    return faults


def _reachable(root: Entry) -> set[int]:
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        for child in (waiting.pop().children or {}).values():
            seen.add(child.inode)
            if child.children:
                waiting.append(child)
    return seen
