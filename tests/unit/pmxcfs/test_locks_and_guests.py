"""Lock timers, the registry of guests and change counters (core 1.13-1.15)."""

from __future__ import annotations

import json
from errno import EEXIST
from pathlib import Path
from typing import Any

import pytest

from quorate.pmxcfs.counters import ChangeCounters
from quorate.pmxcfs.locks import LockTable
from quorate.pmxcfs.paths import TRACKED_PATHS, GuestType
from quorate.pmxcfs.tree import Tree

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "memdb-vectors.json").read_text(),
)


def test_expiry_is_the_originals() -> None:
    vector = VECTORS["lock_expiry"]
    table = LockTable()
    checksum = bytes.fromhex(vector["csum"])
    table.register(b"priv/lock/a", checksum, 6000)
    for step in vector["steps"]:
        seen = checksum if step["csum_matches"] else b"?" * 32
        assert table.expired(b"priv/lock/a", seen, step["now"]) is bool(step["expired"]), step
        assert table.first_seen(b"priv/lock/a") == step["ltime_after"], step


def test_a_rebuild_keeps_the_timers_of_unchanged_locks_only() -> None:
    table = LockTable()
    for name in (b"same", b"changed", b"gone"):
        table.register(name, b"1", 100)
    table = table.rebuilt([(b"same", b"1"), (b"changed", b"2"), (b"new", b"1")], 150)
    assert {name: table.first_seen(name) for name in (b"same", b"changed", b"gone", b"new")} == {
        b"same": 100,
        b"changed": 150,
        b"gone": None,
        b"new": 150,
    }


def test_a_lock_has_a_timer_from_mkdir_to_rmdir_and_renewal_restarts_it() -> None:
    tree = Tree.new(0)
    tree.mkdir(b"priv", 1, 10, 10)
    tree.mkdir(b"priv/lock", 1, 10, 10)
    tree.mkdir(b"priv/lock/a", 1, 10, 1000)
    tree.mkdir(b"priv/lock/a/below", 1, 10, 1000)
    assert tree.locks.first_seen(b"priv/lock/a") == 1000
    assert len(tree.locks) == 1
    assert tree.set_mtime(b"priv/lock/a", 1, 11, 1050) == 0
    assert tree.locks.first_seen(b"priv/lock/a") == 1050
    tree.delete(b"priv/lock/a/below", 1, 12, 1060)
    entry = tree.lookup(b"priv/lock/a")
    assert entry is not None
    assert not tree.lock_expired(b"priv/lock/a", entry, 1170)
    assert tree.lock_expired(b"priv/lock/a", entry, 1171)
    assert tree.lock_at(b"priv/lock/a", entry.lock_checksum()) is entry
    assert tree.lock_at(b"priv/lock/a", bytes(32)) is None
    tree.delete(b"priv/lock/a", 1, 13, 1200)
    assert len(tree.locks) == 0


def make_guest_tree() -> Tree:
    tree = Tree.new(0)
    for path in (b"nodes", b"nodes/n1", b"nodes/n1/qemu-server", b"nodes/n2", b"nodes/n2/lxc"):
        assert tree.mkdir(path, 1, 1, 1) == 0
    return tree


def test_every_write_of_a_guest_counts_and_mtime_does_not() -> None:
    tree = make_guest_tree()
    path = b"nodes/n1/qemu-server/100.conf"
    versions = [tree.guests.version]
    tree.create(path, 1, 1, 1)
    versions.append(tree.guests.version)
    tree.write(path, 1, 1, 1, b"x", 0, False)
    versions.append(tree.guests.version)
    tree.set_mtime(path, 1, 2, 1)
    versions.append(tree.guests.version)
    tree.rename(path, b"nodes/n2/lxc/100.conf", 1, 2, 1)
    versions.append(tree.guests.version)
    tree.delete(b"nodes/n2/lxc/100.conf", 1, 2, 1)
    versions.append(tree.guests.version)
    assert [version - versions[0] for version in versions] == [0, 1, 2, 2, 4, 5]
    assert tree.guests.guests == {}


