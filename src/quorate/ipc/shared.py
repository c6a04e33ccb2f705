"""The file system daemon's answers for a whole process: one connection, safe for threads and forks.

Values of the cluster's nodes are kept as long as the daemon's counters show them to be current (status 1.8).
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, TypeVar

from quorate.ipc.client import Client
from quorate.settings import Settings

CALL_SECONDS: Final = 5.0
"""For one call, so that a request of the API is answered in time. The daemon needs milliseconds."""
MAX_KEPT: Final = 4096
"""Values of nodes that are kept: 128 nodes with more keys than any client uses."""
MAX_ROOTS: Final = 8
"""Connections per process: one; tests have several roots."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Changes:
    """The daemon's change counters (status 1.8). A counter says nothing across another ``starttime``."""

    starttime: int
    clinfo: int
    vmlist: int
    paths: Mapping[str, int] = field(default_factory=dict)
    """Of the tracked files, e.g. ``user.cfg``."""
    status: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Of the nodes' keys: node, then key."""

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Changes:
        """Out of the parsed ``.version``; raises ValueError."""
        try:
            paths = {str(key): int(value) for key, value in found.items() if not isinstance(value, dict)}
            status = {
                str(node): {str(key): int(count) for key, count in keys.items()}
                for node, keys in found["kvstore"].items()
            }
            return cls(paths.pop("starttime"), paths.pop("clinfo"), paths.pop("vmlist"), paths, status)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"the change counters make no sense ({error!r})") from error


class SharedClient:
    """A `Client` behind a lock. Every method raises what the client raises: IpcError, ValueError."""

    def __init__(self, make: Callable[[], Client]) -> None:
        self._make = make
        self._begin()
        _all.add(self)

    def use(self, call: Callable[[Client], T]) -> T:
        """Run ``call`` with the connection, alone."""
        with self._lock:
            return call(self._client)

    def changes(self) -> Changes:
        return Changes.of(self.use(Client.version))

    def value(self, node: str, key: str, changes: Changes) -> bytes | None:
        """What ``node`` tells under ``key``; no call if it is known and ``changes`` shows it current."""
        count = changes.status.get(node, {}).get(key)
        if count is None:
            return None
        # A removed key starts at 0 again, and a node's keys are forgotten with another cluster info only.
        mark = (changes.starttime, changes.clinfo, count)
        known = self._kept.get((node, key))
        if known is not None and known[0] == mark and count > 0:
            return known[1]
        value = self.use(lambda client: client.get_status(key, node))
        if value is None:
            self._kept.pop((node, key), None)
        elif len(self._kept) < MAX_KEPT or (node, key) in self._kept:
            self._kept[node, key] = (mark, value)
        return value

    def close(self) -> None:
        self.use(Client.close)

    def forked(self) -> None:
        """In a child: the connection is the parent's, whose lock may have been held in that moment."""
        self._client.abandon()
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._client = self._make()
        self._kept: dict[tuple[str, str], tuple[tuple[int, int, int], bytes]] = {}


_all: weakref.WeakSet[SharedClient] = weakref.WeakSet()


def _forked() -> None:
    for client in list(_all):
        client.forked()


# At once: a child that closes all descriptors would later close somebody else's in our name.
os.register_at_fork(after_in_child=_forked)


@lru_cache(maxsize=MAX_ROOTS)
def shared_client(settings: Settings) -> SharedClient:
    """This process's connection to the daemon of ``settings``; nothing is connected before its first use."""
    return SharedClient(lambda: Client(settings, timeout=CALL_SECONDS))
