"""Random operations on a tree, for the property tests of this room."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from quorate.pmxcfs.entry import DIRECTORY, Entry
from quorate.pmxcfs.rows import Row, entry_row, root_row
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.wire import FsMessage, FsOp

PATHS = st.sampled_from(
    [
        b"",
        b"a",
        b"a/x",
        b"a/x/y",
        b"b",
        b"f",
        b"a/f",
        b"b/g/",
        b"user.cfg",
        b"corosync.conf",
        b"nodes",
        b"nodes/n1",
        b"nodes/n1/lxc",
        b"nodes/n2",
        b"nodes/n2/qemu-server",
        b"nodes/n1/lxc/100.conf",
        b"nodes/n2/qemu-server/100.conf",
        b"nodes/n2/qemu-server/tmp",
        b"priv",
        b"priv/lock",
        b"priv/lock/l",
        b"/a//x/",
        b"__version__",
        b"\xff\xfe",
    ],
)
DATA = st.binary(max_size=12) | st.builds(bytes, st.integers(0, 12))
MESSAGES = st.builds(
    FsMessage,
    st.sampled_from(
        [FsOp.WRITE, FsOp.MKDIR, FsOp.MKDIR, FsOp.DELETE, FsOp.RENAME, FsOp.CREATE, FsOp.CREATE, FsOp.MTIME]
    ),
    PATHS,
    PATHS,
    DATA,
    st.integers(0, 20) | st.sampled_from([1 << 20, (1 << 20) + 1, 0xFFFFFFFF]),
    st.booleans(),
)
OPERATIONS = st.lists(st.tuples(MESSAGES, st.integers(1, 3), st.integers(0, 1000)), max_size=40)
"""(message, writer, time), to be applied in order."""

SETUP = [
    FsMessage(FsOp.MKDIR, path)
    for path in (b"a", b"nodes", b"nodes/n1", b"nodes/n1/lxc", b"nodes/n2", b"nodes/n2/qemu-server")
]
"""Directories without which most random operations would end in ENOENT."""


def grown(operations: Iterable[tuple[FsMessage, int, int]]) -> Tree:
    tree = Tree.new(500)
    for message in SETUP:
        assert tree.apply(message, 1, 1, 1) == 0
    for message, writer, time in operations:
        tree.apply(message, writer, time, time)
    return tree


def all_rows(tree: Tree) -> list[Row]:
    """What a database holds that has exactly this tree."""
    return [root_row(entry) if entry.inode == 0 else entry_row(entry) for entry in tree.by_inode.values()]


def check_invariants(tree: Tree) -> None:
    assert list(tree.by_inode) == sorted(tree.by_inode)
    assert max(tree.by_inode) <= tree.root.version
    seen = 0
    waiting: list[Entry] = [tree.root]
    while waiting:
        entry = waiting.pop()
        seen += 1
        assert tree.by_inode[entry.inode] is entry
        if entry.children is None:
            assert entry.data is None or len(entry.data) == entry.size
            assert entry.data != b""
            continue
        assert entry.type == DIRECTORY
        assert entry.size == 0
        for name, child in entry.children.items():
            assert child.name == name
            assert child.parent == entry.inode
            waiting.append(child)
    assert seen == len(tree)
    assert tree.total_size == sum(entry.size for entry in tree.by_inode.values())
    for entry in tree.by_inode.values():
        assert entry.index_record()[8:] == entry.index_digest(), entry
        assert tree.lookup(tree.path_of(entry)) is entry
