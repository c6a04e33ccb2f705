"""What must hold in every run: the invariants, looked at after each event (G1-G4 of the guarantees)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from quorate.pmxcfs.effects import Mode, Reply, Send
from quorate.pmxcfs.requests import REQUEST_SECONDS
from tests.simulation.opid import OpId, without_late

if TYPE_CHECKING:
    from tests.simulation.network import Item
    from tests.simulation.node import Node
    from tests.simulation.world import World

SLACK_SECONDS = 2.0
FORGOTTEN_SECONDS = 8.0
"""Longer than a machine that has just started waits for nodes which the group does not list yet."""


class Violation(AssertionError):
    """An invariant does not hold."""


class Checker:
    """Knows which node has applied which operation, and which were acknowledged."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.majority = len(world.nodeids) // 2 + 1
        self.held: dict[int, set[OpId]] = {nodeid: set() for nodeid in world.nodeids}
        self.safe: set[OpId] = set()
        self.acknowledged: set[OpId] = set()
        self.numbered: set[OpId] = set()
        self.states: dict[object, bytes] = {}
        self.shown: dict[int, tuple[object, int]] = dict.fromkeys(world.nodeids, (None, 0))
        self.makers: dict[tuple[bytes, int, int, int], object] = {}
        self.discarded_with_excuse = 0

    def fail(self, node: Node, text: str) -> NoReturn:
        raise Violation(f"at {self.world.now:.3f} on node {node.nodeid}: {text}")

    # Safety

    def applied(self, node: Node, op: OpId) -> None:
        """Nothing without quorum (G2), nothing twice, but for what an original sent again (W27)."""
        if not node.quorate:
            self.fail(node, f"message {op} was applied without quorum")
        held = self.held[node.nodeid]
        if op in held and not self.world.nodes[op[0]].eager:
            self.fail(node, f"message {op} was applied twice")
        held.add(op)
        self._count(op)

    def taken_over(self, node: Node, before: Sequence[OpId], after: Sequence[OpId]) -> None:
        """No acknowledged operation of a majority is lost by a synchronisation (G1, G3).

        Unless the winner has operations that never reached a majority: the wire protocol lets the highest
        version win, so a node that was cut off in mid-sentence may (W24).
        """
        lost = set(before) - set(after)
        new = set(after) - set(before)
        if [op for op in before if op not in lost] != [op for op in after if op not in new]:
            self.fail(node, "the state that it took over has the same messages in another order")
        excuse = any(op not in self.safe for op in new)
        for op in lost & self.safe & self.acknowledged:
            if not excuse:
                self.fail(node, f"acknowledged message {op}, which a majority had, is lost")
            self.discarded_with_excuse += 1
        self.held[node.nodeid] = set(after)
        self._recount(lost)
        for op in new:
            self._count(op)

    def shows(self, node: Node) -> None:
        """What one daemon shows to readers never goes back (monotonic reads)."""
        assert node.app is not None
        version = node.app.tree.root.version
        process, before = self.shown[node.nodeid]
        if process == node.process and version < before:
            self.fail(node, f"shows version {version} after {before}")
        self.shown[node.nodeid] = (node.process, version)

    def restarted(self, node: Node, history: Sequence[OpId]) -> None:
        """What the disk has is what counts."""
        lost = self.held[node.nodeid] - set(history)
        self.held[node.nodeid] = set(history)
        self._recount(lost)

    def delivered(self, node: Node, item: Item) -> None:
        """All synced members have identical trees at every point of the order (G3)."""
        if node.mode is not Mode.SYNCED or node.app is None or node.app.tree.error:
            return
        digest = hashlib.blake2b(node.app.tree.index(), digest_size=8).digest()
        if self.states.setdefault(item.order, digest) != digest:
            self.fail(node, f"its tree differs from that of others after {item.order}")

    # Requests

    def sent(self, node: Node, send: Send) -> None:
        """Never a normal message while not synced, but for sending again (W7); never without quorum (W6)."""
        op = (node.nodeid, node.pid, send.count)
        if op in self.numbered:
            return
        self.numbered.add(op)
        if node.effect_mode is not Mode.SYNCED and not node.eager:
            self.fail(node, f"sends normal message {send.count} in mode {node.effect_mode}")
        if not node.quorate:
            self.fail(node, f"sends normal message {send.count} without quorum")

    def answered(self, node: Node, token: object, op: OpId | None, result: int) -> None:
        """Success is only reported for what was applied here, be it by a copy of the message that an old ring
        delivered late (G1)."""
        if result >= 0:
            held = self.held[node.nodeid]
            applied = op if op in held else next((each for each in held if without_late(each) == op), None)
            if applied is None:
                self.fail(node, f"request {token} ({op}) got result {result} but was not applied")
            self.acknowledged.add(applied)

    def lock_granted(self, node: Node, token: object, path: bytes) -> None:
        """A lock directory was made for one caller alone (G4)."""
        assert node.app is not None
        entry = node.app.tree.lookup(path)
        if entry is None:
            self.fail(node, f"request {token} was granted the lock {path!r}, which is not there")
        assert entry is not None
        if entry.writer != node.nodeid:
            self.fail(node, f"request {token} was granted the lock {path!r} of node {entry.writer}")
        maker = self.makers.get((path, entry.inode, entry.mtime, entry.writer))
        if maker is not None and maker != token:
            self.fail(node, f"requests {maker} and {token} were both granted the lock {path!r}")
        self.makers[path, entry.inode, entry.mtime, entry.writer] = token

    def replied(self, node: Node, reply: Reply) -> None:
        """One answer per request."""
        if node.waiting.pop(reply.token, None) is None:
            self.fail(node, f"request {reply.token} was answered twice or never made")

    def bounded(self, node: Node) -> None:
        """Every request is answered in time (W2)."""
        now = self.world.now
        for token, since in node.waiting.items():
            if now - since > REQUEST_SECONDS + SLACK_SECONDS + node.hung_for:
                self.fail(node, f"request {token} waits since {since:.3f}")
            resting = (
                node.effect_mode is Mode.SYNCED and now - max(since, node.synced_since) > FORGOTTEN_SECONDS
            )
            busy = node.queue or node.port.outbox or node.port.readable or node.congested_until > now - 5
            if resting and not busy and not node.eager:  # an original may wait for ever (W2, W7)
                self.fail(node, f"request {token} of {since:.3f} is forgotten, though all is in sync")

    # Helpers

    def _count(self, op: OpId) -> None:
        if op not in self.safe and sum(op in held for held in self.held.values()) >= self.majority:
            self.safe.add(op)

    def _recount(self, ops: set[OpId]) -> None:
        for op in ops & self.safe:
            if sum(op in held for held in self.held.values()) < self.majority:
                self.safe.discard(op)
