"""From changes of the tree to the database: one batch of rows per round or per moment, and who waits for it.

The tree hands out its changes once; here they are passed to the mount at once and to the store at the end of
the round, in a cluster some milliseconds later. What a failing store means for the node is decided in
``storerecovery``.
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

    def submit(
        self,
        batch: RowBatch,
        done: Callable[[Exception | None], None],
        first: Callable[[], None] | None = None,
    ) -> None: ...


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
        gather: float = 0.0,
    ) -> None:
        """``gather``: for how many seconds changes that nobody waits for may be kept back from the store."""
        self.tree = tree
        self._store = store
        self._loop = loop
        self._changed = changed
        self._failed = failed
        self._gather = gather
        self._planned = False
        self._changes: list[Change] = []
        self._submitted = 0
        self._finished = 0
        self._waiting: deque[tuple[int, Done]] = deque()
        self._first: Callable[[], None] | None = None

    def collect(self) -> None:
        """Tell the mount what changed; to be called before a request is served after a change."""
        if self.tree.has_changes:
            changes = self.tree.take_changes()
            self._changes += changes
            self._changed(changes)

    def flush(self) -> None:
        """End of the round: what changed goes to the store, now or with what follows soon."""
        if self.tree.has_changes:
            self.collect()
        if self._changes and not self._planned:
            if not self._gather or self._waiting:
                self.flush_now()
            else:
                self._planned = True
                self._loop.call_later(self._gather, self._flush_planned)

    def flush_now(self) -> None:
        """Hand everything to the store, in one batch."""
        self.collect()
        if self._changes:
            changes, self._changes = self._changes, []
            self._submit(rows_from_changes(changes, self.tree.root))

    def _flush_planned(self) -> None:
        self._planned = False
        self.flush_now()

    def save_first(self, save: Callable[[], None]) -> None:
        """Have ``save`` called, in the store's thread, before the next `replaced` reaches the database.

        In the caller's if the store takes nothing any more. It must not raise.
        """
        self._first = save

    def replaced(self, old: Tree, new: Tree) -> None:
        """A foreign state was taken over: its difference becomes one transaction behind all earlier ones."""
        old_changes = self._changes + old.take_changes()
        self._changes = []
        if old_changes:
            self._submit(rows_from_changes(old_changes, old.root))
        self.tree = new
        first, self._first = self._first, None
        self._submit(row_changes(old, new), first)

    def retry(self, then: Done) -> None:
        """Have the store try again what it could not write; ``then`` gets 0 or -EIO."""
        self._waiting.append((self._submitted + 1, then))
        self._submit(RowBatch())

    def when_stored(self, then: Done) -> None:
        """Call ``then`` with 0 when the database has every change so far, with -EIO if that failed."""
        number = self._submitted + (1 if self._changes or self.tree.has_changes else 0)
        if not self._waiting and self._finished >= number:
            then(0)
            return
        self._waiting.append((number, then))
        if self._finished >= number:  # the store's thread looked for somebody waiting just before
            self._loop.call_soon(self._release)

    def _submit(self, batch: RowBatch, first: Callable[[], None] | None = None) -> None:
        self._submitted += 1
        number = self._submitted

        def done(error: Exception | None) -> None:  # in the store's thread
            if error is not None:
                self._loop.call_soon_threadsafe(lambda: self._not_stored(number, error))
                return
            self._finished = number
            if self._waiting:  # or the loop would be woken after every transaction, for nothing
                self._loop.call_soon_threadsafe(self._release)

        try:
            self._store.submit(batch, done, first)
        except DatabaseError as error:
            if first is not None:
                first()
            self._not_stored(number, error)

    def _release(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._finished:
            self._waiting.popleft()[1](0)

    def _not_stored(self, number: int, error: Exception) -> None:
        self._finished = max(self._finished, number)
        self._failed(error)
        while self._waiting and self._waiting[0][0] <= number:
            self._waiting.popleft()[1](-errno.EIO)
