"""Check and repair of a database file: SQLite's own check, the schema, the rows. The daemon must be stopped.

The rules are in ``check``. A repair changes nothing before a verified backup and the archive of what it takes
out, and commits only a database that the daemon's own loader accepts.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from quorate.database import backups
from quorate.database.backups import BackupError
from quorate.database.dump import Text, open_reader, rows_of
from quorate.database.schema import COLUMNS, SCHEMA, Shape, shape_of
from quorate.pmxcfs.backup import save_lost
from quorate.pmxcfs.check import Code, Fault, Findings, SetAside, check
from quorate.pmxcfs.load import DatabaseError
from quorate.pmxcfs.rows import Row
from quorate.pmxcfs.sync import LostEntry
from quorate.pmxcfs.tree import Tree

ARCHIVE_PREFIX: Final = "repaired-"
BACKUP_PREFIX: Final = "before-repair-"
"""Kept apart from the other backups: a broken database is not what 'latest' should mean, and must not push
good ones out of their number."""
MAX_DAMAGES: Final = 100
"""Lines of SQLite's check that are shown."""

_RESTORE: Final = (
    "restore a backup ('pmxcfs-backup restore'), or, if other members of the cluster are healthy, move the"
    " database away: its content is fetched from them"
)
_ROW_DAMAGE: Final = re.compile(r"(?:CHECK constraint failed in|NULL value in|.* value in) tree\b.*")
"""What SQLite's check says about rows that ``check`` names better."""
_COLUMNS: Final = ", ".join(column.name for column in COLUMNS)
_REPLACE: Final = f"INSERT OR REPLACE INTO tree ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, CAST(? AS TEXT), ?)"


class RepairError(Exception):
    """The repair failed; nothing was changed. The text says why."""


class Examination(NamedTuple):
    """All that is known about a database file."""

    file_faults: tuple[Fault, ...]
    """Of the file and its schema."""
    findings: Findings
    rebuild: bool = False
    """The table has to be made anew, with the same rows."""
    entries: int = 0
    """How many files and directories there are, the root left out."""

    @property
    def faults(self) -> tuple[Fault, ...]:
        return self.file_faults + self.findings.faults

    @property
    def clean(self) -> bool:
        return not self.faults

    @property
    def repairable(self) -> bool:
        """Every fault has a remedy: a database is repaired as a whole or left alone."""
        return all(fault.remedy for fault in self.faults)


class Repaired(NamedTuple):
    backup: Path
    """The database as it was before."""
    archive: Path | None
    """What was taken out of it."""


def examine(database: Path) -> Examination:
    """Look at everything and change nothing. Raises OSError if there is no such file or no right to read."""
    with database.open("rb"):
        pass
    try:
        with closing(open_reader(database)) as connection:
            return _examine(connection)
    except sqlite3.OperationalError as error:
        raise OSError(f"unable to open '{database}': {error}") from error
    except sqlite3.Error as error:
        fault = Fault(Code.UNREADABLE, f"SQLite cannot read the file: {error}; {_RESTORE}", "")
        return Examination((fault,), Findings())


def repair(database: Path, examination: Examination, backup_dir: Path, now: int) -> Repaired:
    """Do what ``examination`` says. The caller holds the daemon's lock. Raises RepairError."""
    try:
        saved = backups.create(database, backup_dir, now, stopped=True, prefix=BACKUP_PREFIX)
        archive = None
        if examination.findings.aside:
            lost = [_lost(aside) for aside in examination.findings.aside]
            archive = save_lost(backup_dir, lost, now, prefix=ARCHIVE_PREFIX)
        _apply(database, examination)
    except (BackupError, OSError, sqlite3.Error, DatabaseError) as error:
        raise RepairError(f"'{database}' was not repaired: {error}") from error
    return Repaired(saved, archive)


def _examine(connection: sqlite3.Connection) -> Examination:
    faults = []
    for (line,) in connection.execute(f"PRAGMA integrity_check({MAX_DAMAGES})"):
        text = line.decode("utf-8", "backslashreplace")
        if text != "ok" and _ROW_DAMAGE.fullmatch(text) is None:
            faults.append(Fault(Code.DAMAGED, f"SQLite's check says: {text}; {_RESTORE}", ""))
    shape = shape_of(connection)
    faults += _shape_faults(shape)
    others = tuple(f"there is a {name}, which is not ours" for name in shape.others)
    if shape.missing or not shape.rebuildable:
        return Examination(tuple(faults), Findings(warnings=others))
    rows = _rows(connection)
    if len({row.inode for row in rows if type(row.inode) is int}) < len(rows):
        faults.append(Fault(Code.SCHEMA, f"inodes are not unique numbers; {_RESTORE}", ""))
        return Examination(tuple(faults), Findings(warnings=others))
    findings = check(rows)
    findings = findings._replace(warnings=findings.warnings + others)
    entries = sum(row.inode != 0 for row in rows)
    return Examination(tuple(faults), findings, rebuild=bool(shape.differences), entries=entries)


def _shape_faults(shape: Shape) -> list[Fault]:
    remedy = "the table is made anew with the same rows" if shape.rebuildable else ""
    faults = [Fault(Code.SCHEMA, text, remedy) for text in shape.differences]
    if shape.missing and shape.others:
        faults.append(Fault(Code.SCHEMA, "this is a database of something else", ""))
    faults += [
        Fault(Code.TRIGGER, f"there is a trigger '{name}': it changes what the daemon writes; drop it", "")
        for name in shape.triggers
    ]
    return faults


def _rows(connection: sqlite3.Connection) -> list[Row]:
    return [Row._make(row) for row in rows_of(connection)]  # values of any type, see check


def _apply(database: Path, examination: Examination) -> None:
    with closing(
        sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
    ) as db:
        db.text_factory = Text
        db.execute("PRAGMA synchronous=FULL")
        db.execute("BEGIN IMMEDIATE")
        try:
            batch = examination.findings.batch
            db.executemany("DELETE FROM tree WHERE inode = ?", [(inode,) for inode in batch.deletes])
            if examination.rebuild:
                db.execute("ALTER TABLE tree RENAME TO tree_before_repair")
                db.execute(SCHEMA)
                db.execute(f"INSERT INTO tree SELECT {_COLUMNS} FROM tree_before_repair")
                db.execute("DROP TABLE tree_before_repair")
            db.executemany(_REPLACE, batch.rows)
            after = _examine(db)
            if not after.clean:
                raise DatabaseError([fault.text for fault in after.faults])
            Tree.load(_rows(db), 0)
        except (sqlite3.Error, DatabaseError):
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _lost(aside: SetAside) -> LostEntry:
    """As an archive can hold it; the backup has every value as it was."""
    row = aside.row
    path = b"/".join(
        b"_" + part if part in (b"", b".", b"..") else part.replace(b"\0", b"_")
        for part in aside.path.split(b"/")
    )
    version, writer, mtime = (number if type(number) is int else 0 for number in row[2:5])
    data: object = row.data
    if not isinstance(data, bytes) and data is not None:
        data = str(data).encode()
    if row.type == 4 and not data:
        content = None
    else:
        content = data if isinstance(data, bytes) else b""
    return LostEntry(path, row.type, version, writer, mtime & 0xFFFFFFFF, content, True)
