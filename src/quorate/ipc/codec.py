"""Layouts of libqb's IPC as far as the service ``pve2`` needs them: addresses, handshake, headers.

Pure: packing and checked unpacking. Sockets are in ``client`` and in ``quorate.pmxcfs.ipcserver``; what the
requests mean is in ``operations``. Status 6.3, 6.6.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

SERVICE: Final = "pve2"

AUTHENTICATE: Final = -1
"""Id of both handshake messages."""
DISCONNECT: Final = -3
"""Id of the message with which a client says goodbye; it gets no answer."""

ADDRESS_BYTES: Final = 108
"""Length of every abstract address, its leading NUL included: libqb hands the whole field to the kernel, and
an abstract address with fewer NULs at the end is another address."""

MAX_MESSAGE: Final = 1 << 20
"""What existing clients ask for, and their receive buffer: the longest message there is."""
MIN_MESSAGE: Final = 12328
"""libqb's clients never use less."""

REQUEST_SUFFIX: Final = "-request"
RESPONSE_SUFFIX: Final = "-response"
EVENT_SUFFIX: Final = "-event"
EVENT_SOURCE_SUFFIX: Final = "-event-tx"

CONTROL_BYTES: Final = 24
"""Size of a connection's control file: three times a count of messages and a flow control word."""

_HELLO: Final = struct.Struct("<i4xi4xI4x")
_WELCOME: Final = struct.Struct("<i4xi4xi4xII8s4096s4096s4096s")
_REQUEST: Final = struct.Struct("<i4xi4x")
_RESPONSE: Final = struct.Struct("<i4xi4xi4x")

HELLO_BYTES: Final = _HELLO.size
WELCOME_BYTES: Final = _WELCOME.size
REQUEST_BYTES: Final = _REQUEST.size
RESPONSE_BYTES: Final = _RESPONSE.size
_NAME_BYTES: Final = 4096


class CodecError(ValueError):
    """Bytes that are not what the protocol says; the text names the first fault."""


class Transport(IntEnum):
    """How messages travel after the handshake; the server chooses."""

    DATAGRAMS = 0
    RINGS = 1


class Welcome(NamedTuple):
    """The server's half of the handshake. With an ``error`` all else is empty."""

    error: int
    transport: Transport
    max_message: int
    request: str
    response: str
    event: str


class RequestHeader(NamedTuple):
    operation: int
    size: int
    """Of the whole message; authoritative."""


class ResponseHeader(NamedTuple):
    operation: int
    size: int
    error: int


def address(name: str) -> bytes:
    """The abstract address of ``name``; raises CodecError if that is too long."""
    raw = b"\0" + name.encode()
    if len(raw) >= ADDRESS_BYTES:
        raise CodecError(f"socket name '{name}' is longer than {ADDRESS_BYTES - 2} bytes")
    return raw.ljust(ADDRESS_BYTES, b"\0")


def pack_hello(max_message: int = MAX_MESSAGE) -> bytes:
    """The client's first message."""
    return _HELLO.pack(AUTHENTICATE, HELLO_BYTES, max_message)


def unpack_hello(data: bytes) -> int:
    """The message size that the client wants; raises CodecError."""
    if len(data) != HELLO_BYTES:
        raise CodecError(f"a handshake of {len(data)} bytes, not {HELLO_BYTES}")
    operation, size, max_message = _HELLO.unpack(data)
    if operation != AUTHENTICATE or size != HELLO_BYTES:
        raise CodecError(f"a handshake with id {operation} and size {size}")
    return int(max_message)


def pack_welcome(max_message: int, request: str, response: str) -> bytes:
    """The server's answer for the datagram transport: control file and base name of the sockets."""
    return _WELCOME.pack(
        AUTHENTICATE,
        WELCOME_BYTES,
        0,
        Transport.DATAGRAMS,
        max_message,
        b"",
        _name(request),
        _name(response),
        b"",
    )


def pack_rejection(error: int) -> bytes:
    """The server's answer to who may not connect."""
    return _WELCOME.pack(AUTHENTICATE, WELCOME_BYTES, error, 0, 0, b"", b"", b"", b"")


def unpack_welcome(data: bytes) -> Welcome:
    """Raises CodecError."""
    if len(data) != WELCOME_BYTES:
        raise CodecError(f"a handshake answer of {len(data)} bytes, not {WELCOME_BYTES}")
    operation, size, error, transport, max_message, _, *names = _WELCOME.unpack(data)
    if operation != AUTHENTICATE or size != WELCOME_BYTES:
        raise CodecError(f"a handshake answer with id {operation} and size {size}")
    if transport not in (Transport.DATAGRAMS, Transport.RINGS):
        raise CodecError(f"a handshake answer with the unknown transport {transport}")
    request, response, event = (_text(name) for name in names)
    return Welcome(error, Transport(transport), max_message, request, response, event)


def pack_request(operation: int, body: bytes) -> bytes:
    return _REQUEST.pack(operation, REQUEST_BYTES + len(body)) + body


def unpack_request(data: bytes | memoryview) -> RequestHeader:
    """Raises CodecError if the size field is impossible for the ``data`` that came (status 6.3)."""
    if len(data) < REQUEST_BYTES:
        raise CodecError(f"a request of {len(data)} bytes, shorter than its header")
    header = RequestHeader(*_REQUEST.unpack_from(data))
    if not REQUEST_BYTES <= header.size <= len(data):
        raise CodecError(f"a request of {len(data)} bytes whose size field says {header.size}")
    return header


def operation_of(data: bytes | memoryview) -> int:
    """The id of a message that may be malformed otherwise; 0 if it is not there."""
    return int.from_bytes(data[:4], "little", signed=True) if len(data) >= 4 else 0


def pack_response(operation: int, error: int, payload: bytes = b"") -> bytes:
    """``error`` 0 or a negated errno; an error has no payload."""
    return _RESPONSE.pack(operation, RESPONSE_BYTES + len(payload), error) + payload


def unpack_response(data: bytes | memoryview) -> ResponseHeader:
    """Raises CodecError."""
    if len(data) < RESPONSE_BYTES:
        raise CodecError(f"a response of {len(data)} bytes, shorter than its header")
    header = ResponseHeader(*_RESPONSE.unpack_from(data))
    if header.size != len(data):
        raise CodecError(f"a response of {len(data)} bytes whose size field says {header.size}")
    return header


def _name(name: str) -> bytes:
    raw = name.encode()
    if len(raw) >= _NAME_BYTES:
        raise CodecError(f"name of {len(raw)} bytes in a handshake answer, more than {_NAME_BYTES - 1}")
    return raw


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
