"""The lanes that carry notifications: order, merging, bound, end. A pipe stands for /dev/fuse."""

from __future__ import annotations

import errno
import os
import threading
import time
from types import SimpleNamespace

import pytest

from quorate.fuse import NotificationOverflowError, notifier
from quorate.fuse.notifier import Lane, Notifier

WAIT = 10.0


class Kernel:
    """Takes what lanes write; blocks while the gate is closed, and answers with an error when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken: list[bytes] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.answer = 0
        monkeypatch.setattr(notifier, "os", SimpleNamespace(write=self.write))

    def write(self, fd: int, data: bytes) -> int:
        self.entered.release()
        assert self.gate.wait(WAIT)
        if self.answer:
            raise OSError(self.answer, os.strerror(self.answer))
        self.taken.append(data)
        return len(data)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


def finish(lane: Lane) -> None:
    lane.stop()
    assert lane.join(WAIT)


def test_order_is_kept(kernel: Kernel) -> None:
    lane = Lane(0, "test")
    messages = [b"%d" % number for number in range(100)]
    for message in messages:
        lane.put(message)
    assert lane.wait_idle(WAIT)
    assert kernel.taken == messages
    assert lane.sent == 100
    finish(lane)


def test_equal_ones_merge_while_waiting_but_not_once_under_way(kernel: Kernel) -> None:
    kernel.gate.clear()
    lane = Lane(0, "test")
    lane.put(b"a")
    assert kernel.entered.acquire(timeout=WAIT)
    lane.put(b"a")  # the first is under way: it may have missed what this one is about
    lane.put(b"b")
    lane.put(b"b")
    kernel.gate.set()
    assert lane.wait_idle(WAIT)
    assert kernel.taken == [b"a", b"a", b"b"]
    finish(lane)


def test_too_many_waiting_is_an_error(kernel: Kernel) -> None:
    kernel.gate.clear()
    lane = Lane(0, "test", limit=2)
    lane.put(b"under way")
    assert kernel.entered.acquire(timeout=WAIT)
    lane.put(b"1")
    lane.put(b"2")
    lane.put(b"2")
    with pytest.raises(NotificationOverflowError, match="mount anew"):
        lane.put(b"3")
    kernel.gate.set()
    finish(lane)


def test_stop_drops_what_waits(kernel: Kernel) -> None:
    kernel.gate.clear()
    lane = Lane(0, "test")
    lane.put(b"under way")
    assert kernel.entered.acquire(timeout=WAIT)
    lane.put(b"never sent")
    lane.stop()
    assert not lane.join(0)
    kernel.gate.set()
    assert lane.join(WAIT)
    assert kernel.taken == [b"under way"]
    lane.put(b"too late")
    assert kernel.taken == [b"under way"]


def test_unknown_to_the_kernel_is_counted_not_logged(
    kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    kernel.answer = errno.ENOENT
    lane = Lane(0, "test")
    lane.put(b"a")
    assert lane.wait_idle(WAIT)
    assert (lane.sent, lane.unknown, lane.failed) == (0, 1, 0)
    assert not caplog.records
    finish(lane)


def test_a_refused_notification_is_logged(kernel: Kernel, caplog: pytest.LogCaptureFixture) -> None:
    kernel.answer = errno.EINVAL
    lane = Lane(0, "test")
    lane.put(b"a")
    assert lane.wait_idle(WAIT)
    assert lane.failed == 1
    assert "refused a cache invalidation" in caplog.text
    finish(lane)


def test_a_stuck_name_does_not_hold_back_inodes(kernel: Kernel) -> None:
    both = Notifier(0)
    kernel.gate.clear()
    both.names.put(b"name")
    assert kernel.entered.acquire(timeout=WAIT)
    both.inodes.put(b"inode")
    assert kernel.entered.acquire(timeout=WAIT), "the other lane was reached while the first one hung"
    assert not both.wait_idle(0)
    kernel.gate.set()
    assert both.wait_idle(WAIT)
    both.stop()
    assert both.join(WAIT)


def test_a_mark_is_reached_behind_what_was_queued_before_in_both_lanes(kernel: Kernel) -> None:
    kernel.gate.clear()
    both = Notifier(0)
    reached = threading.Event()
    both.inodes.put(b"inode")
    both.names.put(b"name")
    both.mark(reached.set)
    assert not reached.is_set()
    assert [both.idle, both.inodes.idle, both.names.idle] == [False, False, False]
    kernel.gate.set()
    assert reached.wait(WAIT)
    assert sorted(kernel.taken) == [b"inode", b"name"]
    assert both.wait_idle(WAIT)
    assert [both.idle] == [True]
    both.stop()
    assert both.join(WAIT)


def test_what_a_notification_needs_is_known_until_the_kernel_took_it(kernel: Kernel) -> None:
    kernel.gate.clear()
    lane = Lane(0, "test")
    lane.put(b"one", (1, 2))
    assert kernel.entered.acquire(timeout=WAIT)  # under way, and stuck
    lane.put(b"two", (2, 3))
    assert [lane.needs_any((lock,)) for lock in (1, 2, 3, 4)] == [True, True, True, False]
    assert lane.needs_any((4, 3))
    kernel.gate.set()
    assert lane.wait_idle(WAIT)
    assert not lane.needs_any((1, 2, 3))
    finish(lane)


def test_what_the_kernel_is_only_just_learning_of_is_notified_again(kernel: Kernel) -> None:
    lane = Lane(0, "test", retries=(0.0, 0.01, 0.01))
    kernel.answer = errno.ENOENT
    lane.put(b"new file")
    for _ in range(2):  # the first is over when the second has begun
        assert kernel.entered.acquire(timeout=WAIT)
    kernel.answer = 0  # it knows the file now
    deadline = time.monotonic() + WAIT
    while not kernel.taken and time.monotonic() < deadline:
        time.sleep(0.001)
    assert kernel.taken == [b"new file"]
    finish(lane)


def test_what_the_kernel_never_learns_of_is_given_up(kernel: Kernel) -> None:
    lane = Lane(0, "test", retries=(0.0, 0.01))
    kernel.answer = errno.ENOENT
    lane.put(b"forgotten file")
    for _ in range(3):
        assert kernel.entered.acquire(timeout=WAIT)
    assert lane.wait_idle(WAIT)
    finish(lane)
    assert (lane.unknown, lane.sent) == (1, 0)
    assert not kernel.entered.acquire(blocking=False)
