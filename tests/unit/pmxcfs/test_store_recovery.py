"""A database that fails makes the node read-only, and takes it back by itself (W19)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from quorate.pmxcfs.storerecovery import RETRY_STORE, StoreRecovery
from quorate.pmxcfs.submit import Done
from quorate.pmxcfs.tree import Tree


class Stand:
    """A node whose writes end when the test says so."""

    def __init__(self) -> None:
        self.tree = Tree.new(0)
        self.writing: list[Done] = []
        self.planned: list[tuple[float, Callable[[], None]]] = []
        self.told: list[str] = []
        self.recovery = StoreRecovery(
            lambda: self.tree,
            write=self.writing.append,
            later=lambda delay, action: self.planned.append((delay, action)),
            broke=lambda error: self.told.append(f"broke: {error}"),
            healed=lambda: self.told.append("healed"),
        )

    def broken(self) -> bool:
        return self.tree.error

    def time_passes(self) -> None:
        planned, self.planned = self.planned, []
        for _, action in planned:
            action()


@pytest.fixture
def stand() -> Stand:
    return Stand()


def test_it_comes_back_although_nothing_else_happens(stand: Stand) -> None:
    """On a quiet cluster no message makes the machine ask for a reload."""
    stand.recovery.failed(OSError("full"))
    assert stand.broken()
    assert stand.told == ["broke: full"]
    assert [delay for delay, _ in stand.planned] == [RETRY_STORE]
    stand.time_passes()
    stand.writing.pop()(-5)
    assert stand.broken()
    stand.time_passes()
    stand.writing.pop()(0)
    assert not stand.broken()
    assert stand.told == ["broke: full", "healed"]
    assert stand.planned == []


def test_failures_in_a_row_are_told_once(stand: Stand) -> None:
    stand.recovery.failed(OSError("full"))
    stand.recovery.failed(OSError("full"))
    assert stand.told == ["broke: full"]
    assert len(stand.planned) == 1


def test_one_try_at_a_time(stand: Stand) -> None:
    """The machine may ask as well, with its own delay."""
    stand.recovery.failed(OSError("full"))
    stand.recovery.retry()
    stand.time_passes()
    assert len(stand.writing) == 1


def test_a_tree_that_was_taken_over_meanwhile_is_healed(stand: Stand) -> None:
    stand.recovery.failed(OSError("full"))
    stand.time_passes()
    stand.tree = Tree.new(1)
    stand.tree.error = True
    stand.writing.pop()(0)
    assert not stand.broken()
