"""What the kernel knows of the tree: one node per file or directory it was told about, and its attributes.

Kept here: node ids, lookup counts, packed attributes, names told to be absent. Nothing is sent from here.
"""

from __future__ import annotations

import stat
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from quorate.fuse.abi import ROOT_ID
from quorate.fuse.replies import pack_attr
from quorate.pmxcfs.entry import Entry
from quorate.pmxcfs.paths import is_hook_name, is_private
from quorate.pmxcfs.pending import Pending

FIRST_TREE_NODEID: Final = 64
PROVISIONAL_INO: Final = 1 << 59
"""Added to the node id of a file whose CREATE is under way: its inode number is not known yet."""

MAX_NEGATIVE: Final = 1024
"""Absent names remembered per directory. More are answered without letting the kernel remember them."""


class Node:
    """A file or directory that the kernel knows. ``entry`` is None for one that is not in the tree now."""

    __slots__ = (
        "attr",
        "awaited",
        "cached",
        "creating",
        "done",
        "early",
        "entry",
        "error",
        "ghost",
        "held",
        "inflight",
        "listed",
        "listing",
        "lookups",
        "name",
        "negative",
        "nodeid",
        "opens",
        "parent",
        "pending",
        "sent",
        "stale",
        "told",
        "truncates",
        "waiters",
    )

    def __init__(self, nodeid: int, entry: Entry | None) -> None:
        self.nodeid = nodeid
        self.entry = entry
        self.lookups = 0
        self.opens = 0
        self.attr: bytes | None = None
        """Packed attributes, None when something changed since."""
        self.told = False
        """The kernel keeps the attributes until told otherwise."""
        self.cached = False
        """The kernel may hold pages of the file."""
        self.stale = False
        """Those pages are outdated and the kernel may not have been told yet."""
        self.listed = False
        """The kernel may hold the directory's listing."""
        self.listing: list[Entry] | None = None
        """Children in order of inode, None when they changed."""
        self.negative: set[bytes] | None = None
        """Names in this directory that the kernel was told do not exist."""
        # A file whose CREATE is under way: where it will be.
        self.creating = False
        self.held = False
        """That CREATE was not sent yet: it goes out together with the content."""
        self.early = False
        """The kernel was given provisional attributes, and nothing was written since."""
        self.parent: Node | None = None
        self.name = b""
        """Its name there; of a removed file: the path that it had."""
        self.truncates = False
        """The create had O_TRUNC: should the file exist already, it is to be emptied."""
        self.ghost: bytearray | None = None
        """Content of a removed file that is still open here (W26)."""
        # Content on its way
        self.pending: Pending | None = None
        self.inflight: deque[Pending] = deque()
        self.error = 0
        """Errno of a failed message, for the next flush."""
        self.sent = 0
        self.done = 0
        self.waiters: deque[tuple[int, Callable[[], None]]] = deque()
        self.awaited: dict[bytes, Node] | None = None
        """Files of this directory whose CREATE is under way."""

    @property
    def is_directory(self) -> bool:
        return self.entry is not None and self.entry.children is not None

    @property
    def removed(self) -> bool:
        """Whether it is gone for good: not in the tree, not on its way there, not kept for an open handle."""
        return self.entry is None and self.ghost is None and not self.creating

    @property
    def dirty(self) -> bool:
        """Whether there is content that the tree does not have yet."""
        return self.pending is not None or bool(self.inflight)

    def children(self) -> list[Entry]:
        """The directory's entries, ordered by inode."""
        if self.listing is None:
            entry = self.entry
            children = entry.children if entry is not None else None
            self.listing = sorted(children.values(), key=_by_inode) if children else []
        return self.listing

    def size(self) -> int:
        """The file's length, with what is on its way."""
        if self.ghost is not None:
            return len(self.ghost)
        size = self.entry.size if self.entry is not None else 0
        for sent in self.inflight:
            size = sent.size(size)
        return self.pending.size(size) if self.pending is not None else size

    def content(self) -> bytes:
        """The file's bytes, with what is on its way."""
        if self.ghost is not None:
            return bytes(self.ghost)
        content = self.entry.content() if self.entry is not None else b""
        for sent in self.inflight:
            content = sent.over(content)
        return self.pending.over(content) if self.pending is not None else content

    def settle(self) -> None:
        """One message about this file came back; run those who waited for it."""
        self.done += 1
        while self.waiters and self.waiters[0][0] <= self.done:
            self.waiters.popleft()[1]()

    def when_done(self, then: Callable[[], None]) -> None:
        """Call when everything sent so far came back; at once if nothing is on its way."""
        if self.done >= self.sent:
            then()
        else:
            self.waiters.append((self.sent, then))


def _by_inode(entry: Entry) -> int:
    return entry.inode


