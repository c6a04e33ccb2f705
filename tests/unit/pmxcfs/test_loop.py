"""Rounds of the event loop: rank, timers, calls from other threads, flush."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator

import pytest

from quorate.pmxcfs.loop import RANK_FUSE, RANK_GROUP, RANK_QUORUM, Loop
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
