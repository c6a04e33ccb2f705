"""What the targets share: reading an input piece by piece, a tree to work on, and its check."""

from __future__ import annotations

from typing import Final

from quorate.pmxcfs.rows import entry_row, root_row
from quorate.pmxcfs.tree import Tree

NOW: Final = 1_700_000_000


class Pieces:
    """Reads an input front to back: numbers and length-prefixed strings; zeros when it has ended."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def __bool__(self) -> bool:
        return self.at < len(self.data)

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def bytes(self) -> bytes:
        size = self.byte() | self.byte() << 8
        piece = self.data[self.at : self.at + size]
        self.at += size
        return piece


def small_tree() -> Tree:
    """A few entries of each kind."""
    tree = Tree.new(NOW)
    for path in (b"priv", b"priv/lock", b"priv/lock/x", b"nodes", b"nodes/n1", b"nodes/n1/qemu-server"):
        tree.mkdir(path, 1, NOW, NOW)
    tree.create(b"nodes/n1/qemu-server/100.conf", 1, NOW, NOW)
    tree.create(b"f", 1, NOW, NOW)
    tree.write(b"f", 1, NOW, NOW, b"content", 0, False)
    tree.take_changes()
    return tree


def check_tree(tree: Tree) -> None:
    """What is in memory could be written down, read back, and is the same then.

    A size without content (W8) is known to be forgotten by the database.
    """
    rows = [root_row(tree.root), *(entry_row(entry) for entry in tree.by_inode.values() if entry.inode)]
    loaded = Tree.load(rows, NOW)
    assert _paths(tree) == _paths(loaded), "directories list other entries after a restart"
    if any(entry.size != len(entry.data or b"") for entry in tree.by_inode.values()):
        return
    assert loaded.index() == tree.index(), "another index after a restart"
    assert loaded.total_size == tree.total_size, "the running total of sizes is wrong"


def _paths(tree: Tree) -> dict[bytes, int]:
    """Every path that can be reached from the root, with its inode."""
    found = {}
    waiting = [(b"", tree.root)]
    while waiting:
        path, entry = waiting.pop()
        found[path] = entry.inode
        assert len(found) <= len(tree.by_inode) + 1, "directories contain each other in a circle"
        waiting += [(path + b"/" + name, child) for name, child in (entry.children or {}).items()]
    return found
