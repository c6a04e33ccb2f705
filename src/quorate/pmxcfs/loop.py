"""The event loop of the daemon: one selector, timers, and calls handed over from other threads.

Work is done in rounds. A round asks the kernel once, serves what is ready in order of rank, runs what
was handed over, and ends with the flush hooks (database, kernel notifications). Nothing in here knows
what the descriptors are for.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import select
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Final

Callback = Callable[[], object]

RANK_QUORUM: Final = 0
RANK_CMAP: Final = 1
RANK_GROUP: Final = 2
RANK_IPC: Final = 3
RANK_FUSE: Final = 4
"""Order in which ready descriptors are served: quorum before group messages (core 9, W6)."""

MAX_IDLE: Final = 5.0
"""Longest sleep in seconds, so that the watchdog sees an idle loop alive."""

MAX_IN_VAIN: Final = 4
"""So many times in a row what was expected did not come in time: then it is mostly slept as usual."""
TRY_EVERY: Final = 16
"""One in so many times is watched nevertheless: the network may have become faster."""

MAX_LOOKS: Final = 2_000
"""In a row while something is expected, about one microsecond each: a bound that needs no clock."""

MAX_SOON: Final = 10_000
"""Handed-over calls run in one round; the rest waits for the next, so that descriptors are served too."""


class Timer:
    """One future call. ``cancel`` may be called at any time, also after it ran."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callback) -> None:
        self.when = when
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        self.callback = None


class Loop:
    """Single-threaded; only ``call_soon_threadsafe`` and ``stop`` may be called from other threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.beat: float = clock()
        """Start of the present round (or of the sleep before it); the watchdog reads it."""
        self.busy = False
        """Whether a round is being worked on (as opposed to waiting for events)."""
        self._epoll = select.epoll()
        self._sources: dict[int, tuple[int, Callback]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._soon: deque[Callback] = deque()
        self._flush: list[Callback] = []
        self._expected_until = 0.0
        self._in_vain = 0
        self._stopped = False
        self._woken = False
        """A wake-up is on its way: the next one would be in vain."""
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)

    def add_reader(self, fd: int, callback: Callback, rank: int) -> None:
        """Call ``callback`` in every round in which ``fd`` is readable (level-triggered)."""
        self._epoll.register(fd, select.EPOLLIN)
        self._sources[fd] = (rank, callback)

    def remove_reader(self, fd: int) -> None:
        """Forget ``fd``; to be called before it is closed. Unknown descriptors are ignored."""
        if self._sources.pop(fd, None) is not None:
            with contextlib.suppress(OSError):  # closed behind our back: the kernel forgot it already
                self._epoll.unregister(fd)

    def call_later(self, delay: float, callback: Callback) -> Timer:
        """Call once, ``delay`` seconds from now."""
        timer = Timer(self.clock() + delay, callback)
        heapq.heappush(self._timers, (timer.when, next(self._order), timer))
        return timer

    def call_every(self, period: float, callback: Callback) -> None:
        """Call every ``period`` seconds, for as long as the loop lives; missed periods are not made up."""

        def run() -> None:
            self.call_later(period, run)
            callback()

        self.call_later(period, run)

    def call_soon(self, callback: Callback) -> None:
        """Call in this round (before the flush) or, from outside a round, in the next one."""
        self._soon.append(callback)

    def call_soon_threadsafe(self, callback: Callback) -> None:
        """As ``call_soon``, from any thread; wakes the loop."""
        self._soon.append(callback)
        self._wake_up()

    def expect(self, seconds: float) -> None:
        """Something will likely be there within that time, well below a millisecond.

        So the loop does not sleep but looks again and again: being woken takes long, the more so on a
        processor that saves power meanwhile (decision 52). While what is expected comes later each time, it
        mostly sleeps.
        """
        self._expected_until = self.clock() + seconds

    def at_end_of_round(self, callback: Callback) -> None:
        """Call at the end of every round that did something."""
        self._flush.append(callback)

    def stop(self) -> None:
        """Leave ``run`` after the present round. Safe in signal handlers and other threads."""
        self._stopped = True
        self._wake_up()

    def run(self) -> None:
        """Serve until ``stop``."""
        while not self._stopped:
            self.run_once()

    def run_once(self, timeout: float = MAX_IDLE) -> None:
        """One round, waiting at most ``timeout`` seconds for something to do."""
        self.busy = False
        ready = self._watch() if self._expected_until and not self._soon else []
        if not ready:
            ready = self._epoll.poll(self._patience(timeout))
        self.beat = now = self.clock()
        self.busy = True
        if ready:
            self._serve(ready)
        if self._timers and self._timers[0][0] <= now:
            self._run_timers(now)
        if self._soon:
            self._run_soon()
        for callback in self._flush:
            callback()
        self.busy = False

    def close(self) -> None:
        """Give the descriptors back."""
        self._epoll.close()
        os.close(self._wake)

    def came(self) -> None:
        """What was expected is there, in time or later."""
        if self._expected_until:
            self._in_vain = 0
            self._expected_until = 0.0

    def _watch(self) -> list[tuple[int, int]]:
        """Look until something is ready or the expected time is over."""
        until = self._expected_until
        if self._in_vain >= MAX_IN_VAIN and self._in_vain % TRY_EVERY:
            self._in_vain += 1
            self._expected_until = 0.0
            return []
        look, clock = self._epoll.poll, self.clock
        for _ in range(MAX_LOOKS):
            ready = look(0)  # before the clock: the time may have gone by with other work
            if ready:
                return ready
            if clock() >= until:
                break
        self._expected_until = 0.0
        self._in_vain += 1
        return []

    def _patience(self, timeout: float) -> float:
        if self._soon:
            return 0.0
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if self._timers:
            return max(0.0, min(timeout, self._timers[0][0] - self.clock()))
        return timeout

    def _serve(self, ready: list[tuple[int, int]]) -> None:
        if len(ready) == 1 and ready[0][0] != self._wake:
            source = self._sources.get(ready[0][0])
            if source is not None:
                source[1]()
            return
        calls: list[tuple[int, int]] = []
        for fd, _events in ready:
            if fd == self._wake:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wake)
                self._woken = False  # before the calls are run: who comes later wakes again
                continue
            source = self._sources.get(fd)
            if source is not None:
                calls.append((source[0], fd))
        calls.sort()
        for _rank, fd in calls:
            source = self._sources.get(fd)  # an earlier callback may have removed it
            if source is not None:
                source[1]()

    def _run_timers(self, now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                callback()

    def _run_soon(self) -> None:
        for _ in range(MAX_SOON):
            if not self._soon:
                return
            self._soon.popleft()()

    def _wake_up(self) -> None:
        if self._woken:
            return
        self._woken = True
        with contextlib.suppress(BlockingIOError, OSError):  # full: awake already; closed: nobody to wake
            os.eventfd_write(self._wake, 1)
