"""One CPG group: its connection to Corosync, its state machine, and the queue of messages going out.

The machine decides; here its effects are carried out, in order, and nothing waits (W3, W4). Which groups
there are and when Corosync is asked again is the business of ``services``.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from quorate.corosync.address import Address
from quorate.corosync.cpg import Cpg
from quorate.corosync.errors import (
    BadHandleError,
    CsError,
    ExistError,
    LibraryError,
    MissingLibraryError,
    NotExistError,
    SendResult,
)
from quorate.pmxcfs.effects import (
    Clock,
    Effect,
    LeaveGroup,
    Level,
    Log,
    Mode,
    ModeChanged,
    Rejoin,
    Reply,
    Send,
)
from quorate.pmxcfs.figures import GroupFigures
from quorate.pmxcfs.loop import RANK_GROUP, Loop, Timer
from quorate.pmxcfs.replication import Machine

SEND_LIMIT: Final = 10.0
"""Seconds for which flow control may refuse a message (core 5.6), from when it is the next to go: behind
others it may wait longer, or no synchronisation would ever end that takes longer than this to send."""

RETRY_FIRST: Final = 0.002
RETRY_LONGEST: Final = 0.1
"""Seconds between two tries under flow control while nothing comes in. The original waits 0.1 s each time,
the token needs less than 1 ms."""

JOIN_RETRY: Final = 0.1
JOIN_TRIES: Final = 100
"""Then the connection is given up and made anew (core 5.6: 10 s)."""

EVENTS_PER_ROUND: Final = 64
"""Events of the group in one round, then the other descriptors have their turn."""

MAX_QUEUED: Final = 300_000
"""Messages waiting for Corosync. The machine bounds its own; a synchronisation sends one per
differing entry."""

_LEVELS: Final = {
    Level.DEBUG: logging.DEBUG,
    Level.INFO: logging.INFO,
    Level.WARNING: logging.WARNING,
    Level.ERROR: logging.ERROR,
}


class Connection(Protocol):
    """What is needed of ``corosync.cpg.Cpg``; tests bring their own."""

    def fileno(self) -> int: ...
    def local_nodeid(self) -> int: ...
    def join(self, group: bytes) -> SendResult: ...
    def leave(self) -> SendResult: ...
    def mcast(self, parts: Sequence[bytes]) -> SendResult: ...
    def dispatch(self) -> bool: ...
    def close(self) -> None: ...


Connect = Callable[..., Connection]


class Group:
    """A member of one group. ``special`` carries out the effects that are not of every group's kind."""

    def __init__(
        self,
        name: bytes,
        machine: Machine,
        loop: Loop,
        *,
        log: logging.Logger,
        clock: Callable[[], Clock],
        before_event: Callable[[], None],
        after_event: Callable[[], None],
        special: Callable[[Effect], None],
        lost: Callable[[], None],
        joined: Callable[[Address], None] | None = None,
        answered: Callable[[], None] | None = None,
        expects: float = 0.0,
        connect: Connect = Cpg,
    ) -> None:
        """``answered``: no own message is under way any more, so somebody may have got his answer just now.
        ``expects``: seconds within which an own message usually comes back, if the loop is to wait awake.
        """
        self.name = name
        self.machine = machine
        self._loop = loop
        self._log = log
        self._clock = clock
        self._before_event = before_event
        self._after_event = after_event
        self._special = special
        self._lost = lost
        self._identified = joined
        self._answered = answered
        self._expects = expects
        self._connect = connect
        self._cpg: Connection | None = None
        self._fd = -1
        self._joined = False
        self._join_tries = 0
        self._events: deque[tuple[Callable[..., list[Effect]], tuple[object, ...]]] = deque()
        """Machine events that Corosync's callbacks made: what to call, with which arguments."""
        self._effects: deque[Effect] = deque()
        self._running = False
        self._queue: deque[Send] = deque()
        self._refused_at: float | None = None
        """When flow control refused the first of the queue for the first time."""
        self._retry: Timer | None = None
        self._retry_delay = RETRY_FIRST
        self._rejoin: Timer | None = None
        self._quiet = False
        self._delivered = 0

    @property
    def connected(self) -> bool:
        return self._cpg is not None

    @property
    def figures(self) -> GroupFigures:
        machine = self.machine
        return GroupFigures(
            machine.mode.name.lower(),
            len(machine.members),
            machine.requests.count,
            self._delivered,
            len(self._queue),
        )

    # Events for the machine

    def connect(self) -> bool:
        """Connect and join. False: Corosync is not there, try again later."""
        self._cancel_rejoin()
        if self._cpg is None:
            try:
                self._cpg = self._connect(deliver=self._on_deliver, confchg=self._on_confchg)
            except (CsError, MissingLibraryError) as error:
                self._report_absence(error)
                return False
            self._quiet = False
            self._fd = self._cpg.fileno()
            self._loop.add_reader(self._fd, self._dispatch, RANK_GROUP)
        self._join()
        return self._cpg is not None

    def submit(self, subtype: int, payload: Sequence[bytes], token: object | None) -> None:
        """Hand an operation to the machine."""
        self.run(self.machine.submit(subtype, payload, token, self._clock()))

    def submit_together(self, requests: Sequence[tuple[int, tuple[bytes, ...], object | None]]) -> None:
        """As ``submit`` for each, but all are made ready before the first is sent: the token, which may come
        at any moment, shall take all of them along."""
        clock = self._clock()
        effects: list[Effect] = []
        for subtype, payload, token in requests:
            effects += self.machine.submit(subtype, payload, token, clock)
        self.run(effects)

    def quorum(self, quorate: bool, nodes: frozenset[int] | None, expected: int | None) -> None:
        """What the quorum service says: node ids of the partition and how many nodes are configured."""
        self.run(self.machine.quorum(quorate, self._clock(), nodes=nodes, expected=expected))

    def tick(self) -> None:
        self.run(self.machine.tick(self._clock()))

    def reloaded(self) -> None:
        """The application can be trusted again."""
        self.run(self.machine.reloaded(self._clock()))

    def stop(self) -> None:
        """Leave the group and close the connection."""
        self._cancel_rejoin()
        self.run(self.machine.stop(self._clock()))
        self._close()

    def run(self, effects: Iterable[Effect]) -> None:
        """Carry out effects, in the order in which the machine gave them out, also when nested."""
        waiting = self._effects
        if self._running:
            waiting.extend(effects)
            return
        self._running = True
        try:
            for effect in effects:
                self._carry_out(effect)
            while waiting:
                self._carry_out(waiting.popleft())
        finally:
            self._running = False

    # Effects

    def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, Reply):
            assert callable(effect.token)
            effect.token(effect.result)
        elif isinstance(effect, Send):
            self._queue.append(effect)
            if len(self._queue) > MAX_QUEUED:
                self._send_failed(list(self._queue), "too many messages wait for corosync")
            elif self._retry is None:
                self._pump()
        elif isinstance(effect, Log):
            self._log.log(_LEVELS[effect.level], "%s", effect.text)
        elif isinstance(effect, LeaveGroup):
            self._leave()
        elif isinstance(effect, Rejoin):
            self._schedule_rejoin(effect)
        else:
            if isinstance(effect, ModeChanged):
                if effect.new is Mode.SYNCED:
                    self._log.info("all data is up to date, %d member(s)", len(self.machine.members))
                else:
                    self._log.debug("mode %s", effect.new.name)
            self._special(effect)

    def _pump(self) -> None:
        """Hand the queue to Corosync, as far as it takes it."""
        self._retry = None
        while self._queue:
            send = self._queue[0]
            if self._cpg is None:
                self._send_failed(list(self._queue), "not connected to corosync")
                return
            try:
                result = self._cpg.mcast(send.parts)
            except (LibraryError, BadHandleError):
                self._connection_lost()
                return
            except CsError as error:
                self._queue.popleft()
                self._refused_at = None
                self._send_failed([send], str(error))
                continue
            if result is SendResult.SENT:
                self._queue.popleft()
                if self._expects and send.count:
                    self._loop.expect(self._expects)
                self._refused_at = None
                self._retry_delay = RETRY_FIRST
                continue
            now = self._loop.clock()
            if self._refused_at is None:
                self._refused_at = now
            if now - self._refused_at >= SEND_LIMIT:
                self._send_failed(list(self._queue), "flow control for 10 s")
                return
            self._retry = self._loop.call_later(self._retry_delay, self._pump)
            self._retry_delay = min(self._retry_delay * 2, RETRY_LONGEST)
            return

    def _send_failed(self, sends: list[Send], why: str) -> None:
        failed = set(map(id, sends))
        self._queue = deque(item for item in self._queue if id(item) not in failed)
        self._refused_at = None
        self._log.warning("cannot send %d message(s): %s", len(sends), why)
        self.run(self.machine.send_failed(self._clock(), sends))

    def _leave(self) -> None:
        self._queue.clear()
        self._refused_at = None
        self._cancel_retry()
        if self._cpg is None or not self._joined:
            return
        try:
            result = self._cpg.leave()
        except NotExistError:
            self._joined = False
        except CsError as error:
            self._log.info("leaving the group failed: %s", error)
            self._connection_lost()
        else:
            if result is SendResult.TRY_AGAIN:
                self._loop.call_later(JOIN_RETRY, self._leave)
            else:
                self._joined = False

    def _schedule_rejoin(self, effect: Rejoin) -> None:
        self._cancel_rejoin()
        if effect.fresh:
            self._close()
        self._rejoin = self._loop.call_later(effect.delay, self._rejoin_now)

    def _rejoin_now(self) -> None:
        self._rejoin = None
        self._close()  # Corosync never lets a connection that has left join again
        if not self.connect():
            self._lost()

    def _join(self) -> None:
        if self._cpg is None:
            return
        try:
            result = self._cpg.join(self.name)
            nodeid = self._cpg.local_nodeid()
        except ExistError:  # Corosync still knows the connection that was closed a moment ago
            result = SendResult.TRY_AGAIN
        except CsError as error:
            self._log.info("joining the group failed: %s", error)
            self._connection_lost()
            return
        if result is SendResult.TRY_AGAIN:
            self._join_tries += 1
            if self._join_tries < JOIN_TRIES:
                self._rejoin = self._loop.call_later(JOIN_RETRY, self._join)
            else:
                self._log.warning("corosync does not let this node join the group; connecting anew")
                self._join_tries = 0
                self._connection_lost()
            return
        self._join_tries = 0
        self._joined = True
        if self._identified is not None:
            self._identified(Address(nodeid, os.getpid()))
        self.run(self.machine.connected(self._clock(), nodeid=nodeid, pid=os.getpid()))

    # Corosync's side

    def _dispatch(self) -> None:
        self._take_events()
        if self._retry is not None:  # messages have come in: so others have gone out, and there may be room
            self._cancel_retry()
            self._pump()

    def _take_events(self) -> None:
        awaited = self.machine.awaits_own
        for _ in range(EVENTS_PER_ROUND):
            self._before_event()
            if self._cpg is None:
                return
            try:
                more = self._cpg.dispatch()
            except CsError as error:
                self._log.info("connection to corosync lost: %s", error)
                self._connection_lost()
                return
            while self._events:
                event, arguments = self._events.popleft()
                self.run(event(*arguments, self._clock()))
                self._after_event()
            # When the last own message came back, its caller goes on with the kernel's requests: those first,
            # instead of one look in vain; the selector knows whether there is more.
            if awaited and not self.machine.awaits_own:
                if self._expects:
                    self._loop.came()
                if self._answered is not None:
                    self._answered()
                return
            if not more:
                return

    def _on_deliver(self, sender: Address, data: bytes) -> None:
        self._delivered += 1
        self._events.append((self.machine.message, (sender, data)))

    def _on_confchg(
        self,
        members: Sequence[tuple[int, int]],
        left: Sequence[tuple[int, int]],
        joined: Sequence[tuple[int, int]],
    ) -> None:
        self._events.append((self._confchg, (members, left, joined)))

    def _confchg(
        self,
        members: Sequence[tuple[int, int]],
        left: Sequence[tuple[int, int]],
        joined: Sequence[tuple[int, int]],
        clock: Clock,
    ) -> list[Effect]:
        self._log.info("members: %s", ", ".join(f"{nodeid}/{pid}" for nodeid, pid in sorted(members)))
        return self.machine.confchg(members, left, joined, clock)

    def _connection_lost(self) -> None:
        self._close()
        self.run(self.machine.disconnected(self._clock()))
        self._lost()

    def _close(self) -> None:
        self._queue.clear()
        self._refused_at = None
        self._events.clear()
        self._cancel_retry()
        self._joined = False
        if self._cpg is not None:
            self._loop.remove_reader(self._fd)
            self._cpg.close()
            self._cpg = None

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _cancel_rejoin(self) -> None:
        if self._rejoin is not None:
            self._rejoin.cancel()
            self._rejoin = None

    def _report_absence(self, error: Exception) -> None:
        """Once per absence: every second would fill the log."""
        if not self._quiet:
            self._log.info("waiting for corosync: %s", error)
        self._quiet = True
