"""What goes wrong in a world: one method per fault. When, and how often, is decided in ``world``."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from quorate.corosync.address import Address
from quorate.pmxcfs.wire import NORMAL_HEADER_SIZE, MessageType, NormalHeader
from tests.simulation.checker import Checker
from tests.simulation.network import Item, Network, Ring
from tests.simulation.opid import mark_late

if TYPE_CHECKING:
    from tests.simulation.node import Disk, Node

FAULTS = (
    "partition",
    "partition",
    "merge",
    "merge",
    "power off",
    "kill",
    "restarts",
    "flapping",
    "flapping",
    "hang",
    "congestion",
    "store",
    "disk full",
    "corosync",
    "old disk",
    "ghost",
    "flashing ghost",
    "stale process",
    "clock",
    "old ring",
)

CLOCK_JUMPS = (-86400, -3600, -121, -1, 1, 121, 3600, 86400)


class Faults:
    """The part of the world that breaks it."""

    random: Random
    network: Network
    checker: Checker
    nodes: dict[int, Node]
    nodeids: list[int]
    now: float
    healed: bool
    base: Disk
    _ghosts = 0
    _late = 0
    _flaps = 0

    def say(self, text: str) -> None:
        raise NotImplementedError

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        raise NotImplementedError

    def _client(self, number: int) -> Callable[[], None]:
        raise NotImplementedError

    def _reform(self, components: list[frozenset[int]]) -> None:
        raise NotImplementedError

    def _tell(self, node: Node, quorate: bool, component: frozenset[int]) -> None:
        raise NotImplementedError

    def _merge_one(self, nodeid: int) -> Callable[[], None]:
        raise NotImplementedError

    def _fault(self) -> None:
        if self.healed:
            return
        kind = self.random.choice(FAULTS)
        node = self.random.choice(list(self.nodes.values()))
        self.say(f"fault: {kind} (node {node.nodeid})")
        getattr(self, "_fault_" + kind.replace(" ", "_"))(node)

    def _components(self) -> list[frozenset[int]]:
        return [ring.nodes for ring in self.network.rings]

    def _remove(self, nodeid: int) -> None:
        self._reform([rest for part in self._components() if (rest := part - {nodeid})])

    # The network

    def _fault_partition(self, node: Node) -> None:
        if self.healed:
            return
        reached = [nodeid for part in self._components() for nodeid in sorted(part)]
        if len(reached) > 1:
            self.random.shuffle(reached)
            cut = self.random.randint(1, len(reached) - 1)
            self._reform([frozenset(reached[:cut]), frozenset(reached[cut:])])

    def _fault_merge(self, node: Node) -> None:
        if self.healed:
            return
        parts = self._components()
        if len(parts) > 1:
            self._reform([parts[0] | parts[1], *parts[2:]])

    def _fault_flapping(self, node: Node) -> None:
        """Together and apart again within milliseconds, in the middle of synchronisations and of traffic."""
        at = 0.0
        for number in range(self.random.choice((2, 3, 4))):
            self._after(at, lambda: self._fault_partition(node) if self.random.random() < 0.5 else None)
            self._after(at + 0.001, lambda: self._fault_merge(node))
            for client in range(3):
                early = self.random.uniform(0.0, 0.02)
                self._after(at + early, self._client(20_000 + 1000 * self._flaps + 10 * number + client))
            at += self.random.choice((0.005, 0.01, 0.02))
        self._flaps += 1

    def _fault_congestion(self, node: Node) -> None:
        """Corosync takes nothing; after 10 s the sender gives up."""
        node.congested_until = self.now + self.random.choice((0.3, 3.0, 12.0, 35.0))

    def _fault_corosync(self, node: Node) -> None:
        if node.up and node.port.ring is not None:
            self._remove(node.nodeid)
            node.disconnect()
            self._after(self.random.uniform(0.5, 3.0), self._merge_one(node.nodeid))

    def _fault_ghost(self, node: Node) -> None:
        """A member that the group lists and quorum does not."""
        ring = node.port.ring
        if ring is not None:
            ring.join(self._new_ghost())

    def _fault_flashing_ghost(self, node: Node) -> None:
        """One that joins and leaves in a single change; the group may go on listing it."""
        ring = node.port.ring
        if ring is not None:
            ring.flash(self._new_ghost(), listed=self.random.random() < 0.5)

    def _new_ghost(self) -> Address:
        self._ghosts += 1
        return Address(self.random.choice((5, 99)), self._ghosts)

    def _fault_old_ring(self, node: Node) -> None:
        """Messages of an earlier configuration come now: of those who sent them then, whether they are still
        members or not, or (states) as this node's own."""
        ring = node.port.ring
        old = [item for log in self.network.old_logs for item in log if len(item.data) >= NORMAL_HEADER_SIZE]
        if ring is None or not old:
            return
        own = node.process in ring.group and self.random.random() < 0.3
        for item in self.random.sample(old, min(len(old), 3)):
            if item.data[0] == MessageType.NORMAL:
                self._append_late(ring, item)
            elif own and item.data[0] != MessageType.SYNC_START:
                node.port.outbox.append(("message", node.process, item.data))
            else:
                ring.append(Item(item.sender, item.data))

    def _append_late(self, ring: Ring, item: Item) -> None:
        """As a message that nobody has had yet: delivered twice it would be applied twice, by all alike."""
        sender = self.nodes.get(item.sender.nodeid)
        machine = sender.machine if sender is not None and sender.process == item.sender else None
        if machine is not None and NormalHeader.unpack(item.data).count in machine.requests.sent:
            return  # it is on its way itself, and its caller waits for it
        self._late += 1
        ring.append(Item(item.sender, mark_late(item.data, self._late)))

    # Power, processes, disks, clocks

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
        """It comes back with the database of some earlier moment."""
        self._fault_power_off(node, self.random.choice((self.base, node.disks[0], *node.archive)))

    def _fault_kill(self, node: Node, pause: float | None = None) -> None:
        if node.up and node.machine is not None:
            node.kill(self.random.randint(0, 2))
            self.checker.restarted(node, node.disks[-1][1])
            pause = self.random.uniform(0.2, 3.0) if pause is None else pause
            self._after(pause, lambda: self._start(node))

    def _fault_restarts(self, node: Node) -> None:
        """Several daemons restart in quick succession, some of them twice, as an upgrade does it."""
        at = 0.0
        for other in self.random.sample(list(self.nodes.values()), min(len(self.nodes), 4)):
            for _ in range(self.random.choice((1, 1, 2))):
                self._after(at, lambda other=other: self._fault_kill(other, 0.02))  # type: ignore[misc]
                at += self.random.choice((0.0, 0.01, 0.3))

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
        """SIGSTOP; what arrives meanwhile waits in Corosync."""
        if node.machine is None or node.hung:
            return
        node.hung = True
        seconds = self.random.choice((0.5, 3.0, 25.0, 45.0))
        node.hung_for = max(seconds, node.hung_for)
        process = node.process

        def resume() -> None:
            if node.process == process:
                node.hung = False

        self._after(seconds, resume)

    def _fault_store(self, node: Node) -> None:
        node.break_store()

    def _fault_disk_full(self, node: Node) -> None:
        """Transactions fail; memory runs ahead of the disk until the daemon hears of it."""
        node.disk_full_until = self.now + self.random.choice((0.5, 8.0, 40.0))

    def _fault_clock(self, node: Node) -> None:
        node.skew += self.random.choice(CLOCK_JUMPS)
