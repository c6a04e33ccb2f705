"""Tree operations beyond the vectors: quirks, journal of changes, invariants under random operations."""

from __future__ import annotations

from errno import EACCES, EEXIST, EFBIG, EINVAL, EIO, ENOENT, ENOTDIR, ENOTEMPTY, EREMOTEIO

import pytest
from hypothesis import given

from quorate.pmxcfs.entry import ChangeOp
from quorate.pmxcfs.rows import rows_from_changes
from quorate.pmxcfs.tree import MAX_FILE_SIZE, Tree
from quorate.pmxcfs.wire import FsMessage, FsOp
from tests.unit.pmxcfs import tree_strategies as strategies


@pytest.fixture
def tree() -> Tree:
    tree = Tree.new(0)
    for path in (b"d", b"d/sub", b"empty"):
        assert tree.mkdir(path, 1, 1, 1) == 0
    assert tree.create(b"f", 1, 1, 1) == 0
    assert tree.write(b"f", 1, 1, 1, b"content", 0, False) == 7
    tree.take_changes()
    return tree


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (FsMessage(FsOp.MKDIR, None), -EREMOTEIO),
        (FsMessage(FsOp.RENAME, b"f", None), -EREMOTEIO),
        (FsMessage(FsOp.MKDIR, b"f/x"), -ENOTDIR),
        (FsMessage(FsOp.WRITE, b"d", data=b"x"), -ENOTDIR),
        (FsMessage(FsOp.WRITE, b"none", data=b"x"), -ENOENT),
        (FsMessage(FsOp.WRITE, b"f", data=b"x", offset=MAX_FILE_SIZE), -EFBIG),
        (FsMessage(FsOp.CREATE, b"f"), -EEXIST),
        (FsMessage(FsOp.DELETE, b"d"), -ENOTEMPTY),
        (FsMessage(FsOp.DELETE, b""), -EACCES),
        (FsMessage(FsOp.MTIME, b"", offset=5), -EACCES),
        (FsMessage(FsOp.RENAME, b"f", b"d"), -ENOTEMPTY),
        (FsMessage(FsOp.RENAME, b"f", b"f"), -EINVAL),
        (FsMessage(FsOp.RENAME, b"empty", b"empty/x"), -EINVAL),
        (FsMessage(FsOp.RENAME, b"f", b"d/.."), -EINVAL),
        (FsMessage(FsOp.RENAME, b"empty", b"d/."), -EINVAL),
        (FsMessage(FsOp.RENAME, b"d", b"d/sub"), -EINVAL),
    ],
)
def test_a_refused_operation_changes_nothing(tree: Tree, message: FsMessage, expected: int) -> None:
    before = tree.index()
    assert tree.apply(message, 2, 99, 99) == expected
    assert tree.index() == before
    assert tree.take_changes() == []
    strategies.check_invariants(tree)


def test_the_error_flag_refuses_every_operation(tree: Tree) -> None:
    tree.error = True
    before = tree.index()
    for op in FsOp:
        if op < FsOp.UNLOCK_REQUEST:
            assert tree.apply(FsMessage(op, b"f", b"g"), 1, 1, 1) == -EIO
    assert tree.index() == before


def test_a_refused_rename_of_a_full_directory_drops_its_target_from_memory(tree: Tree) -> None:
    """W9, copied: index and journal show it, the database does not."""
    dropped = tree.lookup(b"empty")
    assert dropped is not None
    version = tree.root.version
    assert tree.rename(b"d", b"empty", 1, 5, 5) == -ENOTEMPTY
    assert tree.lookup(b"empty") is None
    assert tree.root.version == version
    (change,) = tree.take_changes()
    assert (change.op, change.entry, change.parent) == (ChangeOp.DROP, dropped, tree.root)
    assert not rows_from_changes([change], tree.root)
    assert set(tree.dropped) == {dropped.inode}


@pytest.mark.parametrize("name", [b"empty", b"other"])
def test_what_a_refused_rename_left_stored_goes_with_the_next_change(tree: Tree, name: bytes) -> None:
    """W9: else its name could be given again, and the database would not load any more."""
    dropped = tree.lookup(b"empty")
    assert dropped is not None
    tree.rename(b"d", b"empty", 1, 5, 5)
    tree.mkdir(name, 1, 6, 6)
    batch = rows_from_changes(tree.take_changes(), tree.root)
    assert batch.deletes == (dropped.inode,)
    assert not tree.dropped


def test_a_phantom_reads_as_zeros(tree: Tree) -> None:
    tree.create(b"p", 1, 1, 1)
    assert tree.write(b"p", 1, 1, 1, b"", 10, True) == 0
    entry = tree.lookup(b"p")
    assert entry is not None
    assert entry.is_phantom
    assert entry.content() == bytes(10)
    assert entry.read(8, 100) == bytes(2)
    assert entry.read(10, 5) == b""
    assert tree.update_payload(entry).data == bytes(10)
    assert tree.write(b"p", 1, 1, 1, b"", 0, True) == 0
    assert (entry.size, entry.is_phantom) == (0, False)


def test_an_empty_write_at_its_beginning_takes_a_phantoms_size(tree: Tree) -> None:
    tree.create(b"p", 1, 1, 1)
    tree.write(b"p", 1, 1, 1, b"", 10, False)
    entry = tree.lookup(b"p")
    assert entry is not None
    assert entry.is_phantom
    assert tree.write(b"p", 1, 1, 1, b"", 0, False) == 0
    assert (entry.size, entry.is_phantom) == (0, False)