def test_a_directory_called_like_a_guest_unregisters_it_as_in_the_original() -> None:
    """W10: the receiver copies the original; the sender's guard refuses it."""
    tree = make_guest_tree()
    tree.create(b"nodes/n1/qemu-server/100.conf", 1, 1, 1)
    assert tree.mkdir(b"nodes/n2/lxc/100.conf", 1, 1, 1) == 0
    registered = tree.guests.get(100)
    assert registered is not None
    assert (registered.node, registered.type) == ("n1", GuestType.QEMU)
    assert tree.delete(b"nodes/n2/lxc/100.conf", 1, 1, 1) == 0
    assert tree.guests.get(100) is None
    assert tree.create(b"nodes/n2/lxc/100.conf", 1, 1, 1) == 0


def test_a_guest_cannot_take_the_id_of_another_by_rename() -> None:
    tree = make_guest_tree()
    tree.create(b"nodes/n1/qemu-server/100.conf", 1, 1, 1)
    tree.create(b"nodes/n2/lxc/101.conf", 1, 1, 1)
    before = tree.index()
    assert tree.rename(b"nodes/n2/lxc/101.conf", b"nodes/n2/lxc/100.conf", 1, 1, 1) == -EEXIST
    assert tree.index() == before
    assert sorted(tree.guests.guests) == [100, 101]


def test_a_rebuild_without_nodes_leaves_the_list_alone() -> None:
    tree = make_guest_tree()
    tree.create(b"nodes/n1/qemu-server/100.conf", 1, 1, 1)
    registry = tree.guests.carry_over()
    assert registry.rebuild(Tree.new(0).root) == []
    assert registry.guests == tree.guests.guests
    assert registry.version == tree.guests.version


def test_duplicates_and_misplaced_files_are_faults() -> None:
    tree = make_guest_tree()
    tree.create(b"nodes/n1/qemu-server/100.conf", 1, 1, 1)
    tree.guests.unregister(100)
    tree.create(b"nodes/n2/lxc/100.conf", 1, 1, 1)
    tree.create(b"nodes/n2/openvz", 1, 1, 1)
    faults = tree.guests.rebuild(tree.root)
    assert len(faults) == 2
    assert any("guest 100 exists twice" in fault for fault in faults)
    assert any("nodes/n2/openvz" in fault for fault in faults)


@pytest.mark.parametrize("path", [b"user.cfg", b"priv/tfa.cfg"])
def test_tracked_paths_are_counted(path: bytes) -> None:
    tree = Tree.new(0)
    tree.mkdir(b"priv", 1, 1, 1)
    assert set(tree.versions.values()) == {1}
    tree.create(path, 1, 1, 1)
    tree.write(path, 1, 1, 1, b"x", 0, False)
    tree.write(path, 1, 1, 1, b"x", 2 << 20, False)
    tree.set_mtime(path, 1, 1, 1)
    assert tree.versions[path] == 4
    tree.rename(path, b"storage.cfg", 1, 1, 1)
    tree.delete(b"storage.cfg", 1, 1, 1)
    assert (tree.versions[path], tree.versions[b"storage.cfg"]) == (5, 3)
    assert tree.lookup(path) is None


def test_other_spellings_are_not_counted() -> None:
    tree = Tree.new(0)
    tree.create(b"/user.cfg", 1, 1, 1)
    assert tree.lookup(b"user.cfg") is not None
    assert tree.versions[b"user.cfg"] == 1


def test_counters_keep_their_order_and_wrap() -> None:
    counters = ChangeCounters()
    counters[b"user.cfg"] = 0xFFFFFFFF
    counters.bump_all()
    counters.bump(b"not tracked")
    assert tuple(counters) == TRACKED_PATHS
    assert counters[b"user.cfg"] == 0
    assert counters[b"storage.cfg"] == 1
