"""What a node refuses to send (core 9: W8-W12); receivers would apply it as the original does."""

from __future__ import annotations

from errno import EACCES, EFBIG, EINVAL, EISDIR, ENOSPC, ENOTDIR, ENOTEMPTY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.pmxcfs import guard
from quorate.pmxcfs.pending import Payload, Pending
from quorate.pmxcfs.tree import MAX_ENTRIES, MAX_FILE_SIZE, MAX_TOTAL_SIZE, Tree
from quorate.pmxcfs.wire import FsMessage, FsOp
from tests.unit.pmxcfs import tree_strategies as strategies


@pytest.fixture
def tree() -> Tree:
    tree = strategies.grown([])
    tree.mkdir(b"full", 1, 1, 1)
    tree.mkdir(b"full/sub", 1, 1, 1)
    tree.mkdir(b"empty", 1, 1, 1)
    tree.create(b"f", 1, 1, 1)
    tree.write(b"f", 1, 1, 1, b"content", 0, False)
    tree.create(b"nodes/n1/lxc/100.conf", 1, 1, 1)
    return tree


@pytest.mark.parametrize(
    ("path", "to", "expected"),
    [
        (b"f", b"g", 0),
        (b"empty", b"other", 0),
        (b"none", b"g", 0),
        (b"full", b"other", -ENOTEMPTY),
        (b"full", b"empty", -ENOTEMPTY),
        (b"full/sub", b"full", -ENOTEMPTY),
        (b"f", b"f", -EINVAL),
        (b"empty", b"empty", -EINVAL),
        (b"empty", b"empty/x", -EINVAL),
        (b"f", b"empty", -EISDIR),
        (b"empty", b"f", -ENOTDIR),
        (b"empty", b"nodes/n1/lxc/200.conf", -EACCES),
        (b"f", b"nodes/n1/openvz", -EACCES),
        (b"f", b"nodes/n1/lxc/200.conf", 0),
        (b"empty", b"nodes/n1/openvz", 0),
    ],
)
def test_rename(tree: Tree, path: bytes, to: bytes, expected: int) -> None:
    assert guard.precheck_rename(tree, path, to) == expected


def test_directories_called_like_guests_and_files_called_like_their_directories(tree: Tree) -> None:
    assert guard.precheck_mkdir(tree, b"nodes/n2/lxc/100.conf") == -EACCES
    assert guard.precheck_mkdir(tree, b"nodes/n2/lxc") == 0
    assert guard.precheck_mkdir(tree, b"100.conf") == 0
    assert guard.precheck_create(tree, b"nodes/n2/lxc") == -EACCES
    assert guard.precheck_create(tree, b"nodes/n2/lxc/101.conf") == 0
    assert guard.precheck_create(tree, b"nodes/no.de/lxc") == 0


def test_removing_a_directory_must_not_unregister_a_guest(tree: Tree) -> None:
    tree.mkdir(b"nodes/n2/qemu-server/100.conf", 1, 1, 1)
    tree.mkdir(b"nodes/n2/qemu-server/101.conf", 1, 1, 1)
    assert guard.precheck_delete(tree, b"nodes/n2/qemu-server/100.conf") == -EACCES
    assert guard.precheck_delete(tree, b"nodes/n2/qemu-server/101.conf") == 0
    assert guard.precheck_delete(tree, b"nodes/n1/lxc/100.conf") == 0
    assert guard.precheck_delete(tree, b"full") == -ENOTEMPTY
    assert guard.precheck_delete(tree, b"none") == 0


@pytest.mark.parametrize(
    ("offset", "count", "expected"),
    [
        (0, MAX_FILE_SIZE, 0),
        (1, MAX_FILE_SIZE, -EFBIG),
        (MAX_FILE_SIZE, 0, 0),
        ((1 << 32) + 3, 0, -EFBIG),
        (1 << 32, 1, -EFBIG),
        (-1, 1, -EINVAL),
    ],
)
def test_sizes_are_checked_before_they_are_cut_to_32_bits(
    tree: Tree, offset: int, count: int, expected: int
) -> None:
    assert guard.precheck_write(tree, b"f", offset, count) == expected
    if count == 0:
        assert guard.precheck_truncate(tree, b"f", offset) == expected


