"""The mount's operations on content: open, create, read, write, flush. Content is kept until it is flushed.

One CREATE and one WRITE message per file, however many calls made it (W1), sent back to back. Other handles
of this node see file and content at once; other nodes when it was flushed, at the latest ``MAX_AGE`` later.
"""

from __future__ import annotations

import errno
import logging
import os
from typing import Final

from quorate.fuse import requests as r
from quorate.fuse.abi import Fopen
from quorate.fuse.operations import Reply
from quorate.fuse.replies import DAY, create_out, entry_out, open_out, write_out
from quorate.fuse.session import pages_of
from quorate.pmxcfs import guard
from quorate.pmxcfs.entry import ChangeOp, Entry
from quorate.pmxcfs.mountbase import MountBase, Target
from quorate.pmxcfs.nodes import Node, loose_attributes
from quorate.pmxcfs.paths import CLUSTER_CONFIG, guest_config
from quorate.pmxcfs.pending import MAX_FILE_SIZE, Pending, acceptable
from quorate.pmxcfs.tree import MAX_TOTAL_SIZE
from quorate.pmxcfs.virtual import VirtualEntry, write_debug
from quorate.pmxcfs.wire import FsMessage, FsOp
from quorate.pmxcfs.writers import Writers

log = logging.getLogger(__name__)

MAX_AGE: Final = 1.0
"""Seconds for which content of a file that stays open is kept back."""

EARLY_SECONDS: Final = 1
"""For so long the kernel keeps the attributes of a file in the making: as the original's of every file."""

MAX_UNSENT: Final = 64
"""Files with content that was not sent; beyond it the oldest is sent. Bounds the memory to 64 MiB."""

WRITES: Final = os.O_WRONLY | os.O_RDWR


class Handle:
    """One open file. ``text`` is what a generated file said when it was opened."""

    __slots__ = (
        "at_once",
        "begin",
        "direct",
        "end",
        "error",
        "first",
        "target",
        "text",
        "unflushed",
        "writes",
        "written",
    )

    def __init__(self, target: Target, flags: int, *, direct: bool, text: bytes = b"") -> None:
        self.target = target
        self.first: Node | None = None
        """The node that it was opened as, once another took its place: what was sent comes back there."""
        self.writes = bool(flags & WRITES)
        self.at_once = bool(flags & (os.O_SYNC | os.O_DSYNC))
        self.direct = direct
        self.text = text
        self.begin = self.end = 0
        """The last run of requests that were each written behind the other."""
        self.written = 0
        """Write requests since it was opened or last flushed."""
        self.error = 0
        """Errno of a failed message, for this handle's next fsync or close: each handle is told once."""
        self.unflushed = self.writes
        """No flush since it was opened or last written: one will come, and tell an error. Between the flush
        of close() and the release nobody is there to be told, and nothing of this handle's is missing."""


