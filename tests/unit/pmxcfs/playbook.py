"""Helpers for tests of the state machine: members with a clock, their trees, and the bytes they send."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from quorate.corosync.address import Address
from quorate.pmxcfs.dcdb import PROTOCOL_VERSION, Dcdb
from quorate.pmxcfs.effects import Clock, Effect, LeaveGroup, Log, Mode, ModeChanged, Reply, Send
from quorate.pmxcfs.replication import Machine
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.wire import FsMessage, FsOp, MessageType, NormalHeader

EPOCH_START = 1_700_000_000


def address(nodeid: int) -> Address:
    """The addresses used by all recorded traces."""
    return Address(nodeid, 1000 + nodeid)


def messages(effects: Sequence[Effect]) -> list[tuple[MessageType, bytes]]:
    """What is multicast."""
    return [(effect.type, effect.data) for effect in effects if isinstance(effect, Send)]


def types(effects: Sequence[Effect]) -> list[str]:
    """The names of what is multicast."""
    return [effect.type.name for effect in effects if isinstance(effect, Send)]


def replies(effects: Sequence[Effect]) -> dict[object, int]:
    """Token to result."""
    return {effect.token: effect.result for effect in effects if isinstance(effect, Reply)}


def changes(effects: Sequence[Effect]) -> list[tuple[Mode, Mode]]:
    """Mode changes."""
    return [(effect.old, effect.new) for effect in effects if isinstance(effect, ModeChanged)]


def leaves(effects: Sequence[Effect]) -> bool:
    """Whether the group is left."""
    return any(isinstance(effect, LeaveGroup) for effect in effects)


def logged(effects: Sequence[Effect]) -> str:
    """All log lines in one text."""
    return "\n".join(effect.text for effect in effects if isinstance(effect, Log))


def fresh_tree() -> Tree:
    """A new database: version 1."""
    return Tree.new(EPOCH_START)


def tree_of(build: Callable[[Tree], None] | None = None) -> Tree:
    """A fresh tree after ``build``."""
    tree = fresh_tree()
    if build is not None:
        build(tree)
    return tree


@dataclass
class Node:
    """One member with its own clock."""

    nodeid: int
    tree_at_start: Tree = field(default_factory=fresh_tree)
    wall: int = EPOCH_START
    mono: float = 100.0
    quorate: bool = True

    def __post_init__(self) -> None:
        self.address = address(self.nodeid)
        self.app = Dcdb(self.tree_at_start)
        self.machine = Machine(
            self.app,
            nodeid=self.nodeid,
            pid=self.address.pid,
            protocol_version=PROTOCOL_VERSION,
            has_updates=True,
            verifies=True,
            checks_quorum=True,
        )
        self.machine.quorum(self.quorate, self.clock)
        self.machine.connected(self.clock)

    @property
    def clock(self) -> Clock:
        return Clock(self.wall, self.mono)

    @property
    def tree(self) -> Tree:
        return self.app.tree

    @property
    def mode(self) -> Mode:
        return self.machine.mode

    def confchg(self, *nodeids: int, joined: Sequence[int] = (), left: Sequence[int] = ()) -> list[Effect]:
        """A configuration of these nodes."""
        return self.machine.confchg(
            [address(nodeid) for nodeid in nodeids],
            [address(nodeid) for nodeid in left],
            [address(nodeid) for nodeid in joined],
            self.clock,
        )

    def receive(self, sender: int, data: bytes) -> list[Effect]:
        """A message from that node."""
        return self.machine.message(address(sender), data, self.clock)

    def submit(self, op: FsMessage, token: object = "request") -> list[Effect]:
        """A file operation."""
        return self.machine.submit(op.op, op.parts(), token, self.clock)

    def wait(self, seconds: float) -> list[Effect]:
        """Time passes in one step."""
        self.mono += seconds
        self.wall += int(seconds)
        return self.machine.tick(self.clock)


def mkdir(path: bytes) -> FsMessage:
    """The message that makes a directory."""
    return FsMessage(FsOp.MKDIR, path)


def normal(op: FsMessage, count: int, time: int = EPOCH_START, version: int = PROTOCOL_VERSION) -> bytes:
    """A complete normal message, as a peer would send it."""
    return NormalHeader(op.op, version, time, count).pack() + op.pack()


class Ring:
    """Nodes that all receive every message in one order; ``run`` delivers until nothing is left."""

    def __init__(self, *nodes: Node) -> None:
        self.nodes = {node.nodeid: node for node in nodes}
        self.sent: list[tuple[int, MessageType, bytes]] = []
        self.results: dict[object, int] = {}
        self.trail: dict[int, list[Effect]] = {node.nodeid: [] for node in nodes}
        self._delivered = 0

    def take(self, nodeid: int, effects: Sequence[Effect]) -> list[Effect]:
        """Multicast what the effects say."""
        self.trail[nodeid] += effects
        for effect in effects:
            if isinstance(effect, Send):
                self.sent.append((nodeid, effect.type, effect.data))
            elif isinstance(effect, Reply):
                self.results[effect.token] = effect.result
        return list(effects)

    def confchg(self, *nodeids: int, joined: Sequence[int] = (), left: Sequence[int] = ()) -> None:
        """The same configuration for all of its members."""
        for nodeid in nodeids:
            self.take(nodeid, self.nodes[nodeid].confchg(*nodeids, joined=joined, left=left))

    def step(self, *, among: Sequence[int] | None = None) -> bool:
        """Deliver the next message to everybody (or to those); False if there is none."""
        if self._delivered == len(self.sent):
            return False
        sender, _, data = self.sent[self._delivered]
        self._delivered += 1
        for nodeid in among or list(self.nodes):
            self.take(nodeid, self.nodes[nodeid].receive(sender, data))
        return True

    def run(self, *, among: Sequence[int] | None = None) -> None:
        """Deliver everything."""
        for _ in range(10_000):
            if not self.step(among=among):
                return
        raise AssertionError("the nodes talk without end")
