"""One simulated node: the real machine and tree, an adapter that carries out effects, a disk, its history."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from quorate.corosync.address import Address
from quorate.pmxcfs.dcdb import PROTOCOL_VERSION, Dcdb
from quorate.pmxcfs.effects import (
    Clock,
    Commit,
    Delivery,
    Effect,
    LeaveGroup,
    Mode,
    ModeChanged,
    Rejoin,
    Reload,
    Reply,
    Send,
)
from quorate.pmxcfs.paths import is_lock_path
from quorate.pmxcfs.replication import Machine
from quorate.pmxcfs.requests import Request
from quorate.pmxcfs.rows import Row, entry_row, root_row
from quorate.pmxcfs.storerecovery import StoreRecovery
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.wire import FsMessage, FsOp, MessageType
from tests.simulation.opid import OpId, count_of

if TYPE_CHECKING:
    from tests.simulation.network import Item, Port
    from tests.simulation.world import World

EPOCH_START = 1_700_000_000
GIVE_UP_SECONDS = 10.0
Disk = tuple[tuple[Row, ...], tuple[OpId, ...]]


def rows_of(tree: Tree) -> tuple[Row, ...]:
    """The whole database."""
    return (root_row(tree.root), *(entry_row(entry) for entry in tree.by_inode.values() if entry.inode))


class RecordingDcdb(Dcdb):
    """The real application, which also remembers by which operations its tree came about."""

    def __init__(self, tree: Tree, history: Sequence[OpId], node: Node) -> None:
        super().__init__(tree)
        self.node = node
        self.history = list(history)
        self.current: OpId | None = None
        self.leader: Address | None = None

    def state(self) -> bytes:
        state = super().state()
        self.node.world.histories[self.node.process, state] = tuple(self.history)
        return state

    def commit(self, own: bytes, leader: bytes, updates: Sequence[bytes], clock: Clock) -> Commit:
        commit = super().commit(own, leader, updates, clock)
        assert self.leader is not None
        before = self.history
        self.history = list(self.node.world.histories[self.leader, leader])
        self.node.world.checker.taken_over(self.node, before, self.history)
        return commit

    def deliver(
        self,
        sender: Address,
        subtype: int,
        time: int,
        payload: bytes,
        clock: Clock,
        *,
        own: bool,
        lowest: bool,
    ) -> Delivery:
        version = self.tree.root.version
        delivery = super().deliver(sender, subtype, time, payload, clock, own=own, lowest=lowest)
        if self.tree.root.version != version:
            assert self.current is not None
            self.history.append(self.current)
            self.node.world.checker.applied(self.node, self.current)
        return delivery


class SimulatedMachine(Machine):
    """The machine under test; only tells the simulator which message is which."""

    app: RecordingDcdb
    app_type: type[RecordingDcdb] = RecordingDcdb
    recovery_type: type[StoreRecovery] = StoreRecovery

    def _apply(self, sender: Address, fields: tuple[int, int, int], data: bytes, clock: Clock) -> None:
        self.app.current = (*sender, count_of(data))
        super()._apply(sender, fields, data, clock)

    def _take_over(self, sender: Address, data: bytes, clock: Clock) -> None:
        self.app.leader = self._leader
        super()._take_over(sender, data, clock)

    def _reply(self, request: Request, result: int) -> None:
        if request.token is not None:
            op = (*self.own, request.count) if request.count else None
            checker = self.app.node.world.checker
            checker.answered(self.app.node, request.token, op, result)
            if result == 0 and request.subtype == FsOp.MKDIR:
                path = FsMessage.unpack(request.subtype, b"".join(request.payload)).path
                if path is not None and is_lock_path(path):
                    checker.lock_granted(self.app.node, request.token, path)
        super()._reply(request, result)


class EagerMachine(SimulatedMachine):
    """Sends while a synchronisation runs (W7) and sends again whatever is queued (W27), as original nodes do;
    receives like ours."""

    def _settles(self, clock: Clock) -> bool:
        return True

    def _note_parting(self, table: Sequence[Address], joined: Sequence[tuple[int, int]]) -> None:
        pass

    def _send_held(self, clock: Clock) -> None:
        mode = self.mode
        if mode in (Mode.START_SYNC, Mode.UPDATE):
            self.mode = Mode.SYNCED
        super()._send_held(clock)
        self.mode = mode


class Node:
    """A node; ``machine`` is None while its process does not run."""

    def __init__(
        self, world: World, nodeid: int, disk: Disk, skew: int, machine: type[SimulatedMachine]
    ) -> None:
        self.world = world
        self.nodeid = nodeid
        self.skew = skew
        self.machine_type = machine
        self.disks: deque[Disk] = deque([disk], maxlen=4)
        self.archive: deque[Disk] = deque(maxlen=3)
        self.disk_full_until = 0.0
        self.unwritten = False
        self.pid = 100
        self.machine: SimulatedMachine | None = None
        self.app: RecordingDcdb | None = None
        self.up = True
        self.hung = False
        self.hung_for = 0.0
        self.quorate = False
        self.effect_mode = Mode.START
        self.synced_since = 0.0
        self.congested_until = 0.0
        self.queue: deque[tuple[Send, float]] = deque()
        self.rejoin_at: float | None = None
        self.retry_at: float | None = None
        self._retry: Callable[[], None] = lambda: None
        self._writes = 0
        self.waiting: dict[object, float] = {}
        self.start()

    @property
    def process(self) -> Address:
        return Address(self.nodeid, self.pid)

    @property
    def eager(self) -> bool:
        """Whether it sends as originals do."""
        return self.machine_type is EagerMachine

    @property
    def port(self) -> Port:
        return self.world.network.ports[self.nodeid]

    @property
    def clock(self) -> Clock:
        return Clock(EPOCH_START + int(self.world.now) + self.skew, 1000.0 + self.world.now)

    @property
    def mode(self) -> Mode | None:
        return None if self.machine is None else self.machine.mode

    # The process

    def start(self) -> None:
        """Load the disk and join."""
        self.pid += 1
        rows, history = self.disks[-1]
        self.app = self.machine_type.app_type(
            Tree.load(rows, self.clock.wall, self.clock.mono), history, self
        )
        self.machine = self.machine_type(
            self.app,
            nodeid=self.nodeid,
            pid=self.pid,
            protocol_version=PROTOCOL_VERSION,
            has_updates=True,
            verifies=True,
            checks_quorum=True,
        )
        app = self.app
        self.recovery = self.machine_type.recovery_type(
            lambda: app.tree,
            write=self._write_again,
            later=self._later,
            broke=lambda _error: None,
            healed=self._healed,
        )
        self.rejoin_at = self.world.now
        self.retry_at = None
        self.unwritten = False
        self.hung = False
        self.quorate = False
        self.effect_mode = Mode.START

    def kill(self, steps_lost: int) -> None:
        """SIGKILL: the last transactions may not be on disk; requests are gone with their callers."""
        for _ in range(min(steps_lost, len(self.disks) - 1)):
            self.disks.pop()
        if self.port.process == self.process:
            self.port.close()
            self.port.outbox.append(("leave", self.process, b""))
        self.machine = self.app = None
        self.unwritten = False
        self.queue.clear()
        self.waiting.clear()
        self.hung = False

    def persist(self) -> None:
        """One transaction. If it fails its rows are kept, and the daemon hears of it a moment later."""
        assert self.app is not None
        self.app.tree.take_changes()
        if self.world.now < self.disk_full_until:
            self.unwritten = True
            process = self.process
            self.world._after(self.world.random.choice((0.0, 0.01)), lambda: self._store_failed(process))
            return
        self.unwritten = False
        self.disks.append((rows_of(self.app.tree), tuple(self.app.history)))
        self._writes += 1
        if self._writes % 8 == 0:
            self.archive.append(self.disks[-1])

    def _store_failed(self, process: Address) -> None:
        if self.process == process and self.unwritten:
            self.break_store()

    def break_store(self) -> None:
        """A transaction fails; in local memory everything is there."""
        if self.app is not None:
            self.recovery.failed(OSError(errno.ENOSPC, "disk full"))

    def _write_again(self, done: Callable[[int], None]) -> None:
        """The rows are still there and are written once there is room."""
        if self.world.now < self.disk_full_until:
            done(-errno.EIO)
            return
        self.persist()
        done(0)

    def _later(self, delay: float, action: Callable[[], None]) -> None:
        self.retry_at = self.world.now + delay
        self._retry = action

    def _healed(self) -> None:
        assert self.machine is not None
        self.carry_out(self.machine.reloaded(self.clock))

    # Events

    def told_quorum(self, quorate: bool, nodes: frozenset[int] | None, expected: int) -> None:
        self.quorate = quorate
        if self.machine is not None:
            self.carry_out(self.machine.quorum(quorate, self.clock, nodes=nodes, expected=expected))

    def receive(self, item: Item) -> None:
        machine = self.machine
        if machine is None or self.app is None:
            return
        version = self.app.tree.root.version
        if item.members is None:
            effects = machine.message(item.sender, item.data, self.clock)
        else:
            effects = machine.confchg(item.members, item.left, item.joined, self.clock)
        self.world.checker.shows(self)
        if self.app.tree.root.version != version:
            self.persist()
        self.carry_out(effects)
        self.world.checker.delivered(self, item)

    def submit(self, subtype: int, payload: Sequence[bytes], token: object) -> None:
        if self.machine is None:
            return
        if token is not None:
            self.waiting[token] = self.world.now
        self.carry_out(self.machine.submit(subtype, payload, token, self.clock))

    def disconnect(self) -> None:
        """Corosync goes away under the process."""
        if self.machine is not None:
            self.queue.clear()
            self.told_quorum(False, None, 0)
            self.carry_out(self.machine.disconnected(self.clock))
            self.rejoin_at = self.world.now + 1.0

    def tick(self) -> None:
        if self.machine is None or self.hung:
            return
        now = self.world.now
        if self.rejoin_at is not None and now >= self.rejoin_at and self.port.ring is not None:
            self.rejoin_at = None
            if self.machine.mode not in (Mode.ERROR, Mode.VERSION_ERROR):
                self.port.outbox.append(("join", self.process, b""))
                self.carry_out(self.machine.connected(self.clock))
        if self.retry_at is not None and now >= self.retry_at:
            self.retry_at = None
            self._retry()
        self.carry_out(self.machine.tick(self.clock))
        self.world.checker.bounded(self)
        self.pump()

    def pump(self) -> None:
        """Hand to Corosync what it takes."""
        if self.machine is None or self.hung:
            return
        if self.world.now < self.congested_until:
            while self.queue and self.world.now - self.queue[0][1] > GIVE_UP_SECONDS:
                send, _ = self.queue.popleft()
                self.carry_out(self.machine.send_failed(self.clock, [send]))
            return
        while self.queue:
            send, _ = self.queue.popleft()
            self.port.outbox.append(("message", self.process, send.data))

    def carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if self.world.trace is not None and not isinstance(effect, Send):
                self.world.log(self, effect)
            if isinstance(effect, Send):
                self.queue.append((effect, self.world.now))
                if effect.type is MessageType.NORMAL:
                    self.world.checker.sent(self, effect)
            elif isinstance(effect, LeaveGroup):
                self.queue.clear()
                self.port.outbox.append(("leave", self.process, b""))
            elif isinstance(effect, Rejoin):
                self.rejoin_at = self.world.now + effect.delay
                if effect.fresh and self.port.process == self.process:
                    self.queue.clear()
                    self.port.close()
                    self.port.outbox.append(("leave", self.process, b""))
            elif isinstance(effect, Reload):
                self._later(effect.delay, self.recovery.retry)
            elif isinstance(effect, Reply):
                self.world.checker.replied(self, effect)
            elif isinstance(effect, ModeChanged):
                self.effect_mode = effect.new
                self.synced_since = self.world.now
        if self.queue:
            self.pump()
