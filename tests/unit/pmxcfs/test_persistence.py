"""From changes to the store, and who may be told when (W15, W18, W19)."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import pytest

from quorate.pmxcfs.entry import Change
from quorate.pmxcfs.load import DatabaseError
from quorate.pmxcfs.loop import Loop
from quorate.pmxcfs.persistence import Persistence
from quorate.pmxcfs.rows import RowBatch
from quorate.pmxcfs.tree import Tree

NOW = 1_700_000_000


class FakeStore:
    def __init__(self) -> None:
        self.batches: list[RowBatch] = []
        self.dones: list[Callable[[Exception | None], None]] = []
        self.full = False

    def submit(
        self,
        batch: RowBatch,
        done: Callable[[Exception | None], None],
        first: Callable[[], None] | None = None,
    ) -> None:
        if self.full:
            raise DatabaseError(["too much waits"])
        if first is not None:
            first()
        self.batches.append(batch)
        self.dones.append(done)


class Setting:
    def __init__(self, gather: float = 0.0) -> None:
        self.tree = Tree.new(NOW)
        self.store = FakeStore()
        self.now = 0.0
        self.loop = Loop(lambda: self.now)
        self.changes: list[Change] = []
        self.failures: list[Exception] = []
        self.persistence = Persistence(
            self.tree,
            self.store,
            self.loop,
            changed=self.changes.extend,
            failed=self.failures.append,
            gather=gather,
        )
        self.persistence.flush_now()
        self.finish()
        self.store.batches.clear()
        self.results: list[int] = []

    def finish(self, error: Exception | None = None) -> None:
        for done in self.store.dones:
            done(error)
        self.store.dones.clear()
        self.loop.run_once(0)


@pytest.fixture
def setting() -> Iterator[Setting]:
    setting = Setting()
    yield setting
    setting.loop.close()


def test_one_batch_per_round(setting: Setting) -> None:
    setting.tree.create(b"f", 0, NOW, NOW)
    setting.persistence.collect()
    setting.tree.write(b"f", 0, NOW, NOW, b"x", 0, False)
    setting.tree.mkdir(b"d", 0, NOW, NOW)
    setting.persistence.flush()
    setting.persistence.flush()
    assert [[row.inode for row in batch.rows] for batch in setting.store.batches] == [[2, 4, 0]]
    assert len(setting.changes) == 4  # with the format of the new database


def test_a_member_gathers_rows_of_several_rounds() -> None:
    setting = Setting(gather=0.01)
    setting.tree.create(b"f", 0, NOW, NOW)
    setting.persistence.flush()
    setting.tree.write(b"f", 0, NOW, NOW, b"x", 0, False)
    setting.persistence.flush()
    assert setting.store.batches == []
    assert len(setting.changes) == 3  # the mount is told at once
    setting.now = 0.02
    setting.loop.run_once(0)
    assert [[(row.inode, row.data) for row in batch.rows] for batch in setting.store.batches] == [
        [(2, b"x"), (0, None)]
    ]
    setting.tree.delete(b"f", 0, NOW, NOW)
    setting.persistence.flush()
    setting.persistence.flush_now()
    assert setting.store.batches[1].deletes == (2,)
    setting.loop.close()


def test_safe_means_stored(setting: Setting) -> None:
    setting.persistence.when_stored(setting.results.append)
    assert setting.results == [0]  # nothing is on its way
    setting.tree.create(b"f", 0, NOW, NOW)
    setting.persistence.when_stored(setting.results.append)
    setting.persistence.flush()
    setting.persistence.when_stored(setting.results.append)
    assert setting.results == [0]
    setting.finish()
    assert setting.results == [0, 0, 0]


def test_failure_reaches_those_who_wait(setting: Setting) -> None:
    setting.tree.create(b"f", 0, NOW, NOW)
    setting.persistence.when_stored(setting.results.append)
    setting.persistence.flush()
    setting.finish(OSError("disk full"))
    assert setting.results == [-errno.EIO]
    assert len(setting.failures) == 1
    setting.persistence.retry(setting.results.append)
    setting.finish()
    assert setting.results == [-errno.EIO, 0]


def test_a_full_queue_is_a_failure(setting: Setting) -> None:
    setting.store.full = True
    setting.tree.create(b"f", 0, NOW, NOW)
    setting.persistence.when_stored(setting.results.append)
    setting.persistence.flush()
    assert setting.results == [-errno.EIO]


def test_a_foreign_state_comes_behind_all_own_changes(setting: Setting) -> None:
    setting.tree.create(b"mine", 0, NOW, NOW)
    other = Tree.new(NOW)
    other.mkdir(b"theirs", 2, NOW, NOW)
    other.take_changes()
    setting.persistence.replaced(setting.tree, other)
    assert [[row.name for row in batch.rows] for batch in setting.store.batches] == [
        [b"mine", b"__version__"],
        [b"theirs", b"__version__"],
    ]
    assert setting.persistence.tree is other


def test_what_is_lost_is_saved_before_its_rows_are_replaced(setting: Setting) -> None:
    saved: list[int] = []
    setting.tree.create(b"mine", 0, NOW, NOW)
    setting.persistence.save_first(lambda: saved.append(len(setting.store.batches)))
    setting.persistence.replaced(setting.tree, Tree.new(NOW))
    assert saved == [1]  # after what was there to be written, before the difference
    assert [batch.deletes for batch in setting.store.batches] == [(), (2,)]
    setting.persistence.replaced(Tree.new(NOW), Tree.new(NOW))
    assert saved == [1]


def test_what_is_lost_is_saved_even_if_the_database_takes_nothing(setting: Setting) -> None:
    saved: list[str] = []
    setting.store.full = True
    setting.persistence.save_first(lambda: saved.append("saved"))
    setting.persistence.replaced(setting.tree, Tree.new(NOW))
    assert saved == ["saved"]
    assert len(setting.failures) == 1
