"""What has to be taken back when an operation of several steps fails in the middle."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from quorate.cfs import CfsError
from quorate.cluster.commands import CommandError
from quorate.cluster.host import ClusterError

_EXPECTED = (ClusterError, CommandError, CfsError, OSError)


@dataclass(frozen=True, slots=True)
class _Entry:
    what: str
    by_hand: str
    action: Callable[[], None]


@dataclass(slots=True)
class UndoList:
    """Actions to run backwards. Each says what it restores and how a person does it if it fails."""

    _entries: list[_Entry] = field(default_factory=list)

    def add(self, what: str, action: Callable[[], None], *, by_hand: str) -> None:
        self._entries.append(_Entry(what, by_hand, action))

    def commit(self) -> None:
        """The operation has passed the point up to which it can be taken back."""
        self._entries.clear()

    def run(self, report: Callable[[str], None]) -> list[str]:
        """Take everything back, last first; returns what a person has to do for what failed.

        An interrupt is held back meanwhile: half taken back is worse than either end.
        """
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        left = []
        try:
            while self._entries:
                entry = self._entries.pop()
                with suppress(OSError):  # the disk under the log may be full
                    report(f"undo: {entry.what}")
                try:
                    entry.action()
                except _EXPECTED as e:
                    left.append(f"{entry.what} failed ({e}): {entry.by_hand}")
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return left
