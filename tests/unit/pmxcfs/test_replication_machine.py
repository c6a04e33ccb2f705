"""The machine's behaviour, told as conversations (core 6, weaknesses W2-W24)."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.corosync.address import Address
from quorate.pmxcfs.deadlines import ANSWER_SECONDS, GHOST_SECONDS, PROGRESS_SECONDS, START_SECONDS
from quorate.pmxcfs.effects import (
    Committed,
    Effect,
    LeaveGroup,
    LostEntries,
    Mode,
    Propagate,
    Rejoin,
    Reload,
    Send,
)
from quorate.pmxcfs.requests import (
    AGAIN_SECONDS,
    MAX_HELD,
    MAX_IN_FLIGHT,
    MAX_IN_FLIGHT_BYTES,
    REQUEST_SECONDS,
    Requests,
)
from quorate.pmxcfs.transitions import OTHERWISE, TRANSITIONS, Action, action_for
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.wire import Epoch, FsMessage, FsOp, MessageType, StateHeader
from tests.unit.pmxcfs.playbook import (
    EPOCH_START,
    Node,
    Ring,
    address,
    changes,
    leaves,
    logged,
    messages,
    mkdir,
    normal,
    replies,
    tree_of,
    types,
)


def alone(nodeid: int = 1) -> Node:
    node = Node(nodeid)
    node.confchg(nodeid, joined=[nodeid])
    assert node.mode is Mode.SYNCED
    return node


def pair() -> tuple[Ring, Node, Node]:
    """Two nodes in sync."""
    one, two = Node(1), Node(2)
    ring = Ring(one, two)
    ring.confchg(1, 2, joined=[1, 2])
    ring.run()
    assert one.mode is two.mode is Mode.SYNCED
    return ring, one, two


def one_directory(tree: Tree) -> None:
    tree.mkdir(b"d", 1, 5, 0)


def rejoins(effects: Sequence[Effect]) -> list[Rejoin]:
    return [effect for effect in effects if isinstance(effect, Rejoin)]


# Transitions as data


def test_every_mode_has_a_default_and_every_entry_is_reachable() -> None:
    assert set(OTHERWISE) == set(Mode)
    for (mode, kind), action in TRANSITIONS.items():
        assert action_for(mode, kind) is action
        assert not mode.outside


@pytest.mark.parametrize("kind", [7, 8, 65535])
def test_unknown_types_are_ignored_only_while_synced(kind: int) -> None:
    assert action_for(Mode.SYNCED, kind) is Action.IGNORE
    for mode in (Mode.START, Mode.START_SYNC, Mode.UPDATE):
        assert action_for(mode, kind) is Action.LEAVE


# Requests


def test_pipelined_requests_get_their_results_in_order_of_count() -> None:
    node = alone()
    sends: list[Send] = []
    for name in (b"a", b"b", b"a"):
        sends += [s for s in node.submit(mkdir(name), name + b"%d" % len(sends)) if isinstance(s, Send)]
    assert [send.count for send in sends] == [1, 2, 3]
    results: dict[object, int] = {}
    for send in sends:
        results |= replies(node.receive(1, send.data))
    assert results == {b"a0": 0, b"b1": 0, b"a2": -errno.EEXIST}


def test_request_without_group_is_refused_at_once() -> None:
    node = alone()
    node.machine.disconnected(node.clock)
    assert replies(node.submit(mkdir(b"d"))) == {"request": -errno.EBUSY}


def test_caller_gets_ebusy_after_the_deadline_and_the_late_result_is_not_reported() -> None:
    node = alone()
    [send] = [effect for effect in node.submit(mkdir(b"d")) if isinstance(effect, Send)]
    assert replies(node.wait(REQUEST_SECONDS - 1)) == {}
    assert replies(node.wait(1)) == {"request": -errno.EBUSY}
    assert replies(node.receive(1, send.data)) == {}
    assert node.tree.lookup(b"d") is not None


def test_who_comes_when_one_has_waited_in_vain_is_refused_at_once_until_all_are_in_sync() -> None:
    """The kernel lets one at a time change a directory: the eighth would wait eight times as long."""
    node = Node(1)
    node.confchg(1, 2, joined=[1, 2])
    assert replies(node.submit(mkdir(b"a"), "a")) == {}
    node.wait(REQUEST_SECONDS - 10)
    assert replies(node.submit(mkdir(b"b"), "b")) == {}
    assert replies(node.wait(10)) == {"a": -errno.EBUSY}
    assert replies(node.submit(mkdir(b"c"), "c")) == {"c": -errno.EBUSY}
    effects = node.confchg(1, left=[2])
    assert types(effects) == ["NORMAL"]
    assert replies(node.receive(1, messages(effects)[0][1])) == {"b": 0}
    assert types(node.submit(mkdir(b"d"), "d")) == ["NORMAL"]
    assert replies(node.wait(REQUEST_SECONDS - 1)) == {}


def test_who_comes_when_a_message_has_not_come_back_waits_only_a_moment() -> None:
    node = alone()
    [first] = messages(node.submit(mkdir(b"a"), "a"))
    assert replies(node.wait(REQUEST_SECONDS - 1)) == {}
    [second] = messages(node.submit(mkdir(b"b"), "b"))
    assert replies(node.wait(1)) == {"a": -errno.EBUSY}
    [third] = messages(node.submit(mkdir(b"c"), "c"))
    assert replies(node.wait(AGAIN_SECONDS)) == {"c": -errno.EBUSY}
    node.receive(1, first[1])
    assert replies(node.receive(1, second[1])) == {"b": 0}
    node.receive(1, third[1])
    node.submit(mkdir(b"d"), "d")
    assert replies(node.wait(REQUEST_SECONDS - 1)) == {}


def test_who_comes_when_corosync_took_nothing_waits_only_a_moment() -> None:
    node = alone()
    sends = [effect for effect in node.submit(mkdir(b"a"), "a") if isinstance(effect, Send)]
    assert replies(node.machine.send_failed(node.clock, sends)) == {"a": -errno.EBUSY}
    node.submit(mkdir(b"b"), "b")
    assert replies(node.wait(AGAIN_SECONDS)) == {"b": -errno.EBUSY}


def test_held_requests_are_bounded_and_expire_without_ever_being_sent() -> None:
    node = Node(1)
    node.confchg(1, 2, joined=[1, 2])
    for number in range(MAX_HELD):
        assert node.submit(mkdir(b"d"), number) == []
    assert replies(node.submit(mkdir(b"d"), "one too many")) == {"one too many": -errno.EBUSY}
    assert len(replies(node.wait(REQUEST_SECONDS))) == MAX_HELD
    assert not node.machine.requests.held


def test_messages_in_flight_are_bounded() -> None:
    node = alone()
    sent = 0
    for number in range(MAX_IN_FLIGHT + 5):
        sent += len(types(node.submit(mkdir(b"d%d" % number), number)))
    assert sent == MAX_IN_FLIGHT
    assert types(node.receive(1, normal(mkdir(b"d0"), 1))) == ["NORMAL"]


def test_bytes_in_flight_are_bounded_and_one_large_message_always_goes() -> None:
    requests = Requests()
    for size in (MAX_IN_FLIGHT_BYTES + 1, 1, MAX_IN_FLIGHT_BYTES - 1, 1):
        assert requests.hold(0, [bytes(size)], None, 0.0) is not None
    sent: list[int] = []

    def pump() -> list[int]:
        while requests.sendable:
            sent.append(requests.number(requests.take(), 0))
        return sent

    assert pump() == [1]
    assert requests.delivered(99) is None
    assert pump() == [1]
    requests.delivered(1)
    assert pump() == [1, 2, 3]
    requests.delivered(2)
    assert pump() == [1, 2, 3, 4]
    requests.hold(0, [bytes(1)], None, 0.0)
    assert pump() == [1, 2, 3, 4]
    requests.cut_off()
    assert pump() == [1, 2, 3, 4, 5]


def test_what_is_passed_on_keeps_the_bounds_and_overtakes_nothing() -> None:
    requests = Requests()
    assert requests.pass_on(0, [bytes(MAX_IN_FLIGHT_BYTES + 1)], None, 0.0, 0) is not None
    assert requests.pass_on(0, [b"x"], None, 0.0, 0) is None
    requests.delivered(1)
    assert requests.hold(0, [bytes(MAX_IN_FLIGHT_BYTES)], None, 0.0) is not None
    assert requests.pass_on(0, [b"x"], None, 0.0, 0) is None
    requests.number(requests.take(), 0)
    assert requests.pass_on(0, [b"x"], None, 0.0, 0) is None
    requests.delivered(2)
    passed = requests.pass_on(0, [b"x"], None, 0.0, 7)
    assert passed is not None
    assert (passed.count, passed.time) == (3, 7)


def test_held_requests_are_refused_when_quorum_is_gone_by_the_time_they_could_be_sent() -> None:
    """W6: looked at again right before sending."""
    node = Node(1)
    node.confchg(1, 2, joined=[1, 2])
    node.submit(mkdir(b"d"))
    node.machine.quorum(False, node.clock)
    effects = node.confchg(1, left=[2])
    assert replies(effects) == {"request": -errno.EACCES}
    assert types(effects) == []


def test_without_quorum_on_delivery_nothing_is_applied_and_the_node_comes_back() -> None:
    node = alone()
    node.submit(mkdir(b"d"))
    node.machine.quorum(False, node.clock)
    effects = node.receive(1, normal(mkdir(b"d"), 1))
    assert replies(effects) == {"request": -errno.EPERM}
    assert changes(effects) == [(Mode.SYNCED, Mode.LEAVE)]
    assert leaves(effects)
    assert node.tree.lookup(b"d") is None
    assert rejoins(node.confchg(left=[1])) == [Rejoin(5.0)]


def test_stop_answers_everybody() -> None:
    node = alone()
    node.submit(mkdir(b"a"), "sent")
    effects = node.machine.stop(node.clock)
    assert replies(effects) == {"sent": -errno.EBUSY}
    assert leaves(effects)
    assert replies(node.submit(mkdir(b"b"), "late")) == {"late": -errno.EBUSY}


# What became of requests under way (W5)


def lose_and_return(ring: Ring, one: Node, *, others_apply: bool) -> dict[object, int]:
    """Node 1 loses Corosync with everything in flight, which reaches node 2 or not; then it comes back."""
    flight = [data for _, kind, data in ring.sent if kind is MessageType.NORMAL]
    ring.take(1, one.machine.disconnected(one.clock))
    two = ring.nodes[2]
    if others_apply:
        for data in flight:
            ring.take(2, two.receive(1, data))
    ring._delivered = len(ring.sent)
    ring.take(2, two.confchg(2, left=[1]))
    ring.take(1, one.machine.connected(one.clock))
    ring.confchg(1, 2, joined=[1])
    ring.run()
    assert one.mode is Mode.SYNCED
    return ring.results


@pytest.mark.parametrize(("applied", "result"), [(True, 0), (False, -errno.EBUSY)])
def test_mkdir_under_way_is_resolved_by_what_the_others_have(applied: bool, result: int) -> None:
    ring, one, _ = pair()
    ring.take(1, one.submit(mkdir(b"d"), "d"))
    assert lose_and_return(ring, one, others_apply=applied) == {"d": result}


def test_two_racing_mkdirs_under_way_are_never_both_won() -> None:
    ring, one, _ = pair()
    ring.take(1, one.submit(mkdir(b"lock"), "first"))
    ring.take(1, one.submit(mkdir(b"lock"), "second"))
    results = lose_and_return(ring, one, others_apply=True)
    assert results == {"first": -errno.EBUSY, "second": -errno.EBUSY}


def test_entry_of_a_request_that_failed_only_here_is_nobodys_proof() -> None:
    """Found by the simulator: the others applied the first create, which this node had answered with EIO."""
    ring, one, two = pair()
    ring.take(1, one.submit(FsMessage(FsOp.CREATE, b"f"), "first"))
    ring.take(1, one.submit(FsMessage(FsOp.CREATE, b"f"), "second"))
    creates = [data for _, kind, data in ring.sent if kind is MessageType.NORMAL]
    one.tree.error = True
    ring.take(1, one.receive(1, creates[0]))
    for data in creates:
        ring.take(2, two.receive(1, data))
    ring._delivered = len(ring.sent)
    ring.take(1, one.confchg(2, left=[1]))
    ring.take(2, two.confchg(2, left=[1]))
    one.app.tree = tree_of()
    ring.take(1, one.machine.reloaded(one.clock))
    ring.take(1, one.machine.connected(one.clock))
    ring.confchg(1, 2, joined=[1])
    ring.run()
    assert one.tree.lookup(b"f") is not None
    assert ring.results == {"first": -errno.EIO, "second": -errno.EBUSY}


def test_a_queued_message_that_who_parted_has_applied_is_not_sent_again() -> None:
    """W28: the original sends it again, and a mkdir that succeeded is answered with EEXIST."""
    one, two, three = Node(1), Node(2), Node(3)
    ring = Ring(one, two, three)
    ring.confchg(1, 2, 3, joined=[1, 2, 3])
    ring.run()
    ring.take(3, three.submit(mkdir(b"d")))
    ring.confchg(1, 2, 3, joined=[1])
    for _ in ("mkdir", "SYNC_START", "STATE", "STATE"):
        ring.step()
    ring.step(among=[2])  # the last state: only node 2 completes the round, and applies
    assert [node.tree.lookup(b"d") is not None for node in (one, two, three)] == [False, True, False]
    ring.take(2, two.confchg(2, left=[1, 3]))
    for node in (1, 3):
        ring.take(node, ring.nodes[node].confchg(1, 3, left=[2]))
    ring.confchg(1, 2, 3, joined=[2])
    ring.run()
    assert one.mode is two.mode is three.mode is Mode.SYNCED
    assert one.tree.index() == two.tree.index() == three.tree.index()
    assert ring.results == {"request": 0}


def test_write_under_way_is_resolved_by_content() -> None:
    ring, one, _ = pair()
    ring.take(1, one.submit(FsMessage(FsOp.CREATE, b"f"), "create"))
    ring.run()
    ring.take(1, one.submit(FsMessage(FsOp.WRITE, b"f", data=b"hello"), "write"))
    data = ring.sent[-1][2]
    ring.sent[-1] = (1, MessageType.NORMAL, data)
    flight = [item for item in ring.sent if item[2] == data]
    assert len(flight) == 1
    ring.take(1, one.machine.disconnected(one.clock))
    ring.take(2, ring.nodes[2].receive(1, data))
    ring._delivered = len(ring.sent)
    ring.take(2, ring.nodes[2].confchg(2, left=[1]))
    ring.take(1, one.machine.connected(one.clock))
    ring.confchg(1, 2, joined=[1])
    ring.run()
    assert ring.results == {"create": 0, "write": 5}


# Synchronisation


def test_losing_side_reports_what_it_loses() -> None:
    """W24: both sides made version 2 something else."""

    def one_side(tree: Tree) -> None:
        tree.create(b"mine", 1, EPOCH_START, 0)

    def other_side(tree: Tree) -> None:
        tree.mkdir(b"theirs", 2, EPOCH_START, 0)
        tree.mkdir(b"theirs2", 2, EPOCH_START, 0)

    one, two = Node(1, tree_of(one_side)), Node(2, tree_of(other_side))
    ring = Ring(one, two)
    effects: list[Effect] = []
    ring.confchg(1, 2, joined=[1, 2])
    for _ in range(20):
        effects += ring.trail[1]
        ring.trail[1].clear()
        ring.step()
    [lost] = [effect for effect in effects if isinstance(effect, LostEntries)]
    assert lost.diverged
    assert [entry.path for entry in lost.entries] == [b"mine"]
    [commit] = [effect for effect in effects if isinstance(effect, Committed)]
    assert effects.index(lost) < effects.index(commit)
    assert Propagate(notify=False) in effects


def test_a_joining_nodes_imported_configuration_is_not_reported_as_its_change() -> None:
    def joiner(tree: Tree) -> None:
        tree.create(b"corosync.conf", 0, EPOCH_START, 0)
        tree.write(b"corosync.conf", 0, EPOCH_START, 0, b"config_version: 2", 0, True)

    def member(tree: Tree) -> None:
        tree.create(b"corosync.conf", 0, EPOCH_START, 0)
        tree.write(b"corosync.conf", 0, EPOCH_START, 0, b"config_version: 1", 0, True)
        tree.mkdir(b"more", 2, EPOCH_START, 0)

    ring = Ring(Node(1, tree_of(joiner)), Node(2, tree_of(member)))
    ring.confchg(1, 2, joined=[1, 2])
    ring.run()
    [lost] = [effect for effect in ring.trail[1] if isinstance(effect, LostEntries)]
    assert [entry.path for entry in lost.entries] == [b"corosync.conf"]
    assert not lost.diverged


def test_update_that_does_not_lead_to_the_leaders_index_changes_nothing() -> None:
    one, two = Node(1, tree_of(one_directory)), Node(2)
    ring = Ring(one, two)
    ring.confchg(1, 2, joined=[1, 2])
    while two.mode is not Mode.UPDATE:
        ring.step()
    before = two.tree.index()
    effects = two.receive(1, StateHeader(MessageType.UPDATE_COMPLETE, 1, 0, two.machine.epoch).pack())
    assert leaves(effects)
    assert two.tree.index() == before


def test_leader_that_falls_silent_is_not_waited_for() -> None:
    one, two = Node(1, tree_of(one_directory)), Node(2)
    ring = Ring(one, two)
    ring.confchg(1, 2, joined=[1, 2])
    while two.mode is not Mode.UPDATE:
        ring.step()
    assert not leaves(two.wait(PROGRESS_SECONDS - 1))
    assert leaves(two.wait(2))


def test_second_state_of_one_member_makes_everybody_leave() -> None:
    node = Node(1)
    node.confchg(1, 2, joined=[1, 2])
    start = StateHeader(MessageType.SYNC_START, 1, 0, node.machine.epoch).pack()
    node.receive(1, start)
    state = StateHeader(MessageType.STATE, 1, 0, node.machine.epoch).pack() + node.tree.index()
    assert not leaves(node.receive(2, state))
    assert leaves(node.receive(2, state))


@pytest.mark.parametrize(
    "damage", [lambda s: s[:20], lambda s: s + b"x", lambda s: s[:24] + b"\xff" + s[25:]]
)
def test_malformed_state_makes_everybody_leave(damage: Callable[[bytes], bytes]) -> None:
    node = Node(1)
    node.confchg(1, 2, joined=[1, 2])
    [send] = [
        e for e in node.receive(1, StateHeader(1, 1, 0, node.machine.epoch).pack()) if isinstance(e, Send)
    ]
    head = StateHeader(MessageType.STATE, 1, 0, node.machine.epoch).pack()
    node.receive(1, send.data)
    effects = node.receive(2, head + damage(node.tree.index()))
    assert leaves(effects)
    assert "malformed" in logged(effects)


# Silent members (decision 0004)


def start_with_ghost(*, quorum_knows: bool, expected: int | None = None) -> tuple[Ring, Node, Node]:
    one, two = Node(1), Node(2)
    ring = Ring(one, two)
    for node in (one, two):
        nodes = frozenset({1, 2}) if quorum_knows else None
        node.machine.quorum(True, node.clock, nodes=nodes, expected=expected)
    for nodeid in (1, 2):
        ring.take(nodeid, ring.nodes[nodeid].confchg(1, 2, 9, joined=[1, 2, 9]))
    ring.run()
    assert one.mode is two.mode is Mode.START_SYNC
    return ring, one, two


@pytest.mark.parametrize(("known", "seconds"), [(True, GHOST_SECONDS), (False, ANSWER_SECONDS)])
def test_ghost_is_not_waited_for_for_ever(known: bool, seconds: float) -> None:
    ring, one, two = start_with_ghost(quorum_knows=known)
    ring.take(1, one.wait(seconds - 0.5))
    ring.run()
    assert {one.mode, two.mode} == {Mode.START_SYNC}
    ring.take(1, one.wait(1))
    ring.run()
    assert {one.mode, two.mode} == {Mode.SYNCED}
    ring.take(2, two.submit(mkdir(b"d"), "d"))
    ring.run()
    assert ring.results == {"d": 0}
    assert one.tree.index() == two.tree.index()


def test_too_few_do_not_go_on_without_the_others() -> None:
    """Two of five have states: the other three may have newer data."""
    ring, one, two = start_with_ghost(quorum_knows=False, expected=5)
    for node in (one, two):
        ring.take(node.nodeid, node.wait(10 * ANSWER_SECONDS))
    ring.run()
    assert one.mode is two.mode is Mode.START_SYNC


def test_member_that_was_left_out_leaves_when_it_wakes_up() -> None:
    ring, one, _ = start_with_ghost(quorum_knows=False)
    sleeper = Node(9)
    before = sleeper.app.tree.root.version
    sleeper.confchg(1, 2, 9, joined=[1, 2, 9])
    ring.take(1, one.wait(ANSWER_SECONDS + 1))
    ring.run()
    effects = []
    for sender, _, data in ring.sent:
        effects += sleeper.receive(sender, data)
    assert leaves(effects)
    assert sleeper.app.tree.root.version == before


def test_second_lowest_starts_the_round_when_the_lowest_is_silent() -> None:
    two, three = Node(2), Node(3)
    ring = Ring(two, three)
    for nodeid in (2, 3):
        ring.take(nodeid, ring.nodes[nodeid].confchg(1, 2, 3, joined=[1, 2, 3]))
    assert ring.sent == []
    ring.take(2, two.wait(START_SECONDS))
    ring.run()
    assert [kind.name for _, kind, _ in ring.sent] == ["SYNC_START", "STATE", "STATE"]
    ring.take(2, two.wait(ANSWER_SECONDS))
    ring.run()
    assert two.mode is three.mode is Mode.SYNCED


# Verification, failures, versions


def test_verification_follows_a_synchronisation_and_runs_one_at_a_time() -> None:
    ring, one, two = pair()
    asked: list[str] = []
    for _ in range(60):
        asked += types(ring.take(1, one.wait(0.25)))
        assert types(two.wait(0.25)) == []
    assert asked == ["VERIFY_REQUEST"]
    assert types(one.machine.verify(one.clock)) == []
    ring.run()
    assert one.mode is two.mode is Mode.SYNCED
    assert types(one.machine.verify(one.clock)) == ["VERIFY_REQUEST"]


def test_error_flag_leads_to_a_reload_and_back() -> None:
    """W19."""
    node = alone()
    node.tree.error = True
    effects = node.receive(1, normal(mkdir(b"d"), 1))
    assert changes(effects) == [(Mode.SYNCED, Mode.ERROR)]
    assert [effect for effect in effects if isinstance(effect, Reload)] == [Reload(5.0)]
    assert leaves(effects)
    assert replies(node.submit(mkdir(b"e"))) == {"request": -errno.EBUSY}
    assert rejoins(node.confchg(left=[1])) == []
    node.app.tree = tree_of()
    assert rejoins(node.machine.reloaded(node.clock)) != []
    node.machine.connected(node.clock)
    node.confchg(1, joined=[1])
    assert node.mode is Mode.SYNCED


def test_newer_protocol_version_ends_it_and_an_older_one_is_ignored() -> None:
    node = alone()
    assert node.receive(1, normal(mkdir(b"d"), 1, version=0)) == []
    effects = node.receive(1, normal(mkdir(b"d"), 1, version=2))
    assert changes(effects) == [(Mode.SYNCED, Mode.VERSION_ERROR)]
    assert "upgrade" in logged(effects)
    assert rejoins(node.confchg(left=[1])) == []


def test_failed_state_message_means_leaving() -> None:
    node = Node(1)
    effects = node.confchg(1, 2, joined=[1, 2])
    sends = [effect for effect in effects if isinstance(effect, Send)]
    assert leaves(node.machine.send_failed(node.clock, sends))


def test_rejoining_slows_down_while_it_keeps_failing() -> None:
    node = alone()
    delays = []
    for _ in range(5):
        node.receive(1, b"short")
        delays += [effect.delay for effect in rejoins(node.confchg(left=[1]))]
        node.machine.connected(node.clock)
        node.confchg(1, joined=[1])
    assert delays == [5.0, 10.0, 20.0, 30.0, 30.0]


def test_unanswered_leave_and_join_lead_to_a_new_connection() -> None:
    node = alone()
    assert leaves(node.receive(1, b"short"))
    assert rejoins(node.wait(11)) == [Rejoin(1.0, fresh=True)]
    node.machine.connected(node.clock)
    assert rejoins(node.wait(31)) == [Rejoin(1.0, fresh=True)]


def test_connecting_in_a_mode_without_return_leaves_again() -> None:
    """A silent member would hold up the others."""
    node = alone()
    node.receive(1, normal(mkdir(b"d"), 1, version=2))
    node.confchg(left=[1])
    assert node.machine.connected(node.clock) == [LeaveGroup()]


# Bad input


def prepared(mode: Mode) -> Node:
    node = Node(1)
    if mode is Mode.SYNCED:
        node.confchg(1, joined=[1])
    elif mode is not Mode.START:
        node.confchg(1, 2, joined=[1, 2])
        node.receive(1, StateHeader(MessageType.SYNC_START, 1, 0, node.machine.epoch).pack())
    if mode is Mode.UPDATE:
        newer = tree_of(one_directory)
        for sender, state in ((1, node.tree.index()), (2, newer.index())):
            node.receive(sender, StateHeader(MessageType.STATE, 1, 0, node.machine.epoch).pack() + state)
    assert node.mode is mode
    return node


MODES = (Mode.START, Mode.START_SYNC, Mode.UPDATE, Mode.SYNCED)


@given(mode=st.sampled_from(MODES), sender=st.integers(0, 4), data=st.binary(max_size=120))
def test_any_bytes_from_anybody(mode: Mode, sender: int, data: bytes) -> None:
    node = prepared(mode)
    index = node.tree.index()
    effects = node.machine.message(Address(sender, 7), data, node.clock)
    assert node.tree.index() == index
    assert not [effect for effect in effects if isinstance(effect, Committed)]


@given(
    mode=st.sampled_from(MODES),
    sender=st.sampled_from((1, 2, 3)),
    kind=st.integers(0, 8),
    subtype=st.integers(0, 9),
    own_epoch=st.booleans(),
    body=st.one_of(st.binary(max_size=100), st.just(tree_of().index()), st.just(mkdir(b"x").pack())),
    repeat=st.integers(1, 3),
)
def test_well_formed_headers_with_any_content(
    mode: Mode, sender: int, kind: int, subtype: int, own_epoch: bool, body: bytes, repeat: int
) -> None:
    """Never an exception; whoever can't make sense of it leaves or ignores it, and never commits by it."""
    node = prepared(mode)
    if kind == 0:
        data = normal(mkdir(b"x"), 1)[:24]
        data = data[:2] + subtype.to_bytes(2, "little") + data[4:] + body
    else:
        epoch = node.machine.epoch if own_epoch else Epoch(*address(1), 0, 0)
        data = StateHeader(kind, 1, 0, epoch).pack() + body
    for _ in range(repeat):
        effects = node.receive(sender, data)
        assert not [effect for effect in effects if isinstance(effect, Committed)]
        assert node.mode in (*MODES, Mode.LEAVE)
