"""What the simulated programs do: file operations as the mount would send them, after its own checks."""

from __future__ import annotations

from random import Random

from quorate.pmxcfs.guard import precheck_delete, precheck_mkdir, precheck_rename
from quorate.pmxcfs.paths import is_lock_path
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.wire import FsMessage, FsOp, Unlock
from tests.simulation.node import EPOCH_START

DIRECTORIES = (b"a", b"b", b"priv/lock/x", b"priv/lock/y")
FILES = (b"a/f", b"a/g", b"b/f", b"top")


def operation(random: Random, tree: Tree, number: int) -> FsMessage | Unlock | None:
    """The next operation of client ``number`` on a node that has ``tree``; None: it was refused there."""
    op = random.choice((FsOp.MKDIR, FsOp.CREATE, FsOp.WRITE, FsOp.WRITE, *FsOp))
    directory, file = random.choice(DIRECTORIES), random.choice(FILES)
    if op is FsOp.MKDIR:
        return FsMessage(op, directory) if precheck_mkdir(tree, directory) == 0 else None
    if op is FsOp.CREATE:
        return FsMessage(op, file)
    if op is FsOp.WRITE:
        return FsMessage(op, file, data=b"%d" % number, offset=random.choice((0, 0, 3)))
    if op is FsOp.MTIME:
        return FsMessage(op, file, offset=EPOCH_START + number)
    if op is FsOp.DELETE:
        path = random.choice((directory, file))
        return FsMessage(op, path) if precheck_delete(tree, path) == 0 else None
    if op is FsOp.RENAME:
        other = random.choice(FILES)
        if other == file or precheck_rename(tree, file, other) != 0:
            return None
        return FsMessage(op, file, other)
    entry = tree.lookup(directory)
    if entry is None or not is_lock_path(directory):
        return None
    return Unlock(FsOp.UNLOCK_REQUEST, entry.lock_checksum(), directory)
