"""How much fits into a file system, asked in a way that a hanging one cannot hold up anybody.

``statvfs`` on a dead network share never returns, and nothing ends a process in it. So another one asks.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from quorate.statd.figures import Space

ANSWER_SECONDS: Final = 2.0
FRESH_SECONDS: Final = 30.0
"""Half of the step of the RRD files: an answer is given again for so long."""
MAX_PATHS: Final = 4096
_COMMAND: Final = ("/usr/bin/stat", "--file-system", "--format=%b %f %S", "--")


class SpaceReader:
    """Remembers answers, and who still waits: a path is not asked again while somebody hangs in it."""

    def __init__(
        self,
        command: Sequence[str] = _COMMAND,
        monotonic: Callable[[], float] = time.monotonic,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._command = command
        self._monotonic = monotonic
        self._answer_seconds = answer_seconds
        self._known: dict[str, tuple[float, Space | None]] = {}
        self._hanging: dict[str, subprocess.Popen[str]] = {}

    def read(self, path: Path) -> Space | None:
        """None: there is no such path, or it does not answer."""
        name, now = str(path), self._monotonic()
        known = self._known.get(name)
        if known is not None and now - known[0] < FRESH_SECONDS:
            return known[1]
        space = None if self._hangs(name) else self._ask(name)
        if len(self._known) >= MAX_PATHS:
            self._known.clear()
        self._known[name] = (now, space)
        return space

    def _hangs(self, name: str) -> bool:
        process = self._hanging.get(name)
        if process is None:
            return False
        if process.poll() is None:
            return True
        del self._hanging[name]
        return False

    def _ask(self, name: str) -> Space | None:
        process = subprocess.Popen(
            [*self._command, name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            text, _ = process.communicate(timeout=self._answer_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            self._hanging[name] = process
            if process.stdout is not None:
                process.stdout.close()
            return None
        words = text.split()
        if process.returncode or len(words) != 3 or not all(word.isdigit() for word in words):
            return None
        blocks, free, size = map(int, words)
        return Space(blocks * size, max(0, blocks - free) * size)
