"""Backups of the database (core 3.9): made, verified by reading back, listed, kept in a bounded number."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from quorate.database import files
from quorate.database.dump import DumpError, Summary, open_reader, read_summary, write_dump
from quorate.database.guard import UnsafeReadError, require_safe_read

PREFIX: Final = "config-"
SUFFIX: Final = ".sql.gz"
KEEP: Final = files.KEEP


class BackupError(Exception):
    """The database could not be saved; the text says why."""


class Backup(NamedTuple):
    path: Path
    time: int
    size: int
    """Bytes of the file."""


def create(
    database: Path,
    directory: Path,
    now: int,
    *,
    keep: int = KEEP,
    prefix: str = PREFIX,
    stopped: bool = False,
    started: Callable[[Path], None] = lambda path: None,
    removed: Callable[[Path], None] = lambda path: None,
) -> Path:
    """Save ``database`` as ``directory/config-TIME.sql.gz``, read it back, drop all but the newest ``keep``.

    Another ``prefix`` than ``config-`` makes a kind of its own, which is not listed.

    The daemon may run; ``stopped``: the caller holds its lock. ``started`` and ``removed`` are told which
    files are made and dropped. Raises BackupError; of a backup that could not be verified nothing stays.
    """
    try:
        if not stopped:
            require_safe_read(database)
        with (
            closing(open_reader(database)) as connection,
            files.new_private(directory, prefix, now, SUFFIX) as new,
        ):
            started(new.path)
            written = write_dump(connection, new.file)
            new.file.flush()
            if read_summary(new.part) != written:
                raise BackupError(f"'{new.path}' does not hold what was read from '{database}'")
        for old in files.prune(directory, prefix, SUFFIX, keep, made=new.path):
            removed(old)
    except (OSError, sqlite3.Error, DumpError, UnsafeReadError, BackupError) as error:
        raise BackupError(f"unable to save '{database}': {error}") from error
    return new.path


def listed(directory: Path) -> list[Backup]:
    """All backups, oldest first. Raises OSError."""
    found = []
    for path in files.kept_files(directory, PREFIX, SUFFIX):
        status = path.stat()
        found.append(
            Backup(path, int(path.name[len(PREFIX) : -len(SUFFIX)].partition("-")[0]), status.st_size)
        )
    return found


def find(directory: Path, name: str) -> Path:
    """The backup that ``name`` means: a path, a name in ``directory``, or ``latest``. Raises BackupError."""
    if name == "latest":
        try:
            found = listed(directory)
        except OSError as error:
            raise BackupError(f"unable to look into '{directory}': {error.strerror}") from error
        if not found:
            raise BackupError(f"there is no backup in '{directory}'; 'pmxcfs-backup create' makes one")
        return found[-1].path
    path = Path(name) if "/" in name else directory / name
    if not path.is_file():
        raise BackupError(f"there is no backup '{path}'; 'pmxcfs-backup list' shows what there is")
    return path


def summary(path: Path) -> Summary:
    """Read a backup to its end. Raises BackupError."""
    try:
        return read_summary(path)
    except DumpError as error:
        raise BackupError(str(error)) from error
