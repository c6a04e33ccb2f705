"""A lock lives by a clock that nobody sets: no jump forward ends it, and none back keeps it (core 1.14)."""

from __future__ import annotations

from errno import EACCES

from quorate.pmxcfs.submit import LocalSubmitter
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.wire import FsMessage, FsOp, Unlock
from tests.unit.pmxcfs.playbook import Node, Ring

LOCK = b"priv/lock/held"


def ask(node: Node, ring: Ring) -> None:
    """What utime(0, 0) of a waiting process sends."""
    lock = node.tree.lookup(LOCK)
    assert lock is not None
    request = Unlock(FsOp.UNLOCK_REQUEST, lock.lock_checksum(), LOCK)
    ring.take(1, node.machine.submit(request.op, request.parts(), None, node.clock))
    ring.run()


def test_a_clock_that_is_set_neither_ends_nor_keeps_a_lock() -> None:
    node = Node(1)
    ring = Ring(node)
    ring.confchg(1, joined=[1])
    for path in (b"priv", b"priv/lock", LOCK):
        ring.take(1, node.submit(FsMessage(FsOp.MKDIR, path), token=path))
        ring.run()
    node.wall += 7200
    node.mono += 1
    ask(node, ring)
    assert node.tree.lookup(LOCK) is not None
    node.wall -= 14400
    node.mono += 120
    ask(node, ring)
    assert node.tree.lookup(LOCK) is None


def test_nor_on_a_node_of_its_own() -> None:
    clocks = {"wall": 1_700_000_000.0, "mono": 50.0}
    results: list[int] = []
    tree = Tree.new(0)
    local = LocalSubmitter(
        tree,
        now=lambda: clocks["wall"],
        mono=lambda: clocks["mono"],
        collect=lambda: None,
        when_stored=lambda then: then(0),
    )
    for path in (b"priv", b"priv/lock", LOCK):
        local.submit(FsMessage(FsOp.MKDIR, path), results.append)
    clocks["wall"] += 7200
    assert not local.unlock(LOCK, results.append)
    local.submit(FsMessage(FsOp.MTIME, LOCK), results.append)
    assert results[-1] == -EACCES
    clocks["wall"] -= 14400
    clocks["mono"] += 121
    assert local.unlock(LOCK, results.append)
    assert tree.lookup(LOCK) is None
