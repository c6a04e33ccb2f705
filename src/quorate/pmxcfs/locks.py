"""Timers of the lock directories below ``priv/lock`` (core 1.14). Not replicated; no own clock."""

from __future__ import annotations

from collections.abc import Iterable

LOCK_LIFETIME = 120
"""Seconds; a lock is expired when it was seen unchanged for longer."""


class LockTable:
    """Path to (first seen by the local clock, lock checksum of the directory)."""

    __slots__ = ("_timers",)

    def __init__(self) -> None:
        self._timers: dict[bytes, tuple[float, bytes]] = {}

    def __len__(self) -> int:
        return len(self._timers)

    def __contains__(self, path: object) -> bool:
        return path in self._timers

    def first_seen(self, path: bytes) -> float | None:
        """When the lock was first seen in its present form, None when it has no timer."""
        timer = self._timers.get(path)
        return None if timer is None else timer[0]

    def expired(self, path: bytes, checksum: bytes, now: float) -> bool:
        """The expiry test. Side effect: an unknown or changed lock is remembered as seen ``now``."""
        timer = self._timers.get(path)
        if timer is None or timer[1] != checksum:
            self._timers[path] = (now, checksum)
            return False
        return now > timer[0] and now - timer[0] > LOCK_LIFETIME

    def register(self, path: bytes, checksum: bytes, now: float) -> None:
        """The lock was taken or renewed: its timer starts."""
        self._timers[path] = (now, checksum)

    def forget(self, path: bytes) -> None:
        """The lock is gone."""
        self._timers.pop(path, None)

    def rebuilt(self, locks: Iterable[tuple[bytes, bytes]], now: float) -> LockTable:
        """A table of exactly ``locks`` (path, checksum). Timers of unchanged locks go on (remedy of W13)."""
        table = LockTable()
        for path, checksum in locks:
            timer = self._timers.get(path)
            unchanged = timer is not None and timer[1] == checksum
            table._timers[path] = timer if timer is not None and unchanged else (now, checksum)
        return table
