"""A small file system in memory over quorate.fuse, for the tests of the mount. Knows nothing of the cluster.

Names are answered with long time-outs, so that what readers see depends on invalidation, as in the daemon.
"""

from __future__ import annotations

import errno as e
import os
import stat
import time
from collections import Counter

from quorate.fuse import Fattr, Fopen, Operations, Reply, Request, replies
from quorate.fuse import requests as r
from quorate.fuse.abi import ROOT_ID

LARGEST_FILE = 1 << 20


class Node:
    """One inode with its packed attributes."""

    __slots__ = (
        "attr",
        "children",
        "data",
        "listing",
        "lookups",
        "mode",
        "mtime",
        "nlink",
        "nodeid",
        "parent",
    )

    def __init__(self, nodeid: int, mode: int, parent: int) -> None:
        self.nodeid = nodeid
        self.mode = mode
        self.parent = parent
        self.data = bytearray()
        self.children: dict[bytes, Node] | None = {} if stat.S_ISDIR(mode) else None
        self.nlink = 2 if self.children is not None else 1
        self.mtime = int(time.time())
        self.lookups = 0
        self.listing: list[bytes] | None = None
        self.attr = b""
        self.pack()

    def pack(self) -> None:
        self.attr = replies.pack_attr(
            self.nodeid,
            self.mode,
            size=len(self.data),
            blocks=-(-len(self.data) // 512),
            atime=self.mtime,
            mtime=self.mtime,
            ctime=self.mtime,
            nlink=self.nlink,
        )


class MemoryFs(Operations):
    """``keep_cache``: files are read through the page cache; otherwise with direct I/O."""

    def __init__(self, *, keep_cache: bool = True) -> None:
        self.open_flags = int(Fopen.KEEP_CACHE if keep_cache else Fopen.DIRECT_IO)
        self.root = Node(ROOT_ID, stat.S_IFDIR | 0o755, ROOT_ID)
        self.nodes: dict[int, Node] = {ROOT_ID: self.root}
        self.next_nodeid = 2
        self.handles: dict[int, int] = {}
        self.next_handle = 1
        self.counts: Counter[int] = Counter()
        self.held: list[Request] = []
        """mkdir of a name that begins with ``hold``, and reads while hold_reads: the test answers them."""
        self.interrupts: list[Request] = []
        self.answer_interrupts = False
        self.hold_reads = False

    # Helpers

    def _make(self, parent: Node, name: bytes, mode: int) -> Node | int:
        children = parent.children
        if children is None:
            return e.ENOTDIR
        if name in children:
            return e.EEXIST
        node = Node(self.next_nodeid, mode, parent.nodeid)
        self.next_nodeid += 1
        self.nodes[node.nodeid] = node
        children[name] = node
        parent.listing = None
        return node

    def _entry(self, node: Node) -> bytes:
        node.lookups += 1
        return replies.entry_out(node.nodeid, node.attr, replies.DAY, replies.DAY)

    def _forget(self, nodeid: int, count: int) -> None:
        node = self.nodes[nodeid]
        node.lookups -= count
        assert node.lookups >= 0 or nodeid == ROOT_ID, "forgot more than was looked up"
        self._drop(node)

    def _drop(self, node: Node) -> None:
        if node.lookups <= 0 and node.nlink == 0:
            self.nodes.pop(node.nodeid, None)

    def _remove(self, parent: Node, name: bytes) -> None:
        assert parent.children is not None
        node = parent.children.pop(name)
        parent.listing = None
        node.nlink = 0
        node.pack()
        self._drop(node)

    def write_from_outside(self, parent: int, name: bytes, data: bytes) -> Node:
        """A change that the kernel did not ask for, as a remote node makes it. The caller invalidates."""
        directory = self.nodes[parent]
        assert directory.children is not None
        node = directory.children.get(name)
        if node is None:
            made = self._make(directory, name, stat.S_IFREG | 0o640)
            assert isinstance(made, Node)
            node = made
        node.data[:] = data
        node.pack()
        return node

    def add_symlink(self, name: bytes, target: bytes) -> None:
        """A symbolic link in the root, as the cluster file system's virtual ones."""
        made = self._make(self.root, name, stat.S_IFLNK | 0o755)
        assert isinstance(made, Node)
        made.data[:] = target
        made.pack()

    # Operations

    def readlink(self, request: Request, body: r.NoBody) -> Reply:
        self.counts[request.opcode] += 1
        return bytes(self.nodes[request.nodeid].data)

    def lookup(self, request: Request, body: r.LookupIn) -> Reply:
        self.counts[request.opcode] += 1
        children = self.nodes[request.nodeid].children
        if children is None:
            return e.ENOTDIR
        node = children.get(body.name)
        return replies.negative_entry(replies.DAY) if node is None else self._entry(node)

    def forget(self, request: Request, body: r.ForgetIn) -> None:
        self._forget(request.nodeid, body.nlookup)

    def batch_forget(self, request: Request, body: r.BatchForgetIn) -> None:
        for nodeid, count in body.items:
            self._forget(nodeid, count)

    def getattr(self, request: Request, body: r.GetattrIn) -> Reply:
        self.counts[request.opcode] += 1
        return replies.attr_out(self.nodes[request.nodeid].attr, replies.DAY)

    def setattr(self, request: Request, body: r.SetattrIn) -> Reply:
        node = self.nodes[request.nodeid]
        if body.valid & Fattr.SIZE:
            if body.size > LARGEST_FILE:
                return e.EFBIG
            del node.data[body.size :]
            node.data.extend(bytes(body.size - len(node.data)))
        if body.valid & Fattr.MODE:
            node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(body.mode)
        if body.valid & Fattr.MTIME:
            node.mtime = body.mtime
        node.pack()
        return replies.attr_out(node.attr, replies.DAY)

    def mkdir(self, request: Request, body: r.MkdirIn) -> Reply:
        if body.name.startswith(b"hold") and request not in self.held:
            self.held.append(request)
            return None
        made = self._make(self.nodes[request.nodeid], body.name, stat.S_IFDIR | 0o755)
        return made if isinstance(made, int) else self._entry(made)

    def mknod(self, request: Request, body: r.MknodIn) -> Reply:
        if not stat.S_ISREG(body.mode):
            return e.ENOSYS
        made = self._make(self.nodes[request.nodeid], body.name, stat.S_IFREG | 0o640)
        return made if isinstance(made, int) else self._entry(made)

    def unlink(self, request: Request, body: r.UnlinkIn) -> Reply:
        parent = self.nodes[request.nodeid]
        if parent.children is None or body.name not in parent.children:
            return e.ENOENT
        self._remove(parent, body.name)
        return b""

    def rmdir(self, request: Request, body: r.UnlinkIn) -> Reply:
        parent = self.nodes[request.nodeid]
        if parent.children is None or body.name not in parent.children:
            return e.ENOENT
        if parent.children[body.name].children:
            return e.ENOTEMPTY
        self._remove(parent, body.name)
        return b""

    def rename(self, request: Request, body: r.RenameIn) -> Reply:
        source = self.nodes[request.nodeid]
        target = self.nodes[body.newdir]
        assert source.children is not None
        assert target.children is not None
        node = source.children.get(body.oldname)
        if node is None:
            return e.ENOENT
        old = target.children.get(body.newname)
        if old is node:
            return b""
        if old is not None:
            if old.children:
                return e.ENOTEMPTY
            self._remove(target, body.newname)
        del source.children[body.oldname]
        target.children[body.newname] = node
        node.parent = target.nodeid
        source.listing = target.listing = None
        return b""

    def _handle(self, node: Node) -> int:
        handle = self.next_handle
        self.next_handle += 1
        self.handles[handle] = node.nodeid
        return handle

    def open(self, request: Request, body: r.OpenIn) -> Reply:
        node = self.nodes[request.nodeid]
        if body.flags & os.O_TRUNC:
            node.data.clear()
            node.pack()
        return replies.open_out(self._handle(node), self.open_flags)

    def create(self, request: Request, body: r.CreateIn) -> Reply:
        made = self._make(self.nodes[request.nodeid], body.name, stat.S_IFREG | 0o640)
        if isinstance(made, int):
            return made
        return replies.create_out(self._entry(made), self._handle(made), self.open_flags)

    def read(self, request: Request, body: r.ReadIn) -> Reply:
        self.counts[request.opcode] += 1
        if self.hold_reads and request not in self.held:
            self.held.append(request)
            return None
        return bytes(self.nodes[request.nodeid].data[body.offset : body.offset + body.size])

    def write(self, request: Request, body: r.WriteIn) -> Reply:
        self.counts[request.opcode] += 1
        node = self.nodes[request.nodeid]
        end = body.offset + len(body.data)
        if end > LARGEST_FILE:
            return e.EFBIG
        if body.offset > len(node.data):
            node.data.extend(bytes(body.offset - len(node.data)))
        node.data[body.offset : end] = body.data
        node.mtime = int(time.time())
        node.pack()
        return replies.write_out(len(body.data))

    def flush(self, request: Request, body: r.FlushIn) -> Reply:
        self.counts[request.opcode] += 1
        return b""

    def release(self, request: Request, body: r.ReleaseIn) -> Reply:
        self.handles.pop(body.fh, None)
        return b""

    def statfs(self, request: Request, body: r.NoBody) -> Reply:
        return replies.statfs_out(blocks=32768, free=32000, available=32000, files=262144, files_free=262000)

    def _records(self, node: Node) -> list[bytes]:
        if node.listing is None:
            assert node.children is not None
            rows = [(node.nodeid, node.mode, b"."), (node.parent, self.nodes[node.parent].mode, b"..")]
            rows += [(child.nodeid, child.mode, name) for name, child in node.children.items()]
            node.listing = [
                replies.dirent(ino, offset, mode, name) for offset, (ino, mode, name) in enumerate(rows, 1)
            ]
        return node.listing

    def readdir(self, request: Request, body: r.ReadIn) -> Reply:
        self.counts[request.opcode] += 1
        node = self.nodes[request.nodeid]
        if node.children is None:
            return e.ENOTDIR
        return replies.fit(self._records(node), body.offset, body.size)[0]

    def readdirplus(self, request: Request, body: r.ReadIn) -> Reply:
        self.counts[request.opcode] += 1
        node = self.nodes[request.nodeid]
        if node.children is None:
            return e.ENOTDIR
        none = replies.negative_entry(0)
        names = (b".", b"..", *node.children)
        wanted = len(none)
        parts: list[bytes] = []
        room = body.size
        for record, name in list(zip(self._records(node), names, strict=True))[body.offset :]:
            room -= wanted + len(record)
            if room < 0:
                break
            child = node.children.get(name)
            parts.append(none if child is None else self._entry(child))
            parts.append(record)
        return b"".join(parts)

    def interrupted(self, request: Request) -> Reply:
        self.interrupts.append(request)
        return e.EINTR if self.answer_interrupts else None
