"""The operations of the service ``pve2``: their numbers, and the bodies of requests as clients send them.

What the server checks and answers is in ``quorate.pmxcfs.ipcops``. Status 6.4.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

KEY_FIELD: Final = 256
"""Bytes of a key or node name field, the NUL included."""
MAX_PART: Final = 255
"""Bytes of a log entry's ident or tag, the NUL included."""
_SIZES: Final = struct.Struct("<II")
"""Before each key and value of SET_STATUSES."""


class Op(IntEnum):
    GET_FS_VERSION = 1
    GET_CLUSTER_INFO = 2
    GET_GUEST_LIST = 3
    SET_STATUS = 4
    GET_STATUS = 5
    GET_CONFIG = 6
    LOG_CLUSTER_MSG = 7
    GET_CLUSTER_LOG = 8
    GET_RRD_DUMP = 10
    GET_GUEST_CONFIG_PROPERTY = 11
    VERIFY_TOKEN = 12
    GET_GUEST_CONFIG_PROPERTIES = 13
    GET_FIGURES = 0x51524D31
    """Of our own, far from the original's numbers, whose daemon answers ECHRNG: what the daemon counts."""
    SET_STATUSES = 0x51524D32
    """Of our own as well: many keys and values of this node in one request."""


def set_status(key: str, value: bytes) -> bytes:
    """``value`` empty: remove the key. Raises ValueError for a key that does not fit."""
    return _field(key) + value


def set_statuses(values: Sequence[tuple[str, bytes]]) -> bytes:
    """Each as `set_status` means it. Raises ValueError for a key that is empty or does not fit."""
    parts: list[bytes] = []
    for key, value in values:
        raw = _field(key).rstrip(b"\0")
        if not raw:
            raise ValueError("a value for the file system daemon without a key")
        parts += (_SIZES.pack(len(raw), len(value)), raw, value)
    return b"".join(parts)


def parse_statuses(body: bytes) -> list[tuple[bytes, bytes]] | None:
    """What ``set_statuses`` packed; None if it is nothing of the kind."""
    found: list[tuple[bytes, bytes]] = []
    at = 0
    while at < len(body):
        if at + _SIZES.size > len(body):
            return None
        key_bytes, value_bytes = _SIZES.unpack_from(body, at)
        at += _SIZES.size
        value_at, end = at + key_bytes, at + key_bytes + value_bytes
        if not 0 < key_bytes < KEY_FIELD or end > len(body):
            return None
        found.append((body[at:value_at], body[value_at:end]))
        at = end
    return found


def get_status(key: str, node: str = "") -> bytes:
    """``node`` empty: this one."""
    return _field(key) + _field(node)


def get_config(path: str) -> bytes:
    return _text(path)


def log(priority: int, ident: str, tag: str, message: str) -> bytes:
    parts = _text(ident), _text(tag)
    for part in parts:
        if len(part) > MAX_PART:
            raise ValueError(f"{len(part) - 1} bytes in a cluster log entry's user or tag, more than 254")
    return bytes((priority, len(parts[0]), len(parts[1]))) + parts[0] + parts[1] + _text(message)


def get_cluster_log(maximum: int = 0, user: str = "") -> bytes:
    """``maximum`` 0: 50 entries; ``user`` empty: of all users."""
    return struct.pack("<4I", maximum, 0, 0, 0) + _text(user)


def guest_property(vmid: int, name: str) -> bytes:
    """``vmid`` 0: all guests."""
    return struct.pack("<I", vmid) + _text(name)


def guest_properties(vmid: int, names: Sequence[str]) -> bytes:
    if not 1 <= len(names) <= 255:
        raise ValueError(f"{len(names)} properties asked for; 1 to 255 are possible")
    return struct.pack("<IB", vmid, len(names)) + b"".join(map(_text, names))


def verify_token(token: str) -> bytes:
    """``token``: ``USER@REALM!TOKENID SECRET``."""
    return _text(token)


def _field(text: str) -> bytes:
    raw = _text(text)
    if len(raw) > KEY_FIELD:
        raise ValueError(f"'{text}' has more than {KEY_FIELD - 1} bytes")
    return raw.ljust(KEY_FIELD, b"\0")


def _text(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogateescape")
    if b"\0" in raw:
        raise ValueError("a NUL in a text for the file system daemon")
    return raw + b"\0"
