"""Wrong machines. Each breaks one rule; the simulator has to notice each of them within a number of seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from quorate.corosync.address import Address
from quorate.pmxcfs.deadlines import Deadlines, Waiting
from quorate.pmxcfs.effects import Choice, Clock, Commit, Mode
from quorate.pmxcfs.queues import Queues
from quorate.pmxcfs.requests import Request, Requests
from quorate.pmxcfs.storerecovery import StoreRecovery
from quorate.pmxcfs.wire import MessageType, StateHeader
from tests.simulation.node import RecordingDcdb, SimulatedMachine


class KeepsOwnEpoch(SimulatedMachine):
    """Answers a SYNC_START without adopting its epoch (6.4a)."""

    def _answer(self, sender: Address, data: bytes, clock: Clock) -> None:
        epoch = self.epoch
        super()._answer(sender, data, clock)
        self.epoch = epoch


class TakesAnyEpoch(SimulatedMachine):
    """Obeys state messages of older rounds (6.4 step 6)."""

    def _process(self, sender: Address, data: bytes, clock: Clock) -> None:
        if len(data) >= 32 and data[0] not in (MessageType.NORMAL, MessageType.SYNC_START):
            self.epoch = StateHeader.unpack(data).epoch
        super()._process(sender, data, clock)


class _NeverDeletes(RecordingDcdb):
    def commit(self, own: bytes, leader: bytes, updates: Sequence[bytes], clock: Clock) -> Commit:
        return super().commit(leader, leader, updates, clock)


class SkipsDeletions(SimulatedMachine):
    """Takes over a state without removing what the leader lacks (4.5 step 1)."""

    app_type = _NeverDeletes


class _LowestLeads(RecordingDcdb):
    def choose(self, states: Mapping[Address, bytes]) -> Choice:
        leader = min(states)
        return Choice(leader, frozenset(member for member in states if states[member] == states[leader]))


class LeaderIsLowest(SimulatedMachine):
    """Takes the lowest node for the data leader (4.3)."""

    app_type = _LowestLeads


class _ByArrival(Queues):
    def insert(self, count: int, sender: Address, data: bytes) -> None:
        super().insert(count, sender, data)
        self.waiting.sort(key=lambda queued: queued.arrival)


class QueuesByArrival(SimulatedMachine):
    """Orders the message queue by arrival instead of count (6.5)."""

    def connected(self, *args: object, **kwargs: object) -> list:  # type: ignore[type-arg]
        if type(self._queues) is Queues:
            self._queues = _ByArrival()
        return super().connected(*args, **kwargs)  # type: ignore[arg-type]


class AppliesWithoutQuorum(SimulatedMachine):
    """Does not look at quorum on delivery (7.4 step 0)."""

    def _apply(self, sender: Address, fields: tuple[int, int, int], data: bytes, clock: Clock) -> None:
        quorate, self.quorate = self.quorate, True
        super()._apply(sender, fields, data, clock)
        self.quorate = quorate


class AppliesWhileUpdating(SimulatedMachine):
    """Applies normal messages to the tree that is about to be replaced (6.5)."""

    def _keep(self, sender: Address, data: bytes, clock: Clock) -> None:
        self._deliver(sender, data, clock)


class NeverSendsAgain(SimulatedMachine):
    """Empties the queue at a join without sending the own messages again (6.3 step 8a)."""

    def _resend_queue(self, joined: Sequence[tuple[int, int]]) -> None:
        if joined:
            self._queues.take_waiting()


class SendsAgainAndKeeps(SimulatedMachine):
    """Sends its messages again at a join, and keeps them queued as well (6.3 step 8a)."""

    def _resend_queue(self, joined: Sequence[tuple[int, int]]) -> None:
        waiting = list(self._queues.waiting)
        super()._resend_queue(joined)
        self._queues.waiting = waiting


class KeepsLateQueue(SimulatedMachine):
    """Does not empty the sync queue at a configuration change (6.3 step 3)."""

    def confchg(self, *args: object, **kwargs: object) -> list:  # type: ignore[type-arg]
        late = list(self._queues.late)
        effects = super().confchg(*args, **kwargs)  # type: ignore[arg-type]
        if self.mode is Mode.START_SYNC:
            self._queues.late.extend(late)
        return effects


class KeepsUpdates(SimulatedMachine):
    """Does not drop the updates of an interrupted round (6.3 step 6)."""

    def _free_states(self) -> None:
        updates = getattr(self, "update_list", [])
        super()._free_states()
        self.update_list = updates


class KeepsStates(SimulatedMachine):
    """Does not drop the states of an interrupted round (6.4a)."""

    def _free_states(self) -> None:
        states = getattr(self, "states", {})
        super()._free_states()
        self.states = states


class SendsWhileNotSynced(SimulatedMachine):
    """The original's behaviour (W7)."""

    def _settles(self, clock: Clock) -> bool:
        return True

    def _send_held(self, clock: Clock) -> None:
        mode, self.mode = self.mode, Mode.SYNCED
        super()._send_held(clock)
        self.mode = mode


