"""The life of a member of the group: its variables, its modes, its own messages (core 6.1, 6.2).

The lowest of the three layers of the machine; what messages do is in ``synchronisation``, what the adapter
calls in ``replication``.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from quorate.corosync.address import Address
from quorate.pmxcfs import wire
from quorate.pmxcfs.application import Application
from quorate.pmxcfs.deadlines import Deadlines
from quorate.pmxcfs.effects import (
    Clock,
    Effect,
    LeaveGroup,
    Level,
    Log,
    Mode,
    ModeChanged,
    Rejoin,
    Reload,
    Reply,
    Send,
)
from quorate.pmxcfs.queues import Queues
from quorate.pmxcfs.requests import Request, Requests
from quorate.pmxcfs.verification import Verification
from quorate.pmxcfs.wire import MessageType

REJOIN_SECONDS = 5.0
"""Between two joins (core 6.8). Doubles with each failed life up to the maximum, so that a node which can't
take the others' state does not disturb them all the time."""

MAX_REJOIN_SECONDS = 30.0

STABLE_SECONDS = 60.0
"""Synced for so long: earlier failures are forgotten."""

RELOAD_SECONDS = 5.0
"""Before the first reload after the error flag; doubles likewise (W19)."""

MAX_RELOAD_SECONDS = 300.0

SETTLE_SECONDS = 5.0
"""How long a machine keeps its own messages back for nodes that quorum counts and the group does not list.

Once it has started: when all daemons were killed at once, the first to return may hold an older state than
the others stored; with new messages its version would overtake theirs (W24). And when quorum came back while
the group has no more than half of the copies: this node may have been cut off, and the daemon that has what
was acknowledged meanwhile is on its way back into the group."""