class NodeTable:
    """All nodes, by node id and by the tree's inode number."""

    def __init__(self, root: Entry) -> None:
        self.root = Node(ROOT_ID, root)
        self.by_nodeid: dict[int, Node] = {ROOT_ID: self.root}
        self.by_inode: dict[int, Node] = {root.inode: self.root}
        self._next = FIRST_TREE_NODEID

    def __iter__(self) -> Iterator[Node]:
        return iter(list(self.by_nodeid.values()))

    def for_entry(self, entry: Entry) -> Node:
        """The entry's node, made if there is none. The caller counts the lookup."""
        node = self.by_inode.get(entry.inode)
        if node is None:
            node = self._new(entry)
            self.by_inode[entry.inode] = node
        return node

    def provisional(self, parent: Node, name: bytes) -> Node:
        """A node for a file whose CREATE is about to be sent."""
        node = self._new(None)
        node.creating = True
        node.parent = parent
        node.name = name
        if parent.awaited is None:
            parent.awaited = {}
        parent.awaited[name] = node
        return node

    def created(self, node: Node, entry: Entry | None) -> bool:
        """The CREATE of a provisional node came back; ``entry``: the file that exists now, None: none.

        False when the kernel knows that file under another node already: the two can't become one.
        """
        node.creating = False
        node.attr = None
        if node.parent is not None and node.parent.awaited is not None:
            if node.parent.awaited.get(node.name) is node:
                del node.parent.awaited[node.name]
            if not node.parent.awaited:
                node.parent.awaited = None
            self.drop_if_unused(node.parent)
        if entry is None:
            return True
        if entry.inode in self.by_inode:
            return False
        node.entry = entry
        node.parent = None
        self.by_inode[entry.inode] = node
        return True

    def detach(self, entry: Entry, path: bytes) -> Node | None:
        """The entry left the tree. Its node, if the kernel knows one, keeps the content while it is open.

        ``path``: where it was; decides who may still read it.
        """
        node = self.by_inode.pop(entry.inode, None)
        if node is None:
            return None
        node.name = path
        if entry.children is None and node.opens:
            node.ghost = bytearray(node.content())
        node.entry = None
        node.attr = None
        node.listing = None
        node.pending = None
        self.drop_if_unused(node)
        return node

    def forget(self, nodeid: int, count: int) -> None:
        """The kernel dropped ``count`` lookups."""
        node = self.by_nodeid.get(nodeid)
        if node is not None and nodeid != ROOT_ID:
            node.lookups = max(0, node.lookups - count)
            self.drop_if_unused(node)

    def drop_if_unused(self, node: Node) -> None:
        """Forget a node that neither the kernel nor anything under way needs."""
        if (
            node.lookups
            or node.opens
            or node.dirty
            or node.creating
            or node.awaited
            or node.nodeid == ROOT_ID
        ):
            return
        if node.sent > node.done:
            return
        self.by_nodeid.pop(node.nodeid, None)
        if node.entry is not None and self.by_inode.get(node.entry.inode) is node:
            del self.by_inode[node.entry.inode]

    def attributes_changed(self) -> None:
        """Quorum came or went: every mode is another one."""
        for node in self.by_nodeid.values():
            node.attr = None

    def _new(self, entry: Entry | None) -> Node:
        node = Node(self._next, entry)
        self._next += 1
        self.by_nodeid[node.nodeid] = node
        return node


def mode_of(path: bytes, *, directory: bool, quorate: bool) -> int:
    """Type and permission bits of a tree entry (core 1.9)."""
    if not path and directory:
        return stat.S_IFDIR | 0o755
    private = is_private(path)
    if directory:
        return stat.S_IFDIR | ((0o777 if quorate else 0o555) & (0o700 if private else 0o755))
    bits = 0o666 if quorate else 0o444
    if is_hook_name(path.rpartition(b"/")[2]):
        bits |= 0o100
    return stat.S_IFREG | (bits & (0o700 if private else 0o750))


def entry_attributes(entry: Entry, path: bytes, *, gid: int, quorate: bool, size: int, mtime: int) -> bytes:
    """Packed attributes of a tree entry (core 1.8, 1.9)."""
    directory = entry.children is not None
    if not path:
        return pack_attr(ROOT_ID, mode_of(path, directory=True, quorate=quorate), nlink=2, gid=gid)
    return pack_attr(
        entry.inode,
        mode_of(path, directory=directory, quorate=quorate),
        size=0 if directory else size,
        blocks=0 if directory else -(-size // 4096),
        atime=mtime,
        mtime=mtime,
        ctime=mtime,
        nlink=2 if directory else 1,
        gid=gid,
    )


def loose_attributes(node: Node, path: bytes, *, gid: int, quorate: bool, mtime: int) -> bytes:
    """Packed attributes of a file that is not in the tree: not yet, or not any more."""
    size = node.size()
    return pack_attr(
        PROVISIONAL_INO + node.nodeid,
        mode_of(path, directory=False, quorate=quorate),
        size=size,
        blocks=-(-size // 4096),
        atime=mtime,
        mtime=mtime,
        ctime=mtime,
        nlink=0 if node.ghost is not None else 1,
        gid=gid,
    )
