"""Keys and values that nodes tell each other: tables with version counters, UPDATE payloads, RRD texts.

Rules of status 1.3-1.8 and 3.6; who tells whom is in ``status``.
"""

from __future__ import annotations

import errno
from typing import Final, NamedTuple

KEY_FIELD: Final = 256
MAX_KEY: Final = KEY_FIELD - 1
MAX_VALUE: Final = 32768
MAX_RRD: Final = 4095
MAX_IP: Final = 255
NODE_IP: Final = b"nodeip"
RRD: Final = b"rrd/"

MAX_KEYS: Final = 4096
"""Ordinary keys of one node. Clients use about a dozen; a peer gone wild must not fill the memory."""
MAX_RRD_KEYS: Final = 65536
"""RRD texts kept: one per node, guest and storage within five minutes."""

RRD_LIFETIME: Final = 300
RRD_CACHE_SECONDS: Final = 2


class UpdateError(ValueError):
    """An UPDATE payload that is to be ignored; the text says why."""


class Update(NamedTuple):
    """The payload of an UPDATE; an empty value removes an ordinary key."""

    key: bytes
    value: bytes

    def parts(self) -> tuple[bytes, bytes]:
        """Key field, NUL-filled, and value."""
        return self.key.ljust(KEY_FIELD, b"\0"), self.value

    @classmethod
    def unpack(cls, payload: bytes) -> Update:
        """Raises UpdateError. What follows the key's NUL is the sender's garbage."""
        end = payload.find(b"\0", 0, KEY_FIELD)
        if len(payload) < KEY_FIELD or end < 0:
            raise UpdateError(f"an UPDATE of {len(payload)} bytes without a key of at most {MAX_KEY} bytes")
        return cls(payload[:end], payload[KEY_FIELD:])


def refusal(key: bytes, value: bytes) -> int:
    """0, or the negated errno with which ``value`` is refused under ``key`` (status 1.4, 1.5)."""
    if len(value) > MAX_VALUE:
        return -errno.EFBIG
    limit = MAX_RRD if key.startswith(RRD) else MAX_IP if key == NODE_IP else None
    if limit is not None and (not 1 <= len(value) <= limit or value[-1]):
        return -errno.ENOMEM
    return 0


class KeyValues:
    """The ordinary keys of one node, each with the counter that ``.version`` shows."""

    __slots__ = ("_table",)

    def __init__(self) -> None:
        self._table: dict[bytes, tuple[bytes, int]] = {}

    def store(self, key: bytes, value: bytes) -> bool:
        """Store or remove (empty value); False when the table is full."""
        if not value:
            self._table.pop(key, None)
            return True
        known = self._table.get(key)
        if known is None and len(self._table) >= MAX_KEYS:
            return False
        self._table[key] = (value, 0 if known is None else (known[1] + 1) & 0xFFFFFFFF)
        return True

    def get(self, key: bytes) -> bytes | None:
        known = self._table.get(key)
        return None if known is None else known[0]

    def updates(self) -> list[Update]:
        """Everything, for the other nodes."""
        return [Update(key, value) for key, (value, _) in self._table.items()]

    def versions(self) -> list[tuple[bytes, int]]:
        return [(key, version) for key, (_, version) in self._table.items()]


class RrdTexts:
    """The latest RRD text of each key and the dump of them all (status 3.6). Times are whole seconds."""

    def __init__(self) -> None:
        self._table: dict[bytes, tuple[int, bytes]] = {}
        self._dump = b""
        self._built: int | None = None

    def store(self, key: bytes, value: bytes, now: int) -> bool:
        """``key`` without ``rrd/``, ``value`` with its NUL; False when there are too many."""
        if key not in self._table and len(self._table) >= MAX_RRD_KEYS:
            self._expire(now)
            if len(self._table) >= MAX_RRD_KEYS:
                return False
        self._table[key] = (now, value)
        return True

    def dump(self, now: int) -> tuple[bytes, bool]:
        """The text, and whether it was built just now (an older one is shown for two seconds)."""
        if self._built is not None and 0 <= now - self._built < RRD_CACHE_SECONDS:
            return self._dump, False
        self._expire(now)
        self._dump = b"".join(
            b"%b:%b\n" % (key, value.split(b"\0", 1)[0]) for key, (_, value) in self._table.items()
        )
        self._built = now
        return self._dump, True

    def _expire(self, now: int) -> None:
        self._table = {key: stored for key, stored in self._table.items() if now - stored[0] <= RRD_LIFETIME}
