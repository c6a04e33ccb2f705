"""Helper threads that hand notifications to the kernel, so that the thread that answers requests never does.

Writing a notification takes kernel locks (the directory's lock for names, page locks for data) that a waiting
request may hold until we answer it: the answering thread would wait for itself. No policy lives here.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import Final

from quorate.fuse.errors import NotificationOverflowError

log = logging.getLogger(__name__)

MAX_QUEUED: Final = 65_536
"""Different notifications waiting in one lane: some 10 MiB. More means that the lane has long been stuck."""

RETRIES: Final = (0.01, 0.1, 1.0)
"""Seconds after which a notification about a file that the kernel did not know is sent again. The answer that
tells it of the file may be on its way to the process that asked: what that installs later would be kept for a
day, older than what this notification was about."""

Item = bytes | Callable[[], None] | None


class Lane:
    """One queue with one thread. Notifications in it keep their order; equal ones that wait are merged.

    ``retries``: those about something unknown are sent again so many seconds later, outside the order.
    """

    def __init__(
        self, fd: int, name: str, *, limit: int = MAX_QUEUED, retries: tuple[float, ...] = ()
    ) -> None:
        self._fd = fd
        self._name = name
        self._limit = limit
        self._retries = retries
        self._again: list[deque[tuple[float, bytes]]] = [deque(maxlen=limit) for _ in retries]
        self._queue: SimpleQueue[Item] = SimpleQueue()
        self._lock = threading.Lock()
        self._waiting: dict[bytes, tuple[int, ...]] = {}
        self._needs: Counter[int] = Counter()
        self._busy = False
        self._stopping = False
        self._idle = threading.Condition(self._lock)
        self.sent = 0
        self.unknown = 0
        """Notifications about something the kernel did not hold, to the end: not an error, but in vain."""
        self.failed = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, message: bytes, needs: tuple[int, ...] = ()) -> None:
        """Queue a packed notification. Never blocks. Raises NotificationOverflowError.

        ``needs``: what the kernel locks to take it (see ``needs_any``).
        """
        with self._lock:
            if self._stopping or message in self._waiting:
                return
            if len(self._waiting) >= self._limit:
                raise NotificationOverflowError(
                    f"{self._limit} cache invalidations wait in {self._name}: the kernel does not take them; "
                    "its caches can no longer be trusted, mount anew"
                )
            self._waiting[message] = needs
            self._needs.update(needs)
        self._queue.put(message)

    @property
    def idle(self) -> bool:
        """Whether everything queued so far was handed over."""
        return not self._waiting and not self._busy

    def needs_any(self, locks: Iterable[int]) -> bool:
        """Whether a notification that waits or is under way needs one of these locks."""
        with self._lock:
            return any(self._needs[lock] > 0 for lock in locks)

    def mark(self, callback: Callable[[], None]) -> None:
        """Call from the lane's thread when everything queued so far was handed over; never after stop()."""
        self._queue.put(callback)

    def wait_idle(self, seconds: float) -> bool:
        """Whether everything queued so far was handed over within ``seconds``.

        Never call this from the thread that answers requests.
        """
        with self._idle:
            return self._idle.wait_for(lambda: not self._waiting and not self._busy, seconds)

    def stop(self) -> None:
        """Drop what waits and let the thread end; does not wait."""
        with self._lock:
            self._stopping = True
            self._waiting.clear()
            self._idle.notify_all()
        self._queue.put(None)

    def join(self, seconds: float) -> bool:
        """Whether the thread ended within ``seconds``."""
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (message := self._next()) is not None:
            if not isinstance(message, bytes):
                if not self._stopping:
                    message()
                continue
            with self._lock:
                if self._stopping:
                    break
                # From here on an equal notification is queued anew: this one may already be under way.
                self._busy = True  # before the pop: idle looks without the lock
                needs = self._waiting.pop(message, ())
            self._write(message)
            with self._lock:
                self._busy = False
                for lock in needs:
                    self._needs[lock] -= 1
                    if not self._needs[lock]:
                        del self._needs[lock]
                if not self._waiting:
                    self._idle.notify_all()

    def _next(self) -> Item:
        """The next of the queue; what is to be sent again is sent meanwhile, when its time has come."""
        while True:
            due = min((waiting[0][0] for waiting in self._again if waiting), default=None)
            if due is None:
                return self._queue.get()
            wait = due - time.monotonic()
            if wait > 0:
                try:
                    return self._queue.get(timeout=wait)
                except Empty:
                    pass
            self._send_again()

    def _send_again(self) -> None:
        now = time.monotonic()
        for step, waiting in enumerate(self._again):
            while waiting and waiting[0][0] <= now and not self._stopping:
                self._write(waiting.popleft()[1], step + 1)
            if self._stopping:
                waiting.clear()

    def _write(self, message: bytes, step: int = 0) -> None:
        """``step``: how often it was sent before."""
        try:
            os.write(self._fd, message)
            self.sent += 1
        except OSError as fault:
            if fault.errno == errno.ENOENT and step < len(self._retries):
                self._again[step].append((time.monotonic() + self._retries[step], message))
            else:
                self._account(fault)

    def _account(self, fault: OSError) -> None:
        if fault.errno == errno.ENOENT:
            self.unknown += 1
            return
        if fault.errno in (errno.ENODEV, errno.ENOTCONN, errno.EPERM, errno.EBADF):
            return  # the session ends; receive() tells
        # ENOTEMPTY and EBUSY: a deletion of something in use here. The name expires all the same.
        self.failed += 1
        if fault.errno not in (errno.ENOTEMPTY, errno.EBUSY, errno.ENOTDIR):
            log.warning("the kernel refused a cache invalidation: %s", fault.strerror)


class Notifier:
    """Two lanes, so that a name waiting for a busy directory does not hold back data and attributes."""

    def __init__(self, fd: int) -> None:
        self.inodes = Lane(fd, "fuse-notify-inodes", retries=RETRIES)
        self.names = Lane(fd, "fuse-notify-names")

    def wait_idle(self, seconds: float) -> bool:
        """As Lane.wait_idle, for both."""
        deadline = time.monotonic() + seconds
        lanes = (self.inodes, self.names)
        return all(lane.wait_idle(max(0.0, deadline - time.monotonic())) for lane in lanes)

    @property
    def idle(self) -> bool:
        """As Lane.idle, for both."""
        return self.inodes.idle and self.names.idle

    def needs_any(self, locks: Iterable[int]) -> bool:
        """As Lane.needs_any, for both."""
        return self.inodes.needs_any(locks) or self.names.needs_any(locks)

    def mark(self, callback: Callable[[], None]) -> None:
        """As Lane.mark: once, when both lanes have come so far."""
        left = threading.Semaphore(1)

        def one_done() -> None:
            if not left.acquire(blocking=False):
                callback()

        self.inodes.mark(one_done)
        self.names.mark(one_done)

    def stop(self) -> None:
        self.inodes.stop()
        self.names.stop()

    def join(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        return all(lane.join(deadline - time.monotonic()) for lane in (self.inodes, self.names))
