"""What a client says to a console, without I/O (guests 9.3).

First a line ``USER:TICKET``, answered by ``OK``; then messages, split and joined as the network likes:
``0:LENGTH:DATA`` is typed, ``1:COLUMNS:ROWS:`` is the window's new size, ``2`` is a sign of life. The other
way goes what the terminal shows, as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ACCEPTED: Final = b"OK"
MAX_LOGIN: Final = 1024
"""Bytes of the first line: a name of 128 and a ticket of 512 at most."""
MAX_INPUT: Final = 16 << 20
"""Bytes of one message, which is handed on as it comes and never kept: what nobody pastes."""
MAX_SIDE: Final = 9999
"""Columns and rows; a terminal program may make a table of both."""
_MAX_NUMBER: Final = 8
"""Digits; bounds what is kept of a message that has not ended."""

_INPUT, _RESIZE, _ALIVE = b"0", b"1", b"2"


class ProtocolError(Exception):
    """The client says something else than this protocol; nothing it says later can be understood."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who the client says it is, and by which ticket."""

    user: str
    ticket: str


@dataclass(frozen=True, slots=True)
class Input:
    """Bytes for the program; one message may come as several of these."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    columns: int
    rows: int


Message = Input | Resize


class LoginReader:
    """The first line. ``rest`` is what came behind it."""

    def __init__(self) -> None:
        self._data = b""
        self.rest = b""

    def feed(self, data: bytes) -> Login | None:
        """The login, once the line is whole. Raises `ProtocolError`."""
        self._data += data
        line, end, rest = self._data.partition(b"\n")
        if len(line) > MAX_LOGIN:
            raise ProtocolError(f"the first line is longer than {MAX_LOGIN} bytes")
        if not end:
            return None
        self.rest = rest
        try:
            user, _, ticket = line.removesuffix(b"\r").decode().partition(":")
        except UnicodeDecodeError as err:
            raise ProtocolError("the first line is not text") from err
        if not user or not ticket:
            raise ProtocolError("the first line is not USER:TICKET")
        return Login(user, ticket)


class MessageReader:
    """The messages after the login."""

    def __init__(self) -> None:
        self._head = b""
        self._missing = 0

    def feed(self, data: bytes) -> list[Message]:
        """What the bytes complete; signs of life are left out. Raises `ProtocolError`."""
        found: list[Message] = []
        place = 0
        while place < len(data):
            if self._missing:
                piece = data[place : place + self._missing]
                found.append(Input(piece))
                self._missing -= len(piece)
                place += len(piece)
                continue
            self._head += data[place : place + 1]
            place += 1
            message = self._take_head()
            if message is not None:
                found.append(message)
        return found

    def _take_head(self) -> Message | None:
        """Look at what there is of a message's beginning, and forget it once it is whole."""
        kind, fields = self._head[:1], self._head[1:].split(b":")
        if kind == _ALIVE:
            self._head = b""
            return None
        if kind not in (_INPUT, _RESIZE):
            raise ProtocolError(f"a message begins with {kind!r}")
        numbers = fields[1:]
        if fields[0] or any(len(digits) > _MAX_NUMBER for digits in numbers):
            raise ProtocolError(f"a message of kind {kind.decode()} is malformed")
        if len(numbers) < (2 if kind == _INPUT else 3):
            return None
        self._head = b""
        if kind == _INPUT:
            self._missing = _number(numbers[0], 0, MAX_INPUT)
            return None
        return Resize(_number(numbers[0], 1, MAX_SIDE), _number(numbers[1], 1, MAX_SIDE))


def _number(digits: bytes, lowest: int, highest: int) -> int:
    if not digits.isdigit() or not lowest <= int(digits) <= highest:
        raise ProtocolError(f"{digits!r} is not a number from {lowest} to {highest}")
    return int(digits)
