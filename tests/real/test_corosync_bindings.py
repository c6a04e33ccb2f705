"""The bindings against a real Corosync: groups, order, flow control, long messages, restart, reload."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from quorate.corosync.address import Address
from quorate.corosync.cfg import Cfg
from quorate.corosync.cmap import Change, Cmap, Event, Map, Value, ValueType
from quorate.corosync.cpg import Cpg
from quorate.corosync.errors import (
    BadHandleError,
    CsError,
    ExistError,
    FailedOperationError,
    InvalidParamError,
    LibraryError,
    NotExistError,
    SendResult,
)
from quorate.corosync.quorum import Quorum
from quorate.corosync.votequorum import Flag, NodeState, Votequorum
from tests.real.corosync_host import CorosyncHost, config, connect, corosync_host, set_link, wait_until

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        os.geteuid() != 0 or not Path("/usr/sbin/corosync").exists(),
        reason="needs root and Debian's package corosync",
    ),
]

GROUP = b"pve_dcdb_v1\0"
FLOOD = 5_000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CorosyncHost]:
    """A single node that the tests share; they leave no group and no key behind."""
    with corosync_host(tmp_path_factory.mktemp("corosync")) as host:
        host.write_config(config([(1, "127.0.0.1")]))
        host.start()
        yield host


@pytest.fixture
def own(tmp_path: Path) -> Iterator[CorosyncHost]:
    """A single node of this test alone, Corosync not yet started."""
    with corosync_host(tmp_path) as host:
        host.write_config(config([(1, "127.0.0.1")]))
        yield host


class Member:
    """A connection that remembers what it was told."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.senders: set[Address] = set()
        self.changes: list[tuple[Sequence[Address], Sequence[Address], Sequence[Address]]] = []
        self.cpg = Cpg(deliver=self._deliver, confchg=lambda *change: self.changes.append(change))

    def _deliver(self, sender: Address, message: bytes) -> None:
        self.senders.add(sender)
        self.messages.append(message)

    def join(self, group: bytes = GROUP) -> None:
        assert self.cpg.join(group) is SendResult.SENT
        wait_until(lambda: bool(self.changes), self.cpg)


def test_membership_and_own_messages_come_back_in_order(running: CorosyncHost) -> None:
    def body() -> None:
        me = Address(1, os.getpid())
        first = Member()
        assert first.cpg.local_nodeid() == 1
        assert not first.cpg.dispatch()
        first.join()
        assert first.changes == [((me,), (), (me,))]
        with pytest.raises(ExistError):
            first.cpg.join(GROUP)
        for text in (b"1", b"2", b"3"):
            assert first.cpg.mcast([text, b"", b"!"]) is SendResult.SENT
        wait_until(lambda: len(first.messages) == 3, first.cpg)
        assert (first.messages, first.senders) == ([b"1!", b"2!", b"3!"], {me})
        assert first.cpg.leave() is SendResult.SENT
        wait_until(lambda: len(first.changes) == 2, first.cpg)
        assert first.changes[-1] == ((), (me,), ())
        with pytest.raises(NotExistError):
            first.cpg.mcast([b"x"])

    running.run(body)


def test_who_has_left_comes_back_by_a_new_connection(running: CorosyncHost) -> None:
    def body() -> None:
        joined: list[Sequence[Address]] = []
        for leave in (True, False):
            member = Member()
            member.join()
            if leave:
                assert member.cpg.leave() is SendResult.SENT
                wait_until(lambda member=member: len(member.changes) == 2, member.cpg)  # type: ignore[misc]
                with pytest.raises(ExistError):  # Corosync's peculiarity
                    member.cpg.join(GROUP)
            member.cpg.close()
            again = Member()
            wait_until(lambda again=again: again.cpg.join(GROUP) is SendResult.SENT, again.cpg)  # type: ignore[misc]
            wait_until(lambda again=again: bool(again.changes), again.cpg)  # type: ignore[misc]
            joined.append(again.changes[0][0])
            again.cpg.close()
        me = Address(1, os.getpid())
        assert joined == [(me,), (me,)]

    running.run(body)


def test_group_names_differ_by_their_nul(running: CorosyncHost) -> None:
    def body() -> None:
        with_nul, without = Member(), Member()
        with_nul.join(GROUP)
        without.join(GROUP[:-1])
        with_nul.cpg.mcast([b"for the one"])
        without.cpg.mcast([b"for the other"])
        wait_until(lambda: bool(with_nul.messages and without.messages), with_nul.cpg, without.cpg)
        assert (with_nul.messages, without.messages) == ([b"for the one"], [b"for the other"])

    running.run(body)


