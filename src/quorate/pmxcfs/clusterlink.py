"""The mount's operations in a cluster: sent through the configuration database's group (core 7)."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Protocol

from quorate.pmxcfs.paths import is_lock_path
from quorate.pmxcfs.submit import Done
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.wire import FsMessage, FsOp, Unlock


class Sender(Protocol):
    """What is needed of ``group.Group``."""

    def submit(self, subtype: int, payload: tuple[bytes, ...], token: object | None) -> None: ...

    def submit_together(self, requests: Sequence[tuple[int, tuple[bytes, ...], object | None]]) -> None: ...


class HasTree(Protocol):
    """What is needed of ``dcdb.Dcdb``: the tree is another one after a synchronisation."""

    tree: Tree


class HasQuorum(Protocol):
    """What is needed of ``services.QuorumService``."""

    quorate: bool


class ClusterSubmitter:
    """Nothing is acknowledged before it was delivered in total order."""

    gathers = True

    def __init__(self, database: HasTree, quorum: HasQuorum, sender: Sender) -> None:
        self._database = database
        self._quorum = quorum
        self._sender = sender

    @property
    def writable(self) -> bool:
        return self._quorum.quorate and not self._database.tree.error

    def refusal(self) -> int:
        if not self._quorum.quorate:
            return errno.EACCES
        return errno.EIO if self._database.tree.error else 0

    def submit(self, message: FsMessage, done: Done) -> None:
        self._sender.submit(message.op, message.parts(), done)

    def submit_together(self, *requests: tuple[FsMessage, Done]) -> None:
        self._sender.submit_together([(message.op, message.parts(), done) for message, done in requests])

    def unlock(self, path: bytes, done: Done) -> bool:
        entry = self._database.tree.lookup(path)
        if entry is not None and is_lock_path(path) and self._quorum.quorate:
            request = Unlock(FsOp.UNLOCK_REQUEST, entry.lock_checksum(), path)
            self._sender.submit(FsOp.UNLOCK_REQUEST, request.parts(), None)
        return False

    def when_safe(self, then: Done) -> None:
        then(0)
