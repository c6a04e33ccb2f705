"""Ends the process when its loop is stuck, so that Corosync removes it and the cluster goes on (W2).

A member that is in the group and does not answer would freeze everybody's writes. The service manager starts
the daemon anew.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Final

from quorate.pmxcfs.loop import Loop

LIMIT: Final = 60.0
"""Seconds for one round. The longest honest work, taking over a full tree of 128 MiB, needs a few."""

PERIOD: Final = 5.0
EXIT_CODE: Final = 70


class Watchdog:
    def __init__(
        self,
        loop: Loop,
        log: logging.Logger,
        *,
        limit: float = LIMIT,
        period: float = PERIOD,
        end: Callable[[int], None] = os._exit,
    ) -> None:
        self._loop = loop
        self._log = log
        self._limit = limit
        self._period = period
        self._end = end
        self._stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def stuck(self) -> bool:
        """Whether the present round takes too long."""
        return self._loop.busy and self._loop.clock() - self._loop.beat > self._limit

    def _run(self) -> None:
        while not self._stopped.wait(self._period):
            if self.stuck():
                self._log.critical(
                    "one round takes longer than %.0f s; ending, so that the cluster goes on without us",
                    self._limit,
                )
                if sys.__stderr__ is not None:
                    faulthandler.dump_traceback(sys.__stderr__)
                self._end(EXIT_CODE)
                return