@pytest.mark.parametrize(
    ("offset", "data", "truncate", "expected"),
    [
        (0, b"AB", False, b"ABntent"),
        (0, b"AB", True, b"AB"),
        (3, b"", True, b"con"),
        (3, b"", False, b"content"),
        (7, b"!", False, b"content!"),
        (9, b"!", False, b"content\0\0!"),
        (9, b"", False, b"content\0\0"),
        (9, b"", True, b"content\0\0"),
        (5, b"AB", False, b"conteAB"),
        (2, b"AB", True, b"coAB"),
        (0, b"longer than it", False, b"longer than it"),
    ],
)
def test_write_semantics(tree: Tree, offset: int, data: bytes, truncate: bool, expected: bytes) -> None:
    assert tree.write(b"f", 1, 1, 1, data, offset, truncate) == len(data)
    entry = tree.lookup(b"f")
    assert entry is not None
    assert entry.data == expected
    strategies.check_invariants(tree)


def test_the_journal_tells_what_the_kernel_and_the_database_need(tree: Tree) -> None:
    tree.origin = "somebody"
    target, moved = tree.lookup(b"empty"), tree.lookup(b"d/sub")
    assert tree.rename(b"d/sub", b"empty", 1, 5, 5) == 0
    (change,) = tree.take_changes()
    assert change.op is ChangeOp.RENAME
    assert (change.entry, change.replaced, change.name, change.old_name) == (moved, target, b"empty", b"sub")
    assert (change.parent, change.old_parent) == (tree.root, tree.lookup(b"d"))
    assert change.origin == "somebody"
    assert tree.take_changes() == []


def test_rows_are_coalesced_by_inode(tree: Tree) -> None:
    tree.create(b"g", 1, 6, 6)
    for count in range(5):
        tree.write(b"g", 1, 7, 7, b"x" * count, 0, True)
    tree.create(b"gone", 1, 8, 8)
    tree.delete(b"gone", 1, 9, 9)
    tree.mkdir(b"m", 1, 9, 9)
    tree.set_mtime(b"m", 1, 10, 10)
    gone = tree.root.version - 3
    batch = rows_from_changes(tree.take_changes(), tree.root)
    assert batch.deletes == (gone,)
    assert [(row.name, row.data) for row in batch.rows] == [
        (b"g", b"xxxx"),
        (b"m", b""),
        (b"__version__", None),
    ]
    assert batch.rows[-1].version == tree.root.version


@given(strategies.OPERATIONS)
def test_random_operations_keep_the_tree_sound(
    operations: list[tuple[FsMessage, int, int]],
) -> None:
    tree = strategies.grown([])
    for message, writer, time in operations:
        before = tree.index()
        version = tree.root.version
        result = tree.apply(message, writer, time, time)
        if result >= 0:
            assert tree.root.version == version + 1
            assert (tree.root.writer, tree.root.mtime) == (
                writer,
                message.offset if message.op is FsOp.MTIME else time,
            )
        elif not (message.op is FsOp.RENAME and result == -ENOTEMPTY):
            assert tree.index() == before
        assert tree.root.version - version == (result >= 0)
        assert max(entry.version for entry in tree.by_inode.values()) <= tree.root.version
        strategies.check_invariants(tree)


@given(strategies.OPERATIONS)
def test_rows_of_the_changes_make_the_database_of_the_tree(
    operations: list[tuple[FsMessage, int, int]],
) -> None:
    """Whatever the grouping into batches, a reload gives the same index, but for phantoms and W9."""
    tree = strategies.grown([])
    database = {row.inode: row for row in rows_from_changes(tree.take_changes(), tree.root).rows}
    for number, (message, writer, time) in enumerate(operations):
        tree.apply(message, writer, time, time)
        if number % 3 == 0:
            batch = rows_from_changes(tree.take_changes(), tree.root)
            assert not set(batch.deletes) & {row.inode for row in batch.rows}
            database = {inode: row for inode, row in database.items() if inode not in batch.deletes}
            database.update({row.inode: row for row in batch.rows})
    batch = rows_from_changes(tree.take_changes(), tree.root)
    for inode in (*batch.deletes, *tree.dropped):
        database.pop(inode, None)
    database.update({row.inode: row for row in batch.rows if row.inode not in tree.dropped})
    if tree.guests.carry_over().rebuild(tree.root):
        return  # W10: two guests with one id, which no load accepts
    reloaded = Tree.load(database.values(), 1000)
    assert len(reloaded) == len(tree)
    if not any(entry.is_phantom for entry in tree.by_inode.values()):
        assert reloaded.index() == tree.index()
        assert reloaded.full_checksum() == tree.full_checksum()


@given(strategies.OPERATIONS)
def test_the_registry_matches_the_tree_without_directories_in_its_way(
    operations: list[tuple[FsMessage, int, int]],
) -> None:
    guests = (b"nodes/n1/lxc/100.conf", b"nodes/n2/qemu-server/100.conf")
    tree = strategies.grown([])
    for message, writer, time in operations:
        if message.op is FsOp.MKDIR and message.path in guests:
            continue
        source = tree.lookup(message.path or b"")
        if message.op is FsOp.RENAME and source is not None and source.is_directory:
            continue
        if message.op is FsOp.RENAME and message.to == b"nodes/n2/qemu-server":
            continue
        tree.apply(message, writer, time, time)
    rebuilt = tree.guests.carry_over()
    if b"nodes" in (tree.root.children or {}) and not rebuilt.rebuild(tree.root):
        expected = {vmid: (guest.node, guest.type) for vmid, guest in rebuilt.guests.items()}
        assert {vmid: (guest.node, guest.type) for vmid, guest in tree.guests.guests.items()} == expected
