"""The status daemon's life: a round every 10 s until SIGTERM."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Final

from quorate.cfs import Cfs
from quorate.ipc.client import Client
from quorate.ipc.shared import SharedClient
from quorate.pidfile import only_one
from quorate.settings import Settings
from quorate.statd.cycle import Cycle, Readers
from quorate.statd.guestreader import GuestReader
from quorate.statd.host import HostReader
from quorate.statd.monitors import Monitors
from quorate.statd.prober import Prober
from quorate.tasks import local_node

_log = logging.getLogger(__name__)

INTERVAL: Final = 10.0
CALL_SECONDS: Final = 10.0
"""For one call to the file system; a file system that restarts is waited for as long again."""
STOP_SECONDS: Final = 10
"""For the rest of a round after SIGTERM; nothing is lost with it. After 15 s comes SIGKILL (pvecm 11)."""
SLOW_SECONDS: Final = 20.0
"""A round that took longer is worth a line in the log."""


def serve(settings: Settings, version: Mapping[str, str]) -> None:
    """Run until SIGTERM or SIGINT. A missing file system is waited for, round by round.

    Raises AlreadyRunningError, and OSError when there is no place for the PID file.
    """
    stop = threading.Event()
    handle_signals(stop)
    with only_one(settings.statd_pidfile):
        _serve(settings, version, stop)


def handle_signals(stop: threading.Event, seconds: int = STOP_SECONDS) -> None:
    """Set ``stop`` on SIGTERM and SIGINT, and end the process if it has not ended ``seconds`` later."""

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.alarm(seconds)

    def give_up(_number: int, _frame: FrameType | None) -> None:
        _log.info("ending in the middle of a round: something hangs in it")
        raise SystemExit(0)

    signal.signal(signal.SIGALRM, give_up)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def _serve(settings: Settings, version: Mapping[str, str], stop: threading.Event) -> None:
    daemon = SharedClient(lambda: Client(settings, timeout=CALL_SECONDS))
    prober = Prober()
    readers = Readers(
        node=HostReader(settings).read,
        guests=GuestReader(settings, prober, Monitors(settings)),
        prober=prober,
        processors=os.cpu_count(),
    )
    cycle = Cycle(settings, local_node(), Cfs(settings, daemon=daemon), readers, version)
    _log.info("broadcasting every %.0f s", INTERVAL)
    try:
        keep_time(cycle.run, stop)
    finally:
        prober.close()
        daemon.close()


def keep_time(
    run: Callable[[float, float, Callable[[], bool]], None],
    stop: threading.Event,
    *,
    clock: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Call ``run`` at every full interval; rounds that were missed are left out, not made up for."""
    due = monotonic()
    while not stop.is_set():
        begin = monotonic()
        run(clock(), begin, stop.is_set)
        end = monotonic()
        if end - begin > SLOW_SECONDS:
            _log.warning("a round took %.0f s", end - begin)
        while due <= end:
            due += INTERVAL
        stop.wait(due - end)