def test_the_total_size_is_limited(tree: Tree) -> None:
    tree.total_size = MAX_TOTAL_SIZE
    assert guard.precheck_write(tree, b"f", 0, 7) == 0
    assert guard.precheck_write(tree, b"f", 0, 8) == -ENOSPC
    assert guard.precheck_write(tree, b"new", 0, 1) == -ENOSPC
    tree.total_size = MAX_TOTAL_SIZE - 1
    assert guard.precheck_write(tree, b"f", 0, 8) == 0
    tree.total_size = MAX_TOTAL_SIZE + 100  # filled by nodes that do not check
    assert guard.precheck_write(tree, b"f", 0, 7) == 0
    assert guard.precheck_truncate(tree, b"f", 3) == 0


def test_the_number_of_entries_is_limited(tree: Tree) -> None:
    filler = tree.root
    highest = max(tree.by_inode)
    tree.by_inode.update((highest + number, filler) for number in range(1, MAX_ENTRIES - len(tree) + 1))
    assert guard.precheck_create(tree, b"new") == -ENOSPC
    assert guard.precheck_mkdir(tree, b"new") == -ENOSPC
    del tree.by_inode[highest + 1]
    assert guard.precheck_create(tree, b"new") == 0
    assert guard.precheck_mkdir(tree, b"new") == 0


def truncation(size: int, base: int) -> Payload:
    """What the file system sends for a truncate alone."""
    pending = Pending()
    pending.truncate(size)
    return pending.payload(base)


@given(st.binary(max_size=20), st.integers(0, 30))
def test_truncate_never_makes_a_phantom(content: bytes, size: int) -> None:
    tree = Tree.new(0)
    tree.create(b"t", 1, 1, 1)
    tree.write(b"t", 1, 1, 1, content, 0, False)
    entry = tree.lookup(b"t")
    assert entry is not None
    sent = truncation(size, entry.size)
    assert tree.write(b"t", 1, 1, 1, sent.data, sent.offset, sent.truncate) >= 0
    assert entry.content() == content[:size].ljust(size, b"\0")
    assert not entry.is_phantom


def test_an_extension_stays_sound_when_another_node_empties_the_file_first(tree: Tree) -> None:
    entry = tree.lookup(b"f")
    assert entry is not None
    sent = truncation(50, entry.size)
    tree.write(b"f", 2, 1, 1, b"", 0, True)
    tree.write(b"f", 1, 1, 1, sent.data, sent.offset, sent.truncate)
    assert entry.data == bytes(50)


def passes(tree: Tree, message: FsMessage) -> bool:
    path, to = message.path or b"", message.to or b""
    if message.op is FsOp.MKDIR:
        return guard.precheck_mkdir(tree, path) == 0
    if message.op is FsOp.CREATE:
        return guard.precheck_create(tree, path) == 0
    if message.op is FsOp.DELETE:
        return guard.precheck_delete(tree, path) == 0
    if message.op is FsOp.RENAME:
        return guard.precheck_rename(tree, path, to) == 0
    if message.op is FsOp.WRITE:
        return guard.precheck_write(tree, path, message.offset, len(message.data)) == 0
    return True


@given(strategies.OPERATIONS)
def test_guarded_operations_never_meet_a_quirk(operations: list[tuple[FsMessage, int, int]]) -> None:
    """Every tree that guarded nodes make reloads to itself: no phantom, no W9, no W10."""
    tree = strategies.grown([])
    for message, writer, time in operations:
        if not passes(tree, message):
            continue
        entry = tree.lookup(message.path or b"")
        if message.op is FsOp.WRITE and message.truncate and not message.data and entry is not None:
            sent = truncation(message.offset, 0 if entry.is_phantom else entry.size)
            message = message._replace(offset=sent.offset, data=sent.data)
        elif message.op is FsOp.WRITE and not message.data:
            continue  # the kernel never asks for a write of nothing
        tree.apply(message, writer, time, time)
    assert not tree.dropped
    rows = strategies.all_rows(tree)
    reloaded = Tree.load(rows, 0)
    assert reloaded.index() == tree.index()
    assert reloaded.guests.guests.keys() == tree.guests.guests.keys()