class Files(MountBase):
    """See MountBase for the state shared with the other parts."""

    _handles: dict[int, Handle]
    _next_handle = 1
    _unsent: dict[Node, float]
    _writers: Writers

    # Opening

    def open(self, request: r.Request, body: r.OpenIn) -> Reply:
        target = self.target(request.nodeid)
        if target is None:
            return errno.ESTALE
        if isinstance(target, VirtualEntry):
            return self._open_virtual(target, body.flags)
        if target.is_directory:
            return errno.EACCES if target is self.nodes.root else errno.EISDIR
        direct = False
        if target.entry is None and not target.creating:
            # Another node replaced the file since the kernel looked its name up: the name decides, as in the
            # original. The kernel's pages are of the old file, so they are not used.
            successor = self.file_at(target.name)
            if successor is not None:
                target, direct = self.nodes.for_entry(successor), True
            elif target.removed:
                return errno.ESTALE
        if body.flags & os.O_TRUNC:
            refused = self.truncate(target, 0)
            if refused:
                return refused
        handle, how = self._open_node(target, body.flags, direct=direct)
        return open_out(handle, how)

    def create(self, request: r.Request, body: r.CreateIn) -> Reply:
        parent = self.nodes.by_nodeid.get(request.nodeid)
        if parent is None or parent.entry is None:
            return errno.ESTALE
        found = self.child(parent, body.name)
        if found is not None:
            return self._open_existing(found, body.flags)
        refused = self.submitter.refusal()
        if refused:
            return refused
        path = self.path_in(parent, body.name)
        assert path is not None
        fault = guard.precheck_create(self.tree, path)
        if fault:
            return -fault
        guest = guest_config(path)
        if guest is not None and self.tree.guests.taken_elsewhere(guest):
            return errno.EEXIST
        if body.flags & os.O_EXCL or guest is not None or path == CLUSTER_CONFIG:
            self._create_and_wait(request, body, path)
            return None
        node = self.nodes.provisional(parent, body.name)
        node.truncates = bool(body.flags & os.O_TRUNC)
        node.held = True
        self._discard_negative(parent, body.name)
        handle, how = self._open_node(node, body.flags)
        if self.submitter.gathers and body.flags & WRITES:
            self._keep(node)
            node.early = node.told = True
            return create_out(self._early_entry(node, path), handle, how)
        self.announce(node)
        if node.entry is None and not node.creating:  # refused at once
            self._handles[handle].error = 0  # told now
            self._close_handle(handle)
            return node.error or errno.EIO
        return create_out(self.entry_reply(node), handle, how)

    def mknod_regular(self, request: r.Request, parent: Node, name: bytes) -> Reply:
        """mknod of a regular file works as create (core 1.11)."""
        path = self.path_in(parent, name)
        if path is None:
            return errno.ESTALE
        fault = guard.precheck_create(self.tree, path)
        if fault:
            return -fault

        def then() -> Reply:
            entry = self.file_at(path)
            if entry is None:
                return errno.ENOENT
            self.acknowledge(ChangeOp.CREATE, entry.inode)
            self._discard_negative(parent, name)
            return self.entry_reply(self.nodes.for_entry(entry))

        self.send(FsMessage(FsOp.CREATE, path), request, then)
        return None

    # Content

    def read(self, request: r.Request, body: r.ReadIn) -> Reply:
        handle = self._handles.get(body.fh)
        if handle is None:
            return errno.EBADF
        target = handle.target
        end = body.offset + body.size
        if isinstance(target, VirtualEntry):
            return handle.text[body.offset : end]
        if target.dirty or target.entry is None:
            return target.content()[body.offset : end]
        return target.entry.read(body.offset, body.size)

    def write(self, request: r.Request, body: r.WriteIn) -> Reply:
        handle = self._handles.get(body.fh)
        if handle is None:
            return errno.EBADF
        node = handle.target
        if isinstance(node, VirtualEntry):
            taken = write_debug(body.offset, body.data) if node.writable else -errno.EIO
            return write_out(taken) if taken >= 0 else -taken
        refused = self.submitter.refusal()
        if refused:
            return refused
        offset = body.offset
        if body.flags & os.O_APPEND and offset != node.size():
            # The kernel's idea of the size may be older than the last change by another node.
            offset = node.size()
            self._forget_pages(node)
        if offset != handle.end:
            handle.begin = offset
        count = acceptable(offset, len(body.data), handle.begin)
        if count == 0:
            return errno.EFBIG
        handle.end = offset + count
        handle.unflushed = True
        handle.written += 1
        data = body.data if count == len(body.data) else body.data[:count]
        if node.ghost is not None:
            return self._write_ghost(node, offset, data)
        if node.removed:
            return node.error or errno.ENOENT
        end = handle.end
        if self.tree.total_size + end > MAX_TOTAL_SIZE:  # perhaps too much: only then look closely
            size = node.size()
            if end > size and self.tree.total_size + end - size > MAX_TOTAL_SIZE:
                return errno.ENOSPC
        if node.pending is None and node.creating and node.truncates and not node.inflight:
            self._pend(node).truncate(0)
        if not self._pend(node).write(offset, data):
            self.push(node)
            self._pend(node).write(offset, data)
        self._touched(node)
        if handle.direct:
            self._forget_pages(node)
        if not (handle.at_once or self._is_cluster_config(node)):
            if self._writers.wrote(request.pid, handle.written) and self.submitter.gathers:
                self.push(node)
            return write_out(count)
        self.push(node)
        locks = (request.nodeid, pages_of(request.nodeid))
        self._answer_when_done(request, handle, node, write_out(count), locks)
        return None

    def flush(self, request: r.Request, body: r.FlushIn) -> Reply:
        handle = self._handles.get(body.fh)
        if handle is not None:
            self._writers.closed(request.pid, handle.written)
            handle.written = 0
        return self._complete(request, body.fh, ())

    def fsync(self, request: r.Request, body: r.FsyncIn) -> Reply:
        return self._complete(request, body.fh, (request.nodeid,))

    def release(self, request: r.Request, body: r.ReleaseIn) -> Reply:
        self._close_handle(body.fh)
        return b""

    def truncate(self, node: Node, size: int) -> int:
        """Buffer a change of length; an errno if it is refused, 0 if not."""
        refused = self.submitter.refusal()
        if refused:
            return refused
        if size > MAX_FILE_SIZE:
            return errno.EFBIG
        if node.ghost is not None:
            del node.ghost[size:]
            node.ghost.extend(bytes(size - len(node.ghost)))
            return 0
        path = self.path_of(node)
        if path is None:
            return errno.ESTALE
        fault = guard.precheck_truncate(self.tree, path, size)
        if fault:
            return -fault
        if not self._pend(node).truncate(size):
            self.push(node)
            self._pend(node).truncate(size)
        self._touched(node)
        return 0

    def push(self, node: Node) -> None:
        """Send what is kept back for a file. Nothing is waited for."""
        self._unsent.pop(node, None)
        if node.pending is None and not node.held:
            return
        pending, node.pending = node.pending, None
        path = self.path_of(node)
        if pending is None or pending.empty or path is None:
            self.announce(node)
            if path is None and node.ghost is None and pending is not None and not pending.empty:
                self._failed(node, errno.ENOENT)  # its directory is gone: there is nowhere to put it
            return
        phantom = node.entry is not None and node.entry.is_phantom and not node.inflight
        offset, data, truncate = pending.payload(0 if phantom else node.size())  # no content to shorten (W8)
        node.inflight.append(pending)
        node.sent += 1
        message = FsMessage(FsOp.WRITE, path, None, data, offset, truncate)
        if not node.held:
            self.submitter.submit(message, lambda result: self._written(node, result))
            return
        node.held = False
        node.sent += 1
        self.submitter.submit_together(
            (FsMessage(FsOp.CREATE, path), lambda result: self._created(node, path, result)),
            (message, lambda result: self._written(node, result)),
        )

    def announce(self, node: Node) -> None:
        """Send the CREATE of a new file, if that was kept back, without its content."""
        if not node.held:
            return
        node.held = False
        node.sent += 1
        path = self.path_of(node)
        if path is None:  # its directory was removed meanwhile
            self._created(node, node.name, -errno.ENOENT)
            return
        self.submitter.submit(FsMessage(FsOp.CREATE, path), lambda result: self._created(node, path, result))

    def push_old(self) -> None:
        """To be called a few times a second: files that stay open are sent as well."""
        limit = self.mono() - MAX_AGE
        for node, since in list(self._unsent.items()):
            if since > limit:
                break
            self.push(node)

    def push_all(self) -> None:
        """Send everything that is kept back (the daemon ends)."""
        for node in list(self._unsent):
            self.push(node)

    @property
    def busy(self) -> bool:
        """Whether content is on its way."""
        return any(node.inflight or node.creating for node in self.nodes)

    # Helpers

    def file_at(self, path: bytes) -> Entry | None:
        """The regular file at ``path``."""
        entry = self.tree.lookup(path)
        return entry if entry is not None and entry.children is None else None

    def _open_virtual(self, target: VirtualEntry, flags: int) -> Reply:
        if target.is_link:
            return errno.EACCES
        if flags & os.O_TRUNC and not target.writable:
            return errno.EIO
        fh = self._add_handle(Handle(target, flags, direct=True, text=target.text()))
        return open_out(fh, Fopen.DIRECT_IO)

    def _open_existing(self, found: Target, flags: int) -> Reply:
        """CREATE of a name that exists: the kernel did not know it yet."""
        if flags & os.O_EXCL:
            return errno.EEXIST
        if isinstance(found, VirtualEntry):
            opened = self._open_virtual(found, flags)
            return self.entry_reply(found) + opened if isinstance(opened, bytes) else opened
        if found.is_directory:
            return errno.EISDIR
        if flags & os.O_TRUNC:
            refused = self.truncate(found, 0)
            if refused:
                return refused
        handle, how = self._open_node(found, flags)
        return create_out(self.entry_reply(found), handle, how)

    def _open_node(self, node: Node, flags: int, *, direct: bool = False) -> tuple[int, int]:
        """A handle and the kernel's flags for it.

        Reading and writing through one handle bypasses the page cache: a shared writable mapping is then
        refused (ENODEV, core 1.11). All other handles share the cache.
        """
        direct = direct or flags & os.O_ACCMODE == os.O_RDWR
        node.opens += 1
        fh = self._add_handle(Handle(node, flags, direct=direct))
        if direct:
            return fh, Fopen.DIRECT_IO
        how = 0 if node.stale else Fopen.KEEP_CACHE
        node.stale = False
        node.cached = True
        return fh, how if flags & WRITES else how | Fopen.NOFLUSH

    def _add_handle(self, handle: Handle) -> int:
        fh = self._next_handle
        self._next_handle += 1
        self._handles[fh] = handle
        return fh

    def _close_handle(self, fh: int) -> None:
        handle = self._handles.pop(fh, None)
        if handle is None or isinstance(handle.target, VirtualEntry):
            return
        node = handle.target
        if handle.error and handle.unflushed:
            self._untold(node, handle.error)
        if (node.pending is not None or node.held) and handle.writes:
            self.push(node)
        node.opens -= 1
        if not node.opens:
            node.ghost = None
            self.nodes.drop_if_unused(node)

    def _create_and_wait(self, request: r.Request, body: r.CreateIn, path: bytes) -> None:
        parent = self.nodes.by_nodeid[request.nodeid]

        def then() -> Reply:
            entry = self.file_at(path)
            if entry is None:
                return errno.ENOENT
            self.acknowledge(ChangeOp.CREATE, entry.inode)
            self._discard_negative(parent, body.name)
            return self._open_created(self.nodes.for_entry(entry), body.flags)

        def done(result: int) -> None:
            if result == -errno.EEXIST and not body.flags & os.O_EXCL and self.file_at(path) is not None:
                found = self.child(parent, body.name)
                self.answer(request, self._open_existing(found, body.flags) if found else errno.EBUSY)
                return
            reply = -result if result < 0 else then()
            locks = (request.nodeid,)
            self.submitter.when_safe(
                lambda safe: self.answer_delivered(request, reply if safe >= 0 else -safe, locks)
            )

        self.submitter.submit(FsMessage(FsOp.CREATE, path), done)

    def _open_created(self, node: Node, flags: int) -> Reply:
        handle, how = self._open_node(node, flags)
        return create_out(self.entry_reply(node), handle, how)

    def _created(self, node: Node, path: bytes, result: int) -> None:
        """The CREATE behind a file that is open already came back."""
        parent, name = node.parent, node.name
        entry = self.file_at(path) if result in (0, -errno.EEXIST) else None
        if self.nodes.created(node, entry) and entry is not None:
            if result == 0:
                self.acknowledge(ChangeOp.CREATE, entry.inode)
            else:  # another node was first: it is that file that was opened
                self._forget_pages(node)
                if node.truncates and node.pending is None and not node.inflight:
                    self._pend(node).truncate(0)
                    self.push(node)
        else:
            if entry is not None:  # another node was first, with a file that the kernel knows already
                self._hand_over(node, self.nodes.for_entry(entry), path)
            else:
                self._failed(node, -result if result not in (0, -errno.EEXIST) else errno.EBUSY)
                node.pending = None
            if parent is not None:
                parent_id = parent.nodeid
                self.notices.append(lambda session: session.notify_inval_entry(parent_id, name))
        if node.early:
            node.early = node.told = False
            nodeid = node.nodeid
            self.notices.append(lambda session: session.notify_inval_attr(nodeid))
        node.settle()
        self.nodes.drop_if_unused(node)

    def _hand_over(self, node: Node, successor: Node, path: bytes) -> None:
        """What was opened as a new file is this one. What was sent for it by name goes there by itself."""
        node.name = path  # where getattr finds the successor
        for handle in self._handles.values():
            if handle.target is node:
                handle.target = successor
                handle.first = node
                node.opens -= 1
                successor.opens += 1
        if node.pending is not None:
            pending, node.pending = node.pending, None
            self._unsent.pop(node, None)
            self.push(successor)
            successor.pending = pending
            self.push(successor)
        elif node.truncates and not node.inflight:
            self._pend(successor).truncate(0)
            self.push(successor)
        self._forget_pages(successor)

    def _written(self, node: Node, result: int) -> None:
        """A WRITE came back."""
        if node.inflight:
            node.inflight.popleft()
        node.attr = None
        if result >= 0 and node.entry is not None:
            self.acknowledge(ChangeOp.WRITE, node.entry.inode)
        elif result < 0 and node.ghost is None:
            self._failed(node, -result)
            self._forget_pages(node)
        node.settle()
        self.nodes.drop_if_unused(node)

    def _complete(self, request: r.Request, fh: int, locks: tuple[int, ...]) -> Reply:
        """Send what is kept back and answer when all of it was delivered."""
        handle = self._handles.get(fh)
        if handle is None or isinstance(handle.target, VirtualEntry) or not handle.writes:
            return b""
        node = handle.target
        self.push(node)
        self._answer_when_done(request, handle, node, b"", locks)
        return None

    def _answer_when_done(
        self, request: r.Request, handle: Handle, node: Node, reply: bytes, locks: tuple[int, ...] = ()
    ) -> None:
        def finished() -> None:
            assert self.session is not None
            told = self.session.waits(request.unique)  # else a signal ended the call, and it may be repeated
            if told:
                handle.unflushed = False
            if handle.error:
                error = handle.error
                if told:
                    handle.error = node.error = 0
                self.answer(request, error)
                return
            self.submitter.when_safe(
                lambda safe: self.answer_delivered(request, reply if safe >= 0 else -safe, locks)
            )

        if handle.first is None:
            node.when_done(finished)
        else:
            handle.first.when_done(lambda: node.when_done(finished))

    def _failed(self, node: Node, code: int) -> None:
        """Content or the file itself could not be stored: everybody who writes to it is told."""
        node.error = node.error or code
        told = False
        for handle in self._handles.values():
            if (handle.target is node or handle.first is node) and handle.writes:
                handle.error = handle.error or code
                told = told or handle.unflushed
        if not told and not node.waiters:
            self._untold(node, code)

    def _untold(self, node: Node, code: int) -> None:
        path = os.fsdecode(self.path_of(node) or node.name)
        log.warning(
            "what was written to '%s' is not stored (%s), and the program that wrote it is gone",
            path,
            os.strerror(code),
        )

    def _pend(self, node: Node) -> Pending:
        if node.done >= node.sent:
            node.error = 0  # of an earlier message: whoever wrote then was told
        if node.pending is None:
            self._keep(node)
            node.pending = Pending()
        return node.pending

    def _keep(self, node: Node) -> None:
        """Something about this file is kept back from now on, for a bounded time."""
        if node in self._unsent:
            return
        if len(self._unsent) >= MAX_UNSENT:
            self.push(next(iter(self._unsent)))
        self._unsent[node] = self.mono()

    def _early_entry(self, node: Node, path: bytes) -> bytes:
        """The answer to CREATE for a file that is not in the tree yet.

        For a moment the kernel keeps mode and owner, or it would ask for them at each open. Size and times it
        asks for anew after a write, and for files without one when ``_created`` tells it to forget them. The
        inode's number is not known yet: who asks for it alone, as ``ls -i`` does, gets another one meanwhile.
        """
        node.lookups += 1
        mtime = int(self.now()) & 0xFFFFFFFF
        attr = loose_attributes(node, path, gid=self.gid, quorate=self.submitter.writable, mtime=mtime)
        return entry_out(node.nodeid, attr, DAY, EARLY_SECONDS)

    def _is_cluster_config(self, node: Node) -> bool:
        """Whether it is corosync.conf; its name is looked at first, since every write asks."""
        name = node.name if node.entry is None else node.entry.name
        return name == CLUSTER_CONFIG and self.path_of(node) == CLUSTER_CONFIG

    def _touched(self, node: Node) -> None:
        assert node.pending is not None
        node.early = False
        node.pending.time = int(self.now()) & 0xFFFFFFFF
        node.attr = None

    def _write_ghost(self, node: Node, offset: int, data: bytes) -> Reply:
        assert node.ghost is not None
        if offset > len(node.ghost):
            node.ghost.extend(bytes(offset - len(node.ghost)))
        node.ghost[offset : offset + len(data)] = data
        return write_out(len(data))

    def _forget_pages(self, node: Node) -> None:
        """The kernel's pages of this file are not what we have."""
        if node.cached:
            nodeid = node.nodeid
            node.stale = True
            node.told = False
            self.notices.append(lambda session: session.notify_inval_inode(nodeid))

    def _discard_negative(self, parent: Node, name: bytes) -> None:
        if parent.negative is not None:
            parent.negative.discard(name)
