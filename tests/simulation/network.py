"""A virtual Corosync: totally ordered groups with the guarantees of agreed delivery, and no more than these.

Each component of the network is a ring with one log. Members read it at their own pace. When the network
changes, members that stay together deliver the same rest of the old log (what one of them has delivered, all
deliver; their own messages are never lost to themselves), then the new configuration.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from quorate.corosync.address import Address

KEPT = 200
"""Items of an old ring's log that are kept, to be played again."""


@dataclass(slots=True, eq=False)
class Item:
    """One entry of a log: a message, or a configuration change (``members`` is not None)."""

    sender: Address
    data: bytes = b""
    members: tuple[Address, ...] | None = None
    left: tuple[Address, ...] = ()
    joined: tuple[Address, ...] = ()
    order: object = None
    """Equal for all receivers that must be in the same state after it."""


@dataclass(slots=True, eq=False)
class Port:
    """One node's access: what it sends, and what it has still to receive."""

    nodeid: int
    outbox: deque[tuple[str, Address, bytes]] = field(default_factory=deque)
    inbox: deque[Item] = field(default_factory=deque)
    ring: Ring | None = None
    cursor: int | None = None
    process: Address | None = None

    @property
    def readable(self) -> bool:
        return bool(self.inbox) or (
            self.ring is not None and self.cursor is not None and self.cursor < len(self.ring.log)
        )

    def read(self) -> Item:
        """The next event of the own process."""
        if self.inbox:
            item = self.inbox.popleft()
        else:
            assert self.ring is not None
            assert self.cursor is not None
            item = self.ring.log[self.cursor]
            self.cursor += 1
        if item.members is not None and self.process in item.left:
            self.close()
        return item

    def close(self) -> None:
        """The process hears nothing more."""
        self.inbox.clear()
        self.cursor = None
        self.process = None


class Ring:
    """One component with its log."""

    def __init__(self, number: int, nodes: frozenset[int], group: Iterable[Address]) -> None:
        self.number = number
        self.nodes = nodes
        self.start_group = tuple(sorted(group))
        self.group = set(self.start_group)
        self.log: list[Item] = []

    def append(self, item: Item) -> None:
        item.order = (self.number, len(self.log))
        self.log.append(item)

    def join(self, process: Address) -> None:
        self.group.add(process)
        self.append(Item(process, members=tuple(sorted(self.group)), joined=(process,)))

    def flash(self, process: Address, *, listed: bool) -> None:
        """It joins and leaves in one change; ``listed``: the group shows it nevertheless, and for good."""
        members = tuple(sorted({*self.group, process} if listed else self.group))
        self.group = set(members)
        self.append(Item(process, members=members, joined=(process,), left=(process,)))

    def leave(self, process: Address) -> None:
        if process in self.group:
            self.group.discard(process)
            self.append(Item(process, members=tuple(sorted(self.group)), left=(process,)))


class Network:
    """All ports and the rings that connect them."""

    def __init__(self, random: Random, nodes: Sequence[int]) -> None:
        self.random = random
        self.ports = {nodeid: Port(nodeid) for nodeid in nodes}
        self.rings: list[Ring] = []
        self.old_logs: deque[list[Item]] = deque(maxlen=3)
        self._numbers = 0

    def order_one(self, nodeid: int) -> None:
        """The oldest thing that this node sent gets its place in the ring's log."""
        port = self.ports[nodeid]
        kind, process, data = port.outbox.popleft()
        ring = port.ring
        if ring is None:
            return
        if kind == "join":
            ring.join(process)
            port.inbox.clear()
            port.process = process
            port.cursor = len(ring.log) - 1
        elif kind == "leave":
            ring.leave(process)
        elif process in ring.group:
            ring.append(Item(process, data))

    def reform(self, components: Sequence[frozenset[int]]) -> None:
        """The network looks like this from now on; nodes in no component are cut off from everything."""
        old_rings = self.rings
        self.old_logs.extend(ring.log[:KEPT] for ring in old_rings if ring.log)
        self.rings = [
            self._merge(nodes, [ring for ring in old_rings if ring.nodes & nodes]) for nodes in components
        ]
        reached = frozenset().union(*components)
        for port in self.ports.values():
            if port.nodeid not in reached:
                port.ring = None
                port.outbox.clear()
                port.close()

    def _merge(self, nodes: frozenset[int], old: Sequence[Ring]) -> Ring:
        parts = []
        for ring in old:
            together = [self.ports[nodeid] for nodeid in sorted(ring.nodes & nodes)]
            parts.append((ring, together, *self._rest(ring, nodes, together)))
        group: set[Address] = set()
        for _, _, _, members in parts:
            group |= {
                member for member in members if member.nodeid in nodes or member.nodeid not in self.ports
            }
        self._numbers += 1
        new = Ring(self._numbers, nodes, group)
        order = sorted(group)
        self.random.shuffle(order)
        one_by_one = self.random.random() < 0.5
        for ring, together, rest, members in parts:
            changes = self._changes(members, group, order, one_by_one)
            for number, item in enumerate(rest + changes):
                if item.order is None:
                    item.order = ("rest", new.number, ring.number, number)
            for port in together:
                if port.cursor is not None:
                    port.inbox.extend(rest[port.cursor :] + changes)
                    port.cursor = 0
                port.ring = new
        for nodeid in nodes:
            self.ports[nodeid].ring = new
        return new

    def _rest(
        self, ring: Ring, nodes: frozenset[int], together: Sequence[Port]
    ) -> tuple[list[Item], set[Address]]:
        """The log as those who stay together deliver it, and the group that results."""
        read = max((port.cursor for port in together if port.cursor is not None), default=0)
        cut = self.random.randint(read, len(ring.log))
        group = set(ring.start_group)
        rest = []
        for position, item in enumerate(ring.log):
            if position >= cut:
                if item.sender.nodeid not in nodes:
                    continue
                if item.members is not None:
                    gone = set(item.left).difference(item.members)
                    members = tuple(sorted((group | set(item.joined)) - gone))
                    item = Item(item.sender, members=members, left=item.left, joined=item.joined)
                else:
                    item = Item(item.sender, item.data)
            if item.members is not None:
                group = set(item.members)
            rest.append(item)
        return rest, group

    @staticmethod
    def _changes(
        before: set[Address], group: set[Address], order: Sequence[Address], one_by_one: bool
    ) -> list[Item]:
        """Configuration changes as Corosync delivers them: first who left, then who joined."""
        changes = []
        stay = before & group
        nobody = Address(0, 0)
        left = tuple(sorted(before - group))
        if left:
            changes.append(Item(nobody, members=tuple(sorted(stay)), left=left))
        joined = [member for member in order if member not in before]
        size = max(1, len(joined) // 4 if len(joined) > 8 else 1) if one_by_one else len(joined)
        steps = [joined[at : at + size] for at in range(0, len(joined), max(size, 1))]
        for step in steps:
            stay = stay | set(step)
            changes.append(Item(nobody, members=tuple(sorted(stay)), joined=tuple(step)))
        return changes
