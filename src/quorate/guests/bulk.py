"""Starting and ending many guests: group after group, a few at once, with the lines of the task (guests 8).

No I/O: who starts guests, the clock, quorum and output are handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from quorate.cfs import Clock
from quorate.guests.power import GuestError, GuestPower, Job
from quorate.guests.startup import Group, LocalGuest, pause, stop_limit

POLL_SECONDS: Final = 1.0
"""How often quorum, a free worker and the end of jobs are looked for."""

Say = Callable[[str], None]
Quorate = Callable[[], bool]


class BulkError(Exception):
    """The whole was given up; what was not dealt with yet stays as it is."""


def wait_for_quorum(quorate: Quorate, say: Say, clock: Clock) -> None:
    """However long it takes: guests of a node without quorum may run elsewhere."""
    if quorate():
        return
    say("waiting for quorum ...")
    while not quorate():
        clock.sleep(POLL_SECONDS)
    say("got quorum")


def start_all(
    groups: Sequence[Group], power: GuestPower, *, workers: int, quorate: Quorate, say: Say, clock: Clock
) -> None:
    """Start what does not run yet. A guest that fails is told and holds up nobody; raises BulkError when the
    quorum is lost: the guests that are left may be started elsewhere."""
    for group in groups:
        jobs = _Jobs("Starting", workers, say, clock)
        power.begin()
        for guest in group:
            if not quorate():
                raise BulkError("cluster not ready - no quorum?")
            if power.is_running(guest):
                continue
            jobs.wait_for_worker()
            say(f"Starting {guest.label}")
            if jobs.add(guest, partial(power.start, guest)):
                if guest.startup.up:
                    say(f"Waiting for {pause(guest)} seconds (startup delay)")
                jobs.pass_time(pause(guest))
        jobs.wait_for_all()


def stop_all(
    groups: Sequence[Group],
    power: GuestPower,
    *,
    workers: int,
    timeout: int,
    force: bool,
    say: Say,
    clock: Clock,
) -> None:
    """End what runs. ``timeout``: seconds for each guest that says nothing itself; ``force``: end it then."""
    for group in groups:
        jobs = _Jobs("Stopping", workers, say, clock)
        power.begin()
        for guest in group:
            if not power.is_running(guest):
                continue
            jobs.wait_for_worker()
            seconds = stop_limit(guest, timeout)
            say(f"Stopping {guest.label} (timeout = {seconds} seconds)")
            jobs.add(guest, partial(power.shut_down, guest, seconds, force=force))
        jobs.wait_for_all()


@dataclass(slots=True)
class _Jobs:
    """What is under way of one group."""

    verb: str
    workers: int
    say: Say
    clock: Clock
    running: list[tuple[LocalGuest, Job]] = field(default_factory=list)

    def add(self, guest: LocalGuest, begin: Callable[[], Job]) -> bool:
        """Begin it; whether it could be begun."""
        try:
            job = begin()
        except GuestError as err:
            self._failed(guest, str(err))
            return False
        self.running.append((guest, job))
        return True

    def wait_for_worker(self) -> None:
        self._look()
        while len(self.running) >= self.workers:
            self.clock.sleep(POLL_SECONDS)
            self._look()

    def wait_for_all(self) -> None:
        self._look()
        while self.running:
            self.clock.sleep(POLL_SECONDS)
            self._look()

    def pass_time(self, seconds: float) -> None:
        """Wait, and tell meanwhile what failed."""
        while seconds > 0:
            step = min(seconds, POLL_SECONDS)
            self.clock.sleep(step)
            seconds -= step
            self._look()

    def _look(self) -> None:
        going_on = []
        for guest, job in self.running:
            status = job.status()
            if status is None:
                going_on.append((guest, job))
            elif status != "OK" and not status.startswith("WARNINGS: "):
                self._failed(guest, status)
        self.running = going_on

    def _failed(self, guest: LocalGuest, why: str) -> None:
        self.say(f"{self.verb} {guest.label} failed: {why}")
