"""One entry of the cluster log: digest, text filter, packing and checking (status 2.1-2.3, 2.9).

Layout: 44 bytes of header, then node, ident, tag and message, each ended by NUL, then four bytes that belong
to the entry and mean nothing. Rings of entries are in ``logring``.
"""

from __future__ import annotations

import struct
from functools import cmp_to_key, lru_cache
from typing import Any, Final, NamedTuple

HEADER: Final = struct.Struct("<IIIIQQIBBBBI")
"""prev, next, uid, time, digests of node and ident, pid, priority, lengths of node, ident, tag, message."""

DATA: Final = 44
OVERHEAD: Final = 48
"""An entry is this much longer than its texts, although these begin at 44 (must be so: receivers compare)."""
MAX_ENTRY: Final = 4096
MAX_FIELD: Final = 255
MAX_PRIORITY: Final = 7

_FNV_START: Final = 0xCBF29CE484222325
_FNV_PRIME: Final = 0x100000001B3
_U64: Final = 0xFFFFFFFFFFFFFFFF
_FILTER_RESERVE: Final = 7


class EntryError(ValueError):
    """Bytes that are no entry; the text says why."""


class Entry(NamedTuple):
    """An entry in the terms of a reader. ``size`` is the packed length."""

    uid: int
    time: int
    node_digest: int
    ident_digest: int
    pid: int
    priority: int
    node: bytes
    ident: bytes
    tag: bytes
    message: bytes
    size: int

    @property
    def identity(self) -> tuple[int, int, int]:
        """Equal for two copies of one entry."""
        return self.time, self.node_digest, self.uid


@lru_cache(maxsize=1024)
def digest(data: bytes) -> int:
    """64-bit FNV-1a of these very bytes. A name is hashed with its NUL: ``digest(name + b"\\0")``."""
    value = _FNV_START
    for byte in data:
        value = ((value ^ byte) * _FNV_PRIME) & _U64
    return value


def to_ascii(data: bytes, size: int, *, escape_quotes: bool, limit: int | None = None) -> bytes:
    """UTF-8 (or any bytes) as printable ASCII for an output buffer of ``size`` bytes (status 2.3).

    ``limit``: most bytes of output, never reached within a character; the original knows no such limit.
    """
    try:
        pieces = [_character(ord(char), escape_quotes) for char in data.decode("utf-8")]
    except UnicodeDecodeError:
        pieces = [_byte(byte, escape_quotes) for byte in data]
    out = bytearray()
    for piece in pieces:
        if len(out) >= size - _FILTER_RESERVE or (limit is not None and len(out) + len(piece) > limit):
            break
        out += piece
    return bytes(out)


def pack(
    *, uid: int, time: int, pid: int, priority: int, node: bytes, ident: bytes, tag: bytes, message: bytes
) -> bytes:
    """A new entry, as it is broadcast and stored (status 2.2); ``priority`` is 0-7.

    Texts that do not fit are cut. Unlike the original's, entries with long messages always keep their NUL.
    """
    assert 0 <= priority <= MAX_PRIORITY
    fields = [_field(text) for text in (node, ident, tag)]
    lengths = [len(text) for text, _ in fields]
    room = MAX_ENTRY - DATA - sum(lengths)
    text = to_ascii(message, room, escape_quotes=True, limit=room - (OVERHEAD - DATA) - 1) + b"\0"
    header = HEADER.pack(
        0,
        0,
        uid,
        time & 0xFFFFFFFF,
        fields[0][1],
        fields[1][1],
        pid & 0xFFFFFFFF,
        priority,
        *lengths,
        len(text),
    )
    return b"".join((header, *(text for text, _ in fields), text, bytes(OVERHEAD - DATA)))


def parse(data: bytes | bytearray | memoryview, offset: int = 0, *, exact: bool = True) -> Entry:
    """Check the entry at ``offset`` and read it; with ``exact`` it must end where ``data`` ends.

    Raises EntryError for everything that 2.9 refuses.
    """
    if offset < 0 or len(data) - offset < OVERHEAD:
        raise EntryError("shorter than an entry")
    _, _, uid, time, node_digest, ident_digest, pid, priority, *lengths = HEADER.unpack_from(data, offset)
    size = OVERHEAD + sum(lengths)
    if size > MAX_ENTRY or offset + size > len(data) or (exact and offset + size != len(data)):
        raise EntryError(f"lengths add up to {size} bytes, {len(data) - offset} are there")
    texts = []
    position = offset + DATA
    for length in lengths:
        text = bytes(data[position : position + length])
        if not text or text[-1]:
            raise EntryError("a text is empty or does not end with NUL")
        texts.append(text.split(b"\0", 1)[0])
        position += length
    node, ident, tag, message = texts
    return Entry(uid, time, node_digest, ident_digest, pid, priority, node, ident, tag, message, size)


def compare(one: Entry, other: Entry) -> int:
    """Negative, zero or positive: the order of the log, by time, node and uid (status 2.5)."""
    if one.time != other.time:
        return _signed(one.time - other.time)
    if one.node_digest != other.node_digest:
        return _signed(one.node_digest - other.node_digest)
    return _signed(one.uid - other.uid)


sort_key: Final[Any] = cmp_to_key(compare)


def _signed(difference: int) -> int:
    """A difference modulo 2^32, read as a signed number."""
    difference &= 0xFFFFFFFF
    return difference - (1 << 32) if difference & 0x80000000 else difference


def _field(text: bytes) -> tuple[bytes, int]:
    """Node, ident or tag as it is stored, and the digest, which covers as many bytes of the original text."""
    text = text.split(b"\0", 1)[0]
    length = min(len(text) + 1, MAX_FIELD)
    return text[: length - 1] + b"\0", digest((text + b"\0")[:length])


def _character(code: int, escape_quotes: bool) -> bytes:
    if code == 0x22 and escape_quotes:
        return b'\\"'
    if code < 0x20 or code == 0x7F:
        return b"#%03d" % code
    if code < 0x7F:
        return bytes((code,))
    return b"\\u%04x" % code if code <= 0xFFFF else b""


def _byte(byte: int, escape_quotes: bool) -> bytes:
    if byte == 0x22 and escape_quotes:
        return b'\\"'
    if byte < 0x20:
        return b"#%03d" % byte
    return bytes((byte,)) if byte < 0x7F else b"?"
