"""How often a session looks for another request behind an answer. A pair of sockets is the kernel's side."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from struct import pack

import pytest

from quorate.fuse.abi import Opcode
from quorate.fuse.negotiation import InitOptions
from quorate.fuse.operations import Operations, Reply
from quorate.fuse.requests import GetattrIn, ReleaseIn, Request
from quorate.fuse.session import LOOK_EVERY, MAX_IN_VAIN, Session


class Nothing(Operations):
    def getattr(self, request: Request, body: GetattrIn) -> Reply:
        return b""

    def release(self, request: Request, body: ReleaseIn) -> Reply:
        return b""


class Kernel:
    """Asks, and counts the session's looks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.side, self.other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.other.setblocking(False)
        self.session = Session(self.other.fileno(), Path("/nowhere"), None, InitOptions())
        self.operations = Nothing()
        self.unique = 0
        self.looks = 0
        receive = self.session.receive

        def counted() -> Request | None:
            self.looks += 1
            return receive()

        monkeypatch.setattr(self.session, "receive", counted)

    def ask(self, *opcodes: Opcode) -> None:
        for opcode in opcodes:
            body = pack("=QIIQ", 1, 0, 0, 0) if opcode is Opcode.RELEASE else pack("=I4xQ", 0, 0)
            self.unique += 1
            head = pack("=IIQQIIIHH", 40 + len(body), opcode, self.unique, 1, 0, 0, 1, 0, 0)
            self.side.sendall(head + body)

    def served(self, *opcodes: Opcode) -> tuple[int, int]:
        """Answers and looks of one round."""
        self.ask(*opcodes)
        before = self.looks
        return self.session.serve(self.operations), self.looks - before

    def drain(self) -> None:
        while self.session.serve(self.operations):
            pass


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    made = Kernel(monkeypatch)
    yield made
    made.side.close()
    made.other.close()


def test_looks_in_vain_are_left_out_but_for_a_few(kernel: Kernel) -> None:
    for _ in range(MAX_IN_VAIN):
        assert kernel.served(Opcode.GETATTR) == (1, 2)
    rounds = [kernel.served(Opcode.GETATTR) for _ in range(2 * LOOK_EVERY)]
    assert rounds.count((1, 1)) == 2 * LOOK_EVERY - 2
    assert rounds.count((1, 2)) == 2


def test_whoever_is_there_is_served_and_several_together_again(kernel: Kernel) -> None:
    for _ in range(MAX_IN_VAIN):
        kernel.served(Opcode.GETATTR)
    for _ in range(LOOK_EVERY):
        kernel.ask(Opcode.GETATTR, Opcode.GETATTR)
        kernel.drain()
    assert kernel.served(Opcode.GETATTR, Opcode.GETATTR, Opcode.GETATTR)[0] == 3


def test_after_an_answer_given_elsewhere_a_look_is_left_out_while_they_are_in_vain(kernel: Kernel) -> None:
    kernel.ask(Opcode.GETATTR)
    assert kernel.session.serve(kernel.operations, answered=True) == 1
    for _ in range(MAX_IN_VAIN):
        kernel.served(Opcode.GETATTR)
    kernel.ask(Opcode.GETATTR)
    assert kernel.session.serve(kernel.operations, answered=True) == 0
    assert kernel.session.serve(kernel.operations) == 1


def test_behind_what_nobody_waits_for_there_is_always_a_look(kernel: Kernel) -> None:
    for _ in range(MAX_IN_VAIN):
        kernel.served(Opcode.GETATTR)
    for _ in range(3):
        assert kernel.served(Opcode.RELEASE, Opcode.GETATTR) == (2, 2)
