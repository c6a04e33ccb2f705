"""Byte for byte: what the original multicasts in the recorded scenarios (core 10, section ``wire``)."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from quorate.pmxcfs.effects import Send
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.wire import FsMessage, FsOp, MessageType, Unlock
from tests.unit.pmxcfs.playbook import EPOCH_START, Node, Ring, normal, replies, tree_of

WIRE: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors" / "memdb-vectors.json").read_text())[
    "wire"
]


def check_end(tree: Tree, expected: dict[str, Any]) -> None:
    assert tree.index().hex() == expected["index_hex"]
    assert tree.full_checksum().hex() == expected["full_checksum"]


SINGLE_NODE = [
    FsMessage(FsOp.MKDIR, b"priv"),
    FsMessage(FsOp.MKDIR, b"priv/lock"),
    FsMessage(FsOp.CREATE, b"a.txt"),
    FsMessage(FsOp.WRITE, b"a.txt", data=b"hello"),
    FsMessage(FsOp.WRITE, b"a.txt", data=b"XY", offset=7),
    FsMessage(FsOp.WRITE, b"a.txt", offset=3, truncate=True),
    FsMessage(FsOp.RENAME, b"a.txt", b"b.txt"),
    FsMessage(FsOp.MTIME, b"b.txt", offset=1_600_000_000),
    FsMessage(FsOp.DELETE, b"b.txt"),
    FsMessage(FsOp.DELETE, b"b.txt"),
    FsMessage(FsOp.MKDIR, b"priv/lock/l1"),
]


def test_single_node_sends_and_answers_as_the_original() -> None:
    vector = WIRE["single_node"]
    node = Node(1)
    ring = Ring(node)
    ring.confchg(1, joined=[1])
    ops = iter(vector["ops"])
    for message in SINGLE_NODE:
        expected = next(ops)
        before = len(ring.sent)
        ring.take(1, node.submit(message, token=before))
        ring.run()
        assert [data.hex() for _, _, data in ring.sent[before:]] == expected["messages"], expected["op"]
        assert ring.results[before] == expected["result"], expected["op"]
        assert node.tree.root.version == expected["root_version_after"], expected["op"]
    lock = node.tree.lookup(b"priv/lock/l1")
    assert lock is not None
    request = Unlock(FsOp.UNLOCK_REQUEST, lock.lock_checksum(), b"priv/lock/l1")
    taken = node.mono
    for seconds in (0, 120, 121):
        expected = next(ops)
        node.wall, node.mono = EPOCH_START + seconds, taken + seconds
        before = len(ring.sent)
        ring.take(1, node.machine.submit(request.op, request.parts(), None, node.clock))
        ring.run()
        assert [data.hex() for _, _, data in ring.sent[before:]] == expected["messages"], expected["op"]
        assert node.tree.root.version == expected["root_version_after"], expected["op"]
    for _ in range(2):
        expected = next(ops)
        before = len(ring.sent)
        ring.take(1, node.machine.verify(node.clock))
        ring.run()
        assert [data.hex() for _, _, data in ring.sent[before:]] == expected["messages"], expected["op"]
    check_end(node.tree, vector)


def test_without_quorum_nothing_is_sent_and_the_caller_gets_eacces() -> None:
    assert WIRE["sender_errors"][0]["result"] == -errno.EACCES
    node = Node(1)
    node.confchg(1, joined=[1])
    node.machine.quorum(False, node.clock)
    effects = node.submit(FsMessage(FsOp.MKDIR, b"d"))
    assert replies(effects) == {"request": -errno.EACCES}
    assert not [effect for effect in effects if isinstance(effect, Send)]


def test_failed_multicast_is_answered_with_ebusy() -> None:
    assert WIRE["sender_errors"][1]["result"] == -errno.EBUSY
    node = Node(1)
    node.confchg(1, joined=[1])
    sends = [effect for effect in node.submit(FsMessage(FsOp.MKDIR, b"d")) if isinstance(effect, Send)]
    assert replies(node.machine.send_failed(node.clock, sends)) == {"request": -errno.EBUSY}


def build_join(tree: Tree) -> None:
    tree.mkdir(b"d", 1, EPOCH_START + 1, 0)
    tree.create(b"d/f", 1, EPOCH_START + 2, 0)
    tree.write(b"d/f", 1, EPOCH_START + 3, 0, b"data", 0, False)


def build_queue(tree: Tree) -> None:
    tree.mkdir(b"d", 1, 1, 0)
    for name in (b"x1", b"x2", b"x3"):
        tree.mkdir(name, 1, EPOCH_START, 0)


def build_stale(tree: Tree) -> None:
    tree.mkdir(b"d", 1, 10, 0)
    tree.create(b"old", 1, 11, 0)
    tree.create(b"both", 1, 12, 0)


def build_newer(tree: Tree) -> None:
    build_stale(tree)
    tree.delete(b"old", 2, 20, 0)
    tree.write(b"both", 2, 21, 0, b"new", 0, False)
    tree.create(b"added", 2, 22, 0)


def compare(ring: Ring, expected: list[dict[str, Any]]) -> None:
    """Same messages in the same order, except that UPDATEs have no defined order among each other."""

    def ordered(items: list[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
        first = next((n for n, item in enumerate(items) if item[1] == "UPDATE"), 0)
        last = max((n for n, item in enumerate(items) if item[1] == "UPDATE"), default=-1) + 1
        return items[:first] + sorted(items[first:last]) + items[last:]

    ours = [(sender, kind.name, data.hex()) for sender, kind, data in ring.sent]
    theirs = [(item["sender_nodeid"], item["type"], item["hex"]) for item in expected]
    assert ordered(ours) == ordered(theirs)


def test_second_node_joins() -> None:
    vector = WIRE["join_second_node"]
    one = Node(1, tree_of(build_join), wall=EPOCH_START + 100)
    two = Node(2, wall=EPOCH_START + 100)
    ring = Ring(one, two)
    one.confchg(1, joined=[1])
    one.wall = two.wall = EPOCH_START + 101
    ring.confchg(1, 2, joined=[2])
    ring.run()
    ring.take(2, two.submit(FsMessage(FsOp.CREATE, b"from2")))
    ring.run()
    ring.take(1, one.machine.verify(one.clock))
    ring.run()
    compare(ring, vector["messages"])
    for node in (one, two):
        check_end(node.tree, vector)


def test_messages_of_originals_during_a_synchronisation_are_applied_in_their_order() -> None:
    """The original sends while it synchronises; we never do (W7), but receive it in the same order."""
    vector = WIRE["queue_during_sync"]
    one, two = Node(1, tree_of(build_queue)), Node(2)
    ring = Ring(one, two)
    one.confchg(1, joined=[1])
    ring.confchg(1, 2, joined=[2])
    ring.sent.append((1, MessageType.NORMAL, normal(FsMessage(FsOp.MKDIR, b"by1"), 4)))
    ring.sent.append((2, MessageType.NORMAL, normal(FsMessage(FsOp.MKDIR, b"by2"), 1)))
    ring.run()
    compare(ring, vector["messages"])
    for node in (one, two):
        check_end(node.tree, vector)


def test_own_messages_wait_for_the_end_of_the_synchronisation() -> None:
    """W7: the same scenario with our own senders. Nothing normal is sent before all is in sync."""
    one, two = Node(1, tree_of(build_queue)), Node(2)
    ring = Ring(one, two)
    one.confchg(1, joined=[1])
    ring.confchg(1, 2, joined=[2])
    ring.take(1, one.submit(FsMessage(FsOp.MKDIR, b"by1"), "by1"))
    ring.take(2, two.submit(FsMessage(FsOp.MKDIR, b"by2"), "by2"))
    ring.run()
    kinds = [kind for _, kind, _ in ring.sent]
    assert kinds.index(MessageType.NORMAL) > max(
        n for n, kind in enumerate(kinds) if kind is MessageType.STATE
    )
    assert ring.results == {"by1": 0, "by2": 0}
    assert one.tree.index() == two.tree.index()


@pytest.mark.parametrize("order", [(1, 2)])
def test_stale_node_with_the_lowest_id_takes_over_the_newer_state(order: tuple[int, int]) -> None:
    vector = WIRE["stale_node"]
    one, two = Node(1, tree_of(build_stale)), Node(2, tree_of(build_newer))
    ring = Ring(one, two)
    two.confchg(2, joined=[2])
    ring.confchg(*order, joined=[1])
    ring.run()
    compare(ring, vector["messages"])
    for node in (one, two):
        check_end(node.tree, vector)
