"""Starting and ending many guests: order, delays, workers, quorum, and what the task says (guests 8)."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from quorate.cfs import Clock
from quorate.guests.bulk import BulkError, start_all, stop_all, wait_for_quorum
from quorate.guests.power import GuestError, Job
from quorate.guests.startup import LocalGuest, parse_startup, to_start, to_stop


@dataclass
class World:
    """Guests, a clock, quorum, and the lines of the task with their seconds; stands in for GuestPower."""

    now: float = 0.0
    lasts: dict[int, float] = field(default_factory=dict)
    ends: dict[int, str] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    up: set[int] = field(default_factory=set)
    quorum_until: float = 1e9
    quorum_from: float = 0.0
    lines: list[tuple[int, str]] = field(default_factory=list)
    under_way: list[tuple[float, float]] = field(default_factory=list)
    asked: list[tuple[int, int, bool]] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, monotonic=lambda: self.now, sleep=self.sleep)

    def say(self, text: str) -> None:
        self.lines.append((int(self.now), text))

    def quorate(self) -> bool:
        return self.quorum_from <= self.now < self.quorum_until

    def begin(self) -> None:
        pass

    def is_running(self, guest: LocalGuest) -> bool:
        return guest.vmid in self.up

    def start(self, guest: LocalGuest) -> Job:
        return self._job(guest)

    def shut_down(self, guest: LocalGuest, seconds: int, *, force: bool) -> Job:
        self.asked.append((guest.vmid, seconds, force))
        return self._job(guest)

    def _job(self, guest: LocalGuest) -> Job:
        if guest.vmid in self.refused:
            raise GuestError("no")
        end = self.now + self.lasts.get(guest.vmid, 0)
        self.under_way.append((self.now, end))
        world = self

        class Ends:
            def status(self) -> str | None:
                return world.ends.get(guest.vmid, "OK") if world.now >= end else None

        return Ends()

    @property
    def most_at_once(self) -> int:
        return max(sum(begin <= at < end for begin, end in self.under_way) for at, _ in self.under_way)


def _guest(vmid: int, startup: str = "", kind: str = "lxc") -> LocalGuest:
    return LocalGuest(vmid=vmid, kind=kind, onboot=True, startup=parse_startup(startup))


def _start(world: World, *guests: LocalGuest, workers: int = 4) -> list[tuple[int, str]]:
    groups = to_start(guests, (), force=False, only=None)
    start_all(groups, world, workers=workers, quorate=world.quorate, say=world.say, clock=world.clock)
    return world.lines


def test_nothing_to_do_says_nothing() -> None:
    assert _start(World()) == []


def test_one_after_the_other_with_their_delays() -> None:
    lines = _start(
        World(),
        _guest(100, "1,up=5"),
        _guest(101, "2", "qemu"),
        _guest(102, "2,up=0", "qemu"),
        _guest(103),
    )
    assert lines == [
        (0, "Starting CT 100"),
        (0, "Waiting for 5 seconds (startup delay)"),
        (5, "Starting VM 101"),
        (8, "Starting VM 102"),
        (8, "Starting CT 103"),
    ]


def test_a_group_ends_before_the_next_begins() -> None:
    world = World(lasts={100: 7})
    assert _start(world, _guest(100, "1"), _guest(101, "1"), _guest(102, "2")) == [
        (0, "Starting CT 100"),
        (0, "Starting CT 101"),
        (7, "Starting CT 102"),
    ]


def test_no_more_at_once_than_workers() -> None:
    world = World(lasts=dict.fromkeys(range(100, 110), 4.0))
    _start(world, *(_guest(vmid) for vmid in range(100, 110)), workers=3)
    assert world.most_at_once == 3
    assert [at for at, _ in world.lines] == [0, 0, 0, 4, 4, 4, 8, 8, 8, 12]


def test_failures_are_told_and_hold_up_nobody() -> None:
    world = World(lasts={100: 2, 103: 1}, ends={100: "out of memory", 103: "WARNINGS: 1"}, refused={101})
    assert _start(world, _guest(100, "up=4"), _guest(101, "up=9"), _guest(102), _guest(103)) == [
        (0, "Starting CT 100"),
        (0, "Waiting for 4 seconds (startup delay)"),
        (2, "Starting CT 100 failed: out of memory"),
        (4, "Starting CT 101"),
        (4, "Starting CT 101 failed: no"),  # nothing was started, so there is nothing to wait for
        (4, "Starting CT 102"),
        (4, "Starting CT 103"),
    ]


def test_what_runs_already_is_passed_over() -> None:
    assert _start(World(up={100}), _guest(100, "up=9"), _guest(101)) == [(0, "Starting CT 101")]


def test_lost_quorum_ends_it() -> None:
    world = World(quorum_until=4)
    with pytest.raises(BulkError, match=r"^cluster not ready - no quorum\?$"):
        _start(world, _guest(100, "up=5"), _guest(101))
    assert [text for _, text in world.lines] == ["Starting CT 100", "Waiting for 5 seconds (startup delay)"]


def test_waiting_for_quorum() -> None:
    world = World(quorum_from=5000)
    wait_for_quorum(world.quorate, world.say, world.clock)
    assert world.lines == [(0, "waiting for quorum ..."), (5000, "got quorum")]
    again = World()
    wait_for_quorum(again.quorate, again.say, again.clock)
    assert again.lines == []


def _stop(world: World, *guests: LocalGuest, timeout: int = 180, force: bool = True) -> list[tuple[int, str]]:
    stop_all(
        to_stop(guests, only=None),
        world,
        workers=2,
        timeout=timeout,
        force=force,
        say=world.say,
        clock=world.clock,
    )
    return world.lines


def test_ending_goes_the_other_way_with_each_ones_limit() -> None:
    world = World(up={100, 101, 103}, lasts={103: 10}, quorum_until=0)
    assert _stop(world, _guest(100, "1,down=30"), _guest(101, "2", "qemu"), _guest(102), _guest(103)) == [
        (0, "Stopping CT 103 (timeout = 180 seconds)"),
        (10, "Stopping VM 101 (timeout = 180 seconds)"),
        (10, "Stopping CT 100 (timeout = 30 seconds)"),
    ]
    assert world.asked == [(103, 180, True), (101, 180, True), (100, 30, True)]


def test_ending_is_bounded_and_says_what_failed() -> None:
    world = World(up=set(range(100, 106)), lasts=dict.fromkeys(range(100, 106), 5.0), refused={104})
    lines = _stop(world, *(_guest(vmid) for vmid in range(100, 106)), timeout=1, force=False)
    assert world.most_at_once == 2
    assert (0, "Stopping CT 104 failed: no") in lines
    assert all(asked[1:] == (1, False) for asked in world.asked)
