"""Who has just started, or got quorum back, lets others show a newer state before it writes (W24)."""

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


def _cut_off(node: Node) -> None:
    """It was in sync with two others, then alone."""
    node.machine.quorum(True, node.clock, nodes=frozenset({1, 2, 3}), expected=3)
    node.confchg(1, joined=[1])
    node.wait(SETTLE_SECONDS)
    assert types(node.submit(mkdir(b"x"))) == ["NORMAL"]
    node.machine.quorum(False, node.clock, nodes=frozenset({1}))


def test_who_gets_quorum_back_waits_for_the_daemons_of_those_it_is_with() -> None:
    """Node 2's daemon has left its group for a second; it has what was acknowledged without node 1."""
    node = Node(1)
    _cut_off(node)
    node.machine.quorum(True, node.clock, nodes=ALL)
    assert types(node.submit(mkdir(b"y"), "y")) == []
    assert types(node.wait(1)) == []
    assert types(node.confchg(1, 2, joined=[2])) == ["SYNC_START"]


def test_the_wait_after_a_return_to_quorum_is_bounded() -> None:
    node = Node(1)
    _cut_off(node)
    node.machine.quorum(True, node.clock, nodes=ALL)
    assert types(node.submit(mkdir(b"y"))) == []
    assert types(node.wait(SETTLE_SECONDS - 0.5)) == []
    assert types(node.wait(0.5)) == ["NORMAL"]


def test_nobody_waits_while_more_than_half_of_the_copies_are_there() -> None:
    """Whatever was acknowledged anywhere, one of them has it."""
    one, two = Node(1), Node(2)
    ring = Ring(one, two)
    for node in (one, two):
        node.machine.quorum(True, node.clock, nodes=frozenset({1, 2, 3}), expected=3)
    ring.confchg(1, 2, joined=[1, 2])
    ring.run()
    one.wait(SETTLE_SECONDS)
    assert types(ring.take(1, one.submit(mkdir(b"x"), "x"))) == ["NORMAL"]
    ring.run()
    one.machine.quorum(False, one.clock, nodes=frozenset({1}))
    one.machine.quorum(True, one.clock, nodes=frozenset({1, 2, 3}))
    assert types(one.submit(mkdir(b"y"), "y")) == ["NORMAL"]