class Life:
    """State and the ways from mode to mode. Effects collect in ``_out`` until the event is over."""

    def __init__(
        self,
        app: Application,
        *,
        nodeid: int,
        pid: int,
        protocol_version: int,
        has_updates: bool,
        verifies: bool,
        checks_quorum: bool,
    ) -> None:
        self.app = app
        self.own = Address(nodeid, pid)
        self.protocol_version = protocol_version
        self.has_updates = has_updates
        self.verifies = verifies
        self.checks_quorum = checks_quorum
        self.mode = Mode.START
        self.members: tuple[Address, ...] = ()
        self.quorate = False
        self.quorum_nodes: frozenset[int] | None = None
        self.expected_nodes: int | None = None
        self.requests = Requests()
        self.deadlines = Deadlines()

        self.joined = False  # cpg_join was called and no leave completed since
        self.left_out: frozenset[Address] = frozenset()  # by decree, in this configuration
        self.epoch_counter = 0
        self.epoch = wire.NO_EPOCH
        self.round_open = False  # a SYNC_START was obeyed in this configuration
        self.states: dict[Address, bytes] = {}
        self.update_list: list[bytes] = []

        self._leaving = False
        self._stopped = False
        self._settled = not has_updates
        self._settling_since: float | None = None  # in sync for the first time, or back to quorum
        self._started = False  # it has settled once
        self._synced_members: set[Address] = set()
        self._own_state = b""
        self._state_sent = False  # in this configuration
        self._parted = False  # somebody who may have applied what is queued here left this configuration
        self._leader: Address | None = None
        self._queues = Queues()
        self._verification = Verification()
        self._mark: object = None
        self._failures = 0
        self._out: list[Effect] = []

    # What others may look at

    @property
    def synced(self) -> bool:
        """Data is up to date and messages are applied as they arrive."""
        return self.mode is Mode.SYNCED

    @property
    def lowest(self) -> bool:
        """This node starts synchronisations and serves expired locks (not the same as the data leader)."""
        return bool(self.members) and self.members[0].nodeid == self.own.nodeid

    # Own messages

    def _submit_async(self, subtype: int, payload: Sequence[bytes], clock: Clock) -> None:
        if self.checks_quorum and not self.quorate:
            return
        if self.requests.hold(subtype, payload, None, clock.mono) is None:
            self._log(Level.WARNING, f"too many messages wait; one of type {subtype} is dropped")
        self._send_held(clock)

    def _send_held(self, clock: Clock) -> None:
        """Send what waits: only while synced (W7), only with quorum (W6), counts in the order of sending."""
        requests = self.requests
        while requests.held and self.mode is Mode.SYNCED and requests.sendable and self._settles(clock):
            request = requests.take()
            if self.checks_quorum and not self.quorate:
                self._reply(request, -errno.EACCES)
                continue
            requests.number(request, clock.wall)
            self._send(request, clock)

    def _send(self, request: Request, clock: Clock) -> None:
        """Multicast a request that has its number."""
        count = request.count
        header = wire.pack_normal(request.subtype, self.protocol_version, clock.wall, count)
        self._out.append(Send((header, *request.payload), MessageType.NORMAL, count))

    def _settles(self, clock: Clock) -> bool:
        """Whether all nodes that may hold a newer state had their chance to show it since the start."""
        if not self._settled and self._settling_since is not None:
            over = clock.mono - self._settling_since >= SETTLE_SECONDS
            self._settled = over or not self._newer_elsewhere()
            self._started = self._started or self._settled
            return self._settled
        return True

    def _newer_elsewhere(self) -> bool:
        """Whether a node that quorum counts and the group does not list may hold a newer state."""
        nodes = self.quorum_nodes
        present = {member.nodeid for member in self.members}
        if nodes is None or nodes <= present:
            return False
        return not self._started or 2 * len(present) <= (self.expected_nodes or len(nodes))

    def _drain_held(self) -> list[Request]:
        drained = []
        while self.requests.held:
            drained.append(self.requests.take())
        return drained

    def _cut_off(self) -> None:
        """From here on own messages may be applied by others without this node learning of it (W5)."""
        self.requests.cut_off()
        if self.requests.unresolved and self._mark is None:
            self._mark = self.app.mark()

    def _resolve(self) -> None:
        """Back in sync: answer what was under way when this node was cut off (W5)."""
        unresolved = self.requests.take_unresolved()
        if unresolved:
            mark, self._mark = self._mark, None
            results = self.app.resolve(unresolved, mark, self.own.nodeid)
            for request, result in zip(unresolved, results, strict=True):
                self._reply(request, -errno.EBUSY if result is None else result)

    def _reply(self, request: Request, result: int) -> None:
        if request.token is not None:
            self._out.append(Reply(request.token, result))
            request.token = None

    # Modes

    def _enter(self, mode: Mode, clock: Clock) -> None:
        if mode is not self.mode:
            self._out.append(ModeChanged(self.mode, mode))
            self.mode = mode
            self.deadlines.entered(clock.mono)
            if mode is Mode.SYNCED:
                self.requests.in_vain = False
            if mode is Mode.SYNCED and self._settling_since is None:
                self._settling_since = clock.mono

    def _leave(self, clock: Clock, why: str, *, failure: bool = True) -> None:
        """The leave action (core 6.1, 6.8)."""
        if self.mode.outside:
            return
        self._log(Level.WARNING, f"leaving the group: {why}")
        if failure:
            self._failed_life(clock)
        self._go_outside(Mode.LEAVE, clock)

    def _version_error(self, sender: Address, version: int, clock: Clock) -> None:
        self._log(
            Level.ERROR,
            f"node {sender.nodeid} uses protocol version {version}, this node {self.protocol_version}: "
            "upgrade this node and restart it",
        )
        self._go_outside(Mode.VERSION_ERROR, clock)
        self._out.extend(Reply(token, -errno.EBUSY) for token in self.requests.abandon())

    def _break(self, clock: Clock, why: str) -> None:
        """The error flag (core 1.17), but with a way back (W19)."""
        self._failed_life(clock)
        delay = min(RELOAD_SECONDS * 2.0 ** (self._failures - 1), MAX_RELOAD_SECONDS)
        self._log(Level.ERROR, f"{why}; leaving the group, reloading the database in {delay:.0f} s")
        self._go_outside(Mode.ERROR, clock)
        for request in self._drain_held():
            self._reply(request, -errno.EBUSY)
        self._out.append(Reload(delay))

    def _go_outside(self, mode: Mode, clock: Clock) -> None:
        self._cut_off()
        self._enter(mode, clock)
        self._free_states()
        self._queues.clear()
        if self.joined and not self._leaving:
            self._leaving = True
            self._out.append(LeaveGroup())

    def _gone(self, clock: Clock) -> None:
        """The group goes on without this node."""
        self.joined = self._leaving = False
        self._forget_members()
        if self.mode is Mode.LEAVE and not self._stopped:
            self._out.append(Rejoin(self._rejoin_delay(clock)))

    def _failed_life(self, clock: Clock) -> None:
        if self.synced and clock.mono - self.deadlines.entered_at >= STABLE_SECONDS:
            self._failures = 0
        self._failures += 1

    def _rejoin_delay(self, clock: Clock) -> float:
        interval = min(REJOIN_SECONDS * 2.0 ** max(self._failures - 1, 0), MAX_REJOIN_SECONDS)
        return max(1.0, interval - (clock.mono - self.deadlines.joined_at))

    # Small things

    def _send_state_message(self, message_type: MessageType, payload: Sequence[bytes], clock: Clock) -> None:
        header = wire.StateHeader(message_type, self.protocol_version, clock.wall, self.epoch).pack()
        self._out.append(Send((header, *payload), message_type))

    def _free_states(self) -> None:
        self.states = {}
        self.update_list = []
        self._leader = None

    def _forget_members(self) -> None:
        self.members = ()
        self.left_out = frozenset()
        self._synced_members.clear()
        self._state_sent = self._parted = False
        self._free_states()

    def _log(self, level: Level, text: str) -> None:
        self._out.append(Log(level, text))

    def _effects(self) -> list[Effect]:
        effects, self._out = self._out, []
        return effects