def test_one_event_per_dispatch(running: CorosyncHost) -> None:
    def body() -> None:
        member = Member()
        member.join()
        for _ in range(10):
            member.cpg.mcast([b"x"])
        while len(member.messages) < 10:
            before = len(member.messages)
            if member.cpg.dispatch():
                assert len(member.messages) == before + 1
            else:
                assert len(member.messages) == before
                assert select.select([member.cpg], [], [], 20)[0]
        assert not member.cpg.dispatch()

    running.run(body)


def test_a_flood_is_held_back_and_arrives_whole(running: CorosyncHost) -> None:
    def body() -> None:
        member = Member()
        member.join()
        sent = refused = 0
        while sent < FLOOD:
            if member.cpg.mcast([b"%08d" % sent, bytes(4096)]) is SendResult.SENT:
                sent += 1
            else:  # as an event loop does: go on reading
                refused += 1
                before = len(member.messages)
                wait_until(lambda before=before: len(member.messages) > before, member.cpg)  # type: ignore[misc]
        wait_until(lambda: len(member.messages) == FLOOD, member.cpg)
        assert refused > 0
        assert [int(message[:8]) for message in member.messages] == list(range(FLOOD))

    running.run(body)


def test_a_corosync_that_hangs_does_not_hang_the_sender(own: CorosyncHost) -> None:
    own.start()

    def body() -> None:
        member = Member()
        member.join()
        corosync = int(Path("/run/corosync.pid").read_text())
        os.kill(corosync, signal.SIGSTOP)
        try:
            sent = 0
            while member.cpg.mcast([b"%d" % sent]) is SendResult.SENT:
                sent += 1
            assert 0 < sent < 4 * FLOOD
            assert member.cpg.mcast([bytes(2_000_000)]) is SendResult.TRY_AGAIN
            assert not member.cpg.dispatch()
        finally:
            os.kill(corosync, signal.SIGCONT)
        wait_until(lambda: len(member.messages) == sent, member.cpg)
        assert member.messages == [b"%d" % number for number in range(sent)]

    own.run(body)


@pytest.mark.parametrize("size", [0, 1, 1_047_552, 1_047_553, 1024 * 1024, 3 * 1024 * 1024 + 7])
def test_long_messages_are_one_message(running: CorosyncHost, size: int) -> None:
    def body() -> None:
        member = Member()
        member.join()
        assert member.cpg.max_atomic_size == 1_047_552
        message = os.urandom(size)
        parts = [message[:10], message[10:100], message[100:]]
        wait_until(lambda: member.cpg.mcast(parts) is SendResult.SENT, member.cpg)
        member.cpg.mcast([b"end"])
        wait_until(lambda: b"end" in member.messages, member.cpg)
        assert member.messages == [message, b"end"]

    running.run(body)


def test_an_error_in_a_callback_comes_out_and_nothing_is_lost(running: CorosyncHost) -> None:
    def body() -> None:
        seen: list[bytes] = []

        def deliver(_sender: Address, message: bytes) -> None:
            seen.append(message)
            if message == b"bad":
                raise ValueError("refused")

        cpg = Cpg(deliver=deliver, confchg=lambda *_: None)
        cpg.join(GROUP)
        for text in (b"a", b"bad", b"b"):
            cpg.mcast([text])
        with pytest.raises(ValueError, match="refused"):
            wait_until(lambda: False, cpg)
        wait_until(lambda: len(seen) == 3, cpg)
        assert seen == [b"a", b"bad", b"b"]

    running.run(body)


def test_close_within_a_callback(running: CorosyncHost) -> None:
    def body() -> None:
        cpg: Cpg
        seen: list[bytes] = []

        def deliver(_sender: Address, message: bytes) -> None:
            seen.append(message)
            cpg.close()

        cpg = Cpg(deliver=deliver, confchg=lambda *_: None)
        cpg.join(GROUP)
        cpg.mcast([b"1"])
        cpg.mcast([b"2"])
        wait_until(lambda: bool(seen), cpg)
        assert seen == [b"1"]
        assert (cpg.closed, cpg.fileno()) == (True, -1)
        again = Member()
        wait_until(lambda: again.cpg.join(GROUP) is SendResult.SENT, again.cpg)
        wait_until(lambda: bool(again.changes), again.cpg)
        assert len(again.changes[-1][0]) == 1

    running.run(body)


