"""The mount: the kernel's operations on names, attributes and directories (core 1.7-1.11).

Content is in ``files``, what the kernel must forget in ``invalidation``.

What the kernel knows but the tree has no more is answered with ESTALE: the kernel then walks the path anew,
asking for every name, and so finds what another node has put there meanwhile (a file replaced as a whole was
never absent). ENOENT is the answer to names alone.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable, Iterator
from typing import Any, Final

from quorate.fuse import requests as r
from quorate.fuse.abi import ROOT_ID, Fattr
from quorate.fuse.operations import Handler, Reply
from quorate.fuse.replies import DAY, attr_out, dirent, direntplus, negative_entry, statfs_out
from quorate.pmxcfs import guard
from quorate.pmxcfs.entry import ChangeOp, Entry
from quorate.pmxcfs.invalidation import Invalidation
from quorate.pmxcfs.nodes import MAX_NEGATIVE, Node
from quorate.pmxcfs.paths import is_lock_path, is_private
from quorate.pmxcfs.submit import Submitter
from quorate.pmxcfs.tree import MAX_ENTRIES, MAX_TOTAL_SIZE, Tree
from quorate.pmxcfs.virtual import VirtualEntries, VirtualEntry
from quorate.pmxcfs.wire import FsMessage, FsOp
from quorate.pmxcfs.writers import Writers

BLOCK: Final = 4096

DOT: Final = 1
DOTDOT: Final = 2
FIRST_VIRTUAL: Final = 3
FIRST_ENTRY: Final = 64
"""Offsets in a directory: ``.``, ``..``, virtual entries of the root, then 64 + inode. They stay valid
whatever is created or removed between two reads of one listing."""

_NO_ENTRY: Final = negative_entry(0)


class Mount(Invalidation):
    """The file system as the kernel sees it."""

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
        super().__init__(tree, submitter, virtual, gid=gid, now=now, mono=mono)
        self._handles = {}
        self._unsent = {}
        self._writers = Writers()

    # Names

    def lookup(self, request: r.Request, body: r.LookupIn) -> Reply:
        parent = self.nodes.by_nodeid.get(request.nodeid)
        if parent is None or parent.entry is None:
            return errno.ESTALE
        if parent.entry.children is None:
            return errno.ENOTDIR
        found = self.child(parent, body.name)
        if found is not None:
            return self.entry_reply(found)
        if parent.negative is None:
            parent.negative = set()
        if len(parent.negative) >= MAX_NEGATIVE:
            return errno.ENOENT
        parent.negative.add(body.name)
        return negative_entry(DAY)

    def forget(self, request: r.Request, body: r.ForgetIn) -> None:
        self.nodes.forget(request.nodeid, body.nlookup)

    def batch_forget(self, request: r.Request, body: r.BatchForgetIn) -> None:
        for nodeid, count in body.items:
            self.nodes.forget(nodeid, count)

    def readlink(self, request: r.Request, body: r.NoBody) -> Reply:
        entry = self.virtual.by_nodeid.get(request.nodeid)
        return entry.target if entry is not None and entry.target is not None else errno.EINVAL

    def mkdir(self, request: r.Request, body: r.MkdirIn) -> Reply:
        parent = self._directory(request.nodeid, body.name)
        if isinstance(parent, int):
            return parent
        if self._wait_for_create(parent, body.name, self.mkdir, request, body):
            return None
        refused = self.submitter.refusal()
        if refused:
            return refused
        path = self.path_in(parent, body.name)
        assert path is not None
        fault = guard.precheck_mkdir(self.tree, path)
        if fault:
            return -fault

        def then() -> Reply:
            entry = self.tree.lookup(path)
            if entry is None or entry.children is None:
                return errno.ENOENT
            self.acknowledge(ChangeOp.MKDIR, entry.inode)
            self._discard_negative(parent, body.name)
            return self.entry_reply(self.nodes.for_entry(entry))

        self.send(FsMessage(FsOp.MKDIR, path), request, then)
        return None

    def mknod(self, request: r.Request, body: r.MknodIn) -> Reply:
        if not stat.S_ISREG(body.mode):
            return errno.ENOSYS
        parent = self._directory(request.nodeid, body.name)
        if isinstance(parent, int):
            return parent
        if self._wait_for_create(parent, body.name, self.mknod, request, body):
            return None
        return self.submitter.refusal() or self.mknod_regular(request, parent, body.name)

    def unlink(self, request: r.Request, body: r.UnlinkIn) -> Reply:
        return self._remove(self.unlink, request, body)

    def rmdir(self, request: r.Request, body: r.UnlinkIn) -> Reply:
        return self._remove(self.rmdir, request, body)

    def rename(self, request: r.Request, body: r.RenameIn) -> Reply:
        parent = self._directory(request.nodeid, body.oldname)
        if isinstance(parent, int):
            return parent
        target = self._directory(body.newdir, body.newname)
        if isinstance(target, int):
            return target
        for directory, name in ((parent, body.oldname), (target, body.newname)):
            if self._wait_for_create(directory, name, self.rename, request, body):
                return None
        refused = self.submitter.refusal()
        if refused:
            return refused
        path, to = self.path_in(parent, body.oldname), self.path_in(target, body.newname)
        assert path is not None
        assert to is not None
        if path == to:  # the kernel asks only when it dropped the name between its two lookups
            return b"" if self.child(parent, body.oldname) is not None else errno.ENOENT
        fault = guard.precheck_rename(self.tree, path, to)
        if fault:
            return -fault
        node = self.child(parent, body.oldname)
        if isinstance(node, Node):
            if node.awaited:  # it will not be empty: then the target must not be touched (W9)
                self._when_made(node, self.again(self.rename, request, body))
                return None
            self.push(node)

        def then() -> Reply:
            entry = self.tree.lookup(to)
            if entry is not None:
                self.acknowledge(ChangeOp.RENAME, entry.inode)
                self.mode_moved(entry, path, to)
            self._discard_negative(target, body.newname)
            return b""

        moved = (each.nodeid for each in (node, self.child(target, body.newname)) if each is not None)
        self.send(FsMessage(FsOp.RENAME, path, to), request, then, body.newdir, *moved)
        return None

    # Attributes

    def getattr(self, request: r.Request, body: r.GetattrIn) -> Reply:
        target = self.target(request.nodeid)
        if target is None:
            return errno.ESTALE
        return self._attr_reply(target)

    def setattr(self, request: r.Request, body: r.SetattrIn) -> Reply:
        target = self.target(request.nodeid)
        if target is None:
            return errno.ESTALE
        valid = body.valid
        if valid & Fattr.MODE:
            private = isinstance(target, Node) and is_private(self.path_of(target) or b"")
            if body.mode & 0o7777 != (0o600 if private else 0o640):
                return errno.EPERM
        if (valid & Fattr.UID and body.uid != 0) or (valid & Fattr.GID and body.gid != self.gid):
            return errno.EPERM
        if isinstance(target, VirtualEntry):
            return self._set_virtual(target, valid)
        if valid & Fattr.SIZE:
            if target is self.nodes.root or target.is_directory:
                return errno.EACCES
            refused = self.truncate(target, body.size)
            if refused:
                return refused
            if not valid & Fattr.FH:  # truncate(2): no flush will follow
                self.push(target)
                target.when_done(self._attr_answer(request, target))
                return None
        elif valid & (Fattr.MTIME | Fattr.ATIME):
            return self._set_time(target, request, body)
        return self._attr_reply(target)

    def statfs(self, request: r.Request, body: r.NoBody) -> Reply:
        blocks = MAX_TOTAL_SIZE // BLOCK
        free = max(0, blocks - -(-self.tree.total_size // BLOCK))
        return statfs_out(
            blocks=blocks,
            free=free,
            available=free,
            files=MAX_ENTRIES,
            files_free=max(0, MAX_ENTRIES - len(self.tree)),
        )

    # Directories. OPENDIR is refused with ENOSYS: the kernel keeps listings until told otherwise.

    def readdir(self, request: r.Request, body: r.ReadIn) -> Reply:
        return self._list(request, body, plus=False)

    def readdirplus(self, request: r.Request, body: r.ReadIn) -> Reply:
        return self._list(request, body, plus=True)

    def _list(self, request: r.Request, body: r.ReadIn, *, plus: bool) -> Reply:
        node = self.nodes.by_nodeid.get(request.nodeid)
        if node is None or node.entry is None:
            return b""
        if node.entry.children is None:
            return errno.ENOTDIR
        if node.awaited:  # the kernel may keep the listing: it must not lack what is being created
            handler = self.readdirplus if plus else self.readdir
            self._when_made(node, self.again(handler, request, body))
            return None
        node.listed = True
        records: list[bytes] = []
        room = body.size
        for found, ino, offset, mode, name in self._listing(node, body.offset):
            if plus:
                room -= 152 + (len(name) + 7 & ~7)
                if room < 0:
                    break
                entry = self._plus_entry(found)
                records.append(direntplus(entry, ino, offset, mode, name))
            else:
                record = dirent(ino, offset, mode, name)
                room -= len(record)
                if room < 0:
                    break
                records.append(record)
        return b"".join(records)

    def _listing(
        self, node: Node, after: int
    ) -> Iterator[tuple[Entry | VirtualEntry | None, int, int, int, bytes]]:
        """What follows offset ``after``: the entry, inode number, its offset, type bits, name."""
        assert node.entry is not None
        is_root = node is self.nodes.root
        if after < DOT:
            yield None, node.entry.inode or ROOT_ID, DOT, stat.S_IFDIR, b"."
        if after < DOTDOT:
            yield None, node.entry.parent or ROOT_ID, DOTDOT, stat.S_IFDIR, b".."
        if is_root and after < FIRST_ENTRY:
            for number, virtual in enumerate(self.virtual.by_name.values(), FIRST_VIRTUAL):
                if number > after:
                    yield virtual, virtual.ino, number, virtual.type_bits, virtual.name
        for entry in _from(node.children(), after - FIRST_ENTRY):
            if is_root and entry.name in self.virtual.by_name:
                continue
            mode = stat.S_IFREG if entry.children is None else stat.S_IFDIR
            yield entry, entry.inode, FIRST_ENTRY + entry.inode, mode, entry.name

    def _plus_entry(self, found: Entry | VirtualEntry | None) -> bytes:
        if found is None:
            return _NO_ENTRY
        return self.entry_reply(self.nodes.for_entry(found) if isinstance(found, Entry) else found)

    # Helpers

    def _directory(self, nodeid: int, name: bytes) -> Node | int:
        """The directory in which ``name`` is to be changed, or the errno of the refusal."""
        node = self.nodes.by_nodeid.get(nodeid)
        if node is None or node.entry is None:
            return errno.ESTALE
        if node.entry.children is None:
            return errno.ENOTDIR
        if node is self.nodes.root and name in self.virtual.by_name:
            return errno.EACCES
        return node

    def _wait_for_create(
        self, parent: Node, name: bytes, handler: Handler, request: r.Request, body: Any
    ) -> bool:
        """Whether a CREATE of that name is under way: the request is served when it came back."""
        node = parent.awaited.get(name) if parent.awaited else None
        if node is None:
            return False
        self.push(node)
        node.when_done(self.again(handler, request, body))
        return True

    def _when_made(self, directory: Node, then: Callable[[], None]) -> None:
        """Call when a file that is being created in the directory came back; ``then`` looks for more."""
        awaited = list((directory.awaited or {}).values())
        for node in awaited:
            self.announce(node)
        awaited[0].when_done(then)

    def _remove(self, handler: Handler, request: r.Request, body: r.UnlinkIn) -> Reply:
        parent = self._directory(request.nodeid, body.name)
        if isinstance(parent, int):
            return parent
        if self._wait_for_create(parent, body.name, handler, request, body):
            return None
        refused = self.submitter.refusal()
        if refused:
            return refused
        assert parent.entry is not None
        assert parent.entry.children is not None
        entry = parent.entry.children.get(body.name)
        if entry is None:
            return errno.ENOENT
        path = self.tree.path_of(entry)
        fault = guard.precheck_delete(self.tree, path)
        if fault:
            return -fault
        inode = entry.inode

        def then() -> Reply:
            self.acknowledge(ChangeOp.DELETE, inode)
            return b""

        node = self.nodes.by_inode.get(inode)
        self.send(FsMessage(FsOp.DELETE, path), request, then, *(() if node is None else (node.nodeid,)))
        return None

    def _attr_reply(self, target: Node | VirtualEntry) -> Reply:
        if isinstance(target, VirtualEntry):
            return attr_out(*self.virtual_attributes(target))
        if target.removed:
            successor = self.file_at(target.name)  # see open()
            if successor is None:
                return errno.ESTALE
            return attr_out(self.attributes(self.nodes.for_entry(successor))[0], 0)
        return attr_out(*self.attributes(target))

    def _setattr_reply(self, node: Node) -> Reply:
        """The kernel takes these without asking whether it was told of a change since: not to be kept."""
        if node.entry is None:
            return self._attr_reply(node)
        return attr_out(self.attributes(node)[0], 0)

    def _attr_answer(self, request: r.Request, node: Node) -> Callable[[], None]:
        """Answers with the attributes, or with the error of what was sent."""

        def answer() -> None:
            error, node.error = node.error, 0
            if error:
                self.answer(request, error)
                return
            self.submitter.when_safe(
                lambda safe: self.answer_delivered(
                    request, self._setattr_reply(node) if safe >= 0 else -safe, (request.nodeid,)
                )
            )

        return answer

    def _set_virtual(self, target: VirtualEntry, valid: int) -> Reply:
        if valid & Fattr.SIZE and not target.writable:
            return errno.EACCES if target.is_link else errno.EIO
        if valid & (Fattr.MTIME | Fattr.ATIME) and not valid & Fattr.SIZE:
            return errno.EACCES
        return self._attr_reply(target)

    def _set_time(self, node: Node, request: r.Request, body: r.SetattrIn) -> Reply:
        """utimens. The modification time alone may be set too; the original ignores that (W26)."""
        if node is self.nodes.root:
            return errno.EACCES
        if node.creating:
            self.push(node)
            node.when_done(self.again(self.setattr, request, body))
            return None
        if not body.valid & Fattr.MTIME or node.ghost is not None:
            return self._attr_reply(node)
        refused = self.submitter.refusal()
        if refused:
            return refused
        path = self.path_of(node)
        if path is None or node.entry is None:
            return errno.ESTALE
        self.push(node)
        mtime = (int(self.now()) if body.valid & Fattr.MTIME_NOW else body.mtime) & 0xFFFFFFFF
        entry = node.entry

        def then() -> Reply:
            self.acknowledge(ChangeOp.MTIME, entry.inode)
            node.attr = None
            return self._setattr_reply(node)

        if mtime == 0 and entry.children is not None and is_lock_path(path):

            def unlocked(result: int) -> None:
                self.answer(request, -result if result < 0 else self._attr_reply(node))

            if self.submitter.unlock(path, unlocked):
                return None
        self.send(FsMessage(FsOp.MTIME, path, offset=mtime), request, then)
        return None


def _from(children: list[Entry], inode: int) -> list[Entry]:
    """Children with a higher inode number than that."""
    if inode <= 0:
        return children
    low, high = 0, len(children)
    while low < high:
        middle = (low + high) // 2
        if children[middle].inode <= inode:
            low = middle + 1
        else:
            high = middle
    return children[low:]
