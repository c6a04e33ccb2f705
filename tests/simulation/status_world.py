"""The status group in a virtual network: keys, RRD texts and the cluster log of every node, with faults.

``StatusWorld(seed).run()`` raises ``Violation`` when, after healing, a node does not know every key of every
other one, when two nodes hold different logs, when all lack an entry that nothing excuses, or when a node
shows an RRD text that nobody told, or not the one told last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from random import Random

from quorate.corosync.address import Address
from quorate.pmxcfs import status
from quorate.pmxcfs.clinfo import ClusterInfo
from quorate.pmxcfs.clinfo import Node as Member
from quorate.pmxcfs.effects import Clock, Effect, LeaveGroup, Level, Log, Message, Mode, Rejoin, Send
from quorate.pmxcfs.kvstore import RRD_CACHE_SECONDS
from quorate.pmxcfs.logentry import Entry, parse
from quorate.pmxcfs.replication import Machine
from quorate.pmxcfs.status import Status
from quorate.pmxcfs.tree import Tree
from tests.simulation.checker import Violation
from tests.simulation.network import Item, Network, Port

START = 1_700_000_000
TICK_SECONDS = 0.25
REST_SECONDS = 240.0
KEYS = (b"a", b"b", b"ceph-version")
RRD_KEYS = (b"rrd/pve-node-9.0/", b"rrd/pve2-vm/")
"""Of the node and of a guest of its; the node's name follows."""
LARGE = 0.05
"""How often a cluster is larger than five nodes."""
Identity = tuple[int, int, int]
"""Time, node and number of an entry of the log."""
FAULTS = ("partition", "merge", "kill", "hang", "congestion", "ghost", "clock", "corosync")


class StatusNode:
    """One daemon's share in the group."""

    def __init__(self, world: StatusWorld, nodeid: int) -> None:
        self.world = world
        self.nodeid = nodeid
        self.skew = world.random.choice((0, 0, -3, 7))
        self.pid = 100
        self.hung_until = 0.0
        self.congested_until = 0.0
        self.keys: dict[bytes, bytes] = {}
        self.rrd: dict[bytes, bytes] = {}
        self.logged: dict[Identity, bool] = {}
        """All entries that this node ever made; whether the others need not have it."""
        self.warnings: list[str] = []
        self.start()

    @property
    def port(self) -> Port:
        return self.world.network.ports[self.nodeid]

    @property
    def process(self) -> Address:
        return Address(self.nodeid, self.pid)

    @property
    def clock(self) -> Clock:
        return Clock(START + int(self.world.now) + self.skew, 1000.0 + self.world.now)

    @property
    def hung(self) -> bool:
        return self.world.now < self.hung_until

    def start(self) -> None:
        """A new process: keys are gone, the log is fetched from the others."""
        self.pid += 1
        self.keys.clear()
        self.queue: deque[tuple[Send, float]] = deque()
        self.hung_until = 0.0
        tree = Tree.new(START)
        self.store = Status(
            f"n{self.nodeid}",
            ip=f"10.0.0.{self.nodeid}",
            pid=self.pid,
            cluster=True,
            tree=lambda: tree,
            quorate=lambda: True,
            now=lambda: self.clock.wall,
        )
        members = {nodeid: Member(nodeid, f"n{nodeid}", 1) for nodeid in self.world.nodeids}
        self.store.set_cluster_info(ClusterInfo("c", 1, members))
        self.machine = Machine(
            self.store,
            nodeid=self.nodeid,
            pid=self.pid,
            protocol_version=status.PROTOCOL_VERSION,
            has_updates=False,
            verifies=False,
            checks_quorum=False,
        )
        self.rejoin_at: float | None = self.world.now
        self._note_entry(next(self.store._log.ring.walk()).entry)

    def _note_entry(self, entry: Entry) -> None:
        """Behind the last one of its node by clock or number it is dropped by all (weaknesses S9)."""
        time, _, uid = entry.identity
        behind = any((time, uid) <= (other[0], other[2]) for other in self.logged)
        self.logged[entry.identity] = behind

    @property
    def held(self) -> set[Identity]:
        """The entries in the log of this process."""
        return {visit.entry.identity for visit in self.store._log.ring.walk()}

    def kill(self) -> None:
        self.world.forget(self)
        if self.port.process == self.process:
            self.port.close()
        self.port.outbox.append(("leave", self.process, b""))
        self.start()

    def receive(self, item: Item) -> None:
        if item.members is None:
            self.carry_out(self.machine.message(item.sender, item.data, self.clock))
        else:
            self.carry_out(self.machine.confchg(item.members, item.left, item.joined, self.clock))

    def tick(self) -> None:
        if self.hung:
            return
        if self.rejoin_at is not None and self.world.now >= self.rejoin_at and self.port.ring is not None:
            self.rejoin_at = None
            self.store.joined(self.process)
            self.port.outbox.append(("join", self.process, b""))
            self.carry_out(self.machine.connected(self.clock))
        self.carry_out(self.machine.tick(self.clock))

    def act(self, number: int) -> None:
        """What a program asks for."""
        random = self.world.random
        dice = random.random()
        if dice < 0.3:
            key, value = random.choice(KEYS), random.choice((b"%d" % number, b"%d" % number, b""))
            _, message = self.store.set_value(key, value)
            self.keys[key] = value
        elif dice < 0.5:
            message = self.tell_rrd(random.choice(RRD_KEYS), number)
        else:
            message = self.store.log(
                ident=b"root", tag=b"t", pid=1, priority=random.randrange(8), message=b"%d" % number
            )
            assert message is not None
            self._note_entry(parse(message.payload[0]))
        self.submit(message)

    def tell_rrd(self, prefix: bytes, number: int) -> Message | None:
        """A status daemon's figures."""
        key = prefix + b"%d" % self.nodeid
        value = b"%d:%d" % (self.clock.wall, number)
        self.rrd[key] = value
        self.world.rrd_told.setdefault(key.removeprefix(b"rrd/"), set()).add(value)
        result, message = self.store.set_value(key, value + b"\0")
        assert result == 0
        return message

    def submit(self, message: Message | None) -> None:
        if message is not None:
            self.carry_out(self.machine.submit(message.subtype, message.payload, None, self.clock))

    def carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self.queue.append((effect, self.world.now))
            elif isinstance(effect, LeaveGroup):
                self.queue.clear()
                self.port.outbox.append(("leave", self.process, b""))
            elif isinstance(effect, Rejoin):
                self.rejoin_at = self.world.now + effect.delay
                if effect.fresh and self.port.process == self.process:
                    self.queue.clear()
                    self.port.close()
                    self.port.outbox.append(("leave", self.process, b""))
            elif isinstance(effect, Log) and effect.level is Level.WARNING:
                self.warnings.append(effect.text)
        self.pump()

    def pump(self) -> None:
        if self.world.now < self.congested_until:
            while self.queue and self.world.now - self.queue[0][1] > 10.0:
                send, _ = self.queue.popleft()
                self.carry_out(self.machine.send_failed(self.clock, [send]))
            return
        while self.queue:
            send, _ = self.queue.popleft()
            self.port.outbox.append(("message", self.process, send.data))


