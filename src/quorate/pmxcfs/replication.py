"""The replicated state machine of one CPG group: events in, effects out (core 5, 6). No I/O, no clock.

What is replicated is the application's business (``dcdb``, ``status``); what a message does in which mode
stands in ``transitions``; the layers below are ``synchronisation`` and ``life``.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from quorate.corosync.address import Address
from quorate.pmxcfs import wire
from quorate.pmxcfs.effects import Clock, Effect, LeaveGroup, Level, Mode, Rejoin, Reply, Send
from quorate.pmxcfs.synchronisation import Synchronisation
from quorate.pmxcfs.wire import MessageType

__all__ = ["Machine"]


class Machine(Synchronisation):
    """One group's state machine. Every event returns the effects to carry out, in order.

    ``has_updates``: a leader brings the others to its state (configuration database). ``verifies``: checksums
    are compared now and then. ``checks_quorum``: nothing is sent or applied without quorum.
    """

    # Events

    def connected(self, clock: Clock, *, nodeid: int | None = None, pid: int | None = None) -> list[Effect]:
        """The adapter has asked Corosync to join the group; (re-)initialise (core 6.8)."""
        self.own = Address(
            self.own.nodeid if nodeid is None else nodeid, self.own.pid if pid is None else pid
        )
        if self.mode in (Mode.VERSION_ERROR, Mode.ERROR) or self._stopped:
            self._out.append(LeaveGroup())  # a silent member would hold up the others
            return self._effects()
        self._cut_off()
        self._queues.clear()
        self._forget_members()
        self.joined = True
        self._leaving = False
        self.deadlines.joined_at = clock.mono
        self._enter(Mode.START, clock)
        return self._effects()

    def disconnected(self, clock: Clock) -> list[Effect]:
        """The connection to Corosync is gone. The adapter reconnects by itself and calls ``connected``."""
        self._cut_off()
        self.joined = self._leaving = False
        self._forget_members()
        if self.mode not in (Mode.VERSION_ERROR, Mode.ERROR):
            self._enter(Mode.START, clock)
        for request in self._drain_held():
            self._reply(request, -errno.EBUSY)
        return self._effects()

    def confchg(
        self,
        members: Sequence[tuple[int, int]],
        left: Sequence[tuple[int, int]],
        joined: Sequence[tuple[int, int]],
        clock: Clock,
    ) -> list[Effect]:
        """A configuration change was dispatched (core 6.3)."""
        self.epoch_counter += 1
        self.epoch = wire.Epoch(self.epoch_counter, clock.wall, self.own.nodeid, self.own.pid)
        self.round_open = False
        self.deadlines.configured(clock.mono)
        self._verification.reset()
        table = tuple(sorted(Address(nodeid, pid) for nodeid, pid in members))
        member = self.own in table
        if self.mode.outside:
            self._queues.late.clear()
            if not member:
                self._gone(clock)
            return self._effects()
        self._note_parting(table, joined)
        self._doubt_late()
        self.members = table
        self.left_out = frozenset()
        self._free_states()
        self._synced_members.clear()
        self.deadlines.forget_absent(table)
        if not member:
            if self.mode is not Mode.START:
                self._leave(clock, "a configuration of the group does not list this node any more")
                self._gone(clock)
            return self._effects()
        if len(table) > 1:
            self._resend_queue(joined)
            self._enter(Mode.START_SYNC, clock)
            if self.lowest:
                self._send_state_message(MessageType.SYNC_START, (), clock)
        else:
            self._synced_members.add(self.own)
            self._become_synced(clock)
        self.app.members_changed(self.members, clock)
        return self._effects()

    def message(self, sender: Address, data: bytes, clock: Clock) -> list[Effect]:
        """A message was dispatched (core 6.4). Never raises, whatever the bytes."""
        self.deadlines.heard(sender)
        self._process(sender, data, clock)
        return self._effects()

    def submit(
        self, subtype: int, payload: Sequence[bytes], token: object | None, clock: Clock
    ) -> list[Effect]:
        """Send an application message; ``token`` None: asynchronous, no ``Reply``.

        It goes out at once while synced, else it is held back until then (W7), at most as long as a request
        may last. EACCES without quorum, EBUSY when it can't be sent, too many wait (core 7.6), or another has
        just waited in vain.
        """
        usual = self.mode is Mode.SYNCED and self._settled and self.joined
        if usual and (self.quorate or not self.checks_quorum):  # as below, at less cost
            request = self.requests.pass_on(subtype, payload, token, clock.mono, clock.wall)
            if request is not None:
                self._send(request, clock)
                return self._effects()
        refusal = 0
        if self.checks_quorum and not self.quorate:
            refusal = errno.EACCES
        elif token is not None and self.requests.in_vain and self.mode is not Mode.SYNCED:
            refusal = errno.EBUSY
        elif self._may_return and self.requests.hold(subtype, payload, token, clock.mono):
            self._send_held(clock)
        else:
            refusal = errno.EBUSY
        if refusal and token is not None:
            self._out.append(Reply(token, -refusal))
        elif refusal == errno.EBUSY:
            self._untold(clock)
        return self._effects()

    def send_failed(self, clock: Clock, failed: Sequence[Send] = ()) -> list[Effect]:
        """These messages could not be multicast and never will be. Empty: it is not known which."""
        if not failed:
            self._leave(clock, "multicast failed")
        for send in failed:
            if send.type is MessageType.NORMAL:
                request = self.requests.delivered(send.count)
                if request is not None and request.token is None:
                    self._untold(clock)
                elif request is not None:
                    self.requests.in_vain = True
                    self._reply(request, -errno.EBUSY)
            elif send.type is MessageType.VERIFY_REQUEST:
                self._verification.not_sent()
                self._log(
                    Level.WARNING, "request for verification could not be sent; the next one is due later"
                )
            else:
                # The original only logs a lost UPDATE; but then no follower can complete its commit.
                self._leave(clock, f"multicast of {send.type.name} failed")
        return self._effects()

    def quorum(
        self,
        quorate: bool,
        clock: Clock,
        *,
        nodes: frozenset[int] | None = None,
        expected: int | None = None,
    ) -> list[Effect]:
        """The quorum service spoke (core 8.1). ``nodes``: node ids it lists; ``expected``: how many nodes
        the cluster is configured to have. Both only serve to judge silent members, None if not known."""
        regained = quorate and not self.quorate
        self.quorate = quorate
        self.quorum_nodes = nodes
        if expected is not None:
            self.expected_nodes = expected
        if regained and self._started and self.has_updates:
            self._settled = False
            self._settling_since = clock.mono
        return self._effects()

    def tick(self, clock: Clock) -> list[Effect]:
        """Time passes; call about four times a second."""
        for token in self.requests.expire(clock.mono):
            self._out.append(Reply(token, -errno.EBUSY))
        self.deadlines.check(self, clock)
        self._send_held(clock)
        return self._effects()

    def verify(self, clock: Clock) -> list[Effect]:
        """Start a verification now if this node may (core 6.7); ``tick`` does so by itself."""
        self.request_verification(clock)
        return self._effects()

    def reloaded(self, clock: Clock) -> list[Effect]:
        """The application has a trustworthy state again (answer to ``Reload``): come back."""
        if self.mode is Mode.ERROR:
            self._enter(Mode.LEAVE, clock)
            if not (self.joined or self._leaving):
                self._out.append(Rejoin(self._rejoin_delay(clock)))
        return self._effects()

    def stop(self, clock: Clock) -> list[Effect]:
        """Regular end: every waiting caller gets its answer, the group is left."""
        self._stopped = True
        self._out.extend(Reply(token, -errno.EBUSY) for token in self.requests.abandon())
        if self.joined:
            self.joined = False
            self._out.append(LeaveGroup())
        return self._effects()

    def _untold(self, clock: Clock) -> None:
        """A message is lost that nobody waits for. The original loses keys and log entries in silence then.

        In a group without updates each synchronisation tells everything anew; the other group's such messages
        are requests that are repeated anyway.
        """
        if self.mode is Mode.SYNCED and not self.has_updates:
            self._leave(clock, "a message is lost, and the others have to be told everything anew")

    @property
    def _may_return(self) -> bool:
        """Whether this node is in the group or on its way back, so that a message can wait for that."""
        if self._stopped or self.mode in (Mode.VERSION_ERROR, Mode.ERROR):
            return False
        return self.joined or self.mode is Mode.LEAVE

    @property
    def awaits_own(self) -> bool:
        """Whether own messages are under way."""
        return bool(self.requests.sent)

    # What the deadlines may do

    def start_round(self, clock: Clock) -> None:
        """The lowest node is silent: start the exchange of states in its place; originals obey that too."""
        self._log(Level.WARNING, "nobody starts the synchronisation; starting it in the lowest node's place")
        self._send_state_message(MessageType.SYNC_START, (), clock)

    def decree(self, missing: Sequence[Address], clock: Clock) -> None:
        """Ask all to go on without ``missing``; takes effect on delivery, at one point of the total order."""
        names = ", ".join(f"{member.nodeid}/{member.pid}" for member in missing)
        self._log(Level.WARNING, f"member {names} does not send its state; going on without it")
        self._send_state_message(MessageType.UPDATE_COMPLETE, (), clock)

    @property
    def leaving(self) -> bool:
        """Whether the configuration without this node is awaited."""
        return self._leaving

    def request_verification(self, clock: Clock) -> None:
        """Have all data compared, if this node is the one to ask for it (core 6.7)."""
        if not (self.verifies and self.lowest and self.synced):
            return
        request_id = self._verification.next_id(clock.mono)
        if request_id is not None:
            request = wire.VerifyRequest(request_id)
            self._send_state_message(MessageType.VERIFY_REQUEST, (request.pack(),), clock)

    def give_up(self, clock: Clock, why: str) -> None:
        """Leave the group and come back."""
        self._leave(clock, why)

    def reconnect(self, clock: Clock, why: str) -> None:
        """Corosync owes an answer for too long: connect anew."""
        self._log(Level.WARNING, f"{why}; connecting to Corosync anew")
        self.joined = self._leaving = False
        self._out.append(Rejoin(1.0, fresh=True))

    def warn(self, text: str) -> None:
        """One line for the log."""
        self._log(Level.WARNING, text)
