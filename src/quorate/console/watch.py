"""Whether the user may still have the console that is open, asked again and again (guests 9.3, decision 47).

In a thread: the question reads files of the cluster file system, and when that hangs the shell, with which
one would look for the reason, has to go on.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

CHECK_SECONDS: Final = 5.0
"""Between two questions: a shell outlives its user's right by little more."""

Refusal = Callable[[], str | None]
"""Why the user may not have the console any more; None when he may, or when that cannot be known."""


class Watch:
    """Asks ``refusal`` until it has an answer or the block ends. ``fd`` becomes readable with the answer,
    which is then in ``reason``. The end of the block does not wait for a question that hangs."""

    def __init__(self, refusal: Refusal) -> None:
        self._refusal = refusal
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.reason = ""
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def __enter__(self) -> Self:
        thread = threading.Thread(target=self._run, name="watch", daemon=True)
        # Signals are for the thread that ends the program: this one inherits that it takes none.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        with self._lock:  # never held during a question
            os.close(self.fd)
            self.fd = -1

    def _run(self) -> None:
        while not self._over.wait(CHECK_SECONDS):
            reason = self._refusal()
            if reason is None:
                continue
            self.reason = reason
            with self._lock, suppress(OSError):
                if self.fd >= 0:
                    os.eventfd_write(self.fd, 1)
            return