class StatusWorld:
    """One run: faults and traffic, healing, rest, comparison."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.nodeids = [10 * (n + 1) for n in range(self._size())]
        self.network = Network(self.random, self.nodeids)
        self.nodes = {nodeid: StatusNode(self, nodeid) for nodeid in self.nodeids}
        self.entries = 0
        self.dropped = 0
        """Entries that all nodes may lack."""
        self.rrd_told: dict[bytes, set[bytes]] = {}
        self.rrd_texts = 0

    def _size(self) -> int:
        if self.random.random() < LARGE:
            return self.random.randint(6, 16)
        return self.random.choice((2, 3, 3, 4, 5))

    def run(self) -> None:
        random = self.random
        end = random.uniform(6.0, 15.0)
        events = [(random.uniform(0.2, end + 1.0), number) for number in range(random.randint(10, 40))]
        events += [(random.uniform(1.0, end), -1) for _ in range(random.randint(2, 6))]
        events = sorted([*events, (end, -2)], reverse=True)
        self.network.reform([frozenset(self.nodeids)])
        self._run_until_rest(events, end + REST_SECONDS)
        self._compare()
        for node in self.nodes.values():
            for prefix in RRD_KEYS:
                node.submit(node.tell_rrd(prefix, 10_000))
        self._run_until_rest([], self.now + REST_SECONDS)
        self.now += RRD_CACHE_SECONDS
        self._compare_rrd()

    def _run_until_rest(self, events: list[tuple[float, int]], limit: float) -> None:
        tick_at = self.now
        while events or not self._at_rest():
            if self.now > limit:
                raise Violation(f"not at rest {REST_SECONDS:.0f} s after healing: {self._picture()}")
            if events and events[-1][0] <= self.now:
                self._event(events.pop()[1], healed=not any(number == -2 for _, number in events))
            elif self.now >= tick_at:
                tick_at = self.now + TICK_SECONDS
                for node in self.nodes.values():
                    node.tick()
            elif not self._move():
                self.now = min(tick_at, events[-1][0] if events else tick_at)

    def forget(self, node: StatusNode) -> None:
        """It is about to be killed: what no other process has yet is lost with it."""
        others: set[Identity] = set().union(
            *(other.held for other in self.nodes.values() if other is not node)
        )
        for maker in self.nodes.values():
            for identity in maker.logged.keys() & (node.held - others):
                maker.logged[identity] = True

    def _move(self) -> bool:
        work = [(True, node) for node in self.nodes.values() if node.port.outbox and node.port.ring]
        work += [(False, node) for node in self.nodes.values() if not node.hung and node.port.readable]
        if not work:
            return False
        self.now += 0.001 * self.random.random()
        ordering, node = self.random.choice(work)
        if ordering:
            self.network.order_one(node.nodeid)
        else:
            node.receive(node.port.read())
        return True

    def _event(self, number: int, *, healed: bool) -> None:
        node = self.random.choice(list(self.nodes.values()))
        if number >= 0:
            if not node.hung:
                node.act(number)
        elif number == -2:
            for each in self.nodes.values():
                each.hung_until = each.congested_until = 0.0
            self.network.reform([frozenset(self.nodeids)])
        elif not healed:
            self._fault(self.random.choice(FAULTS), node)

    def _fault(self, kind: str, node: StatusNode) -> None:
        parts = [ring.nodes for ring in self.network.rings]
        if kind == "partition":
            left = frozenset(self.random.sample(self.nodeids, self.random.randint(1, len(self.nodeids) - 1)))
            self.network.reform([left, frozenset(self.nodeids) - left])
        elif kind == "merge":
            self.network.reform([frozenset(self.nodeids)])
        elif kind == "kill":
            node.kill()
        elif kind == "hang":
            node.hung_until = self.now + self.random.choice((0.5, 3.0, 25.0))
        elif kind == "congestion":
            node.congested_until = self.now + self.random.choice((0.3, 3.0, 12.0))
        elif kind == "ghost" and node.port.ring is not None:
            node.port.ring.join(Address(99, self.random.randint(1, 9)))
        elif kind == "clock":
            node.skew += self.random.choice((-3600, -5, 5, 3600))
        elif kind == "corosync":
            self.network.reform([rest for part in parts if (rest := part - {node.nodeid})])
            node.queue.clear()
            node.carry_out(node.machine.disconnected(node.clock))
            node.rejoin_at = self.now + 1.0

    def _at_rest(self) -> bool:
        return not any(
            node.machine.mode is not Mode.SYNCED
            or node.queue
            or node.rejoin_at is not None
            or node.port.outbox
            or node.port.readable
            or len({member.nodeid for member in node.machine.members} & set(self.nodeids))
            != len(self.nodeids)
            for node in self.nodes.values()
        )

    def _compare(self) -> None:
        logs = {}
        for node in self.nodes.values():
            for owner in self.nodes.values():
                for key, value in owner.keys.items():
                    known = node.store.get_value(key, f"n{owner.nodeid}")
                    if value and known != value:
                        raise Violation(
                            f"node {node.nodeid} has {known!r} for {key!r} of {owner.nodeid}: {value!r}"
                        )
            logs[node.nodeid] = node.store.state()
            ips = node.store.members()
            if any(f"10.0.0.{nodeid}".encode() not in ips for nodeid in self.nodeids):
                raise Violation(f"node {node.nodeid} lacks addresses: {ips.decode()}")
        if len(set(logs.values())) != 1:
            raise Violation(f"the logs differ: {self._picture()}")
        held = self.nodes[self.nodeids[0]].held
        for node in self.nodes.values():
            for identity, excused in node.logged.items():
                if identity not in held and not excused:
                    raise Violation(f"all lack the entry {identity} of node {node.nodeid}: {self._picture()}")
                self.dropped += identity not in held
        self.entries = len(held)

    def _compare_rrd(self) -> None:
        """Texts are told once, not again after a synchronisation: who is in sync has the latest of each."""
        told = {key: value for node in self.nodes.values() for key, value in node.rrd.items()}
        for node in self.nodes.values():
            shown = dict(line.split(b":", 1) for line in node.store.rrd().splitlines())
            for key, value in shown.items():
                if value not in self.rrd_told.get(key, ()):
                    raise Violation(f"node {node.nodeid} shows {value!r} for {key!r}, which nobody told")
            for key, value in told.items():
                if shown.get(key.removeprefix(b"rrd/")) != value:
                    raise Violation(f"node {node.nodeid} shows {shown} for {key!r}: {value!r}")
            self.rrd_texts += len(shown)

    def _picture(self) -> str:
        return "; ".join(
            f"node {node.nodeid} {node.machine.mode!r} members {[tuple(m) for m in node.machine.members]}"
            f" log {[visit.entry.message for visit in node.store._log.ring.walk()]}"
            for node in self.nodes.values()
        )
