"""The thread that writes RRD values: through rrdcached while it runs, else into the files (status 3.4, 3.5).

Values come from the loop through a bounded queue and never delay it. What can't be written is logged and
lost, as nobody waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from quorate.pmxcfs import librrd, rrd
from quorate.pmxcfs.librrd import LibrrdError, LibrrdMissingError
from quorate.pmxcfs.rrdcached import Rrdcached, RrdcachedError

MAX_QUEUED: Final = 65536
"""Values waiting. Ten thousand guests send one each every ten seconds; beyond that the oldest are dropped.
As many may just be being written."""
GATHER_SECONDS: Final = 0.2
"""Values come in bursts, all guests of a node at once. The thread waits for the whole burst: two threads that
take turns with every value cost the loop more than the writing."""
LOG_PERIOD: Final = 10.0
"""Seconds between two log lines: one fault of the disk makes every update fail."""
SLOW_PAUSE: Final = 30.0
"""Seconds for which rrdcached is not asked after it failed while connected."""
STOP_SECONDS: Final = 2.0
BASE_MODE: Final = 0o755
DIRECTORY_MODE: Final = 0o750
FILE_MODE: Final = 0o644


class RrdWriter:
    """``submit`` and ``stop`` from the loop's thread; the rest happens in an own one, started at need."""

    def __init__(
        self,
        directory: Path,
        socket: Path,
        log: logging.Logger,
        *,
        now: Callable[[], float] = time.time,
        mono: Callable[[], float] = time.monotonic,
        limit: int = MAX_QUEUED,
    ) -> None:
        """``directory`` is made if missing (rrdcached's package brings it); ``socket`` is rrdcached's."""
        self._directory = directory
        self._socket = socket
        self._log = log
        self._now, self._mono = now, mono
        self._limit = limit
        self._condition = threading.Condition()
        self._queue: deque[tuple[bytes, bytes]] = deque()
        self._dropped = 0
        self._working = False
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._cached: Rrdcached | None = None
        self._not_before = 0.0
        self._absent = False
        self._without_library = False
        self._seconds: dict[str, str] = {}
        """Of each file the time of the last value."""
        self._logged_at = -LOG_PERIOD
        self._unlogged = 0

    def submit(self, key: bytes, value: bytes) -> None:
        """Write ``value`` for ``key`` (without ``rrd/``) some time soon."""
        with self._condition:
            if self._stopping:
                return
            if len(self._queue) >= self._limit:
                self._queue.popleft()
                self._dropped += 1
            self._queue.append((key, value))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="rrd", daemon=True)
                self._thread.start()
            elif len(self._queue) == 1:  # else it knows, and gathers
                self._condition.notify_all()

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Write what waits, for at most ``timeout`` seconds."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    def wait_idle(self, timeout: float) -> bool:
        """Whether everything was written within ``timeout`` seconds."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._queue and not self._working, timeout)

    # In the thread

    def _run(self) -> None:
        while burst := self._burst():
            if self._prepare():
                for key, value in burst:
                    self._write(key, value)
        if self._cached is not None:
            self._cached.close()

    def _burst(self) -> Sequence[tuple[bytes, bytes]]:
        """Wait for values; none at the end."""
        with self._condition:
            self._working = False
            self._condition.notify_all()
            self._condition.wait_for(lambda: bool(self._queue) or self._stopping)
            self._condition.wait_for(lambda: self._stopping, GATHER_SECONDS)
            burst, self._queue = self._queue, deque()
            self._working = bool(burst)
            dropped, self._dropped = self._dropped, 0
        if dropped:
            self._log.warning("the disk is too slow: %d RRD values were dropped", dropped)
        return burst

    def _write(self, key: bytes, value: bytes) -> None:
        try:
            update = rrd.plan(key, value)
            second = update.text.partition(":")[0]
            if (
                self._seconds.get(update.file) == second
            ):  # pvestatd was started anew: librrd takes one a second
                return
            path = self._directory / update.file
            if not path.exists():
                self._create(update, path)
            if not self._write_cached(str(path), update.text):
                librrd.update(str(path), update.text)
            self._seconds[update.file] = second
        except rrd.RrdError as error:
            self._report("RRD update error: %s", error)
        except LibrrdMissingError:
            if not self._without_library:
                self._log.info("package %s is not installed: no RRD files are written", librrd.PACKAGE)
            self._without_library = True
        except LibrrdError as error:
            self._report("%s", error)
        except OSError as error:
            self._report("RRD create error: %s", error)

    def _prepare(self) -> bool:
        """Whether the base directory is there. Modes as rrdcached's package gives them."""
        try:
            self._directory.mkdir(mode=BASE_MODE, parents=True, exist_ok=True)
        except OSError as error:
            if not self._absent:
                self._log.warning(
                    "cannot make %s, no RRD files are written: %s", self._directory, error.strerror
                )
            self._absent = True
            return False
        self._absent = False
        return True

    def _create(self, update: rrd.Update, path: Path) -> None:
        kind = self._directory / update.kind.directory
        for directory in dict.fromkeys((kind, path.parent)):
            if not directory.is_dir():
                directory.mkdir(mode=DIRECTORY_MODE)
                directory.chmod(DIRECTORY_MODE)
        librrd.create(str(path), rrd.STEP, rrd.local_midnight(self._now()), update.kind.creation_arguments())
        path.chmod(FILE_MODE)  # whatever the umask is

    def _write_cached(self, path: str, text: str) -> bool:
        """Whether rrdcached took it. If not, the caller writes the file."""
        if self._cached is None:
            if self._mono() < self._not_before:
                return False
            try:
                self._cached = Rrdcached(self._socket)
            except RrdcachedError as error:
                self._log.debug("%s", error)
                return False
        try:
            self._cached.update(path, text)
        except RrdcachedError as error:
            self._cached.close()
            self._cached = None
            if isinstance(error.__cause__, TimeoutError):
                self._not_before = self._mono() + SLOW_PAUSE
            self._report("%s; writing the file instead", error)
            return False
        return True

    def _report(self, text: str, error: Exception) -> None:
        now = self._mono()
        if now - self._logged_at < LOG_PERIOD:
            self._unlogged += 1
            self._log.debug(text, error)
            return
        others = f" (and {self._unlogged} errors since the last report)" if self._unlogged else ""
        self._log.warning(text + "%s", error, others)
        self._logged_at, self._unlogged = now, 0