class DropsHeldRequests(SimulatedMachine):
    """Forgets what waits when it leaves the group."""

    def _go_outside(self, mode: Mode, clock: Clock) -> None:
        super()._go_outside(mode, clock)
        list(self.requests.abandon())


class GoesOnEarly(SimulatedMachine):
    """Chooses the leader with one state missing (6.4b)."""

    def _store(self, sender: Address, data: bytes, clock: Clock) -> None:
        super()._store(sender, data, clock)
        if len(self.states) == len(self.members) - 1:
            self._complete(clock)


class WaitsForEver(SimulatedMachine):
    """No deadline for the states of others (W2)."""

    def decree(self, missing: Sequence[Address], clock: Clock) -> None:
        return


class _Patient(Requests):
    def expire(self, now: float) -> Iterator[object]:
        return iter(())


class CallersWaitForEver(SimulatedMachine):
    """No deadline for requests (W2)."""

    def connected(self, *args: object, **kwargs: object) -> list:  # type: ignore[type-arg]
        if type(self.requests) is Requests:
            self.requests = _Patient()
        return super().connected(*args, **kwargs)  # type: ignore[arg-type]


class _Optimist(RecordingDcdb):
    def resolve(self, requests: Sequence[Request], mark: object, nodeid: int) -> list[int | None]:
        return [0] * len(requests)


class PromisesTooMuch(SimulatedMachine):
    """Says that all requests under way at a disconnection took effect (W5)."""

    app_type = _Optimist


class NeverComesBack(SimulatedMachine):
    """Leaves for good (6.8)."""

    def _gone(self, clock: Clock) -> None:
        super()._gone(clock)
        self._out.clear()


class ForgetsUpdates(SimulatedMachine):
    """As leader, ends the synchronisation without sending updates (4.4)."""

    def _send_state_message(self, message_type: MessageType, payload: Sequence[bytes], clock: Clock) -> None:
        if message_type is not MessageType.UPDATE:
            super()._send_state_message(message_type, payload, clock)


class ForgetsQueueAtTheEnd(SimulatedMachine):
    """Drops what waited for the end of the synchronisation (6.4d)."""

    def _finish(self, sender: Address, data: bytes, clock: Clock) -> None:
        self._queues.clear()
        super()._finish(sender, data, clock)


class CountsTwice(SimulatedMachine):
    """Gives two messages the same count (6.9)."""

    def _send_held(self, clock: Clock) -> None:
        if self.synced and self.requests.held and self.requests.count % 3 == 2:
            self.requests.count -= 1
        super()._send_held(clock)


# What really was wrong once (the track record in docs/guarantees.md).


class _CountsProcesses(Deadlines):
    @staticmethod
    def _may_go_on(
        machine: Waiting, present: Sequence[Address], missing: Sequence[Address], ghosts: frozenset[Address]
    ) -> bool:
        return not machine.checks_quorum or 2 * len(present) > len(machine.members)


class CountsProcesses(SimulatedMachine):
    """Counts dead processes and ghosts as nodes when it asks whether enough would go on (W2)."""

    def connected(self, *args: object, **kwargs: object) -> list:  # type: ignore[type-arg]
        if type(self.deadlines) is Deadlines:
            self.deadlines = _CountsProcesses()
        return super().connected(*args, **kwargs)  # type: ignore[arg-type]


class _WaitsForOthers(StoreRecovery):
    def failed(self, error: Exception) -> None:
        later, self._later = self._later, lambda _delay, _action: None
        super().failed(error)
        self._later = later


class StaysReadOnly(SimulatedMachine):
    """After a failed write tries again only when the next message of somebody else comes (W19)."""

    recovery_type = _WaitsForOthers


MUTATIONS: tuple[type[SimulatedMachine], ...] = (
    KeepsOwnEpoch,
    TakesAnyEpoch,
    SkipsDeletions,
    LeaderIsLowest,
    QueuesByArrival,
    AppliesWithoutQuorum,
    AppliesWhileUpdating,
    NeverSendsAgain,
    SendsAgainAndKeeps,
    KeepsLateQueue,
    KeepsUpdates,
    KeepsStates,
    SendsWhileNotSynced,
    DropsHeldRequests,
    GoesOnEarly,
    WaitsForEver,
    CallersWaitForEver,
    PromisesTooMuch,
    NeverComesBack,
    ForgetsUpdates,
    ForgetsQueueAtTheEnd,
    CountsTwice,
    CountsProcesses,
    StaysReadOnly,
)
