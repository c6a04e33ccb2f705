"""WebSockets (RFC 6455) without I/O: the handshake, frames of clients, frames for them (pvecm 6.8).

Less than the standard allows: a message is one frame, of bounded length, and there are no extensions.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from quorate.api.protocol import Refusal

VERSION: Final = "13"
SUBPROTOCOL: Final = "binary"
"""What clients of consoles offer; bytes are passed on as they are."""
MAX_FRAME: Final = 128 << 10
MAX_CONTROL: Final = 125

_MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_FIN, _RSV, _MASK = 0x80, 0x70, 0x80
_LENGTH_16, _LENGTH_64 = 126, 127


class Opcode(IntEnum):
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class CloseCode(IntEnum):
    """Why a connection is closed, as the other side is told."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL = 1002
    TOO_LARGE = 1009


class FrameError(Exception):
    """A client's frame was refused; nothing that follows it is looked at."""

    def __init__(self, code: CloseCode, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Frame:
    """What a client sent, unmasked."""

    opcode: Opcode
    payload: bytes


def wants_upgrade(headers: Mapping[str, str]) -> bool:
    """Whether a request asks to become a WebSocket."""
    tokens = {token.strip().lower() for token in headers.get("connection", "").split(",")}
    return "upgrade" in tokens and headers.get("upgrade", "").strip().lower() == "websocket"


def accept(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of the answer that makes the connection a WebSocket. Raises `Refusal`."""
    if headers.get("sec-websocket-version") != VERSION:
        raise Refusal(400, f"a WebSocket needs the header 'Sec-WebSocket-Version: {VERSION}'")
    key = headers.get("sec-websocket-key", "").strip()
    try:
        size = len(base64.b64decode(key, validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if size != 16:
        raise Refusal(400, "a WebSocket needs the header 'Sec-WebSocket-Key' with 16 bytes in base64")
    digest = hashlib.sha1(key.encode() + _MAGIC, usedforsecurity=False).digest()
    answer = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": base64.b64encode(digest).decode(),
    }
    offered = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
    if SUBPROTOCOL in offered:
        answer["Sec-WebSocket-Protocol"] = SUBPROTOCOL
    return answer


class FrameReader:
    """Frames of a client out of bytes as they come."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole now. Raises `FrameError` as soon as a frame's head is there that will not
        be taken: its payload is not waited for."""
        self._data += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        data = self._data
        if len(data) < 2:
            return None
        opcode = _opcode(data[0])
        if not data[1] & _MASK:
            raise FrameError(CloseCode.PROTOCOL, "a frame is not masked")
        size, start = data[1] & ~_MASK, 2
        if size >= _LENGTH_16:
            start = 4 if size == _LENGTH_16 else 10
            if len(data) < start:
                return None
            size = int.from_bytes(data[2:start], "big")
            if size < (_LENGTH_16 if start == 4 else 1 << 16):
                raise FrameError(CloseCode.PROTOCOL, "the length of a frame takes more bytes than it needs")
        if size > MAX_FRAME:
            raise FrameError(CloseCode.TOO_LARGE, f"a frame is larger than {MAX_FRAME} bytes")
        if size > MAX_CONTROL and opcode >= Opcode.CLOSE:
            raise FrameError(CloseCode.PROTOCOL, "a control frame is too large")
        end = start + 4 + size
        if len(data) < end:
            return None
        payload = _unmasked(bytes(data[start + 4 : end]), bytes(data[start : start + 4]))
        del data[:end]
        return Frame(opcode, payload)


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """A frame for a client: whole and not masked."""
    size = len(payload)
    if size < _LENGTH_16:
        length = bytes([size])
    elif size < 1 << 16:
        length = bytes([_LENGTH_16]) + size.to_bytes(2, "big")
    else:
        length = bytes([_LENGTH_64]) + size.to_bytes(8, "big")
    return bytes([_FIN | opcode]) + length + payload


def close_frame(code: CloseCode, reason: str = "") -> bytes:
    text = reason.encode()[: MAX_CONTROL - 2].decode("utf-8", "ignore")
    return frame(Opcode.CLOSE, code.to_bytes(2, "big") + text.encode())


def _opcode(first: int) -> Opcode:
    if first & _RSV:
        raise FrameError(CloseCode.PROTOCOL, "a frame uses an extension, and there is none")
    if not first & _FIN or not first & 0x0F:
        raise FrameError(CloseCode.PROTOCOL, "a message is in several frames")
    try:
        return Opcode(first & 0x0F)
    except ValueError as err:
        raise FrameError(CloseCode.PROTOCOL, "a frame is of no known kind") from err


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
