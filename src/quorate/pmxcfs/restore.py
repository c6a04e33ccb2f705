"""Restoring from a backup: the database of a stopped node, or a part of it into a directory or the mount.

Into the mount means: written like any other change, so that every member gets it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple

from quorate.cfs import Cfs, CfsError
from quorate.database import backups
from quorate.database.backups import BackupError
from quorate.database.dump import (
    DumpError,
    load_dump,
    open_reader,
    read_summary,
    rows_of,
    summarise,
)
from quorate.pmxcfs.entry import Entry
from quorate.pmxcfs.load import DatabaseError
from quorate.pmxcfs.paths import CLUSTER_CONFIG, LOCK_DIRECTORY
from quorate.pmxcfs.repair import examine
from quorate.pmxcfs.rows import Row
from quorate.pmxcfs.tree import Tree

KEEP: Final = backups.KEEP + 1
"""One more than otherwise, so that saving the present state does not remove the backup being restored."""

_TEMPORARY: Final = ".restore"
_PARTS: Final = ("", "-wal", "-shm")
_LOGS: Final = ("-wal", "-shm", "-journal")


class RestoreError(Exception):
    """Nothing, or not all, was restored; the text says what and why."""


class Item(NamedTuple):
    """One entry to restore; ``data`` is None for a directory."""

    path: bytes
    data: bytes | None
    mtime: int


class Outcome(NamedTuple):
    written: int
    same: int
    """Files that had this content already."""
    failed: tuple[str, ...]


def tree_of(backup: Path) -> Tree:
    """The backup's content, checked as the daemon checks it. Raises RestoreError."""
    try:
        with closing(load_dump(backup)) as connection:
            return Tree.load([Row._make(row) for row in rows_of(connection)], 0)
    except (DumpError, sqlite3.Error, TypeError) as error:
        raise RestoreError(f"'{backup}' is not usable: {error}") from error
    except DatabaseError as error:
        faults = "; ".join(error.faults[:5])
        raise RestoreError(f"'{backup}' was made of a faulty database: {faults}") from error


def items_of(tree: Tree, path: bytes) -> list[Item]:
    """The entry at ``path`` and all below it, directories first. Raises RestoreError if there is none."""
    path = path.strip(b"/")
    entry = tree.lookup(path)
    if entry is None:
        raise RestoreError(f"there is no '{os.fsdecode(path)}' in this backup")
    return list(_below(entry, path))


def restore_database(
    backup: Path, database: Path, backup_dir: Path, now: int, say: Callable[[str], None]
) -> None:
    """Put the backup in the place of the database; the caller holds the daemon's lock. Raises RestoreError.

    The new database is complete and checked on disk before the old one, which was saved, is replaced.
    """
    tree_of(backup)  # before anything is made
    temporary = Path(f"{database}{_TEMPORARY}")
    try:
        _remove(temporary)
        before = os.umask(0o077)
        try:
            load_dump(backup, temporary).close()
        finally:
            os.umask(before)
        examination = examine(temporary)
        if not examination.clean:
            raise RestoreError(f"'{backup}' has faults: {'; '.join(f.text for f in examination.faults[:5])}")
        _sync(temporary)
        if database.exists():
            _save(database, backup_dir, now, say)
        _move_logs_aside(database, now, say)
        temporary.rename(database)
        _sync(database.parent)
        _compare(database, backup)
    except (OSError, sqlite3.Error, DumpError) as error:
        raise RestoreError(f"unable to restore '{database}': {error}") from error
    finally:
        _remove(temporary)


def restore_to_directory(items: list[Item], target: Path) -> Outcome:
    """Write the items below the new directory ``target``, privately. Raises RestoreError at a failure."""
    written = 0
    try:
        target.mkdir(mode=0o700)
        for item in items:
            place = target / os.fsdecode(item.path)
            if item.data is None:
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
                continue
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(item.data)
            os.utime(place, (item.mtime, item.mtime))
            written += 1
    except OSError as error:
        raise RestoreError(f"unable to write to '{target}': {error}") from error
    return Outcome(written, 0, ())


