"""Corosync's run-time configuration and statistics: typed keys and values, tracking (libcmap)."""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ._ffi import ffi
from ._service import Service
from .errors import CS_OK, CsError, NoSectionsError, NotExistError, TooBigError, error_for

Value = int | float | str | bytes

MAX_KEY: Final = 255
MAX_VALUE: Final = 16 * 1024
"""Corosync's own limit for one value."""
MAX_KEYS: Final = 100_000
"""Most keys that one iteration returns: a 32-node cluster has some 3000 of them."""


class Map(enum.IntEnum):
    """Which of Corosync's maps: its configuration and run-time state, or its statistics."""

    CONFIGURATION = 0
    STATISTICS = 1


class ValueType(enum.IntEnum):
    INT8 = 1
    UINT8 = 2
    INT16 = 3
    UINT16 = 4
    INT32 = 5
    UINT32 = 6
    INT64 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    STRING = 11
    BINARY = 12


class Event(enum.IntFlag):
    """What happened to a tracked key; also the kinds of events that ``track`` asks for."""

    DELETE = 1
    MODIFY = 2
    ADD = 4


ANY_EVENT: Final = Event.DELETE | Event.MODIFY | Event.ADD
_TRACK_PREFIX: Final = 8
_PACKED: Final = {
    ValueType.INT8: struct.Struct("=b"),
    ValueType.UINT8: struct.Struct("=B"),
    ValueType.INT16: struct.Struct("=h"),
    ValueType.UINT16: struct.Struct("=H"),
    ValueType.INT32: struct.Struct("=i"),
    ValueType.UINT32: struct.Struct("=I"),
    ValueType.INT64: struct.Struct("=q"),
    ValueType.UINT64: struct.Struct("=Q"),
    ValueType.FLOAT: struct.Struct("=f"),
    ValueType.DOUBLE: struct.Struct("=d"),
}


class Change(NamedTuple):
    """One event of a tracked key; a value that there is not (any more) is None."""

    event: Event
    key: str
    new: Value | None
    old: Value | None


class Cmap(Service):
    """One connection to the map service. Raises LibraryError when Corosync does not run.

    Callbacks of ``track`` are called from ``dispatch()`` only.
    """

    def __init__(self, which: Map = Map.CONFIGURATION) -> None:
        super().__init__("libcmap.so.4", "cmap")
        self._tracked: dict[int, Callable[[Change], None]] = {}
        self._value = ffi.new("unsigned char[]", MAX_VALUE)
        self._size = ffi.new("size_t *")
        self._kind = ffi.new("int *")
        self._c_notify = self._callback("cmap_notify_fn_t", self._on_notify)
        handle = ffi.new("uint64_t *")
        code = self._lib.cmap_initialize_map(handle, int(which))
        if code != CS_OK:
            raise error_for("cmap_initialize_map", code)
        self._open(int(handle[0]))

    def get(self, key: str) -> Value:
        """The value of ``key`` as int, float, str or bytes; raises NotExistError."""
        self._size[0] = MAX_VALUE
        self._call("get", key.encode(), self._value, self._size, self._kind, detail=key)
        return decode(int(self._kind[0]), ffi.buffer(self._value, self._size[0])[:])

    def find(self, key: str) -> Value | None:
        """The value of ``key``, or None when there is no such key."""
        try:
            return self.get(key)
        except NotExistError:
            return None

    def iterate(self, prefix: str = "") -> list[tuple[str, Value]]:
        """All keys that begin with ``prefix`` and their values, in the order of the keys.

        A key that disappears meanwhile is left out. Raises TooBigError beyond MAX_KEYS.
        """
        iterator = ffi.new("uint64_t *")
        self._call("iter_init", prefix.encode() if prefix else ffi.NULL, iterator, detail=prefix)
        name = ffi.new("char[]", MAX_KEY + 1)
        keys: list[str] = []
        try:
            while self._next(iterator[0], name):
                if len(keys) == MAX_KEYS:
                    raise TooBigError("cmap_iter_next", detail=f"more than {MAX_KEYS} keys under {prefix!r}")
                keys.append(ffi.string(name, MAX_KEY).decode("utf-8", "surrogateescape"))
        finally:
            if not self._closed:
                self._call("iter_finalize", iterator[0])
        found = ((key, self.find(key)) for key in keys)
        return [(key, value) for key, value in found if value is not None]

    def track(
        self, key: str, callback: Callable[[Change], None], *, prefix: bool = False, events: Event = ANY_EVENT
    ) -> int:
        """Call ``callback`` for every one of ``events`` on ``key`` (or all keys that begin with it).

        Returns a number for ``untrack``.
        """
        track = ffi.new("uint64_t *")
        kind = int(events) | (_TRACK_PREFIX if prefix else 0)
        self._call("track_add", key.encode(), kind, self._c_notify, ffi.NULL, track, detail=key)
        self._tracked[int(track[0])] = callback
        return int(track[0])

    def untrack(self, track: int) -> None:
        """End a tracking; its callback is not called any more."""
        self._tracked.pop(track, None)
        self._call("track_delete", track)

    def set(self, key: str, value: Value, kind: ValueType) -> None:
        """Set ``key`` of the local node's map; raises AccessError for keys that are read-only."""
        data = encode(kind, value)
        self._call("set", key.encode(), data, len(data), int(kind), detail=key)

    def delete(self, key: str) -> None:
        """Delete ``key`` of the local node's map; raises NotExistError."""
        self._call("delete", key.encode(), detail=key)

    def _next(self, iterator: int, name: Any) -> bool:
        try:
            self._call("iter_next", iterator, name, self._size, self._kind)
        except NoSectionsError:
            return False
        return True

    def _on_notify(
        self, _handle: int, track: int, event: int, key: Any, new: Any, old: Any, _user: Any
    ) -> None:
        callback = self._tracked.get(track)
        if callback is None or self._closed:
            return
        name = ffi.string(key, MAX_KEY).decode("utf-8", "surrogateescape")
        kind = Event(event & int(ANY_EVENT))
        callback(
            Change(
                kind,
                name,
                None if kind is Event.DELETE else _notified(new),
                None if kind is Event.ADD else _notified(old),
            )
        )


def decode(kind: int, data: bytes) -> Value:
    """A value as Corosync stores it, in Python's terms. Raises CsError for an unknown type."""
    if kind == ValueType.STRING:
        return data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
    if kind == ValueType.BINARY:
        return data
    if kind not in ValueType.__members__.values() or len(data) != _PACKED[ValueType(kind)].size:
        raise CsError("cmap_get", 0, f"value of type {kind} with {len(data)} bytes, which cmap does not have")
    value: int | float = _PACKED[ValueType(kind)].unpack(data)[0]
    return value


def encode(kind: ValueType, value: Value) -> bytes:
    """The reverse of ``decode``; raises TypeError or struct.error when ``value`` does not fit."""
    if kind is ValueType.BINARY or kind is ValueType.STRING:
        data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        if not isinstance(data, bytes):
            raise TypeError(f"{kind.name} needs str or bytes, not {type(value).__name__}")
        return data
    return _PACKED[kind].pack(value)


def _notified(value: Any) -> Value | None:
    if value.data == ffi.NULL or value.type == 0:
        return None
    return decode(int(value.type), ffi.buffer(value.data, value.len)[:])
