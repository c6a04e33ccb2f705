"""The thread that brings corosync.conf to the host and has Corosync reload it; ``propagation`` decides.

A thread, since it syncs files, waits a second and runs a command (W4). Only the newest text counts.
"""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from quorate.pmxcfs.propagation import (
    RELOAD_COMMAND,
    RELOAD_DELAY,
    RELOAD_TIMEOUT,
    decide,
    read_host_copy,
    write_host_copy,
)

MAX_TEXTS_PER_RELOAD: Final = 5
"""How often a newer text may put the reload off, each time by its delay: somebody waits for it."""


class Propagator:
    """``submit`` from the loop's thread; everything else happens in its own."""

    def __init__(
        self,
        path: Path,
        log: logging.Logger,
        *,
        command: Sequence[str] = RELOAD_COMMAND,
        delay: float = RELOAD_DELAY,
        corosync_runs: Callable[[], bool] = lambda: True,
    ) -> None:
        self._path = path
        self._log = log
        self._command = command
        self._delay = delay
        self._corosync_runs = corosync_runs
        self._condition = threading.Condition()
        self._next: tuple[bytes | None, bool] | None = None
        self._reload_due = False
        self._stopping = False
        self._thread: threading.Thread | None = None

    def submit(self, text: bytes | None, *, notify: bool) -> None:
        """``text`` is the tree's corosync.conf now; ``notify``: this node makes Corosync reload."""
        with self._condition:
            self._start()
            notify = notify or (self._next is not None and self._next[1])
            self._next = (text, notify)
            self._condition.notify()

    def bring_now(self, text: bytes | None) -> None:
        """At the start, before ``submit``: write the file here and now; a reload is left to the thread.

        Corosync is started when this daemon serves, and must find the cluster's text (core 1.3 step 9).
        """
        if self._bring(text, True):
            with self._condition:
                self._reload_due = True
                self._start()
                self._condition.notify()

    def stop(self) -> None:
        """End after what is being done; does not wait."""
        with self._condition:
            self._stopping = True
            self._condition.notify()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="corosync-conf", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._next is not None or self._reload_due or self._stopping)
                work, self._next = self._next, None
                reload, self._reload_due = self._reload_due, False
            if work is None and not reload:
                return
            if (work is not None and self._bring(*work)) or reload:
                if not self._settle():
                    return
                self._reload()

    def _settle(self) -> bool:
        """Wait before the reload; what arrives meanwhile is written at once, so that Corosync never reads a
        text that is already out of date. False: it is the end."""
        for _ in range(MAX_TEXTS_PER_RELOAD):
            with self._condition:
                self._condition.wait_for(lambda: self._next is not None or self._stopping, self._delay)
                if self._stopping:
                    return False
                work, self._next = self._next, None
            if work is None:
                return True
            self._bring(*work)
        return True

    def _bring(self, text: bytes | None, notify: bool) -> bool:
        """Write the file if that is right; whether Corosync is to reload it."""
        try:
            old = read_host_copy(self._path)
        except OSError as error:
            self._log.warning("cannot read %s: %s; writing it anew", self._path, error.strerror)
            old = None
        decision = decide(text, old)
        if decision.problem is not None:
            self._log.warning("%s", decision.problem)
        if not decision.write or text is None:
            return False
        try:
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            write_host_copy(self._path, text)
        except OSError as error:
            self._log.error("cannot write %s: %s; corosync keeps its old configuration", self._path, error)
            return False
        self._log.info("wrote new corosync config '%s'", self._path)
        return notify and decision.reload

    def _reload(self) -> None:
        try:
            done = subprocess.run(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=RELOAD_TIMEOUT,
                check=False,
            )
            failure = f"exit status {done.returncode}" if done.returncode else ""
        except (OSError, subprocess.TimeoutExpired) as error:
            failure = str(error)
        if failure:
            level = logging.WARNING if self._corosync_runs() else logging.INFO
            self._log.log(
                level,
                "'%s' failed (%s); corosync reads the new configuration when it is reloaded or started",
                " ".join(self._command),
                failure,
            )
