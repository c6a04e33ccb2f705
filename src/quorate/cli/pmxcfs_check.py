"""``pmxcfs-check``: says what is wrong with a stopped node's database, and repairs what is safe."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from quorate.database.files import told
from quorate.database.guard import InUseError, daemon_stopped
from quorate.pmxcfs.repair import Examination, RepairError, examine, repair
from quorate.settings import Settings

CLEAN: Final = 0
REPAIRED: Final = 1
ERRORS_LEFT: Final = 4
OPERATIONAL_ERROR: Final = 8

DESCRIPTION = "Check the database of the cluster file system while pmxcfs is stopped."
EPILOG = (
    "Exit status: 0 nothing wrong, 1 all faults repaired, 4 faults left, 8 the check or the repair could not"
    " be done. Without --repair nothing is changed. Before a repair the database is saved, and the saved copy"
    " read back; entries without a place go to an archive beside it."
)


EMPTY = (
    "restore a backup ('pmxcfs-backup restore'); if other members of the cluster have it, starting pmxcfs"
    " fetches it from them"
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(OPERATIONAL_ERROR, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str], settings: Settings, now: int) -> int:
    """Run the command; the exit status. ``now``: seconds, for the names of backups."""
    parser = _Parser(prog="pmxcfs-check", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--repair", action="store_true", help="repair, after a backup")
    parser.add_argument(
        "--backup-dir", type=Path, metavar="DIR", help=f"where backups go (default: {settings.backup_dir})"
    )
    parser.add_argument(
        "database", type=Path, nargs="?", default=settings.database, help="default: %(default)s"
    )
    options = parser.parse_args(arguments)
    database: Path = options.database
    try:
        if not database.is_file():
            raise OSError(f"there is no database '{database}'")
        # In the daemon's own place make the lock file, so that none starts now.
        with daemon_stopped(database, create=database == settings.database):
            examination = examine(database)
            _tell(database, examination)
            if examination.clean:
                return CLEAN
            if not options.repair:
                _say_what_to_do(examination)
                return ERRORS_LEFT
            if not examination.repairable:
                print("not repaired: it is repaired as a whole or not at all, and some faults have no remedy")
                return ERRORS_LEFT
            done = repair(database, examination, options.backup_dir or settings.backup_dir, now)
    except (InUseError, RepairError, OSError) as error:
        print(f"pmxcfs-check: {told(error)}", file=sys.stderr)
        return OPERATIONAL_ERROR
    print(f"saved the database as it was to '{done.backup}'")
    if done.archive is not None:
        print(f"wrote the entries without a place to '{done.archive}'")
    print(f"{database}: repaired")
    return REPAIRED


def entry() -> NoReturn:
    sys.exit(main(sys.argv[1:], Settings(), int(time.time())))


def _tell(database: Path, examination: Examination) -> None:
    for text in examination.findings.warnings:
        print(f"warning: {text}")
    for fault in examination.faults:
        print(f"{fault.code.value}: {fault.text}")
        if fault.remedy:
            print(f"    remedy: {fault.remedy}")
    faults = len(examination.faults)
    if faults:
        print(f"{database}: faults: {faults}")
    elif examination.entries:
        print(f"{database}: clean, entries: {examination.entries}")
    else:
        print(f"{database}: empty. On a new node this is right. Otherwise all its content is gone: {EMPTY}")


def _say_what_to_do(examination: Examination) -> None:
    if examination.repairable:
        print("'pmxcfs-check --repair' applies the remedies, after a backup")


if __name__ == "__main__":
    entry()
