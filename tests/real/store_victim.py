"""A process that writes to a database as fast as it goes, to be killed at any instant (test_store_crashes).

What it does next depends on nothing but the tree, so that whoever has the tree of some version can go on to
any later one and compare.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from random import Random

from quorate.pmxcfs.rows import rows_from_changes
from quorate.pmxcfs.store import Store
from quorate.pmxcfs.tree import Tree

NOW = 1_700_000_000
UNDER_WAY = 32
"""Transactions submitted and not yet acknowledged."""
VERSION_BYTES = 8


def step(tree: Tree) -> None:
    """The change that follows this tree; raises the version by one."""
    before = tree.root.version
    random = Random(before)
    files = [path for path, entry in _files(tree)]
    while tree.root.version == before:
        kind = random.random()
        if kind < 0.3 or not files:
            tree.create(b"d%d/f%d" % (random.randrange(4), random.randrange(60)), 1, NOW, NOW)
            tree.mkdir(b"d%d" % random.randrange(4), 1, NOW, NOW) if tree.root.version == before else None
        elif kind < 0.8:
            size = random.choice((1, 40, 5000))
            tree.write(random.choice(files), 1, NOW, NOW, random.randbytes(size), 0, True)
        elif kind < 0.9:
            tree.delete(random.choice(files), 1, NOW, NOW)
        else:
            tree.rename(random.choice(files), random.choice(files), 1, NOW, NOW)
    assert tree.root.version == before + 1


def _files(tree: Tree) -> list[tuple[bytes, object]]:
    return [(tree.path_of(entry), entry) for entry in tree.by_inode.values() if entry.children is None]


def run(path: str, acknowledgements: int, durable: bool) -> None:
    """Go on from what the database holds; write each version to the pipe when it is stored."""
    store = Store(Path(path), durable=durable)
    tree = Tree.load(store.open(), NOW)
    room = threading.Semaphore(UNDER_WAY)
    while True:
        step(tree)
        version = tree.root.version

        def done(error: Exception | None, version: int = version) -> None:
            if error is not None:
                os._exit(3)
            os.write(acknowledgements, version.to_bytes(VERSION_BYTES, "little"))
            room.release()

        room.acquire()
        store.submit(rows_from_changes(tree.take_changes(), tree.root), done)
