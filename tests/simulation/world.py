"""A whole cluster in one deterministic loop: seeded faults, clients, virtual time.

    World(seed=7).run()

raises ``Violation`` when an invariant breaks or when the healed cluster does not come to rest in time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

from quorate.corosync.address import Address
from quorate.pmxcfs.effects import Committed, Effect, Mode
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.wire import Unlock
from tests.simulation.checker import Checker, Violation
from tests.simulation.clients import operation
from tests.simulation.faults import Faults
from tests.simulation.network import Item, Network
from tests.simulation.node import EPOCH_START, Disk, EagerMachine, Node, SimulatedMachine, rows_of
from tests.simulation.opid import OpId

TICK_SECONDS = 0.25
STEP_SECONDS = 0.001
REST_SECONDS = 240.0
"""After healing, everything must be in sync within this (virtual) time: a few rejoins with their delays."""
MAX_STEPS = 200_000


class World(Faults):
    """One run. ``trace`` collects a line per event when asked for."""

    def __init__(
        self, seed: int, mutant: type[SimulatedMachine] | None = None, *, trace: bool = False, size: int = 0
    ) -> None:
        """``size``: how many nodes; 0: as the seed decides."""
        self.seed = seed
        self.random = Random(seed)
        self.now = 0.0
        self.trace: list[str] | None = [] if trace else None
        self.steps = 0
        self.nodeids = [10 * (n + 1) for n in range(size or self._size())]
        self.large = len(self.nodeids) > 8
        self.burst = 16 if len(self.nodeids) > 16 else 1
        self.pace = STEP_SECONDS * min(1.0, 8 / len(self.nodeids))
        self.late_quorum = self.random.random() < 0.25
        self.knows_nodes = self.random.random() < 0.5
        self.network = Network(self.random, self.nodeids)
        self.histories: dict[tuple[Address, bytes], tuple[OpId, ...]] = {}
        self.checker = Checker(self)
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self._tick_at = 0.0
        self._number = 0
        self.healed = False
        self.base = self._base_disk()
        # A wrong machine everywhere, or one wrong among right ones: some faults only show in one of them.
        wrong = self.random.choice((self.nodeids, self.nodeids[:1], self.nodeids[-1:]))
        self.nodes = {
            nodeid: Node(
                self,
                nodeid,
                self.base,
                self.random.choice((0, 0, -3, 7)),
                mutant if mutant is not None and nodeid in wrong else SimulatedMachine,
            )
            for nodeid in self.nodeids
        }
        if self.random.random() < 0.3:  # a mixed cluster
            eager = self.random.choice(list(self.nodes.values()))
            if eager.machine_type is SimulatedMachine:
                eager.machine_type = EagerMachine
                eager.start()
        self.forever_hung: Node | None = None

    def _size(self) -> int:
        """Small clusters find most; every now and then a larger one. ``size`` makes the largest."""
        dice = self.random.random()
        if dice < 0.985:
            return self.random.choice((2, 3, 3, 3, 4, 5))
        return self.random.randint(6, 16) if dice < 0.997 else self.random.randint(17, 128)

    def run(self) -> None:
        """Faults and traffic, then healing, then rest."""
        end = self.random.uniform(8.0, 20.0)
        if self.large:  # each is alone in its group first: joining one by one costs n rounds of n states
            self._reform([frozenset({nodeid}) for nodeid in self.nodeids])
            half = len(self.nodeids) // 2
            self._at(
                0.6, lambda: self._reform([frozenset(self.nodeids[:half]), frozenset(self.nodeids[half:])])
            )
            self._at(0.9, lambda: self._reform([frozenset(self.nodeids)]))
        elif self.random.random() < 0.5:
            self._reform([frozenset(self.nodeids)])
        else:
            for nodeid in self.nodeids:
                self._at(self.random.uniform(0.0, 3.0), self._merge_one(nodeid))
        for _ in range(self.random.randint(2, 5)):
            # Faults come in groups, milliseconds apart, with messages under way: that is where it hurts.
            at = self.random.uniform(1.0, end)
            for _ in range(self.random.choice((1, 1, 2, 3))):
                for _ in range(self.random.choice((0, 1, 2, 4))):
                    self._number += 1
                    early = self.random.choice((0.0, 0.002, 0.005))
                    self._at(at - early, self._client(10_000 + self._number))
                self._at(at, self._fault)
                at += self.random.choice((0.003, 0.01, 0.03, 0.5))
        for number in range(self.random.randint(10, 30)):
            at = self.random.uniform(0.2, end + 1.0)
            for burst in range(self.random.choice((1, 1, 3))):
                self._at(at, self._client(10 * number + burst))
        self._at(end, self._heal)
        while not (self.now > end and self._at_rest()):
            if self.now > end + REST_SECONDS:
                raise Violation(f"not at rest {REST_SECONDS:.0f} s after healing: {self._picture()}")
            self.steps += 1
            if self.steps > MAX_STEPS + 100 * len(self.nodeids) ** 2:
                raise Violation(f"no rest after {self.steps} steps: {self._picture()}")
            self._step()

    # The loop

    def _step(self) -> None:
        if self._heap and self._heap[0][0] <= self.now:
            heapq.heappop(self._heap)[2]()
            return
        if self.now >= self._tick_at:
            self._tick_at = self.now + TICK_SECONDS
            for node in self.nodes.values():
                node.tick()
            return
        work = self._some_work() if self.large else self._all_work()
        if not work:
            self.now = min(self._tick_at, self._heap[0][0] if self._heap else self._tick_at)
            return
        self.now += self.pace * self.random.random()
        ordering, node = self.random.choice(work)
        if ordering:
            self.network.order_one(node.nodeid)
        else:
            for _ in range(self.burst):
                item = node.port.read()
                if self.trace is not None:
                    self._note(node, item)
                node.receive(item)
                if node.hung or not node.port.readable:
                    break

    def _all_work(self) -> list[tuple[bool, Node]]:
        work: list[tuple[bool, Node]] = []
        for node in self.nodes.values():
            port = node.port
            if port.outbox and port.ring is not None:
                work.append((True, node))
            if not node.hung and port.readable:
                work.append((False, node))
        return work

    def _some_work(self) -> list[tuple[bool, Node]]:
        """The same of the first node that has any, from a random one on: what many nodes can afford."""
        first = self.random.randrange(len(self.nodeids))
        for nodeid in (*self.nodeids[first:], *self.nodeids[:first]):
            node = self.nodes[nodeid]
            work = []
            if node.port.outbox and node.port.ring is not None:
                work.append((True, node))
            if not node.hung and node.port.readable:
                work.append((False, node))
            if work:
                return work
        return []

    def _at_rest(self) -> bool:
        indexes = set()
        for node in self.nodes.values():
            if node is self.forever_hung:
                continue
            if node.app is None or node.app.tree.error or node.unwritten:
                return False
            if node.mode is not Mode.SYNCED or node.waiting or node.queue or node.rejoin_at is not None:
                return False
            if node.port.outbox or node.port.readable:
                return False
            indexes.add(node.app.tree.index())
        if self._heap:
            return False
        if len(indexes) != 1:
            raise Violation(f"all are synced but their trees differ: {self._picture()}")
        return True

    def _at(self, time: float, action: Callable[[], None]) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (time, self._serial, action))

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._at(self.now + seconds, action)

    # The network

    def _reform(self, components: list[frozenset[int]]) -> None:
        self.say(f"network: {[sorted(component) for component in components]}")
        self.network.reform(components)
        for component in components:
            quorate = 2 * len(component) > len(self.nodeids)
            for nodeid in sorted(component):
                self._tell(self.nodes[nodeid], quorate, component)

    def _tell(self, node: Node, quorate: bool, component: frozenset[int]) -> None:
        ring = node.port.ring
        nodes = component if self.knows_nodes else None

        def tell() -> None:
            if node.port.ring is ring:
                node.told_quorum(quorate, nodes, len(self.nodeids))

        if self.late_quorum:
            self._after(self.random.uniform(0.0, 0.1), tell)
        else:
            tell()

    def _merge_one(self, nodeid: int) -> Callable[[], None]:
        def merge() -> None:
            if self.nodes[nodeid].up and self.network.ports[nodeid].ring is None:
                components = self._components()
                first = components.pop(0) if components else frozenset()
                self._reform([first | {nodeid}, *components])

        return merge

    def _heal(self) -> None:
        self.say("heal")
        self.healed = True
        nodes = list(self.nodes.values())
        if len(nodes) > 2 and self.random.random() < 0.1:
            self.forever_hung = self.random.choice(nodes)
        for node in nodes:
            node.congested_until = node.disk_full_until = 0.0
            self._power_on(node)
            self._start(node)
            node.hung = node is self.forever_hung
            if node.hung:
                node.hung_for = float("inf")
        self._reform([frozenset(self.nodeids)])

    # Clients

    def _client(self, number: int) -> Callable[[], None]:
        def act() -> None:
            node = self.random.choice(list(self.nodes.values()))
            if node.machine is None or node.app is None or node.hung:
                return
            message = operation(self.random, node.app.tree, number)
            if message is not None:
                token = None if isinstance(message, Unlock) else (number, node.nodeid)
                if self.trace is not None:
                    self.say(f"client: node {node.nodeid} submits {number}: {message}")
                node.submit(message.op, message.parts(), token)

        return act

    def _base_disk(self) -> Disk:
        tree = Tree.new(EPOCH_START)
        for path in (b"priv", b"priv/lock", b"a"):
            tree.mkdir(path, 0, EPOCH_START, 0)
        return rows_of(tree), ()

    # Telling

    def say(self, text: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.now:9.3f} {text}")

    def log(self, node: Node, effect: Effect) -> None:
        text = "Committed" if isinstance(effect, Committed) else str(effect)
        self.say(f"node {node.nodeid}   {text}"[:200])

    def _note(self, node: Node, item: Item) -> None:
        what = f"message from {tuple(item.sender)}: type {item.data[:4].hex()} {len(item.data)} bytes"
        if item.members is not None:
            what = f"members {[tuple(member) for member in item.members]}"
        self.say(f"node {node.nodeid} <- {what} {item.order}")

    def _picture(self) -> str:
        return "; ".join(
            f"node {node.nodeid} {'hung' if node.hung else node.mode!r}"
            f"{' read-only' if node.app and node.app.tree.error else ''}"
            f" version {node.app.tree.root.version if node.app else None} waiting {len(node.waiting)}"
            f" members {[tuple(m) for m in node.machine.members] if node.machine else None}"
            for node in self.nodes.values()
        )
