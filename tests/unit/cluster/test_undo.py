"""Taking back must go on when nothing can be said any more."""

from __future__ import annotations

import errno

from quorate.cluster.undo import UndoList


def test_a_full_disk_under_the_log_does_not_end_the_taking_back() -> None:
    def full(text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    done: list[int] = []
    undo = UndoList()
    for number in range(3):
        undo.add(f"step {number}", lambda n=number: done.append(n), by_hand="")  # type: ignore[misc]
    assert undo.run(full) == []
    assert done == [2, 1, 0]
