"""A group's adapter: order of messages, flow control, loss of Corosync. The machine is a script."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from quorate.corosync.errors import InterruptError, LibraryError, SendResult
from quorate.pmxcfs.effects import Clock, Effect, LeaveGroup, Level, Log, Rejoin, Reply, Send
from quorate.pmxcfs.group import SEND_LIMIT, Group
from quorate.pmxcfs.loop import Loop
from quorate.pmxcfs.wire import MessageType


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class FakeCpg:
    """Corosync as the test wants it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.closed = False
        self._fd = 1000 + len(world.connections)
        world.connections.append(self)

    def fileno(self) -> int:
        return self._fd

    def local_nodeid(self) -> int:
        return 1

    def join(self, group: bytes) -> SendResult:
        self.world.calls.append("join")
        return self.world.answer

    def leave(self) -> SendResult:
        self.world.calls.append("leave")
        return self.world.answer

    def mcast(self, parts: Sequence[bytes]) -> SendResult:
        if self.world.fault is not None:
            raise self.world.fault
        if self.world.answer is SendResult.SENT or self.world.room:
            self.world.room = max(0, self.world.room - 1)
            self.world.sent.append(b"".join(parts))
            return SendResult.SENT
        return self.world.answer

    def dispatch(self) -> bool:
        if self.world.changes:
            self.world.callbacks["confchg"](*self.world.changes.pop(0))
            return False
        if not self.world.incoming:
            raise LibraryError("cpg_dispatch")
        self.world.callbacks["deliver"]((1, 2), self.world.incoming.pop(0))
        return bool(self.world.incoming)

    def close(self) -> None:
        self.closed = True


