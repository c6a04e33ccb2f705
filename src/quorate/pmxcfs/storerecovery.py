"""What a failing database means for the node, and the way back (W19). No I/O, no clock.

Nothing is acknowledged any more that the disk does not have, reading goes on, and the rows that could not be
written are tried again until there is room, whether or not anything else happens in the cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from quorate.pmxcfs.submit import Done
from quorate.pmxcfs.tree import Tree

RETRY_STORE: Final = 5.0
"""Seconds between tries to write what a failing database did not take."""


class StoreRecovery:
    """Sets and takes away the tree's error flag. The adapter is handed in.

    ``write``: try to write what is kept, then call back with 0 or a negated errno. ``later``: call after so
    many seconds. ``broke``, ``healed``: tell the kernel, the log and the group.
    """

    def __init__(
        self,
        tree: Callable[[], Tree],
        *,
        write: Callable[[Done], None],
        later: Callable[[float, Callable[[], None]], object],
        broke: Callable[[Exception], None],
        healed: Callable[[], None],
    ) -> None:
        self._tree = tree
        self._write = write
        self._later = later
        self._broke = broke
        self._healed = healed
        self._trying = False

    def failed(self, error: Exception) -> None:
        """A transaction failed; in memory everything is there."""
        if self._tree().error:
            return
        self._tree().error = True
        self._broke(error)
        # In a cluster the next message makes the machine leave and ask for this too; but none may come.
        self._later(RETRY_STORE, self.retry)

    def retry(self) -> None:
        """Try now. One try at a time."""
        if not self._trying:
            self._trying = True
            self._write(self._tried)

    def _tried(self, result: int) -> None:
        self._trying = False
        if result < 0:
            self._later(RETRY_STORE, self.retry)
            return
        self._tree().error = False
        self._healed()
