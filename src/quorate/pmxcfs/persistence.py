"""From changes of the tree to the database: one batch of rows per round, and who waits for it.

The tree hands out its changes once; here they are passed to the mount at once and to the store at the end of
the round. What a failing store means for the node is decided in ``daemon``.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from quorate.pmxcfs.entry import Change
from quorate.pmxcfs.load import DatabaseError
from quorate.pmxcfs.loop import Loop
from quorate.pmxcfs.rows import RowBatch, rows_from_changes
from quorate.pmxcfs.submit import Done
from quorate.pmxcfs.sync import row_changes
from quorate.pmxcfs.tree import Tree


class RowStore(Protocol):
    """What is needed of the store."""

    def submit(self, batch: RowBatch, done: Callable[[Exception | None], None]) -> None: ...


class Persistence:
    """Keeps the database behind the tree. Used from the loop's thread."""

    def __init__(
        self,
        tree: Tree,
        store: RowStore,
        loop: Loop,
        *,
        changed: Callable[[Iterable[Change]], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.tree = tree
        self._store = store
        self._loop = loop
        self._changed = changed
        self._failed = failed
        self._changes: list[Change] = []
        self._submitted = 0
        self._finished = 0
        self._waiting: deque[tuple[int, Done]] = deque()

    def collect(self) -> None:
        """Tell the mount what changed; to be called before a request is served after a change."""
        changes = self.tree.take_changes()
        if changes:
            self._changes += changes
            self._changed(changes)

    def flush(self) -> None:
        """End of the round: hand everything to the store, in one batch."""
        self.collect()
        if self._changes:
            changes, self._changes = self._changes, []
            self._submit(rows_from_changes(changes, self.tree.root))

    def replaced(self, old: Tree, new: Tree) -> None:
        """A foreign state was taken over: its difference becomes one transaction behind all earlier ones."""
        old_changes = self._changes + old.take_changes()
        self._changes = []
        if old_changes:
            self._submit(rows_from_changes(old_changes, old.root))
        self.tree = new
        self._submit(row_changes(old, new))

    def retry(self, then: Done) -> None:
        """Have the store try again what it could not write; ``then`` gets 0 or -EIO."""
        self._submit(RowBatch())
        self._waiting.append((self._submitted, then))

    def when_stored(self, then: Done) -> None:
        """Call ``then`` with 0 when the database has every change so far, with -EIO if that failed."""
        if self._changes or self.tree.has_changes:
            self._waiting.append((self._submitted + 1, then))
        elif self._finished < self._submitted:
            self._waiting.append((self._submitted, then))
        else:
            then(0)

    def _submit(self, batch: RowBatch) -> None:
        self._submitted += 1
        number = self._submitted

        def done(error: Exception | None) -> None:  # in the store's thread
            self._loop.call_soon_threadsafe(lambda: self._stored(number, error))

        try:
            self._store.submit(batch, done)
        except DatabaseError as error:
            self._stored(number, error)

    def _stored(self, number: int, error: Exception | None) -> None:
        self._finished = number
        if error is not None:
            self._failed(error)
        result = 0 if error is None else -errno.EIO
        while self._waiting and self._waiting[0][0] <= number:
            self._waiting.popleft()[1](result)
