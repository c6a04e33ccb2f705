"""What is wrong with the rows of a database, and which changes make them a tree again (core 3.8).

Pure. A sound set of rows has no faults exactly if the daemon loads it. Files are the business of ``repair``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Final, NamedTuple

from quorate.pmxcfs.entry import DIRECTORY, REGULAR
from quorate.pmxcfs.guard import is_kind_directory
from quorate.pmxcfs.load import MAX_VERSION, entry_fault
from quorate.pmxcfs.paths import guest_config
from quorate.pmxcfs.rows import ROOT_NAME, Row, RowBatch
from quorate.pmxcfs.tree import MAX_ENTRIES, MAX_FILE_SIZE, MAX_TOTAL_SIZE

_U32: Final = 0xFFFFFFFF


class Code(Enum):
    """Kinds of faults; the words are stable, for programs that read the output."""

    UNREADABLE = "unreadable"
    DAMAGED = "damaged"
    SCHEMA = "schema"
    TRIGGER = "trigger"
    ROW = "row"
    ROOT = "root"
    VERSION = "version"
    ORPHAN = "orphan"
    FILE_AS_PARENT = "file-as-parent"
    CYCLE = "cycle"
    DUPLICATE_NAME = "duplicate-name"
    DUPLICATE_GUEST = "duplicate-guest"
    KIND_DIRECTORY = "kind-directory"


class Fault(NamedTuple):
    code: Code
    text: str
    remedy: str
    """What a repair does about it; empty: nothing, the text says what a person can do."""


class SetAside(NamedTuple):
    """A row that has no place in the tree; ``path`` is where it was, as far as that can be told."""

    row: Row
    path: bytes
    reason: str


class Findings(NamedTuple):
    faults: tuple[Fault, ...] = ()
    warnings: tuple[str, ...] = ()
    aside: tuple[SetAside, ...] = ()
    """Rows that a repair takes out."""
    root: Row | None = None
    """The root row as a repair writes it; None when it is right."""

    @property
    def batch(self) -> RowBatch:
        """The repair."""
        rows = () if self.root is None else (self.root,)
        return RowBatch(tuple(aside.row.inode for aside in self.aside), rows)


def check(rows: Iterable[Row]) -> Findings:
    """All faults of ``rows`` and the repair. Values may be of any type; inodes are unique integers."""
    return _Check(list(rows)).run()


class _Check:
    def __init__(self, rows: list[Row]) -> None:
        self._raw = {row.inode: row for row in rows if row.inode != 0}
        self._root = next((row for row in rows if row.inode == 0), None)
        self._faults: list[Fault] = []
        self._warnings: list[str] = []
        self._aside: dict[int, SetAside] = {}
        self._entries: dict[int, Row] = {}
        self._paths: dict[int, bytes] = {}
        """Of entries that are reachable."""

    def run(self) -> Findings:
        self._check_rows()
        self._walk()
        self._check_unreachable()
        self._check_guests()
        self._check_limits()
        root = self._check_root()
        aside = tuple(self._aside[inode] for inode in sorted(self._aside))
        return Findings(tuple(self._faults), tuple(self._warnings), aside, root)

    def _check_rows(self) -> None:
        for inode, row in sorted(self._raw.items()):
            if not all(type(number) is int for number in row[:6]):
                fault: str | None = "a column that should be an integer is not"
            else:
                row = row._replace(type=row.type & 0xFF)
                fault = entry_fault(inode, row.parent, row.version, row.type, row.name, row.data)
            if fault is None:
                self._entries[inode] = row
                for column, number in (("writer", row.writer), ("mtime", row.mtime)):
                    if not 0 <= number <= _U32:
                        self._warnings.append(f"inode {inode}: {column} {number} is cut to 32 bits")
            else:
                self._put_aside(self._raw[inode], Code.ROW, f"inode {inode}: {fault}", fault)

    def _walk(self) -> None:
        """From the root down; of two entries with one name the one that was changed last stays."""
        children: dict[int, list[Row]] = defaultdict(list)
        for row in self._entries.values():
            children[row.parent].append(row)
        waiting = [(0, b"")]
        while waiting:
            directory, path = waiting.pop()
            found: dict[bytes, Row] = {}
            for row in sorted(children[directory], key=_age, reverse=True):
                where = path + row.name
                first = found.setdefault(row.name, row)
                self._paths[row.inode] = where
                if first is not row:
                    text = (
                        f"inode {row.inode}: '{_shown(where)}' exists twice, the other, inode {first.inode},"
                        f" was changed later"
                    )
                    self._put_aside(row, Code.DUPLICATE_NAME, text, f"inode {first.inode} has its name")
                elif row.type == DIRECTORY:
                    waiting.append((row.inode, where + b"/"))

    def _check_unreachable(self) -> None:
        for inode, row in self._entries.items():
            if inode in self._paths:
                continue
            parent = self._entries.get(row.parent)
            circle = self._in_circle(inode)
            if circle:
                code, reason = (
                    Code.CYCLE,
                    f"directories contain each other in a circle, through inode {row.parent}",
                )
            elif row.parent in self._aside and self._aside[row.parent].row.type == DIRECTORY:
                code, reason = Code.ORPHAN, f"its directory, inode {row.parent}, has no place itself"
            elif parent is None:
                code, reason = (
                    Code.ORPHAN,
                    f"its directory, inode {row.parent}, does not exist or is unusable",
                )
            elif parent.type == REGULAR:
                code, reason = Code.FILE_AS_PARENT, f"its directory, inode {row.parent}, is a regular file"
            else:
                code, reason = Code.ORPHAN, f"its directory, inode {row.parent}, cannot be reached"
            path = self._broken_path(inode)
            text = f"inode {inode} ('{_shown(path)}'): {reason}"
            self._put_aside(row, code, text, reason, path=path)

    def _in_circle(self, inode: int) -> bool:
        """Whether going up from ``inode`` comes back to it."""
        seen = {inode}
        parent = self._entries[inode].parent
        while parent in self._entries:
            if parent == inode:
                return True
            if parent in seen or self._entries[parent].type != DIRECTORY:
                return False
            seen.add(parent)
            parent = self._entries[parent].parent
        return False

    def _broken_path(self, inode: int) -> bytes:
        names: list[bytes] = []
        seen: set[int] = set()
        while inode in self._entries and inode not in seen:
            if inode in self._paths:
                return b"/".join([self._paths[inode], *reversed(names)])
            seen.add(inode)
            names.append(self._entries[inode].name)
            inode = self._entries[inode].parent
        return b"/".join([b"inode-%d" % inode, *reversed(names)])

    def _check_guests(self) -> None:
        found: dict[int, Row] = {}
        for row in sorted(self._entries.values(), key=_age, reverse=True):
            if row.inode in self._aside or row.type != REGULAR:
                continue
            path = self._paths[row.inode]
            if is_kind_directory(path):
                text = f"inode {row.inode}: '{_shown(path)}' is a regular file, but the place of a directory"
                self._put_aside(row, Code.KIND_DIRECTORY, text, "a directory of guests must be here")
                continue
            guest = guest_config(path)
            if guest is None:
                continue
            first = found.setdefault(guest.vmid, row)
            if first is not row:
                other = _shown(self._paths[first.inode])
                text = (
                    f"inode {row.inode}: guest {guest.vmid} exists twice: '{_shown(path)}' and,"
                    f" changed later, '{other}' (inode {first.inode})"
                )
                self._put_aside(row, Code.DUPLICATE_GUEST, text, f"the guest is '{other}'")

    def _check_root(self) -> Row | None:
        """The root row as it should be; None when it is so, or when there is nothing (a new database)."""
        numbers = [
            number
            for row in self._raw.values()
            for number in (row.inode, row.version)
            if type(number) is int and 0 <= number <= MAX_VERSION
        ]
        highest = max(numbers, default=0)
        row = self._root
        if row is None:
            if not self._raw:
                return None
            times = [entry.mtime & _U32 for entry in self._entries.values()]
            self._correct(Code.ROOT, "there is no root row: the version of the database is lost", highest)
            return Row(0, 0, max(1, highest), 0, max(times, default=0), REGULAR, ROOT_NAME, None)
        good = row
        for field, valid, value in _ROOT_RULES:
            if not valid(getattr(row, field)):
                good = good._replace(**{field: value})
                self._correct(Code.ROOT, f"root row: {field} is {getattr(row, field)!r}", None)
        if good.version < highest or (good.version == 0 and self._raw):
            self._correct(
                Code.VERSION,
                f"the version of the database, {good.version}, is lower than an inode or a version in it,"
                f" {highest}: later changes would overwrite entries",
                highest,
            )
            good = good._replace(version=max(1, highest))
        return None if good is row else good

    def _check_limits(self) -> None:
        kept = [row for row in self._entries.values() if row.inode not in self._aside]
        for row in kept:
            if len(row.data or b"") > MAX_FILE_SIZE:
                path = _shown(self._paths[row.inode])
                self._warnings.append(f"inode {row.inode}: '{path}' is larger than {MAX_FILE_SIZE} bytes")
        total = sum(len(row.data or b"") for row in kept)
        if total > MAX_TOTAL_SIZE:
            self._warnings.append(f"the files have {total} bytes, more than {MAX_TOTAL_SIZE}")
        if len(kept) + 1 > MAX_ENTRIES:
            self._warnings.append(f"there are {len(kept)} entries; {MAX_ENTRIES} is the limit")

    def _put_aside(self, row: Row, code: Code, text: str, reason: str, *, path: bytes | None = None) -> None:
        if path is None:
            path = self._paths.get(row.inode, b"inode-%d" % row.inode)
        self._aside[row.inode] = SetAside(row, path, reason)
        self._faults.append(Fault(code, text, "the entry goes to an archive in the backup directory"))

    def _correct(self, code: Code, text: str, version: int | None) -> None:
        remedy = "the root row is corrected"
        if version is not None:
            remedy = f"the version becomes {max(1, version)}, the lowest that can be right"
        self._faults.append(Fault(code, text, remedy))


def _is_version(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_VERSION


def _is_integer(value: object) -> bool:
    return type(value) is int


_ROOT_RULES: Final[tuple[tuple[str, Callable[[object], bool], Any], ...]] = (
    ("parent", lambda value: type(value) is int and value == 0, 0),
    ("version", _is_version, 0),
    ("writer", _is_integer, 0),
    ("mtime", _is_integer, 0),
    ("type", lambda value: type(value) is int and value & 0xFF in (DIRECTORY, REGULAR), REGULAR),
    ("name", lambda value: value == ROOT_NAME, ROOT_NAME),
    ("data", lambda value: not value, None),
)


def _age(row: Row) -> tuple[int, int]:
    """Greater for what was changed later: every change has a version of its own."""
    return row.version, row.inode


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
