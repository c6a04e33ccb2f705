"""The copy of the local database that a join makes before it replaces it (pvecm 3.5)."""

from __future__ import annotations

import gzip
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from quorate.cluster.host import Host

KEPT_BACKUPS: Final = 10


class BackupError(Exception):
    """The database could not be saved."""


def backup_database(host: Host) -> Path:
    """Write a gzipped SQL dump of the database and drop all but the newest dumps; raises BackupError."""
    directory = host.settings.backup_dir
    path = directory / f"config-{int(host.clock.now())}.sql.gz"
    host.out.line(f"backup old database to '{path}'")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _dump(host.settings.database, path)
        _drop_old(host, directory)
    except (OSError, sqlite3.Error) as e:
        raise BackupError(str(e)) from e
    return path


def _dump(database: Path, path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with (
        os.fdopen(fd, "wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", filename="") as out,
        closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection,
    ):
        # Names of files are raw bytes in the database, not always UTF-8.
        connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        for statement in connection.iterdump():
            out.write(statement.encode("utf-8", "surrogateescape") + b"\n")
    if path.stat().st_size == 0:
        raise OSError(f"'{path}' is empty")


def _drop_old(host: Host, directory: Path) -> None:
    backups = sorted(
        (file for file in directory.glob("config-*.sql.gz") if file.name[7:-7].isdecimal()),
        key=lambda file: int(file.name[7:-7]),
    )
    for old in backups[:-KEPT_BACKUPS]:
        host.out.line(f"delete old backup '{old}'")
        old.unlink()
