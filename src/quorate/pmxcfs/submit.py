"""How the mount gets an operation done: one interface, and its implementation for a node on its own.

The implementation for a cluster is in ``services``. Both apply nothing but file messages of core 7, so that a
node that becomes part of a cluster goes on with the same rules.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Protocol

from quorate.pmxcfs.paths import is_lock_path
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.wire import FsMessage, FsOp

Done = Callable[[int], None]
"""Gets the result of an operation: >= 0, or a negated errno."""


class Submitter(Protocol):
    """What the mount needs of the rest of the daemon."""

    @property
    def writable(self) -> bool:
        """Whether modes are shown as those of a node with quorum."""

    @property
    def gathers(self) -> bool:
        """Whether messages sent together are cheaper than one after the other (they wait for the network)."""

    def refusal(self) -> int:
        """The errno with which every modifying call is refused now, 0 if none."""

    def submit(self, message: FsMessage, done: Done) -> None:
        """Have the operation applied, in the order of the calls. ``done`` may be called at once."""

    def submit_together(self, *requests: tuple[FsMessage, Done]) -> None:
        """As ``submit`` one after the other, but what is to be sent is sent with nothing in between."""

    def unlock(self, path: bytes, done: Done) -> bool:
        """Ask for the release of an expired lock directory. True: that was all, ``done`` is called.

        False: the caller goes on with the MTIME message (core 1.14).
        """

    def when_safe(self, then: Done) -> None:
        """Call ``then`` when everything acknowledged so far is as safe as this mode promises: 0 or -errno."""


class LocalSubmitter:
    """A node on its own: writer 0, the local clock, acknowledged when the database has it (W15)."""

    gathers = False

    def __init__(
        self,
        tree: Tree,
        *,
        now: Callable[[], float],
        mono: Callable[[], float],
        collect: Callable[[], None],
        when_stored: Callable[[Done], None],
    ) -> None:
        self.tree = tree
        self._now = now
        self._mono = mono
        self._collect = collect
        self.when_safe = when_stored

    @property
    def writable(self) -> bool:
        return not self.tree.error

    def refusal(self) -> int:
        return errno.EIO if self.tree.error else 0

    def submit(self, message: FsMessage, done: Done) -> None:
        result = self.tree.apply(message, 0, int(self._now()) & 0xFFFFFFFF, self._mono())
        done(result)
        self._collect()

    def submit_together(self, *requests: tuple[FsMessage, Done]) -> None:
        for message, done in requests:
            self.submit(message, done)

    def unlock(self, path: bytes, done: Done) -> bool:
        entry = self.tree.lookup(path)
        if entry is None or not is_lock_path(path):
            return False
        if not self.tree.lock_expired(path, entry, self._mono()):
            return False
        self.submit(FsMessage(FsOp.DELETE, path), done)
        return True
