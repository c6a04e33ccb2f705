"""The configuration database as a replicated application: file-system messages over a ``Tree`` (core 7).

The tree's rules are in ``tree``, taking over another tree in ``sync``, what became of lost requests in
``resolve``. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quorate.corosync.address import Address
from quorate.pmxcfs import wire
from quorate.pmxcfs.effects import (
    Choice,
    Clock,
    Commit,
    Delivery,
    Effect,
    LostEntries,
    Message,
    Outcome,
    Propagate,
    StateError,
    TakeOverError,
)
from quorate.pmxcfs.paths import CLUSTER_CONFIG
from quorate.pmxcfs.requests import Request
from quorate.pmxcfs.resolve import resolve
from quorate.pmxcfs.sync import CommitError, LostEntry, lost_entries, replaced_by
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.wire import FsMessage, FsOp, Unlock, WireError

GROUP = wire.DCDB_GROUP
PROTOCOL_VERSION = wire.DCDB_PROTOCOL
_UNLOCKS = frozenset({int(FsOp.UNLOCK_REQUEST), int(FsOp.UNLOCK)})


class Dcdb:
    """``Application`` over a tree. ``tree`` is replaced as a whole when a foreign state is taken over."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree

    # Synchronisation

    def state(self) -> bytes:
        """The tree's index (core 4.1)."""
        return self.tree.index()

    def choose(self, states: Mapping[Address, bytes]) -> Choice:
        """Highest version, then highest mtime, then lowest node id (core 4.3)."""
        try:
            leader, synced = wire.choose_leader(states)
        except WireError as error:
            raise StateError(f"a received state is malformed: {error}") from error
        return Choice(leader, synced)

    def updates(self, states: Mapping[Address, bytes]) -> list[tuple[bytes, ...]]:
        """The union of all differences to the own tree, root first (core 4.4). Contents are not copied."""
        own = wire.Index.unpack(self.tree.index())
        others = [wire.Index.unpack(state) for state in states.values()]
        return [
            self.tree.update_payload(self.tree.by_inode[inode]).parts()
            for inode in wire.differing(own, others)
        ]

    def commit(self, own: bytes, leader: bytes, updates: Sequence[bytes], clock: Clock) -> Commit:
        """Become identical to the leader (core 4.5); the result's ``adopted`` is (old tree, new tree)."""
        old = self.tree
        try:
            new = replaced_by(
                old, own, leader, [wire.Update.unpack(update) for update in updates], clock.mono
            )
        except (CommitError, WireError) as error:
            raise TakeOverError(str(error)) from error
        lost = lost_entries(old, new)
        effects: tuple[Effect, ...] = ()
        if lost:
            effects = (LostEntries(tuple(lost), diverged=_diverged(old, new, lost)),)
        self.tree = new
        return Commit((old, new), effects, after=(Propagate(notify=False),))

    def checksum(self) -> bytes:
        """The full checksum over all entries (core 4.2)."""
        return self.tree.full_checksum()

    def synced(self, clock: Clock) -> tuple[Message, ...]:
        """Nothing to announce."""
        return ()

    def members_changed(self, members: Sequence[Address], clock: Clock) -> None:
        """The tree does not depend on who is there."""

    # Messages

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
        """Apply one message of the total order, identically on every node (core 7.4)."""
        try:
            if subtype in _UNLOCKS:
                unlock = Unlock.unpack(subtype, payload)
                return self._unlock(unlock, sender, time, clock, own=own, lowest=lowest)
            message = FsMessage.unpack(subtype, payload)
        except WireError as error:
            return Delivery(outcome=Outcome.REFUSE, reason=str(error))
        result = self.tree.apply(message, sender.nodeid, time, clock.mono)
        if self.tree.error:
            return Delivery(result, Outcome.BROKEN, "the tree's error flag is set")
        if result >= 0 and _changes_cluster_config(message):
            return Delivery(result, effects=(Propagate(notify=own),))
        return Delivery(result)

    def _unlock(
        self, message: Unlock, sender: Address, time: int, clock: Clock, *, own: bool, lowest: bool
    ) -> Delivery:
        """Only the lowest node judges a request; everybody obeys its answer (core 7.5)."""
        entry = self.tree.lock_at(message.path, message.checksum)
        if entry is None:
            return Delivery(0)
        if message.op is FsOp.UNLOCK_REQUEST:
            if lowest and self.tree.lock_expired(message.path, entry, clock.mono):
                answer = Unlock(FsOp.UNLOCK, message.checksum, message.path)
                return Delivery(0, sends=(Message(FsOp.UNLOCK, answer.parts()),))
            return Delivery(0)
        result = self.tree.delete(message.path, sender.nodeid, time, clock.mono)
        if self.tree.error:
            return Delivery(result, Outcome.BROKEN, "the tree's error flag is set")
        return Delivery(0)

    # Own requests of unknown fate (W5)

    def mark(self) -> object:
        """The database's version when this node was cut off."""
        return self.tree.root.version

    def resolve(self, requests: Sequence[Request], mark: object, nodeid: int) -> list[int | None]:
        """What became of requests that were under way then, as far as the tree proves it."""
        assert isinstance(mark, int)
        return resolve(self.tree, requests, mark, nodeid)


def _changes_cluster_config(message: FsMessage) -> bool:
    if message.op is FsOp.RENAME:
        return message.to == CLUSTER_CONFIG
    return message.op in (FsOp.WRITE, FsOp.CREATE) and message.path == CLUSTER_CONFIG


def _diverged(old: Tree, new: Tree, lost: Sequence[LostEntry]) -> bool:
    """Whether both histories gave the same version number to different changes, which proves a split.

    A joining node's ``corosync.conf`` was imported from its host and is no change of anybody's: when several
    nodes join at the same time it is older than the cluster's.
    """
    if all(entry.path == CLUSTER_CONFIG and entry.writer == 0 for entry in lost):
        return False
    if old.root.version == new.root.version:
        return True
    theirs = {entry.version: (inode, entry.index_record()) for inode, entry in new.by_inode.items() if inode}
    return any(
        entry.version in theirs and theirs[entry.version] != (inode, entry.index_record())
        for inode, entry in old.by_inode.items()
        if inode
    )
