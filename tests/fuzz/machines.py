"""Fuzzing the whole replicated machine: arbitrary events, of which many have the right form and epoch.

Pure. The machine never raises, whatever comes; what it has in memory could be loaded again at any time.
"""

from __future__ import annotations

from typing import Final

from quorate.corosync.address import Address
from quorate.pmxcfs import dcdb, status, wire
from quorate.pmxcfs.clinfo import ClusterInfo, Node
from quorate.pmxcfs.dcdb import Dcdb
from quorate.pmxcfs.effects import Clock, Committed, Effect, Reply, Send
from quorate.pmxcfs.replication import Machine
from quorate.pmxcfs.wire import FsMessage, FsOp, MessageType
from tests.fuzz.pieces import NOW, Pieces, check_tree, small_tree
from tests.support.ipc_vectors import Fixture

OWN: Final = Address(2, 20)
OTHERS: Final = (Address(1, 10), Address(2, 20), Address(3, 30), Address(9, 90))


class Driver:
    """Turns an input into events of a machine; own messages come back to it in order."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.now = 1000.0
        self.sent: list[bytes] = []
        self.answers: set[object] = set()

    def clock(self) -> Clock:
        return Clock(NOW + int(self.now), self.now)

    def take(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self.sent.append(effect.data)
            elif isinstance(effect, Reply):
                assert effect.token not in self.answers, "a request was answered twice"
                self.answers.add(effect.token)
            elif isinstance(effect, Committed):
                assert isinstance(effect.adopted, tuple)
                check_tree(effect.adopted[1])

    def run(self, pieces: Pieces) -> None:
        machine = self.machine
        self.take(machine.connected(self.clock()))
        self.take(machine.quorum(True, self.clock(), nodes=frozenset({1, 2, 3}), expected=3))
        for number in range(200):
            if not pieces:
                return
            kind, sender = pieces.byte(), OTHERS[pieces.byte() % 4]
            if kind < 32:
                mask = pieces.byte() | 2
                members = [member for bit, member in enumerate(OTHERS) if mask >> bit & 1]
                if kind & 1:
                    members = [member for member in members if member != OWN]
                joined = [member for member in members if member not in machine.members]
                left = [member for member in machine.members if member not in members]
                self.take(machine.confchg(members, left, joined, self.clock()))
            elif kind < 64:
                self.now += pieces.byte() / 4
                self.take(machine.tick(self.clock()))
            elif kind < 96:
                if self.sent:
                    self.take(machine.message(OWN, self.sent.pop(0), self.clock()))
            elif kind < 112:
                message = FsMessage(FsOp.WRITE, b"f", data=b"%d" % number)
                self.take(machine.submit(message.op, message.parts(), number, self.clock()))
            elif kind < 120:
                self.take(machine.quorum(bool(kind & 1), self.clock()))
            elif kind < 128:
                self.take((machine.disconnected if kind & 1 else machine.connected)(self.clock()))
            elif kind < 144:
                self.take(machine.message(sender, pieces.bytes(), self.clock()))
            elif kind < 192:
                header = wire.NormalHeader(pieces.byte(), machine.protocol_version, NOW, pieces.byte())
                self.take(machine.message(sender, header.pack() + pieces.bytes(), self.clock()))
            else:
                type_ = MessageType(1 + pieces.byte() % 6)
                epoch = machine.epoch if kind & 1 else wire.Epoch(1, NOW, *OTHERS[0])
                state = wire.StateHeader(type_, machine.protocol_version, NOW, epoch).pack()
                payload = machine.app.state() if kind & 2 else pieces.bytes()
                self.take(machine.message(sender, state + payload, self.clock()))


def database_machine(data: bytes) -> None:
    """The configuration database's machine."""
    app = Dcdb(small_tree())
    machine = Machine(
        app,
        nodeid=OWN.nodeid,
        pid=OWN.pid,
        protocol_version=dcdb.PROTOCOL_VERSION,
        has_updates=True,
        verifies=True,
        checks_quorum=True,
    )
    Driver(machine).run(Pieces(data))
    if not app.tree.error:
        check_tree(app.tree)


def status_machine(data: bytes) -> None:
    """The status group's machine, with keys, RRD texts and the cluster log."""
    store = Fixture().status
    store.set_cluster_info(ClusterInfo("c", 1, {n: Node(n, f"n{n}", 1) for n in (1, 2, 3)}))
    store.joined(OWN)
    machine = Machine(
        store,
        nodeid=OWN.nodeid,
        pid=OWN.pid,
        protocol_version=status.PROTOCOL_VERSION,
        has_updates=False,
        verifies=False,
        checks_quorum=False,
    )
    Driver(machine).run(Pieces(data))
    for text in (store.version, store.members, store.vmlist, store.rrd, store.clusterlog):
        text()