def restore_to_mount(items: list[Item], cfs: Cfs, *, cluster_config: bool) -> Outcome:
    """Write the items into the cluster file system. Each file is replaced at once; others are left alone.

    Locks are never restored, ``corosync.conf`` only with ``cluster_config``. A failing entry does not stop
    the others. Raises RestoreError without quorum.
    """
    if not cfs.quorate():
        raise RestoreError(f"'{cfs.root}' cannot be written: pmxcfs must run and the cluster have quorum")
    written = same = 0
    failed = []
    for item in items:
        path = os.fsdecode(item.path)
        if item.path == LOCK_DIRECTORY or item.path.startswith(LOCK_DIRECTORY + b"/"):
            continue
        if item.path == CLUSTER_CONFIG and not cluster_config:
            failed.append(f"{path}: left as it is; name it with --path to restore it")
            continue
        try:
            if item.data is None:
                if path:
                    cfs.make_directory(path)
            elif _present(cfs, path) == item.data:
                same += 1
            else:
                cfs.make_directory(str(Path(path).parent))
                cfs.write(path, item.data)
                written += 1
        except CfsError as error:
            failed.append(f"{path}: {error}")
    return Outcome(written, same, tuple(failed))


def _below(entry: Entry, path: bytes) -> Iterator[Item]:
    waiting = [(entry, path)]
    while waiting:
        entry, path = waiting.pop()
        if entry.children is None:
            yield Item(path, entry.content(), entry.mtime)
            continue
        yield Item(path, None, entry.mtime)
        prefix = path + b"/" if path else b""
        if not entry.children.keys().isdisjoint((b".", b"..")):
            raise RestoreError(f"'{os.fsdecode(path)}' has an entry called '.' or '..': it fits nowhere")
        waiting += [(child, prefix + name) for name, child in sorted(entry.children.items(), reverse=True)]


def _present(cfs: Cfs, path: str) -> bytes | None:
    try:
        return cfs.read(path)
    except FileNotFoundError:
        return None


def _save(database: Path, backup_dir: Path, now: int, say: Callable[[str], None]) -> None:
    """A backup of what is replaced; a database that cannot be read is moved aside as a whole (core 3.9)."""
    try:
        saved = backups.create(database, backup_dir, now, keep=KEEP, stopped=True)
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            # Its write-ahead log must not be found beside the new database.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            connection.execute("PRAGMA journal_mode=DELETE").fetchall()
        say(f"saved the present database to '{saved}'")
    except (BackupError, sqlite3.Error) as error:
        aside = f"{database}.{now}.bak"
        say(f"the present database cannot be saved ({error}): moving it to '{aside}'")
        for part in reversed(_PARTS):
            with suppress(FileNotFoundError):
                Path(f"{database}{part}").rename(f"{aside}{part}")


def _move_logs_aside(database: Path, now: int, say: Callable[[str], None]) -> None:
    """SQLite would apply a log that it finds beside the new database, whatever database it was of.

    One is there when somebody took the old database away alone, after its daemon was killed.
    """
    for part in _LOGS:
        stale = Path(f"{database}{part}")
        if stale.exists():
            aside = f"{stale}.{now}.bak"
            stale.rename(aside)
            say(f"found '{stale}', which is of another database: moved it to '{aside}'")


def _compare(database: Path, backup: Path) -> None:
    """That the database in its place holds what the backup holds, and nothing else."""
    with closing(open_reader(database)) as connection:
        if summarise(connection) != read_summary(backup):
            raise RestoreError(
                f"'{database}' does not hold what '{backup}' holds: do not start pmxcfs; look for other"
                f" programs that use the file, and restore again"
            )


def _remove(database: Path) -> None:
    for part in ("", *_LOGS):
        Path(f"{database}{part}").unlink(missing_ok=True)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
