"""The binding's own behaviour against a stand-in library: callbacks, dispatch, close, typed results."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from quorate.corosync import _service
from quorate.corosync._ffi import ffi
from quorate.corosync.address import Address
from quorate.corosync.cpg import MAX_MESSAGE, Cpg
from quorate.corosync.errors import (
    BadHandleError,
    ExistError,
    InvalidParamError,
    LibraryError,
    NotExistError,
    SendResult,
    TooBigError,
)

OK, LIBRARY, TRY_AGAIN, EXIST = 1, 2, 6, 14


class FakeLibrary:
    """libcpg as far as the binding uses it: answers from `codes`, events from `events`."""

    def __init__(self) -> None:
        self.end, self.corosync = socket.socketpair()
        self.codes: dict[str, int] = {}
        self.events: list[Callable[[Any], None]] = []
        self.sent: list[bytes] = []
        self.groups: list[bytes] = []
        self.finalized = 0
        self.flow_controlled = False
        self.callbacks: Any = None

    def cpg_initialize(self, handle: Any, callbacks: Any) -> int:
        handle[0] = 7
        self.callbacks = callbacks
        return self.codes.get("initialize", OK)

    def cpg_finalize(self, handle: int) -> int:
        assert handle == 7
        self.finalized += 1
        return OK

    def cpg_fd_get(self, _handle: int, fd: Any) -> int:
        fd[0] = self.end.fileno()
        return OK

    def cpg_max_atomic_msgsize_get(self, _handle: int, size: Any) -> int:
        size[0] = 1000
        return OK

    def cpg_local_get(self, _handle: int, nodeid: Any) -> int:
        nodeid[0] = 3
        return OK

    def cpg_flow_control_state_get(self, _handle: int, enabled: Any) -> int:
        enabled[0] = int(self.flow_controlled)
        return OK

    def cpg_join(self, _handle: int, name: Any) -> int:
        self.groups.append(ffi.buffer(name.value, name.length)[:])
        return self.codes.get("join", OK)

    def cpg_leave(self, _handle: int, _name: Any) -> int:
        return self.codes.get("leave", OK)

    def cpg_mcast_joined(self, _handle: int, guarantee: int, iovec: Any, count: int) -> int:
        assert (guarantee, count) == (2, 1)
        code = self.codes.get("mcast", OK)
        if code == OK:
            self.sent.append(ffi.buffer(iovec[0].iov_base, iovec[0].iov_len)[:])
        return code

    def cpg_dispatch(self, _handle: int, flags: int) -> int:
        assert flags == 4
        if "dispatch" in self.codes:
            return self.codes["dispatch"]
        if not self.events:
            return TRY_AGAIN
        assert self.finalized == 0
        self.events.pop(0)(self.callbacks)
        assert self.finalized == 0, "the library was freed while in a callback"
        return OK

    def message(self, nodeid: int, pid: int, data: bytes) -> None:
        self.events.append(lambda to: to.deliver(7, ffi.NULL, nodeid, pid, ffi.from_buffer(data), len(data)))

    def change(
        self,
        members: Sequence[tuple[int, int]],
        left: Sequence[tuple[int, int]],
        joined: Sequence[tuple[int, int]],
    ) -> None:
        def array(of: Sequence[tuple[int, int]]) -> Any:
            return ffi.new("struct cpg_address[]", [(nodeid, pid, 1) for nodeid, pid in of])

        self.events.append(
            lambda to: to.confchg(
                7, ffi.NULL, array(members), len(members), array(left), len(left), array(joined), len(joined)
            )
        )


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLibrary]:
    made = FakeLibrary()
    monkeypatch.setattr(_service, "library", lambda _soname: made)
    yield made
    made.end.close()
    made.corosync.close()


class Heard:
    def __init__(self) -> None:
        self.messages: list[tuple[Address, bytes]] = []
        self.changes: list[tuple[Sequence[Address], ...]] = []

    def connect(self) -> Cpg:
        return Cpg(
            deliver=lambda sender, data: self.messages.append((sender, data)),
            confchg=lambda *change: self.changes.append(change),
        )


def test_messages_and_changes_come_one_per_dispatch(fake: FakeLibrary) -> None:
    heard = Heard()
    cpg = heard.connect()
    fake.change([(1, 10), (2, 20)], [(3, 30)], [(2, 20)])
    fake.message(2, 20, b"one\0two")
    fake.message(9, 90, b"")
    assert cpg.dispatch()
    assert heard.changes == [((Address(1, 10), Address(2, 20)), (Address(3, 30),), (Address(2, 20),))]
    assert heard.messages == []
    assert cpg.dispatch()
    assert cpg.dispatch()
    assert not cpg.dispatch()
    assert heard.messages == [(Address(2, 20), b"one\0two"), (Address(9, 90), b"")]


def test_what_a_callback_raises_comes_out_of_dispatch_and_the_next_event_follows(fake: FakeLibrary) -> None:
    heard: list[bytes] = []

    def deliver(_sender: Address, data: bytes) -> None:
        if data == b"bad":
            raise KeyError("in the callback")
        heard.append(data)

    cpg = Cpg(deliver=deliver, confchg=lambda *_: None)
    fake.message(1, 1, b"bad")
    fake.message(1, 1, b"good")
    with pytest.raises(KeyError, match="in the callback"):
        cpg.dispatch()
    assert not cpg.closed
    assert cpg.dispatch()
    assert heard == [b"good"]


def test_an_interrupt_of_the_program_is_not_swallowed_by_the_callback(fake: FakeLibrary) -> None:
    def deliver(_sender: Address, _data: bytes) -> None:
        raise KeyboardInterrupt

    cpg = Cpg(deliver=deliver, confchg=lambda *_: None)
    fake.message(1, 1, b"x")
    with pytest.raises(KeyboardInterrupt):
        cpg.dispatch()


def test_close_within_a_callback_frees_the_library_afterwards(fake: FakeLibrary) -> None:
    cpg: Cpg

    def deliver(_sender: Address, _data: bytes) -> None:
        cpg.close()
        assert cpg.fileno() == -1

    cpg = Cpg(deliver=deliver, confchg=lambda *_: None)
    fake.message(1, 1, b"x")
    fake.message(1, 1, b"y")
    assert cpg.dispatch()
    assert fake.finalized == 1
    with pytest.raises(BadHandleError):
        cpg.dispatch()


def test_no_callback_after_close(fake: FakeLibrary) -> None:
    heard = Heard()
    cpg = heard.connect()
    cpg.close()
    fake.message(1, 1, b"late")
    fake.change([(1, 1)], [], [])
    for event in fake.events:
        event(fake.callbacks)
    assert (heard.messages, heard.changes) == ([], [])


def test_dispatch_within_a_callback_is_refused(fake: FakeLibrary) -> None:
    cpg: Cpg

    def deliver(_sender: Address, _data: bytes) -> None:
        cpg.dispatch()

    cpg = Cpg(deliver=deliver, confchg=lambda *_: None)
    fake.message(1, 1, b"x")
    with pytest.raises(RuntimeError, match="within one of its own callbacks"):
        cpg.dispatch()


def test_a_lost_connection_closes_the_object(fake: FakeLibrary) -> None:
    cpg = Heard().connect()
    fake.codes["dispatch"] = LIBRARY
    with pytest.raises(LibraryError):
        cpg.dispatch()
    assert cpg.closed
    assert cpg.fileno() == -1
    assert fake.finalized == 1
    for call in (
        cpg.dispatch,
        cpg.local_nodeid,
        cpg.leave,
        lambda: cpg.mcast([b"x"]),
        lambda: cpg.join(b"g"),
    ):
        with pytest.raises((BadHandleError, NotExistError)):
            call()
    cpg.close()
    assert fake.finalized == 1


def test_the_group_name_keeps_its_nul(fake: FakeLibrary) -> None:
    cpg = Heard().connect()
    assert cpg.join(b"pve_dcdb_v1\0") is SendResult.SENT
    assert fake.groups == [b"pve_dcdb_v1\0"]


@pytest.mark.parametrize("name", [b"", b"x" * 129])
def test_group_names_that_do_not_fit_are_refused(fake: FakeLibrary, name: bytes) -> None:
    with pytest.raises(InvalidParamError):
        Heard().connect().join(name)
    assert fake.groups == []


def test_try_again_is_a_result_and_other_codes_are_errors(fake: FakeLibrary) -> None:
    cpg = Heard().connect()
    fake.codes["join"] = TRY_AGAIN
    assert cpg.join(b"g") is SendResult.TRY_AGAIN
    with pytest.raises(NotExistError):
        cpg.mcast([b"not joined yet"])
    fake.codes["join"] = EXIST
    with pytest.raises(ExistError):
        cpg.join(b"g")
    del fake.codes["join"]
    cpg.join(b"g")
    fake.codes["mcast"] = TRY_AGAIN
    assert cpg.mcast([b"x"]) is SendResult.TRY_AGAIN
    fake.codes["leave"] = TRY_AGAIN
    assert cpg.leave() is SendResult.TRY_AGAIN
    del fake.codes["leave"], fake.codes["mcast"]
    assert cpg.mcast([b"still a member"]) is SendResult.SENT
    assert cpg.leave() is SendResult.SENT
    with pytest.raises(NotExistError):
        cpg.mcast([b"gone"])
    with pytest.raises(NotExistError):
        cpg.leave()
    asked = list(fake.groups)
    with pytest.raises(ExistError, match="has left its group; make a new one"):
        cpg.join(b"h")  # Corosync would not answer at all
    assert fake.groups == asked


@pytest.mark.parametrize("parts", [[b"whole"], [b"a", b"", b"bc"], [b""], [b"p"] * 200])
def test_parts_are_one_message(fake: FakeLibrary, parts: list[bytes]) -> None:
    cpg = Heard().connect()
    cpg.join(b"g")
    assert cpg.mcast(parts) is SendResult.SENT
    assert fake.sent == [b"".join(parts)]


def test_long_messages_wait_for_flow_control_before_they_block(fake: FakeLibrary) -> None:
    cpg = Heard().connect()
    cpg.join(b"g")
    fake.flow_controlled = True
    assert cpg.mcast([b"x" * 1000]) is SendResult.SENT
    assert cpg.mcast([b"x" * 1001]) is SendResult.TRY_AGAIN
    fake.flow_controlled = False
    assert cpg.mcast([b"x" * 1001]) is SendResult.SENT
    with pytest.raises(TooBigError):
        cpg.mcast([bytes(MAX_MESSAGE), b"x"])
    assert [len(message) for message in fake.sent] == [1000, 1001]


def test_nothing_is_sent_while_corosync_does_not_read(fake: FakeLibrary) -> None:
    cpg = Heard().connect()
    cpg.join(b"g")
    fake.end.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            fake.end.send(bytes(4096))
    assert cpg.mcast([b"x"]) is SendResult.TRY_AGAIN
    assert fake.sent == []
    while fake.corosync.recv(1 << 20, socket.MSG_DONTWAIT | socket.MSG_PEEK):
        fake.corosync.recv(1 << 20)
        if cpg.mcast([b"x"]) is SendResult.SENT:
            break
    assert fake.sent == [b"x"]


def test_a_service_that_is_not_there_is_an_error_at_once(fake: FakeLibrary) -> None:
    fake.codes["initialize"] = LIBRARY
    with pytest.raises(LibraryError, match="cpg_initialize"):
        Heard().connect()
    assert fake.finalized == 0
