"""Taking over another node's tree: same index, what is lost, what is refused (core 4.5, W8, W24)."""

from __future__ import annotations

import pytest
from hypothesis import assume, given

from quorate.pmxcfs import wire
from quorate.pmxcfs.rows import rows_from_changes
from quorate.pmxcfs.sync import CommitError, lost_entries, replaced_by, row_changes
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.wire import FsMessage, Update
from tests.unit.pmxcfs import tree_strategies as strategies


def updates_for(leader: Tree, follower: Tree) -> list[Update]:
    """What the leader sends to this follower, by way of the wire."""
    inodes = wire.differing(wire.Index.unpack(leader.index()), [wire.Index.unpack(follower.index())])
    packed = [leader.update_payload(leader.by_inode[inode]).pack() for inode in inodes]
    return [Update.unpack(payload) for payload in packed]


def commit(follower: Tree, leader: Tree, now: float = 2000) -> Tree:
    return replaced_by(follower, follower.index(), leader.index(), updates_for(leader, follower), now)


def filled() -> Tree:
    tree = strategies.grown([])
    tree.create(b"f", 1, 5, 5)
    tree.write(b"f", 1, 6, 6, b"data", 0, False)
    tree.create(b"nodes/n1/lxc/100.conf", 1, 7, 7)
    tree.mkdir(b"priv", 1, 7, 7)
    tree.mkdir(b"priv/lock", 1, 7, 7)
    tree.mkdir(b"priv/lock/l", 1, 7, 7)
    return tree


@given(strategies.OPERATIONS, strategies.OPERATIONS)
def test_any_tree_becomes_any_other(
    mine: list[tuple[FsMessage, int, int]], theirs: list[tuple[FsMessage, int, int]]
) -> None:
    old, leader = strategies.grown(mine), strategies.grown(theirs)
    assume(not leader.guests.carry_over().rebuild(leader.root))
    before = old.index()
    new = commit(old, leader)
    assert new.index() == leader.index()
    assert new.full_checksum() == leader.full_checksum()
    assert old.index() == before
    strategies.check_invariants(new)
    strategies.check_invariants(old)


@given(strategies.OPERATIONS, strategies.OPERATIONS)
def test_the_rows_of_a_commit_turn_the_old_database_into_the_new(
    mine: list[tuple[FsMessage, int, int]], theirs: list[tuple[FsMessage, int, int]]
) -> None:
    old, leader = strategies.grown([]), strategies.grown(theirs)
    assume(not leader.guests.carry_over().rebuild(leader.root))
    database = {row.inode: row for row in rows_from_changes(old.take_changes(), old.root).rows}
    for message, writer, time in mine:
        old.apply(message, writer, time, time)
        batch = rows_from_changes(old.take_changes(), old.root)
        database = {inode: row for inode, row in database.items() if inode not in batch.deletes}
        database.update({row.inode: row for row in batch.rows})
    new = commit(old, leader)
    batch = row_changes(old, new)
    assert not set(batch.deletes) & {row.inode for row in batch.rows}
    database = {inode: row for inode, row in database.items() if inode not in batch.deletes}
    database.update({row.inode: row for row in batch.rows})
    reloaded = Tree.load(database.values(), 2000)
    if not any(entry.is_phantom for entry in new.by_inode.values()):
        assert reloaded.index() == leader.index()
    assert len(reloaded) == len(new)


def test_registry_counters_and_timers_go_on() -> None:
    leader = filled()
    old = filled()
    old.set_mtime(b"f", 2, 50, 50)
    leader.create(b"nodes/n2/qemu-server/101.conf", 3, 60, 60)
    leader.write(b"nodes/n2/qemu-server/101.conf", 3, 61, 61, b"x", 0, False)
    guests = old.guests.version
    new = commit(old, leader)
    assert {vmid: guest.node for vmid, guest in new.guests.guests.items()} == {100: "n1", 101: "n2"}
    assert new.guests.version == guests + 1
    assert new.versions[b"user.cfg"] == old.versions[b"user.cfg"] + 1
    assert new.locks.first_seen(b"priv/lock/l") == 7
    assert not new.take_changes()


def test_surplus_updates_meant_for_others_are_harmless() -> None:
    old, leader = filled(), filled()
    leader.delete(b"f", 1, 9, 9)
    updates = [leader.update_payload(entry) for entry in leader.by_inode.values()]
    new = replaced_by(old, old.index(), leader.index(), updates, 0)
    assert new.index() == leader.index()


def test_the_root_row_has_type_4_after_a_synchronisation() -> None:
    old, leader = Tree.new(0), filled()
    rows = row_changes(old, commit(old, leader)).rows
    assert {row.type for row in rows if row.inode == 0} == {4}


def test_nothing_is_written_when_nothing_differs() -> None:
    tree = filled()
    assert not row_changes(tree, commit(tree, tree))


