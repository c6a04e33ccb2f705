"""``pmxcfs-backup``: backups of the database: create, list, verify, restore all or one path."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from quorate.cfs import Cfs
from quorate.database import backups
from quorate.database.backups import BackupError
from quorate.database.files import told
from quorate.database.guard import InUseError, daemon_stopped
from quorate.pmxcfs import restore
from quorate.pmxcfs.restore import Outcome, RestoreError
from quorate.settings import Settings

FAILED: Final = 1
PARTLY: Final = 2
"""Some paths could not be restored."""


def main(arguments: Sequence[str], settings: Settings, now: int) -> int:
    """Run the command; the exit status. ``now``: seconds, for the names of backups."""
    options = _parser(settings).parse_args(arguments)
    try:
        return int(options.run(options, settings, now))
    except (BackupError, RestoreError, InUseError, OSError) as error:
        print(f"pmxcfs-backup: {told(error)}", file=sys.stderr)
        return FAILED


def entry() -> NoReturn:
    sys.exit(main(sys.argv[1:], Settings(), int(time.time())))


def _parser(settings: Settings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pmxcfs-backup", description="Backups of the database of the cluster file system."
    )
    parser.add_argument("--dir", type=Path, default=settings.backup_dir, help="default: %(default)s")
    words = parser.add_subparsers(dest="word", required=True)
    create = words.add_parser("create", help="save the database; pmxcfs may run")
    create.add_argument("--keep", type=_positive, default=backups.KEEP, help="newest kept (%(default)s)")
    create.set_defaults(run=_create)
    listing = words.add_parser("list", help="what there is, oldest first")
    listing.set_defaults(run=_list)
    verify = words.add_parser("verify", help="read a backup to its end and check the tree in it")
    verify.add_argument("backup", nargs="?", default="latest", help="a name, a path, or 'latest'")
    verify.set_defaults(run=_verify)
    back = words.add_parser(
        "restore",
        help="all of it (pmxcfs stopped), or one path (pmxcfs running, or into a directory)",
        description="Without --path and --to the whole database of this node is replaced; pmxcfs must be"
        " stopped. With --path a file or a directory with all below it is written through the mount, for the"
        " whole cluster; what is there and not in the backup stays. With --to into a new directory instead.",
    )
    back.add_argument("backup", help="a name, a path, or 'latest'")
    back.add_argument("--path", help="file or directory, as below /etc/pve")
    back.add_argument("--to", type=Path, metavar="DIR", help="write into this new directory instead")
    back.set_defaults(run=_restore)
    return parser


def _create(options: argparse.Namespace, settings: Settings, now: int) -> int:
    path = backups.create(
        settings.database,
        options.dir,
        now,
        keep=options.keep,
        removed=lambda old: print(f"removed the old backup '{old}'"),
    )
    print(f"saved and verified: '{path}', {path.stat().st_size} bytes")
    return 0


def _list(options: argparse.Namespace, settings: Settings, now: int) -> int:
    for backup in backups.listed(options.dir):
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(backup.time))
        print(f"{when}  {backup.size:>10}  {backup.path.name}")
    return 0


def _verify(options: argparse.Namespace, settings: Settings, now: int) -> int:
    path = backups.find(options.dir, options.backup)
    found = backups.summary(path)
    tree = restore.tree_of(path)
    print(
        f"'{path}' is good: {found.rows} rows, version {tree.root.version}, {tree.total_size} bytes of files"
    )
    return 0


def _restore(options: argparse.Namespace, settings: Settings, now: int) -> int:
    if options.path == "":
        raise RestoreError("--path is empty: name a file or a directory, '/' for everything")
    backup = backups.find(options.dir, options.backup)
    if options.path is None and options.to is None:
        with daemon_stopped(settings.database, create=True):
            restore.restore_database(backup, settings.database, options.dir, now, print)
        print(
            f"restored '{settings.database}' from '{backup}'. In a cluster the members with the newest"
            f" database win when pmxcfs starts; to bring single files back to all members use --path"
        )
        return 0
    path = os.fsencode(options.path or "/")
    items = restore.items_of(restore.tree_of(backup), path)
    if options.to is not None:
        return _report(restore.restore_to_directory(items, options.to), str(options.to))
    saved = backups.create(settings.database, options.dir, now, keep=restore.KEEP)
    print(f"saved the present database to '{saved}'")
    named = path.strip(b"/") == b"corosync.conf"
    cfs = Cfs(settings)
    return _report(restore.restore_to_mount(items, cfs, cluster_config=named), str(cfs.root))


def _report(outcome: Outcome, target: str) -> int:
    for text in outcome.failed:
        print(f"not restored: {text}", file=sys.stderr)
    print(f"{target}: {outcome.written} files written, {outcome.same} were the same already")
    return PARTLY if outcome.failed else 0


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 up")
    return int(text)


if __name__ == "__main__":
    entry()
