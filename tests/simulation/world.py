"""A whole cluster in one deterministic loop: seeded faults, clients, virtual time.

    World(seed=7).run()

raises ``Violation`` when an invariant breaks or when the healed cluster does not come to rest in time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

from quorate.pmxcfs.effects import Address, Committed, Effect, Mode
from quorate.pmxcfs.guard import precheck_delete, precheck_mkdir, precheck_rename
from quorate.pmxcfs.paths import is_lock_path
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.wire import FsMessage, FsOp, Unlock
from tests.simulation.checker import Checker, Violation
from tests.simulation.network import Item, Network
from tests.simulation.node import EPOCH_START, Disk, EagerMachine, Node, OpId, SimulatedMachine, rows_of

TICK_SECONDS = 0.25
STEP_SECONDS = 0.001
REST_SECONDS = 240.0
"""After healing, everything must be in sync within this (virtual) time: a few rejoins with their delays."""
MAX_STEPS = 200_000

DIRECTORIES = (b"a", b"b", b"priv/lock/x", b"priv/lock/y")
FILES = (b"a/f", b"a/g", b"b/f", b"top")

FAULTS = (
    "partition",
    "partition",
    "merge",
    "merge",
    "power off",
    "kill",
    "hang",
    "congestion",
    "store",
    "corosync",
    "old disk",
    "ghost",
    "stale process",
)


class World:
    """One run. ``trace`` collects a line per event when asked for."""

    def __init__(
        self, seed: int, mutant: type[SimulatedMachine] | None = None, *, trace: bool = False
    ) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.now = 0.0
        self.trace: list[str] | None = [] if trace else None
        self.steps = 0
        self.nodeids = [10 * (n + 1) for n in range(self.random.choice((2, 3, 3, 3, 4, 5)))]
        self.late_quorum = self.random.random() < 0.25
        self.knows_nodes = self.random.random() < 0.5
        self.network = Network(self.random, self.nodeids)
        self.histories: dict[tuple[Address, bytes], tuple[OpId, ...]] = {}
        self.checker = Checker(self)
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self._tick_at = 0.0
        self._ghosts = 0
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

    def run(self) -> None:
        """Faults and traffic, then healing, then rest."""
        end = self.random.uniform(8.0, 20.0)
        if self.random.random() < 0.5:
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
            if self.steps > MAX_STEPS:
                raise Violation(f"no rest after {MAX_STEPS} steps: {self._picture()}")
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
        work: list[tuple[bool, Node]] = []
        for node in self.nodes.values():
            port = node.port
            if port.outbox and port.ring is not None:
                work.append((True, node))
            if not node.hung and port.readable:
                work.append((False, node))
        if not work:
            self.now = min(self._tick_at, self._heap[0][0] if self._heap else self._tick_at)
            return
        self.now += STEP_SECONDS * self.random.random()
        ordering, node = self.random.choice(work)
        if ordering:
            self.network.order_one(node.nodeid)
        else:
            item = node.port.read()
            if self.trace is not None:
                self._note(node, item)
            node.receive(item)

    def _at_rest(self) -> bool:
        indexes = set()
        for node in self.nodes.values():
            if node is self.forever_hung:
                continue
            if node.mode is not Mode.SYNCED or node.waiting or node.queue or node.rejoin_at is not None:
                return False
            if node.port.outbox or node.port.readable:
                return False
            assert node.app is not None
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

    def _components(self) -> list[frozenset[int]]:
        return [ring.nodes for ring in self.network.rings]

    def _merge_one(self, nodeid: int) -> Callable[[], None]:
        def merge() -> None:
            if self.nodes[nodeid].up and self.network.ports[nodeid].ring is None:
                components = self._components()
                first = components.pop(0) if components else frozenset()
                self._reform([first | {nodeid}, *components])

        return merge

    def _remove(self, nodeid: int) -> None:
        self._reform([rest for part in self._components() if (rest := part - {nodeid})])

    # Faults

    def _fault(self) -> None:
        if self.healed:
            return
        kind = self.random.choice(FAULTS)
        node = self.random.choice(list(self.nodes.values()))
        self.say(f"fault: {kind} (node {node.nodeid})")
        getattr(self, "_fault_" + kind.replace(" ", "_"))(node)

    def _fault_partition(self, node: Node) -> None:
        reached = [nodeid for part in self._components() for nodeid in sorted(part)]
        if len(reached) > 1:
            self.random.shuffle(reached)
            cut = self.random.randint(1, len(reached) - 1)
            self._reform([frozenset(reached[:cut]), frozenset(reached[cut:])])

    def _fault_merge(self, node: Node) -> None:
        parts = self._components()
        if len(parts) > 1:
            self._reform([parts[0] | parts[1], *parts[2:]])

    def _fault_power_off(self, node: Node, disk: Disk | None = None) -> None:
        if not node.up:
            return
        node.up = False
        if node.machine is not None:
            node.kill(self.random.randint(0, 2))
        if disk is not None:
            node.disks.clear()
            node.disks.append(disk)
        self.checker.restarted(node, node.disks[-1][1])
        self._remove(node.nodeid)
        self._after(self.random.uniform(0.5, 6.0), lambda: self._power_on(node))

    def _power_on(self, node: Node) -> None:
        if not node.up:
            node.up = True
            node.start()
            self._merge_one(node.nodeid)()

    def _fault_old_disk(self, node: Node) -> None:
        self._fault_power_off(node, self.random.choice((self.base, node.disks[0])))

    def _fault_kill(self, node: Node) -> None:
        if node.up and node.machine is not None:
            node.kill(self.random.randint(0, 2))
            self.checker.restarted(node, node.disks[-1][1])
            self._after(self.random.uniform(0.2, 3.0), lambda: self._start(node))

    def _start(self, node: Node) -> None:
        if node.up and node.machine is None:
            node.start()
            ring = node.port.ring
            if ring is not None:
                self._tell(node, 2 * len(ring.nodes) > len(self.nodeids), ring.nodes)

    def _fault_stale_process(self, node: Node) -> None:
        """A process dies and the group does not notice."""
        if node.up and node.machine is not None and node.port.process is not None:
            self._fault_kill(node)
            node.port.outbox.clear()
            node.pid += 100

    def _fault_hang(self, node: Node) -> None:
        if node.machine is None or node.hung:
            return
        node.hung = True
        seconds = self.random.choice((0.5, 3.0, 25.0))
        node.hung_for = seconds
        process = node.process

        def resume() -> None:
            if node.process == process:
                node.hung = False

        self._after(seconds, resume)

    def _fault_congestion(self, node: Node) -> None:
        node.congested_until = self.now + self.random.choice((0.3, 3.0, 12.0))

    def _fault_store(self, node: Node) -> None:
        node.break_store()

    def _fault_corosync(self, node: Node) -> None:
        if node.up and node.port.ring is not None:
            self._remove(node.nodeid)
            node.disconnect()
            self._after(self.random.uniform(0.5, 3.0), self._merge_one(node.nodeid))

    def _fault_ghost(self, node: Node) -> None:
        ring = node.port.ring
        if ring is not None:
            self._ghosts += 1
            ghost = Address(self.random.choice((5, 99)), self._ghosts)
            ring.join(ghost)

    def _heal(self) -> None:
        self.say("heal")
        self.healed = True
        nodes = list(self.nodes.values())
        if len(nodes) > 2 and self.random.random() < 0.1:
            self.forever_hung = self.random.choice(nodes)
        for node in nodes:
            node.congested_until = 0.0
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
            message = self._operation(node.app.tree, number)
            if message is not None:
                token = None if isinstance(message, Unlock) else (number, node.nodeid)
                if self.trace is not None:
                    self.say(f"client: node {node.nodeid} submits {number}: {message}")
                node.submit(message.op, message.parts(), token)

        return act

    def _operation(self, tree: Tree, number: int) -> FsMessage | Unlock | None:
        op = self.random.choice((FsOp.MKDIR, FsOp.CREATE, FsOp.WRITE, FsOp.WRITE, *FsOp))
        directory, file = self.random.choice(DIRECTORIES), self.random.choice(FILES)
        if op is FsOp.MKDIR:
            return FsMessage(op, directory) if precheck_mkdir(tree, directory) == 0 else None
        if op is FsOp.CREATE:
            return FsMessage(op, file)
        if op is FsOp.WRITE:
            return FsMessage(op, file, data=b"%d" % number, offset=self.random.choice((0, 0, 3)))
        if op is FsOp.MTIME:
            return FsMessage(op, file, offset=EPOCH_START + number)
        if op is FsOp.DELETE:
            path = self.random.choice((directory, file))
            return FsMessage(op, path) if precheck_delete(tree, path) == 0 else None
        if op is FsOp.RENAME:
            other = self.random.choice(FILES)
            if other == file or precheck_rename(tree, file, other) != 0:
                return None
            return FsMessage(op, file, other)
        entry = tree.lookup(directory)
        if entry is None or not is_lock_path(directory):
            return None
        return Unlock(FsOp.UNLOCK_REQUEST, entry.lock_checksum(), directory)

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
            f" version {node.app.tree.root.version if node.app else None} waiting {len(node.waiting)}"
            f" members {[tuple(m) for m in node.machine.members] if node.machine else None}"
            for node in self.nodes.values()
        )