def test_a_phantom_is_recognised_by_its_digest() -> None:
    """The original cannot send one; our leaders send zeros, and followers need the leader's index."""
    leader, old = filled(), filled()
    leader.create(b"p", 1, 9, 9)
    leader.write(b"p", 1, 9, 9, b"", 100, True)
    leader.create(b"real", 1, 9, 9)
    leader.write(b"real", 1, 9, 9, bytes(100), 0, True)
    new = commit(old, leader)
    phantom, real = new.lookup(b"p"), new.lookup(b"real")
    assert phantom is not None
    assert real is not None
    assert (phantom.is_phantom, real.is_phantom) == (True, False)
    assert new.index() == leader.index()


def test_an_own_phantom_survives_an_unrelated_commit() -> None:
    leader = filled()
    leader.create(b"p", 1, 9, 9)
    leader.write(b"p", 1, 9, 9, b"", 100, True)
    old = commit(filled(), leader)
    leader.create(b"more", 1, 10, 10)
    assert commit(old, leader).index() == leader.index()


def test_a_directory_dropped_from_memory_leaves_the_database_at_a_commit() -> None:
    """W9: otherwise this node would differ from the others after its next start."""
    old = filled()
    old.mkdir(b"empty", 1, 9, 9)
    dropped = old.lookup(b"empty")
    assert dropped is not None
    old.rename(b"nodes", b"empty", 1, 9, 9)
    leader = commit(Tree.new(0), old)
    leader.create(b"new", 1, 9, 9)
    assert dropped.inode in row_changes(old, commit(old, leader)).deletes


def test_what_is_lost_is_told() -> None:
    leader, old = filled(), filled()
    old.write(b"f", 2, 20, 20, b"mine", 0, True)
    old.create(b"only-mine", 2, 21, 21)
    old.write(b"only-mine", 2, 22, 22, b"secret", 0, True)
    old.mkdir(b"a/mine", 2, 23, 23)
    for number in range(5):
        leader.set_mtime(b"nodes", 1, number, number)
    lost = lost_entries(old, commit(old, leader))
    assert [(item.path, item.data, item.removed) for item in lost] == [
        (b"a/mine", None, True),
        (b"f", b"mine", False),
        (b"only-mine", b"secret", True),
    ]


def test_what_the_leader_has_as_well_is_not_lost() -> None:
    """A new member brings its copy of corosync.conf; others have the same text since another second."""
    old, leader = Tree.new(0), Tree.new(0)
    for tree, mtime in ((old, 10), (leader, 20)):
        tree.create(b"corosync.conf", 0, mtime, mtime)
        tree.write(b"corosync.conf", 0, mtime, mtime, b"text", 0, True)
    old.mkdir(b"made-by-both", 1, 11, 11)
    leader.create(b"other", 2, 21, 21)
    leader.mkdir(b"made-by-both", 2, 22, 22)
    assert lost_entries(old, commit(old, leader)) == []
    leader.write(b"corosync.conf", 2, 23, 23, b"newer", 0, True)
    assert [item.path for item in lost_entries(old, commit(old, leader))] == [b"corosync.conf"]


@pytest.mark.parametrize(
    "damage", ["missing update", "wrong content", "own index", "leader index", "bad root"]
)
def test_a_commit_that_does_not_add_up_is_refused(damage: str) -> None:
    old, leader = filled(), filled()
    leader.write(b"f", 1, 9, 9, b"other", 0, True)
    leader.create(b"g", 1, 10, 10)
    own, wanted, updates = old.index(), leader.index(), updates_for(leader, old)
    if damage == "missing update":
        updates.pop()
    elif damage == "wrong content":
        updates = [update._replace(data=b"wrong") if update.data else update for update in updates]
    elif damage == "own index":
        own = own[:-1]
    elif damage == "leader index":
        wanted = wanted + b"x"
    else:
        updates = [update._replace(name=b"x") if update.inode == 0 else update for update in updates]
    before = old.index()
    with pytest.raises(CommitError):
        replaced_by(old, own, wanted, updates, 0)
    assert old.index() == before
    strategies.check_invariants(old)


@pytest.mark.parametrize(
    "update",
    [
        Update(0, 9999, 1, 0, 0, 8, b"", b""),
        Update(0, 9999, 1, 0, 0, 4, b"dir", b"content"),
        Update(0, 9999, 1, 0, 0, 8, b"a/b", b""),
        Update(0, 1 << 63, 1, 0, 0, 8, b"x", b""),
        Update(1 << 63, 9999, 1, 0, 0, 8, b"x", b""),
        Update(4242, 9999, 1, 0, 0, 8, b"no-parent", b""),
        Update(0, 0, 1 << 63, 0, 0, 4, b"", b""),
    ],
)
def test_impossible_updates_are_refused(update: Update) -> None:
    old, leader = filled(), filled()
    with pytest.raises(CommitError):
        replaced_by(old, old.index(), leader.index(), [update], 0)


def test_a_leader_with_duplicate_guests_is_refused() -> None:
    leader, old = filled(), filled()
    leader.guests.unregister(100)
    leader.create(b"nodes/n2/qemu-server/100.conf", 1, 9, 9)
    with pytest.raises(CommitError, match="guest 100"):
        commit(old, leader)
