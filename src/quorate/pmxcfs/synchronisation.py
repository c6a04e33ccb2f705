"""What each message does, and the order in which queued ones are applied (core 6.4-6.7).

The middle layer of the machine. Which message does what in which mode is data, in ``transitions``.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from functools import cached_property

from quorate.corosync.address import Address
from quorate.pmxcfs import wire
from quorate.pmxcfs.effects import Clock, Committed, Level, Mode, Outcome, Send, StateError, TakeOverError
from quorate.pmxcfs.life import Life
from quorate.pmxcfs.transitions import Action, action_for
from quorate.pmxcfs.wire import NORMAL_HEADER_SIZE, STATE_HEADER_SIZE, MessageType


class Synchronisation(Life):
    """Handlers of delivered messages."""

    @cached_property
    def _handlers(self) -> dict[Action, Callable[[Address, bytes, Clock], None]]:
        return {
            Action.DELIVER: self._deliver,
            Action.QUEUE: self._enqueue,
            Action.KEEP: self._keep,
            Action.ANSWER: self._answer,
            Action.STORE: self._store,
            Action.DECREE: self._decree,
            Action.COLLECT: self._collect,
            Action.TAKE_OVER: self._take_over,
            Action.FINISH: self._finish,
            Action.CHECKSUM: self._take_checksum,
            Action.COMPARE: self._compare,
        }

    # Messages

    def _process(self, sender: Address, data: bytes, clock: Clock) -> None:
        if self.mode is Mode.SYNCED and self.members:
            fields = wire.normal_fields(data, self.protocol_version)
            if fields is not None:  # nearly all messages; the same checks as below, at less cost
                self._apply(sender, fields, data, clock)
                return
        if self.mode.outside:
            self._free_states()
            return
        if not self.members:
            self._leave(clock, "message before the first configuration")
            return
        try:
            header = wire.Header.unpack(data)
        except wire.WireError as error:
            self._leave(clock, f"message from {sender.nodeid}: {error}")
            return
        if header.protocol_version != self.protocol_version:
            if header.protocol_version > self.protocol_version:
                self._version_error(sender, header.protocol_version, clock)
            return
        if header.type != MessageType.NORMAL:
            try:
                epoch = wire.StateHeader.unpack(data).epoch
            except wire.WireError as error:
                self._leave(clock, f"message from {sender.nodeid}: {error}")
                return
            if header.type != MessageType.SYNC_START and epoch != self.epoch:
                return
        action = action_for(self.mode, header.type)
        if action is Action.LEAVE or (action is Action.IGNORE_LATE and sender not in self.left_out):
            self._leave(
                clock,
                f"message of type {header.type} from {sender.nodeid} can't come in mode {self.mode.name}",
            )
        elif action not in (Action.IGNORE, Action.IGNORE_LATE):
            self._handlers[action](sender, data, clock)

    def _deliver(self, sender: Address, data: bytes, clock: Clock) -> None:
        fields = wire.normal_fields(data, self.protocol_version)
        if fields is None:
            self._leave(clock, f"message from {sender.nodeid}: {len(data)} bytes are no application message")
        else:
            self._apply(sender, fields, data, clock)

    def _apply(self, sender: Address, fields: tuple[int, int, int], data: bytes, clock: Clock) -> None:
        subtype, time, count = fields
        own = sender == self.own
        request = None
        if own:
            request = self.requests.delivered(count)
            self.requests.in_vain = False
        if self.checks_quorum and not self.quorate:
            if request is not None:
                self._reply(request, -errno.EPERM)
                self.requests.doubt(request)
            self._leave(clock, "a message was delivered without quorum", failure=False)
            return
        delivery = self.app.deliver(
            sender, subtype, time, data[NORMAL_HEADER_SIZE:], clock, own=own, lowest=self.lowest
        )
        if delivery.effects:
            self._out.extend(delivery.effects)
        if request is not None:
            self._reply(request, -errno.EPERM if delivery.result is None else delivery.result)
        if delivery.outcome is Outcome.REFUSE:
            self._leave(clock, f"message from {sender.nodeid} refused: {delivery.reason}")
        elif delivery.outcome is Outcome.BROKEN:
            if request is not None:
                self.requests.doubt(request)
            self._break(clock, delivery.reason)
        else:
            for answer, payload in delivery.sends:
                self._submit_async(answer, payload, clock)
            if own and self.requests.held:
                self._send_held(clock)

    def _enqueue(self, sender: Address, data: bytes, clock: Clock) -> None:
        header = self._queueable(sender, data, clock)
        if header is not None:
            self._queues.insert(header.count, sender, data)

    def _keep(self, sender: Address, data: bytes, clock: Clock) -> None:
        # The original keeps only synced senders' messages in this order; the synced members, however, have
        # already applied all of them as they came, so this is the order to repeat (W7).
        if self._queueable(sender, data, clock) is not None:
            self._queues.late.append((sender, data))

    def _queueable(self, sender: Address, data: bytes, clock: Clock) -> wire.NormalHeader | None:
        if sender not in self.members:
            self._leave(clock, f"message from {sender.nodeid}/{sender.pid}, which is no member")
            return None
        try:
            return wire.NormalHeader.unpack(data)
        except wire.WireError as error:
            self._leave(clock, f"message from {sender.nodeid}: {error}")
            return None

    def _answer(self, sender: Address, data: bytes, clock: Clock) -> None:
        if sender.nodeid != self.members[0].nodeid:
            self._log(Level.INFO, f"node {sender.nodeid} starts a synchronisation though it isn't the lowest")
        self.epoch = wire.StateHeader.unpack(data).epoch
        self.round_open = True
        self._free_states()
        self.deadlines.round_started(clock.mono)
        self._own_state = self.app.state()
        self._state_sent = True
        self._send_state_message(MessageType.STATE, (self._own_state,), clock)

    def _store(self, sender: Address, data: bytes, clock: Clock) -> None:
        if sender not in self.members:
            self._leave(clock, f"state from {sender.nodeid}/{sender.pid}, which is no member")
        elif sender in self.states:
            self._leave(clock, f"second state from node {sender.nodeid} in one round")
        else:
            self.states[sender] = data[STATE_HEADER_SIZE:]
            if len(self.states) == len(self.members):
                self._complete(clock)

    def _decree(self, sender: Address, data: bytes, clock: Clock) -> None:
        """An UPDATE_COMPLETE before all states are there: all who sent theirs go on (decision 0006).

        Members of the original leave on it and come back, which is what 6.4 says and does no harm.
        """
        if sender not in self.states:
            self._leave(clock, f"node {sender.nodeid} ends a round in which it sent no state")
        elif self.own not in self.states:
            self._leave(clock, "the others went on without this node, which was too slow")
        else:
            self.left_out = frozenset(self.members).difference(self.states)
            self.deadlines.left_out(self.left_out)
            self._complete(clock)

    def _complete(self, clock: Clock) -> None:
        """All states are there: choose the leader (core 6.4b)."""
        try:
            choice = self.app.choose(self.states)
        except StateError as error:
            self._leave(clock, str(error))
            return
        self._leader = choice.leader
        self._synced_members = set(choice.synced)
        if self.has_updates and choice.leader == self.own:
            for payload in self.app.updates(self.states):
                self._send_state_message(MessageType.UPDATE, payload, clock)
            self._send_state_message(MessageType.UPDATE_COMPLETE, (), clock)
        if self.own in self._synced_members:
            self._become_synced(clock)
        else:
            self.deadlines.progress(clock.mono)
            self._enter(Mode.UPDATE, clock)
            self._deliver_queue(clock)

    def _collect(self, sender: Address, data: bytes, clock: Clock) -> None:
        self.deadlines.progress(clock.mono)
        self.update_list.append(data[STATE_HEADER_SIZE:])

    def _take_over(self, sender: Address, data: bytes, clock: Clock) -> None:
        assert self._leader is not None
        try:
            commit = self.app.commit(self._own_state, self.states[self._leader], self.update_list, clock)
        except TakeOverError as error:
            self._leave(clock, f"can't take over the state of node {self._leader.nodeid}: {error}")
            return
        self._out.extend(commit.effects)
        self._out.append(Committed(commit.adopted))
        self._out.extend(commit.after)
        self._synced_members = set(self.members) - self.left_out
        self._become_synced(clock)

    def _finish(self, sender: Address, data: bytes, clock: Clock) -> None:
        self._synced_members = set(self.members) - self.left_out
        self._deliver_queue(clock)
        if self.synced:
            self.deadlines.all_synced(clock.mono)

    def _take_checksum(self, sender: Address, data: bytes, clock: Clock) -> None:
        if not self.verifies:
            return
        try:
            request = wire.VerifyRequest.unpack(data[STATE_HEADER_SIZE:])
        except wire.WireError as error:
            self._leave(clock, f"message from {sender.nodeid}: {error}")
            return
        checksum = self.app.checksum()
        self._verification.requested(request.id, self.epoch, checksum)
        if sender == self.own:
            answer = wire.Verify(request.id, checksum)
            self._send_state_message(MessageType.VERIFY, (answer.pack(),), clock)

    def _compare(self, sender: Address, data: bytes, clock: Clock) -> None:
        if not self.verifies:
            return
        try:
            verify = wire.Verify.unpack(data[STATE_HEADER_SIZE:])
        except wire.WireError as error:
            self._leave(clock, f"message from {sender.nodeid}: {error}")
            return
        agrees = self._verification.agrees(verify, self.epoch)
        if agrees:
            self._log(Level.DEBUG, "all data is verified")
        elif agrees is False:
            self._leave(clock, f"data differs from that of node {sender.nodeid}; synchronising anew")

    # Queues

    def _become_synced(self, clock: Clock) -> None:
        """Both queues in the order in which everybody applies them, then the own held messages."""
        self._enter(Mode.SYNCED, clock)
        self._parted = False
        self._deliver_late(clock)
        if self.synced:
            self._deliver_queue(clock)
        if not self.synced:
            return
        self._free_states()
        if self._synced_members.issuperset(self.members):
            self.deadlines.all_synced(clock.mono)
        self._resolve()
        for subtype, payload in self.app.synced(clock):
            self._submit_async(subtype, payload, clock)
        self._send_held(clock)

    def _note_parting(self, table: Sequence[Address], joined: Sequence[tuple[int, int]]) -> None:
        """Remember that somebody went another way who may have completed the synchronisation on that way.

        Members that go from one configuration to the next together were delivered the same messages; whoever
        parted may have been delivered the last state, and have applied what is queued here.
        """
        if self._state_sent and any(each not in table or each in joined for each in self.members):
            self._parted = True
        self._state_sent = False

    def _resend_queue(self, joined: Sequence[tuple[int, int]]) -> None:
        """Newcomers have not seen what is queued: everybody sends his own again (core 6.3 step 8a).

        But for what somebody may have applied who parted and comes back with a newer state: sent again it
        would be applied twice, as the original's is (W27). Its callers learn what became of it like those who
        were cut off.
        """
        if not joined:
            return
        for queued in self._queues.take_waiting():
            if queued.sender == self.own:
                if self._parted:
                    self._doubt_own(queued.data)
                else:
                    self._out.append(Send((queued.data,), MessageType.NORMAL, queued.count))
        self._parted = False

    def _doubt_late(self) -> None:
        """The sync queue ends with its configuration. What is in it was applied by those in sync."""
        for sender, data in self._queues.late:
            if sender == self.own:
                self._doubt_own(data)
        self._queues.late.clear()

    def _doubt_own(self, data: bytes) -> None:
        request = self.requests.delivered(wire.NormalHeader.unpack(data).count)
        if request is not None:
            self.requests.doubt(request)
            if self._mark is None:
                self._mark = self.app.mark()

    def _deliver_queue(self, clock: Clock) -> None:
        """Apply, move on or keep what is in the message queue (core 6.6)."""
        mode = self.mode
        for queued in self._queues.take_waiting():
            if self.mode is not mode:
                return
            if queued.sender not in self.members:
                continue
            if queued.sender not in self._synced_members:
                self._queues.waiting.append(queued)
            elif mode is Mode.UPDATE:
                self._queues.late.append((queued.sender, queued.data))
            else:
                self._process(queued.sender, queued.data, clock)

    def _deliver_late(self, clock: Clock) -> None:
        late = self._queues.late
        while late and self.mode is Mode.SYNCED:
            sender, data = late.popleft()
            self._process(sender, data, clock)
        late.clear()
