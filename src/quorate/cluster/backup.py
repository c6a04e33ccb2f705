"""The copy of the local database that a join makes before it replaces it (pvecm 3.5)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from quorate.cluster.host import Host
from quorate.database import backups
from quorate.database.backups import BackupError

KEPT_BACKUPS: Final = backups.KEEP

__all__ = ["KEPT_BACKUPS", "BackupError", "backup_database"]


def backup_database(host: Host) -> Path:
    """Write a verified dump of the database and drop all but the newest dumps; raises BackupError."""
    return backups.create(
        host.settings.database,
        host.settings.backup_dir,
        int(host.clock.now()),
        started=lambda path: host.out.line(f"backup old database to '{path}'"),
        removed=lambda path: host.out.line(f"delete old backup '{path}'"),
    )