def test_nothing_answers_before_corosync_runs(own: CorosyncHost) -> None:
    def body() -> None:
        services: tuple[Callable[[], object], ...] = (
            lambda: Member(),
            lambda: Quorum(lambda *_: None),
            Cmap,
            Cfg,
            Votequorum,
        )
        for service in services:
            with pytest.raises(LibraryError, match="corosync is not running"):
                service()

    own.run(body)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_every_connection_notices_that_corosync_is_gone_and_a_new_one_works(
    own: CorosyncHost, number: signal.Signals
) -> None:
    own.start()
    pid_file = Path(f"/proc/{own.pid}/root/run/corosync.pid")

    def body() -> None:
        member = Member()
        member.join()
        services = [member.cpg, Quorum(lambda *_: None), Cmap(), Cfg(), Votequorum()]
        os.kill(int(Path("/run/corosync.pid").read_text()), number)
        for service in services:
            with pytest.raises(LibraryError):
                wait_until(lambda: False, service)
            assert service.closed
            assert service.fileno() == -1
            with pytest.raises(BadHandleError):
                service.dispatch()
        with pytest.raises(BadHandleError):
            member.cpg.mcast([b"x"])

    assert pid_file.exists()
    own.run(body)
    own.stop()
    own.start()

    def again() -> None:
        member = Member()
        member.join()
        member.cpg.mcast([b"back"])
        wait_until(lambda: member.messages == [b"back"], member.cpg)

    own.run(again)


def test_calls_on_a_dead_connection_are_typed_errors(own: CorosyncHost) -> None:
    own.start()

    def body() -> None:
        member, cmap, votes, cfg = Member(), Cmap(), Votequorum(), Cfg()
        quorum = Quorum(lambda *_: None)
        member.join()
        os.kill(int(Path("/run/corosync.pid").read_text()), signal.SIGKILL)
        with pytest.raises(LibraryError), Cmap() as other:  # the death is known for certain
            wait_until(lambda: False, other)
        for call in (
            lambda: member.cpg.mcast([b"x"]),
            lambda: cmap.iterate("totem."),
            lambda: votes.info(1),
            cfg.reload_config,
            quorum.quorate,
        ):
            with pytest.raises(LibraryError):
                call()

    own.run(body)


def test_quorum_is_reported_at_once(running: CorosyncHost) -> None:
    def body() -> None:
        notified: list[tuple[bool, int]] = []
        quorum = Quorum(lambda *state: notified.append(state))
        wait_until(lambda: bool(notified), quorum)
        assert notified[0][0] is True
        assert notified[0][1] > 0
        assert quorum.quorate()
        assert quorum.members == {1}

    running.run(body)


def test_votes_and_links(running: CorosyncHost) -> None:
    def body() -> None:
        votes = Votequorum()
        info = votes.info(1)
        assert (info.nodeid, info.state, info.votes, info.expected, info.quorum) == (
            1,
            NodeState.MEMBER,
            1,
            1,
            1,
        )
        assert info.quorate
        assert Flag.QUORATE in info.flags
        with pytest.raises(NotExistError):
            votes.info(7)
        with pytest.raises(InvalidParamError):
            votes.set_expected(5)
        cfg = Cfg()
        assert cfg.local_nodeid() == 1
        status = cfg.node_status(1)
        assert status.reachable
        assert [(link.number, link.source) for link in status.links] == [(0, "127.0.0.1")]
        with pytest.raises(FailedOperationError):
            cfg.node_status(7)

    running.run(body)


VALUES: dict[ValueType, list[Value]] = {
    ValueType.INT8: [-128, 127],
    ValueType.UINT8: [255],
    ValueType.INT16: [-(2**15)],
    ValueType.UINT16: [2**16 - 1],
    ValueType.INT32: [-(2**31)],
    ValueType.UINT32: [2**32 - 1],
    ValueType.INT64: [-(2**63)],
    ValueType.UINT64: [2**64 - 1],
    ValueType.FLOAT: [1.5],
    ValueType.DOUBLE: [0.1],
    ValueType.STRING: ["some text", "ü"],
    ValueType.BINARY: [b"a\0b", bytes(10_000)],
}


def test_every_type_of_value(running: CorosyncHost) -> None:
    def body() -> None:
        cmap = Cmap()
        for kind, values in VALUES.items():
            for value in values:
                cmap.set("quorate.value", value, kind)
                assert cmap.get("quorate.value") == value
        cmap.delete("quorate.value")
        assert cmap.find("quorate.value") is None
        with pytest.raises(NotExistError, match=r"cmap_get \(quorate\.value\)"):
            cmap.get("quorate.value")
        assert dict(cmap.iterate("nodelist.node.0.")) == {
            "nodelist.node.0.name": "node1",
            "nodelist.node.0.nodeid": 1,
            "nodelist.node.0.quorum_votes": 1,
            "nodelist.node.0.ring0_addr": "127.0.0.1",
        }
        assert cmap.iterate("nothing.of.this.name") == []
        everything = [key for key, _ in cmap.iterate()]
        assert everything == sorted(everything)
        assert dict(Cmap(Map.STATISTICS).iterate("stats.knet.node1.link0."))

    running.run(body)


