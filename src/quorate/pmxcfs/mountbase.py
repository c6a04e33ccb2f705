"""What all parts of the mount share: nodes, attributes, answers that come later, notices to the kernel.

Operations on names are in ``mount``, those on content in ``files``, cache invalidation in ``invalidation``.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, Final

from quorate.fuse.operations import Handler, Operations, Reply
from quorate.fuse.replies import DAY, entry_out, pack_attr
from quorate.fuse.requests import Request
from quorate.fuse.session import Session
from quorate.pmxcfs.entry import ChangeOp
from quorate.pmxcfs.nodes import Node, NodeTable, entry_attributes, loose_attributes
from quorate.pmxcfs.submit import Submitter
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.virtual import VirtualEntries, VirtualEntry
from quorate.pmxcfs.wire import FsMessage

PATIENCE: Final = 1.0
"""Seconds for which a signal does not make a waiting call fail: in a healthy cluster the answer is there long
before, and nobody is told EINTR for an operation that took effect."""

HOLD: Final = 1.0
"""Seconds for which an answer is held back until the kernel has taken earlier notices. They take well below a
millisecond; only a kernel lock held by somebody else's unanswered request can delay them."""

Target = Node | VirtualEntry
Held = tuple[Request, Reply, tuple[int, ...]]


class MountBase(Operations):
    """State of the mount. Used from the loop's thread only."""

    def __init__(
        self,
        tree: Tree,
        submitter: Submitter,
        virtual: VirtualEntries,
        *,
        gid: int,
        now: Callable[[], float],
        mono: Callable[[], float],
    ) -> None:
        self.tree = tree
        self.submitter = submitter
        self.virtual = virtual
        self.nodes = NodeTable(tree.root)
        self.gid = gid
        self.now = now
        self.mono = mono
        self.acknowledged: dict[tuple[ChangeOp, int], int] = {}
        """Own operations of this round whose effect the kernel knows: (what, inode) to how many."""
        self.session: Session | None = None
        self.notices: list[Callable[[Session], None]] = []
        """Invalidations to be sent at the end of the round, behind the answers."""
        self.links_known = False
        """The kernel was told the modes of the virtual links."""
        self._interrupted: dict[int, float] = {}
        self._call_soon: Callable[[Callable[[], None]], None] | None = None
        self._held: list[Held] = []
        self._holding: list[tuple[float, list[Held]]] = []

    def attach(self, session: Session, call_soon: Callable[[Callable[[], None]], None] | None = None) -> None:
        """The mount is there; answers and notices go to ``session``.

        ``call_soon`` has a function called in the loop's thread, from any thread. Without it no answer waits
        for notices.
        """
        self.session = session
        self._call_soon = call_soon

    @property
    def has_notices(self) -> bool:
        """Whether ``send_notices`` has anything to do."""
        return bool(self.notices or self._held)

    def send_notices(self) -> None:
        """To be called at the end of every round."""
        if self.session is None:
            return
        if self.notices:
            notices, self.notices = self.notices, []
            for notice in notices:
                notice(self.session)
        if self._held:
            self._hold()

    # Nodes

    def target(self, nodeid: int) -> Target | None:
        """What the kernel means by a node id."""
        return self.nodes.by_nodeid.get(nodeid) or self.virtual.by_nodeid.get(nodeid)

    def child(self, parent: Node, name: bytes) -> Target | None:
        """What is called ``name`` in a directory, files whose CREATE is under way included."""
        if parent is self.nodes.root:
            virtual = self.virtual.by_name.get(name)
            if virtual is not None:
                return virtual
        if parent.awaited is not None and name in parent.awaited:
            return parent.awaited[name]
        entry = parent.entry
        found = entry.children.get(name) if entry is not None and entry.children is not None else None
        return None if found is None else self.nodes.for_entry(found)

    def path_of(self, node: Node) -> bytes | None:
        """Internal path; None for what is not in the tree any more."""
        if node.entry is not None:
            return self.tree.path_of(node.entry)
        if node.creating and node.parent is not None:
            return self.path_in(node.parent, node.name)
        return None

    def path_in(self, parent: Node, name: bytes) -> bytes | None:
        """Path of a name in a directory; None if the directory is gone."""
        if parent.entry is None:
            return None
        directory = self.tree.path_of(parent.entry)
        return directory + b"/" + name if directory else name

    # Attributes

    def attributes(self, node: Node) -> tuple[bytes, int]:
        """Packed attributes and for how many seconds the kernel may keep them. They are about to be sent."""
        if node.attr is not None:
            node.told = True
            return node.attr, DAY
        entry = node.entry
        quorate = self.submitter.writable
        if entry is None:
            path = node.name if node.ghost is not None else self.path_of(node) or node.name
            attr = loose_attributes(node, path, gid=self.gid, quorate=quorate, mtime=self._time_of(node))
            return attr, 0
        path = self.tree.path_of(entry)
        if node.dirty:
            attr = entry_attributes(
                entry, path, gid=self.gid, quorate=quorate, size=node.size(), mtime=self._time_of(node)
            )
            return attr, 0
        node.attr = entry_attributes(
            entry, path, gid=self.gid, quorate=quorate, size=entry.size, mtime=entry.mtime
        )
        node.told = True
        return node.attr, DAY

    def virtual_attributes(self, entry: VirtualEntry) -> tuple[bytes, int]:
        """As ``attributes``. Texts are produced anew each time, links change with the quorum only."""
        mode = entry.mode_bits(self.submitter.writable)
        if entry.is_link:
            self.links_known = True
        attr = pack_attr(entry.ino, mode, size=len(entry.text()), gid=self.gid)
        return attr, DAY if entry.is_link else 0

    def entry_reply(self, target: Target) -> bytes:
        """The answer that tells the kernel of a node; counts a lookup."""
        if isinstance(target, VirtualEntry):
            attr, valid = self.virtual_attributes(target)
            return entry_out(target.nodeid, attr, DAY, valid)
        attr, valid = self.attributes(target)
        target.lookups += 1
        return entry_out(target.nodeid, attr, DAY, valid)

    def _time_of(self, node: Node) -> int:
        if node.pending is not None:
            return node.pending.time
        if node.inflight:
            return node.inflight[-1].time
        return node.entry.mtime if node.entry is not None else int(self.now()) & 0xFFFFFFFF

    # Operations that end later

    def send(self, message: FsMessage, request: Request, then: Callable[[], Reply], *more_locks: int) -> None:
        """Submit; answer ``request`` with the error, or with what ``then`` gives after success.

        ``more_locks``: see ``answer_delivered``; the request's own node is always one of them.
        """
        locks = (request.nodeid, *more_locks)

        def done(result: int) -> None:
            if result < 0:
                self.answer(request, -result)
                return
            reply = then()
            self.submitter.when_safe(
                lambda safe: self.answer_delivered(request, reply if safe >= 0 else -safe, locks)
            )

        self.submitter.submit(message, done)

    def again(self, handler: Handler, request: Request, body: Any) -> Callable[[], None]:
        """A call that serves the request from the beginning."""

        def run() -> None:
            self.answer(request, handler(request, body))

        return run

    def answer(self, request: Request, reply: Reply) -> None:
        """Answer a request that was left open (nothing happens when nobody waits any more)."""
        assert self.session is not None
        if self._interrupted:
            self._interrupted.pop(request.unique, None)
        if reply is None:
            return
        if isinstance(reply, int):
            self.session.error(request.unique, reply)
        else:
            self.session.reply(request.unique, reply)

    def answer_delivered(self, request: Request, reply: Reply, locks: tuple[int, ...]) -> None:
        """Answer for an operation that was delivered, once the kernel took all notices about earlier ones.

        So whoever changed something, or took a lock, sees what was acknowledged anywhere before, whatever
        the kernel had in its caches. ``locks``: what the kernel holds locked for this request (Session tells
        how they are named). A notice that needs one of these would wait for this very answer, which is then
        given at once.
        """
        assert self.session is not None
        if self._call_soon is None or (not self.notices and self.session.notifications_taken):
            self.answer(request, reply)
        else:
            self._held.append((request, reply, locks))

    def _hold(self) -> None:
        """All notices of the round are under way: let the answers that must be behind them wait."""
        assert self.session is not None
        assert self._call_soon is not None
        held, self._held = self._held, []
        waiting = []
        for item in held:
            if self.session.notifications_need(item[2]):
                self.answer(item[0], item[1])
            else:
                waiting.append(item)
        if waiting:
            call_soon = self._call_soon
            batch = (self.mono() + HOLD, waiting)
            self._holding.append(batch)
            self.session.after_notifications(lambda: call_soon(lambda: self._release(batch)))

    def _release(self, batch: tuple[float, list[Held]]) -> None:
        if batch in self._holding:
            self._holding.remove(batch)
            for request, reply, _ in batch[1]:
                self.answer(request, reply)

    def acknowledge(self, op: ChangeOp, inode: int) -> None:
        """The kernel will know the effect of this operation from its answer: no invalidation for it."""
        key = (op, inode)
        self.acknowledged[key] = self.acknowledged.get(key, 0) + 1

    def interrupted(self, request: Request) -> Reply:
        self._interrupted.setdefault(request.unique, self.mono() + PATIENCE)
        return None

    def answer_interrupted(self) -> None:
        """To be called a few times a second: processes that got a signal do not wait for ever.

        What they asked for still takes effect when it is delivered.
        """
        now = self.mono()
        while self._holding and self._holding[0][0] <= now:
            self._release(self._holding[0])
        if not self._interrupted or self.session is None:
            return
        for unique, deadline in list(self._interrupted.items()):
            if not self.session.waits(unique):
                del self._interrupted[unique]
            elif deadline <= now:
                del self._interrupted[unique]
                self.session.error(unique, errno.EINTR)
