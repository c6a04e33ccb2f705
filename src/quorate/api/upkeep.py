"""What the privileged half does unasked (pvecm 4.6): renew the ticket key. Daily work is pveupdate's.

In a thread of its own: a hung cluster file system holds up this, and nothing else.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from quorate.access.rotation import rotate_if_due
from quorate.cfs import CfsError
from quorate.settings import Settings

_log = logging.getLogger(__name__)

CYCLE_SECONDS: Final = 10.0


class Upkeep:
    """The jobs and when each was done last. ``run_due`` may be called at any time, by one thread."""

    def __init__(self, settings: Settings, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._jobs: list[tuple[str, float, Callable[[], object]]] = [
            ("renew the key that signs tickets", CYCLE_SECONDS, lambda: rotate_if_due(settings)),
        ]
        self._next = dict.fromkeys((what for what, _, _ in self._jobs), 0.0)
        self._failed: dict[str, str] = {}

    def run_due(self) -> None:
        """Do what is due. A failure is logged once, and again when it changes; the job is tried next time."""
        for what, seconds, job in self._jobs:
            now = self._monotonic()
            if now < self._next[what]:
                continue
            self._next[what] = now + seconds
            try:
                done = job()
            except (CfsError, OSError) as err:
                if self._failed.get(what) != str(err):
                    _log.warning("unable to %s: %s", what, err)
                self._failed[what] = str(err)
            else:
                self._failed.pop(what, None)
                if done:
                    _log.info("upkeep: %s: done (%s)", what, done)

    def start(self) -> Callable[[], None]:
        """Run for ever in a thread that nobody waits for; returns what ends it."""
        stop = threading.Event()

        def loop() -> None:
            while not stop.wait(CYCLE_SECONDS):
                self.run_due()

        threading.Thread(target=loop, name="upkeep", daemon=True).start()
        return stop.set