def test_tracking_a_key_and_a_prefix(running: CorosyncHost) -> None:
    def body() -> None:
        cmap = Cmap()
        by_key: list[Change] = []
        by_prefix: list[Change] = []
        cmap.track("quorate.track.a", by_key.append)
        tracked = cmap.track("quorate.track.", by_prefix.append, prefix=True)
        cmap.set("quorate.track.a", 1, ValueType.UINT32)
        cmap.set("quorate.track.a", "x", ValueType.STRING)
        cmap.set("quorate.track.b", 2, ValueType.UINT8)
        cmap.delete("quorate.track.a")
        wait_until(lambda: len(by_prefix) == 4 and len(by_key) == 3, cmap)
        assert by_key == [
            Change(Event.ADD, "quorate.track.a", 1, None),
            Change(Event.MODIFY, "quorate.track.a", "x", 1),
            Change(Event.DELETE, "quorate.track.a", None, "x"),
        ]
        assert Change(Event.ADD, "quorate.track.b", 2, None) in by_prefix
        cmap.untrack(tracked)
        cmap.set("quorate.track.a", 3, ValueType.UINT32)
        cmap.delete("quorate.track.a")
        cmap.delete("quorate.track.b")
        wait_until(lambda: len(by_key) == 5, cmap)
        assert len(by_prefix) == 4

    running.run(body)


def test_a_reload_changes_cmap_and_quorum(own: CorosyncHost) -> None:
    own.start()

    def body() -> None:
        quorate: list[bool] = []
        changes: list[Change] = []
        quorum = Quorum(lambda state, _ring: quorate.append(state))
        cmap = Cmap()
        cmap.track("nodelist.node.", changes.append, prefix=True)
        cmap.track("totem.config_version", changes.append)
        wait_until(lambda: quorate == [True], quorum)
        path = Path("/etc/corosync/corosync.conf")
        path.write_text(config([(1, "127.0.0.1"), (2, "127.0.0.2")], version=2))
        cfg = Cfg()
        cfg.reload_config()
        wait_until(lambda: quorate == [True, False], quorum)  # one vote of two
        wait_until(
            lambda: (
                Change(Event.MODIFY, "totem.config_version", 2, 1) in changes
                and any(change.key == "nodelist.node.1.nodeid" for change in changes)
            ),
            cmap,
        )
        assert cmap.get("nodelist.node.1.name") == "node2"
        Votequorum().set_expected(1)
        wait_until(lambda: quorate[-1], quorum)
        path.write_text("totem {\n  broken\n")
        with pytest.raises(InvalidParamError, match="reload"):
            cfg.reload_config()
        assert cmap.get("totem.config_version") == 2

    own.run(body)


def test_two_nodes_part_and_meet(tmp_path: Path) -> None:
    """Order across nodes, a cut link, an ended node: seen through all services."""
    with corosync_host(tmp_path / "1") as one, corosync_host(tmp_path / "2") as two:
        connect(one, two)
        for host in (one, two):
            host.write_config(config([(1, "10.99.0.1"), (2, "10.99.0.2")]))
            host.start()

        def body() -> None:
            quorate: list[bool] = []
            quorum = Quorum(lambda state, _ring: quorate.append(state))
            wait_until(lambda: quorate[-1:] == [True], quorum)
            me = Member()
            me.join()
            cfg = Cfg()
            wait_until(lambda: cfg.node_status(2).reachable, me.cpg)
            assert [link.connected for link in cfg.node_status(2).links] == [True]
            set_link("down")
            assert quorum.members == {1, 2}
            wait_until(lambda: not quorate[-1], quorum, me.cpg)
            assert quorum.members == {1}
            wait_until(lambda: not cfg.node_status(2).reachable, quorum, me.cpg)  # the links are slower
            me.cpg.mcast([b"alone"])  # a group goes on without quorum
            wait_until(lambda: me.messages == [b"alone"], me.cpg)
            assert Votequorum().info(2).state != NodeState.MEMBER
            set_link("up")
            wait_until(lambda: quorate[-1], quorum, me.cpg)
            cfg.kill_node(2, "test")
            wait_until(lambda: not quorate[-1], quorum, me.cpg)

        one.run(body)

        def gone() -> None:
            with pytest.raises(CsError):
                Member()

        two.run(gone)
        with pytest.raises(AssertionError, match="not reached"):
            two.run(lambda: pytest.fail("not reached"))
