"""Which worker of a service serves, which one comes and which ones end: events in, effects out (pvecm 11).

Pure. `supervisor` carries the effects out.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

START_SECONDS: Final = 120.0
"""A worker that does not serve after so long does not start: two seconds of processor time are needed."""
STOP_SECONDS: Final = 15.0
"""What workers get to end when the service is stopped; then they are killed (pvecm 11)."""
STEADY_SECONDS: Final = 10.0
"""A worker that dies younger would do so again: the service fails, and whoever started it decides."""


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a worker, and tell by `Workers.spawned` or `Workers.not_spawned`."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a signal to a worker: SIGHUP = take no new connections, finish and end; SIGTERM = end now."""

    pid: int
    number: int


@dataclass(frozen=True, slots=True)
class Renew:
    """Execute the supervisor's own program anew: it may have changed as well."""


@dataclass(frozen=True, slots=True)
class Exit:
    """End the supervisor; ``failed`` when it was not asked to."""

    failed: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """Tell these processes, which asked for a restart, whether it is done."""

    askers: frozenset[int]
    done: bool


Effect = Spawn | Send | Renew | Exit | Answer


@dataclass(slots=True)
class Workers:
    """Processes of one service by their ids; times are monotonic seconds."""

    current: int | None = None
    since: float = 0.0
    """When the current one began to serve."""
    ending: set[int] = field(default_factory=set)
    starting: int | None = None
    begun: float = 0.0
    """When the starting one was started, or, while stopping, when that began."""
    again: bool = False
    """A restart was asked for while another one was going on."""
    stopping: bool = False
    leaving: set[int] = field(default_factory=set)
    """Those of the ending ones that may still take new connections."""
    askers: set[int] = field(default_factory=set)
    """Who asked for the restart that goes on."""

    def spawned(self, pid: int, now: float) -> None:
        self.starting, self.begun = pid, now

    def not_spawned(self) -> list[Effect]:
        """There is no new worker: what serves goes on."""
        self.again = False
        end: list[Effect] = [] if self.current is not None else [Exit(failed=True)]
        return [*self._answer(done=False), *end]

    def restart(self, asker: int) -> list[Effect]:
        """A process asks for it: `Answer` goes to it when only the new worker takes connections."""
        self.askers.add(asker)
        if self.stopping:
            return self._answer(done=False)
        if self.starting is not None:
            self.again = True
            return []
        return [Spawn()]

    def told(self, pid: int, now: float) -> list[Effect]:
        """A worker says that it serves: the one before ends what it has begun. Or that one says that it takes
        no new connections any more."""
        if pid in self.leaving:
            self.leaving.discard(pid)
            return self._answer_if_done()
        if pid != self.starting or self.stopping:
            return []
        before, self.current, self.since, self.starting = self.current, pid, now, None
        effects: list[Effect] = []
        if before is not None:
            self.ending.add(before)
            self.leaving.add(before)
            effects.append(Send(before, signal.SIGHUP))
        if self.again:
            self.again = False
            return [*effects, Spawn()]
        if before is None:
            return [*effects, *self._answer_if_done()]
        return [*effects, Renew()]

    def died(self, pid: int, now: float) -> list[Effect]:
        self.leaving.discard(pid)
        effects = self._replace(pid, now)
        if any(isinstance(effect, Exit) for effect in effects):
            return [*self._answer(done=False), *effects]
        return effects if Spawn() in effects else [*effects, *self._answer_if_done()]

    def _replace(self, pid: int, now: float) -> list[Effect]:
        known = pid in self._all()
        self.ending.discard(pid)
        was_current, was_starting = pid == self.current, pid == self.starting
        if was_current:
            self.current = None
        if was_starting:
            self.starting = None
        if self.stopping:
            return [Exit(failed=False)] if known and not self._all() else []
        if was_starting:
            if self.current is None:
                return [Exit(failed=True)]
            again, self.again = self.again, False
            return [Spawn()] if again else self._answer(done=False)
        if was_current and self.starting is None:
            return [Spawn()] if now - self.since >= STEADY_SECONDS else [Exit(failed=True)]
        return []

    def _answer_if_done(self) -> list[Effect]:
        if self.starting is not None or self.current is None or self.leaving:
            return []
        return self._answer(done=True)

    def _answer(self, *, done: bool) -> list[Effect]:
        askers, self.askers = frozenset(self.askers), set()
        return [Answer(askers, done)] if askers else []

    def stop(self, now: float) -> list[Effect]:
        self.stopping, self.begun = True, now
        ending = _to_each(self._all(), signal.SIGTERM) or [Exit(failed=False)]
        return [*self._answer(done=False), *ending]

    def deadline(self) -> float | None:
        """When `overdue` is to be called, if nothing happens before."""
        if self.stopping:
            return self.begun + STOP_SECONDS
        return self.begun + START_SECONDS if self.starting is not None else None

    def overdue(self, now: float) -> list[Effect]:
        """Kill what took too long. Its death is told as any other."""
        deadline = self.deadline()
        if deadline is None or now < deadline:
            return []
        self.begun = now
        if self.stopping:
            return _to_each(self._all(), signal.SIGKILL)
        return [Send(pid, signal.SIGKILL) for pid in (self.starting,) if pid is not None]

    def _all(self) -> set[int]:
        return self.ending | {pid for pid in (self.current, self.starting) if pid is not None}


def _to_each(pids: Iterable[int], number: int) -> list[Effect]:
    return [Send(pid, number) for pid in sorted(pids)]