class Script:
    """A machine that notes its events and answers with what the test put in."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.answers: dict[str, list[Effect]] = {}

    def __getattr__(self, name: str) -> Any:
        def event(*arguments: Any, **options: Any) -> list[Effect]:
            self.events.append((name, arguments))
            return self.answers.pop(name, [])

        return event


class FakeLoop(Loop):
    """Descriptors are only noted: the fake connection has none."""

    def add_reader(self, fd: int, callback: Any, rank: int) -> None:
        self.readers = {**getattr(self, "readers", {}), fd: callback}

    def remove_reader(self, fd: int) -> None:
        self.readers.pop(fd)

    def expect(self, seconds: float) -> None:
        self.expected = [*getattr(self, "expected", []), seconds]

    came_in = 0

    def came(self) -> None:
        self.came_in += 1


class World:
    def __init__(self) -> None:
        self.time = Time()
        self.loop = FakeLoop(self.time)
        self.connections: list[FakeCpg] = []
        self.calls: list[str] = []
        self.sent: list[bytes] = []
        self.answer = SendResult.SENT
        self.room = 0
        """How many messages are taken although the answer is another one."""
        self.fault: Exception | None = None
        self.refuse_connection = False
        self.lost = 0
        self.answered = 0
        self.script = Script()
        self.before = lambda: self.script.events.append(("before", ()))
        self.incoming: list[bytes] = []
        """Messages that Corosync has for the group; none: it is gone."""
        self.changes: list[tuple[Any, Any, Any]] = []
        """Configuration changes that a dispatch delivers, one each; then Corosync is gone."""
        self.callbacks: dict[str, Any] = {}
        self.lines: list[str] = []
        log = logging.Logger("group")
        handler = logging.Handler()
        handler.emit = lambda record: self.lines.append(record.getMessage())  # type: ignore[method-assign]
        log.addHandler(handler)
        self.group = Group(
            b"group\0",
            self.script,  # type: ignore[arg-type]
            self.loop,
            log=log,
            clock=lambda: Clock(0, self.time.now),
            before_event=self.before,
            after_event=lambda: None,
            special=lambda effect: None,
            lost=self._lost,
            answered=self._count_answer,
            expects=0.25,
            connect=self._connect,
        )

    def _connect(self, **callbacks: Any) -> FakeCpg:
        self.callbacks = callbacks
        if self.refuse_connection:
            raise LibraryError("cpg_initialize")
        return FakeCpg(self)

    def _lost(self) -> None:
        self.lost += 1

    def _count_answer(self) -> None:
        self.answered += 1

    def at(self, now: float) -> None:
        self.time.now = now
        self.loop.run_once(0)

    def events(self) -> list[str]:
        return [name for name, _ in self.script.events]


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.loop.close()


def send(text: bytes, count: int = 0) -> Send:
    return Send((text,), MessageType.NORMAL, count)


def test_connects_joins_and_tells_the_machine(world: World) -> None:
    world.script.answers["connected"] = [send(b"hello")]
    assert world.group.connect()
    assert world.events() == ["connected"]
    assert world.sent == [b"hello"]


def test_no_corosync_is_no_event(world: World) -> None:
    world.refuse_connection = True
    assert not world.group.connect()
    assert world.events() == []


def test_requests_made_together_are_all_ready_before_the_first_is_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.group.connect()
    ready_when_sent: list[int] = []
    pending = [b"create", b"write"]

    def submit(*_: Any) -> list[Effect]:
        return [send(pending.pop(0))]

    def mcast(_: FakeCpg, parts: Sequence[bytes]) -> SendResult:
        ready_when_sent.append(2 - len(pending))
        world.sent.append(b"".join(parts))
        return SendResult.SENT

    world.script.submit = submit  # type: ignore[attr-defined]
    monkeypatch.setattr(FakeCpg, "mcast", mcast)
    world.group.submit_together([(5, (b"",), None), (1, (b"",), None)])
    assert world.sent == [b"create", b"write"]
    assert ready_when_sent == [2, 2]


def test_effects_of_a_nested_event_come_behind(world: World) -> None:
    world.group.connect()
    world.script.answers["submit"] = [send(b"third")]

    def answered(result: int) -> None:
        world.group.submit(1, (), None)

    world.group.run([send(b"first"), Reply(answered, 0), send(b"second")])
    assert world.sent == [b"first", b"second", b"third"]


def test_flow_control_keeps_the_order_and_does_not_wait(world: World) -> None:
    world.group.connect()
    world.answer = SendResult.TRY_AGAIN
    world.group.run([send(b"a"), send(b"b")])
    world.at(1)
    world.group.run([send(b"c")])
    world.answer = SendResult.SENT
    world.at(2)
    assert world.sent == [b"a", b"b", b"c"]


def test_what_flow_control_refused_goes_out_behind_the_next_message_that_comes(world: World) -> None:
    """Waiting for the timer would halve the rate at which a joining node gets its data."""
    world.group.connect()
    world.answer = SendResult.TRY_AGAIN
    world.group.run([send(b"a"), send(b"b")])
    world.incoming = [b"another's"]
    world.loop.readers[1000]()
    assert world.sent == []
    world.answer = SendResult.SENT
    world.incoming = [b"another's"]
    world.loop.readers[1000]()
    assert world.sent == [b"a", b"b"]
    world.at(1)
    assert world.sent == [b"a", b"b"]


def test_flow_control_for_too_long(world: World) -> None:
    world.group.connect()
    world.answer = SendResult.TRY_AGAIN
    sends = [send(b"a", 1), send(b"b", 2)]
    world.group.run(sends)
    world.at(SEND_LIMIT - 1)
    assert "send_failed" not in world.events()
    world.at(SEND_LIMIT + 1)
    assert world.script.events[-1][0] == "send_failed"
    assert list(world.script.events[-1][1][1]) == sends


def test_a_queue_may_take_longer_than_one_message(world: World) -> None:
    world.group.connect()
    world.answer = SendResult.TRY_AGAIN
    world.group.run([send(b"a", 1), send(b"b", 2), send(b"c", 3)])
    for moment in (SEND_LIMIT - 1, 2 * SEND_LIMIT - 2):
        world.room = 1
        world.at(moment)
    assert world.sent == [b"a", b"b"]
    world.at(3 * SEND_LIMIT - 3)
    assert "send_failed" not in world.events()
    world.at(3 * SEND_LIMIT)
    assert "send_failed" in world.events()


def test_one_refused_message_does_not_hold_back_the_others(world: World) -> None:
    world.group.connect()
    world.fault = InterruptError("cpg_mcast_joined")
    world.group.run([send(b"a", 1)])
    assert world.script.events[-1][0] == "send_failed"
    world.fault = None
    world.group.run([send(b"b", 2)])
    assert world.sent == [b"b"]


def test_corosync_gone_while_sending_and_while_listening(world: World) -> None:
    world.group.connect()
    world.fault = LibraryError("cpg_mcast_joined")
    world.group.run([send(b"a", 1)])
    assert world.events()[-1] == "disconnected"
    assert world.lost == 1
    assert world.connections[0].closed
    assert not world.group.connected
    world.fault = None
    assert world.group.connect()
    next(iter(world.loop.readers.values()))()
    assert world.events()[-1] == "disconnected"
    assert world.lost == 2


def test_a_change_of_members_is_told_and_logged(world: World) -> None:
    world.group.connect()
    members = [(20, 7), (10, 300)]
    world.changes = [(members, [(30, 1)], [])]
    next(iter(world.loop.readers.values()))()
    assert world.script.events[-1] == ("confchg", (members, [(30, 1)], [], Clock(0, 0.0)))
    assert world.lines[-1] == "members: 10/300, 20/7"


def test_leaving_drops_what_was_not_sent(world: World) -> None:
    world.group.connect()
    world.answer = SendResult.TRY_AGAIN
    world.group.run([send(b"a")])
    world.answer = SendResult.SENT
    world.group.run([LeaveGroup()])
    world.at(1)
    assert world.sent == []
    assert world.calls == ["join", "leave"]


def test_comes_back_by_a_new_connection(world: World) -> None:
    world.group.connect()
    world.group.run([LeaveGroup(), Rejoin(5.0), Log(Level.INFO, "text")])
    world.at(4)
    assert len(world.connections) == 1
    world.at(6)
    assert len(world.connections) == 2
    assert world.events() == ["connected", "connected"]
    assert world.calls == ["join", "leave", "join"]


def test_join_under_flow_control_is_tried_again(world: World) -> None:
    world.answer = SendResult.TRY_AGAIN
    world.group.connect()
    assert world.events() == []
    world.answer = SendResult.SENT
    world.at(1)
    assert world.events() == ["connected"]


def test_quorum_is_looked_at_before_each_message(world: World) -> None:
    """It comes on another connection; between two messages it can be lost (W6)."""
    assert world.group.connect()
    world.incoming = [b"one", b"two"]
    world.script.events.clear()
    world.loop.readers[1000]()
    assert world.events() == ["before", "message", "before", "message"]


def test_who_got_the_last_own_message_back_goes_on_with_the_kernels_requests(world: World) -> None:
    """Without a look for more in vain: its caller is about to ask for something."""
    assert world.group.connect()
    world.incoming = [b"another's", b"own", b"another's"]
    awaits = iter([True, True, False])
    type(world.script).awaits_own = property(lambda _self: next(awaits))  # type: ignore[attr-defined]
    try:
        world.loop.readers[1000]()
    finally:
        del type(world.script).awaits_own  # type: ignore[attr-defined]
    assert world.incoming == [b"another's"]
    assert world.answered == 1
    assert world.loop.came_in == 1


def test_own_messages_are_waited_for_awake_once_they_are_sent(world: World) -> None:
    world.script.answers["connected"] = [send(b"of the synchronisation")]
    assert world.group.connect()
    assert not hasattr(world.loop, "expected")
    world.answer = SendResult.TRY_AGAIN
    world.script.answers["submit"] = [send(b"own", 1)]
    world.group.submit(1, (b"own",), None)
    assert not hasattr(world.loop, "expected")
    world.answer = SendResult.SENT
    world.at(1)
    assert world.loop.expected == [0.25]


def test_a_group_that_expects_nothing_leaves_what_another_expects(world: World) -> None:
    world.group._expects = 0.0
    assert world.group.connect()
    world.incoming = [b"own"]
    awaits = iter([True, False])
    type(world.script).awaits_own = property(lambda _self: next(awaits))  # type: ignore[attr-defined]
    try:
        world.loop.readers[1000]()
    finally:
        del type(world.script).awaits_own  # type: ignore[attr-defined]
    assert world.answered == 1
    assert world.loop.came_in == 0


def test_others_messages_answer_nobody(world: World) -> None:
    assert world.group.connect()
    world.script.awaits_own = False  # type: ignore[attr-defined]
    world.incoming = [b"another's"]
    world.loop.readers[1000]()
    assert world.incoming == []
    assert world.answered == 0
