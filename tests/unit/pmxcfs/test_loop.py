"""Rounds of the event loop: rank, timers, calls from other threads, flush."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator

import pytest

from quorate.pmxcfs.loop import MAX_IN_VAIN, RANK_FUSE, RANK_GROUP, RANK_QUORUM, TRY_EVERY, Loop
from quorate.pmxcfs.watchdog import EXIT_CODE, Watchdog


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def loop(time: Time) -> Iterator[Loop]:
    loop = Loop(time)
    yield loop
    loop.close()


@pytest.fixture
def pipes() -> Iterator[list[tuple[int, int]]]:
    pipes = [os.pipe() for _ in range(3)]
    yield pipes
    for pair in pipes:
        for fd in pair:
            os.close(fd)


def test_quorum_is_served_before_groups_before_the_kernel(loop: Loop, pipes: list[tuple[int, int]]) -> None:
    served: list[str] = []
    for (reader, writer), rank, name in zip(
        pipes, (RANK_FUSE, RANK_QUORUM, RANK_GROUP), ("fuse", "quorum", "group"), strict=True
    ):
        loop.add_reader(reader, lambda name=name: served.append(name), rank)  # type: ignore[misc]
        os.write(writer, b"x")
    loop.run_once(0)
    assert served == ["quorum", "group", "fuse"]


class Looks:
    """An epoll in which time passes with every look, and something is ready when the test says so."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.ready: list[tuple[int, int]] = []
        self.patience: list[float] = []
        """Of each look."""

    def poll(self, patience: float) -> list[tuple[int, int]]:
        self.patience.append(patience)
        self.time.now += 0.125
        ready, self.ready = self.ready, []
        return ready

    def close(self) -> None: ...

    def taken(self) -> list[float]:
        patience, self.patience = self.patience, []
        return patience


@pytest.fixture
def looks(loop: Loop, time: Time, monkeypatch: pytest.MonkeyPatch) -> Looks:
    looks = Looks(time)
    monkeypatch.setattr(loop, "_epoll", looks)
    return looks


def test_what_is_expected_is_waited_for_awake_and_only_so_long(loop: Loop, looks: Looks) -> None:
    loop.expect(0.5)
    loop.run_once(3)
    assert looks.taken() == [0, 0, 0, 0, 3]
    loop.run_once(3)
    assert looks.taken() == [3]


def test_the_loop_stays_awake_until_what_was_expected_is_there(loop: Loop, looks: Looks) -> None:
    loop.expect(0.5)
    looks.ready = [(-1, 0)]  # something else
    loop.run_once(3)
    assert looks.taken() == [0]
    loop.run_once(3)
    assert looks.taken() == [0, 0, 0, 3]
    loop.expect(0.5)
    loop.came()
    loop.run_once(3)
    assert looks.taken() == [3]


def test_what_came_while_the_loop_was_busy_is_in_time(loop: Loop, looks: Looks, time: Time) -> None:
    for _ in range(2 * MAX_IN_VAIN):
        loop.expect(0.5)
        time.now += 1
        looks.ready = [(-1, 0)]
        loop.run_once(3)
        loop.came()
        assert looks.taken() == [0]


def test_calls_handed_over_do_not_wait_for_what_is_expected(loop: Loop, looks: Looks) -> None:
    loop.expect(0.5)
    loop.call_soon(lambda: None)
    loop.run_once(3)
    assert looks.taken() == [0]


def test_who_expects_in_vain_sleeps_and_tries_again_now_and_then(loop: Loop, looks: Looks) -> None:
    def stays_awake() -> bool:
        loop.expect(0.5)
        loop.run_once(3)
        return len(looks.taken()) > 1

    for _ in range(MAX_IN_VAIN):
        assert stays_awake()
        loop.came()  # too late
    assert [stays_awake() for _ in range(2 * TRY_EVERY)].count(True) == 2
    loop.expect(0.5)
    loop.came()  # in time
    assert stays_awake()


def test_a_callback_may_remove_another_that_is_ready(loop: Loop, pipes: list[tuple[int, int]]) -> None:
    served: list[str] = []
    first, second = pipes[0][0], pipes[1][0]

    def serve_first() -> None:
        served.append("first")
        loop.remove_reader(second)

    loop.add_reader(first, serve_first, RANK_QUORUM)
    loop.add_reader(second, lambda: served.append("second"), RANK_FUSE)
    for _, writer in pipes:
        os.write(writer, b"x")
    loop.run_once(0)
    assert served == ["first"]
    loop.remove_reader(second)


def test_timers_run_in_order_and_can_be_cancelled(loop: Loop, time: Time) -> None:
    ran: list[str] = []
    loop.call_later(2, lambda: ran.append("two"))
    loop.call_later(1, lambda: ran.append("one"))
    loop.call_later(1, lambda: ran.append("never")).cancel()
    loop.call_every(3, lambda: ran.append("every"))
    time.now = 1.5
    loop.run_once(0)
    assert ran == ["one"]
    for now in (2.5, 3.5, 6.4, 6.6):
        time.now = now
        loop.run_once(0)
    assert ran == ["one", "two", "every", "every"]


def test_calls_from_threads_wake_the_loop_and_flush_comes_last(loop: Loop) -> None:
    ran: list[str] = []
    loop.at_end_of_round(lambda: ran.append("flush"))

    def call() -> None:
        ran.append("call")
        loop.call_soon(lambda: ran.append("soon"))

    thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(call))
    thread.start()
    loop.run_once(10)
    thread.join()
    assert ran == ["call", "soon", "flush"]


def test_stop_from_another_thread(loop: Loop) -> None:
    thread = threading.Thread(target=loop.stop)
    thread.start()
    loop.run()
    thread.join()


def test_the_watchdog_sees_a_stuck_round_only(loop: Loop, time: Time) -> None:
    ended = threading.Event()
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    log = logging.getLogger("test.watchdog")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    watchdog = Watchdog(loop, log, limit=10, period=0.01, end=end)
    time.now = 1000
    assert not watchdog.stuck()  # idle for long is no fault

    def stick() -> None:
        time.now += 11
        assert watchdog.stuck()
        watchdog.start()
        assert ended.wait(10)

    loop.call_soon(stick)
    loop.run_once(0)
    watchdog.stop()
    assert codes == [EXIT_CODE]
