"""What the kernel must forget: after changes by other nodes, a foreign state, or a change of quorum.

The kernel keeps names, attributes, pages and listings until told otherwise (PERFORMANCE rule: reads belong to
the kernel). Nothing is sent for what it cannot know. Notices leave behind the answers of the round.
"""

from __future__ import annotations

from collections.abc import Iterable
from errno import EIO

from quorate.pmxcfs.entry import Change, ChangeOp, Entry
from quorate.pmxcfs.files import Files
from quorate.pmxcfs.nodes import Node, mode_of
from quorate.pmxcfs.tree import Tree


class Invalidation(Files):
    """See MountBase for the state shared with the other parts."""

    def changed(self, changes: Iterable[Change]) -> None:
        """The tree changed; to be called before the next request is served."""
        for change in changes:
            op = change.op
            if op is ChangeOp.FORMAT or op is ChangeOp.PURGE:
                continue
            key = (op, change.entry.inode)
            own = self.acknowledged.get(key, 0)
            if own == 1:
                del self.acknowledged[key]
            elif own:
                self.acknowledged[key] = own - 1
            if op is ChangeOp.WRITE or op is ChangeOp.MTIME:
                self._content_changed(change.entry, data=op is ChangeOp.WRITE, own=bool(own))
            elif op is ChangeOp.CREATE or op is ChangeOp.MKDIR:
                self._name_appeared(change.parent, change.name, own=bool(own))
            elif op is ChangeOp.RENAME:
                self._renamed(change, own=bool(own))
            else:
                self._name_vanished(change.entry, change.parent, change.name, own=bool(own))
        self.acknowledged.clear()

    def quorum_changed(self) -> None:
        """All modes are other ones now."""
        self.nodes.attributes_changed()
        for node in self.nodes:
            self._notice_attributes(node)
        if self.links_known:
            self.links_known = False
            for entry in self.virtual.by_nodeid.values():
                if entry.is_link:
                    nodeid = entry.nodeid
                    self.notices.append(lambda session, nodeid=nodeid: session.notify_inval_attr(nodeid))  # type: ignore[misc]

    def taken_over(self, old: Tree, new: Tree) -> None:
        """A foreign state replaced the whole tree."""
        for node in self.nodes:
            entry = node.entry
            if entry is None or not entry.inode:
                continue
            successor = new.by_inode.get(entry.inode)
            parent = self.nodes.by_inode.get(entry.parent)
            if successor is None or successor.type != entry.type:
                if node.dirty:  # not removed by anybody: this node's version of history lost
                    self._failed(node, EIO)
                self.nodes.detach(entry, _path_in(old, entry))
                self._notice_name(parent, entry.name, node)
                self._notice_data(node)
                continue
            node.entry = successor
            node.listing = None
            if (successor.parent, successor.name) != (entry.parent, entry.name):
                self._notice_name(parent, entry.name, node)
            if successor.version != entry.version or successor.data != entry.data:
                self._notice_data(node)
            node.attr = None
            self._notice_attributes(node)
        root = self.nodes.root
        root.entry = new.root
        root.listing = None
        self.tree = new
        for node in self.nodes:
            if node.negative and node.entry is not None and node.entry.children is not None:
                for name in [name for name in node.negative if name in node.entry.children]:
                    node.negative.discard(name)
                    self._notice_name(node, name, None)
            if node.listed:
                self._notice_listing(node)

    # One change

    def _content_changed(self, entry: Entry, *, data: bool, own: bool) -> None:
        node = self.nodes.by_inode.get(entry.inode)
        if node is None:
            return
        node.attr = None
        if own:
            return
        if data and entry.children is None:
            self._notice_data(node)
        else:
            self._notice_attributes(node)

    def _name_appeared(self, directory: Entry, name: bytes, *, own: bool) -> None:
        parent = self.nodes.by_inode.get(directory.inode)
        if parent is None:
            return
        parent.listing = None
        if own:
            # The kernel drops its listing by itself; but it may have read it again before the delivery.
            if parent.listed:
                self._notice_listing(parent)
            return
        if parent.negative is not None and name in parent.negative:
            parent.negative.discard(name)
            self._notice_name(parent, name, None)
        elif parent.listed:
            self._notice_listing(parent)

    def _name_vanished(self, entry: Entry, directory: Entry, name: bytes, *, own: bool) -> None:
        parent = self.nodes.by_inode.get(directory.inode)
        if parent is not None:
            parent.listing = None
        node = self.nodes.detach(entry, _path_in(self.tree, entry))
        if own or parent is None:
            return
        if node is not None and node.lookups:
            parent_id, nodeid = parent.nodeid, node.nodeid
            self.notices.append(lambda session: session.notify_delete(parent_id, nodeid, name))
            self._notice_attributes(node)
        if parent.listed:
            self._notice_listing(parent)

    def _renamed(self, change: Change, *, own: bool) -> None:
        entry, parent = change.entry, self.nodes.by_inode.get(change.parent.inode)
        assert change.old_parent is not None
        assert change.old_name is not None
        old_parent = self.nodes.by_inode.get(change.old_parent.inode)
        gone = change.replaced
        replaced = self.nodes.detach(gone, _path_in(self.tree, gone)) if gone is not None else None
        node = self.nodes.by_inode.get(entry.inode)
        for directory in (parent, old_parent):
            if directory is not None:
                directory.listing = None
        if node is not None:
            node.attr = None
        if own:
            return
        if node is not None:
            self._notice_attributes(node)
        if node is not None and node.lookups:
            self._notice_name(old_parent, change.old_name, node)
        known_absent = parent is not None and parent.negative is not None and change.name in parent.negative
        if known_absent or (replaced is not None and replaced.lookups):
            self._notice_name(parent, change.name, replaced)
        for directory in (parent, old_parent):
            if directory is not None and directory.listed:
                self._notice_listing(directory)

    def mode_moved(self, entry: Entry, old_path: bytes, path: bytes) -> None:
        """A file or (empty) directory was renamed: tell if that changed who may use it.

        The own rename calls this before its answer: nobody finds the new name with the mode of the old one.
        """
        directory = entry.children is not None
        old, new = (mode_of(each, directory=directory, quorate=True) for each in (old_path, path))
        node = self.nodes.by_inode.get(entry.inode)
        if old != new and node is not None:
            node.attr = None
            self._notice_attributes(node)

    # Notices

    def _notice_attributes(self, node: Node) -> None:
        if not node.told:
            return
        node.told = False
        nodeid = node.nodeid
        self.notices.append(lambda session: session.notify_inval_attr(nodeid))

    def _notice_data(self, node: Node) -> None:
        if not node.cached:
            self._notice_attributes(node)
            return
        node.stale = True
        node.told = False
        node.cached = bool(node.opens)  # pages come back by the next open only
        nodeid = node.nodeid
        self.notices.append(lambda session: session.notify_inval_inode(nodeid))

    def _notice_listing(self, node: Node) -> None:
        node.listed = False
        node.told = False
        nodeid = node.nodeid
        self.notices.append(lambda session: session.notify_inval_inode(nodeid))

    def _notice_name(self, parent: Node | None, name: bytes, node: Node | None) -> None:
        """The kernel looks the name up again when it is next used."""
        if parent is None:
            return
        parent_id = parent.nodeid
        parent.listed = False
        self.notices.append(lambda session: session.notify_inval_entry(parent_id, name))
        if node is not None and node.lookups:
            self._notice_attributes(node)


def _path_in(tree: Tree, entry: Entry) -> bytes:
    """Where a removed entry was; a private place when that can't be told any more."""
    try:
        return tree.path_of(entry)
    except KeyError:
        return b"priv/" + entry.name
