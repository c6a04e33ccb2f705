"""A machine that has just started lets others show a newer state before it writes (W24)."""

from __future__ import annotations

from quorate.pmxcfs.life import SETTLE_SECONDS
from quorate.pmxcfs.tree import Tree
from tests.unit.pmxcfs.playbook import EPOCH_START, Node, Ring, mkdir, tree_of, types

ALL = frozenset({1, 2})


def _newer(tree: Tree) -> None:
    for name in (b"a", b"b"):
        tree.mkdir(name, 2, EPOCH_START, EPOCH_START)


def _alone(node: Node) -> None:
    node.machine.quorum(True, node.clock, nodes=ALL)
    node.confchg(node.nodeid, joined=[node.nodeid])


def test_the_first_to_return_does_not_overtake_a_newer_state() -> None:
    stale, newer = Node(1), Node(2, tree_of(_newer))
    ring = Ring(stale, newer)
    _alone(stale)
    for name in (b"x", b"y", b"z"):
        assert types(ring.take(1, stale.submit(mkdir(name), name))) == []
    ring.confchg(1, 2, joined=[2])
    ring.run()
    assert ring.results == {b"x": 0, b"y": 0, b"z": 0}
    assert stale.tree.index() == newer.tree.index()
    assert set(stale.tree.root.children or ()) == {b"a", b"b", b"x", b"y", b"z"}


def test_a_node_that_stays_away_is_waited_for_with_a_bound() -> None:
    node = Node(1)
    _alone(node)
    assert types(node.submit(mkdir(b"x"))) == []
    assert types(node.wait(SETTLE_SECONDS - 0.5)) == []
    assert types(node.wait(0.5)) == ["NORMAL"]


def test_nobody_waits_when_the_group_is_complete_or_has_been() -> None:
    node = Node(1)
    node.machine.quorum(True, node.clock, nodes=frozenset({1}))
    node.confchg(1, joined=[1])
    assert types(node.submit(mkdir(b"x"), "x")) == ["NORMAL"]
    node.machine.quorum(True, node.clock, nodes=ALL)
    assert types(node.submit(mkdir(b"y"), "y")) == ["NORMAL"]
