"""``create_pmxcfs_db <directory> <database file>``: a database of a directory's regular files (core 3.10)."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from quorate.pmxcfs.load import DatabaseError
from quorate.pmxcfs.rows import rows_from_changes
from quorate.pmxcfs.store import Store
from quorate.pmxcfs.tree import Tree

USAGE = "usage: create_pmxcfs_db <directory> <database file>"
EXIT_FAILURE = 255


def main(arguments: Sequence[str], now: int) -> int:
    """Exit code. ``now`` is the mtime of everything, seconds."""
    if len(arguments) != 2:
        print(USAGE, file=sys.stderr)
        return EXIT_FAILURE
    directory, database = arguments
    try:
        import_directory(Path(directory), Path(database), now)
    except (OSError, DatabaseError) as error:
        print(f"create_pmxcfs_db: {error}", file=sys.stderr)
        return EXIT_FAILURE
    return 0


def import_directory(directory: Path, database: Path, now: int) -> None:
    """Write the regular files directly in ``directory`` into the root. Raises OSError or DatabaseError."""
    with os.scandir(os.fsencode(directory)) as found:
        names = [item.name for item in found if item.is_file(follow_symlinks=False)]
    failures: list[Exception | None] = []
    store = Store(database, durable=True)
    rows = store.open()
    try:
        tree = Tree.load(rows, now)
        for name in names:
            source = os.path.join(os.fsencode(directory), name)  # noqa: PTH118 (a name may be any bytes)
            with open(source, "rb") as file:  # noqa: PTH123
                data = file.read()
            result = tree.create(name, 0, now, now)
            if result >= 0:
                result = tree.write(name, 0, now, now, data, 0, True)
            if result < 0:
                raise OSError(-result, f"cannot take over: {os.strerror(-result)}", os.fsdecode(source))
        store.submit(rows_from_changes(tree.take_changes(), tree.root), failures.append)
    finally:
        store.close()
    for failure in failures:
        if failure is not None:
            raise failure


def entry() -> None:
    sys.exit(main(sys.argv[1:], int(time.time())))


if __name__ == "__main__":
    entry()
