"""The event stream: tells open pages that something changed, so that they need not ask all the time.

One place looks at the daemon's counters, only while somebody listens. What a change is, is `changes`; the
format is Server-Sent Events.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from typing import Final

from quorate.access.directory import AuthenticationError
from quorate.api.changes import ACCESS, CONFIG, EVERYTHING, Change, Snapshot, compare
from quorate.cfs import Cfs, CfsError
from quorate.schema import ApiError

_log = logging.getLogger(__name__)

EVENTS_PATH: Final = "/api2/events"
CONTENT_TYPE: Final = "text/event-stream"

LOOK_SECONDS: Final = 0.5
LOOK_TIMEOUT: Final = 10.0
LOG_EVERY: Final = 4
"""The log's newest entry is asked for at every so many-th look."""
HEARTBEAT_SECONDS: Final = 15.0
"""Shows client and proxies that the connection lives."""
AUTHORIZE_SECONDS: Final = 60.0
"""How often a listener's ticket and permissions are looked at again."""
RETRY_MILLISECONDS: Final = 3000
MAX_LISTENERS: Final = 200
MAX_PER_CLIENT: Final = 32
"""Open pages of one address; browsers open six connections to a server at most."""
KEPT: Final = 256
"""Changes that are kept for listeners that come back."""

Authorize = Callable[[], frozenset[str]]
"""The topics that a listener may hear of now; raises AuthenticationError when it may not listen any more.
Blocking."""


class Hub:
    """All listeners and what they are told. Use it on one event loop; ``look`` is called in a thread."""

    def __init__(self, look: Callable[[Snapshot, bool], Snapshot]) -> None:
        self._look = look
        self._kept: deque[tuple[int, Change]] = deque(maxlen=KEPT)
        self._serial = 0
        self._epoch = f"{time.time_ns():x}"
        self._news = asyncio.Event()
        self._clients: Counter[str] = Counter()
        self._watching: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._closed = False

    @property
    def listeners(self) -> int:
        return self._clients.total()

    def close(self) -> None:
        """End all streams; their clients come back to whoever serves next."""
        self._closed = True
        self._ready.set()
        self._wake()
        if self._watching is not None:
            self._watching.cancel()

    def listen(self, client: str, last_id: str, authorize: Authorize) -> AsyncGenerator[bytes, None]:
        """A stream for one listener. Raises `ApiError` 503 when there are too many."""
        if self.listeners >= MAX_LISTENERS or self._clients[client] >= MAX_PER_CLIENT:
            raise ApiError(503, "too many open event streams")
        return self._stream(client, last_id, authorize)

    async def _stream(self, client: str, last_id: str, authorize: Authorize) -> AsyncGenerator[bytes, None]:
        self._clients[client] += 1
        try:
            if self._watching is None or self._watching.done():
                self._ready = asyncio.Event()
                self._watching = asyncio.get_running_loop().create_task(self._watch())
            topics = await asyncio.to_thread(authorize)
            checked = time.monotonic()
            # Whoever reads everything once after the greeting misses nothing.
            await self._ready.wait()
            seen = self._position(last_id)
            hello = json.dumps({"topics": sorted(topics)})
            yield f"retry: {RETRY_MILLISECONDS}\nevent: hello\ndata: {hello}\n\n".encode()
            if seen is None:
                seen = self._serial
                if last_id:  # what it missed is not known any more
                    yield _event(EVERYTHING.only(topics), self._id(seen))
            while not self._closed:
                change, seen = self._since(seen)
                if ACCESS in change.topics or time.monotonic() - checked > AUTHORIZE_SECONDS:
                    topics = await asyncio.to_thread(authorize)
                    checked = time.monotonic()
                    if not change:
                        continue  # something may have come in the meantime
                if told := change.only(topics):
                    yield _event(told, self._id(seen))
                elif not change and not await self._wait():
                    yield b": still here\n\n"
        except AuthenticationError as err:
            _log.info("event stream of %s ends: %s", client, err)
        except (ApiError, OSError) as err:
            _log.warning("event stream of %s ends: %s", client, err)
        finally:
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]

    def _id(self, serial: int) -> str:
        return f"{self._epoch}-{serial}"

    def _position(self, last_id: str) -> int | None:
        """Where a listener that comes back left off; None if that is not known."""
        epoch, _, serial = last_id.partition("-")
        if epoch != self._epoch or not serial.isdecimal() or len(serial) > 18:
            return None
        position = int(serial)
        oldest = self._kept[0][0] if self._kept else self._serial + 1
        return position if oldest - 1 <= position <= self._serial else None

    def _since(self, seen: int) -> tuple[Change, int]:
        if self._kept and self._kept[0][0] > seen + 1:
            return EVERYTHING, self._serial
        return Change().merged(change for serial, change in self._kept if serial > seen), self._serial

    async def _wait(self) -> bool:
        """Until something changed; False after the time of a heartbeat."""
        news = self._news
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await news.wait()
        except TimeoutError:
            return False
        return True

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _watch(self) -> None:
        """Look again and again while there are listeners."""
        before = await self._snapshot(Snapshot(), True)
        self._ready.set()
        for number in itertools.count(1):
            await asyncio.sleep(LOOK_SECONDS)
            if not self._clients:
                # Nobody heard what changes from now on.
                self._epoch, self._serial = f"{time.time_ns():x}", 0
                self._kept.clear()
                return
            after = await self._snapshot(before, number % LOG_EVERY == 0)
            change = compare(before, after)
            before = after
            if change:
                self._serial += 1
                self._kept.append((self._serial, change))
                self._wake()

    async def _snapshot(self, before: Snapshot, with_log: bool) -> Snapshot:
        try:
            async with asyncio.timeout(LOOK_TIMEOUT):
                return await asyncio.to_thread(self._look, before, with_log)
        except TimeoutError:
            return replace(before, counters=None)


@dataclass(frozen=True, slots=True)
class Look:
    """Looks at the cluster file system; blocking."""

    cfs: Cfs

    def __call__(self, before: Snapshot, with_log: bool) -> Snapshot:
        try:
            counters = self.cfs.changes()
            members = self.cfs.members()
            newest = before.newest
            if with_log:
                entries = self.cfs.cluster_log(1)
                newest = (entries[0].get("uid"), entries[0].get("time")) if entries else None
        except (CfsError, OSError):
            return replace(before, counters=None)
        online = frozenset(name for name, member in members.nodes.items() if member.online)
        return Snapshot(counters=counters, quorate=members.quorate, online=online, newest=newest)


def _event(change: Change, identifier: str) -> bytes:
    data: dict[str, object] = {"topics": sorted(change.topics)}
    if CONFIG in change.topics:
        data["paths"] = sorted(change.paths)
    return f"id: {identifier}\nevent: change\ndata: {json.dumps(data)}\n\n".encode()
