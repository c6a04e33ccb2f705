"""Taking over another node's tree at the end of a synchronisation, as a pure function (core 4.5).

The new tree is built beside the old one, which stays as it is until the caller swaps them (remedy of W18).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quorate.pmxcfs import load, wire
from quorate.pmxcfs.entry import DIRECTORY, REGULAR, Entry
from quorate.pmxcfs.rows import Row, RowBatch, entry_row, root_row
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.wire import Update, WireError

_MAX_SHOWN = 5


class CommitError(Exception):
    """The leader's tree could not be taken over. The old tree is untouched; the node has to leave."""


def replaced_by(
    tree: Tree, own_index: bytes, leader_index: bytes, updates: Sequence[Update], now: float
) -> Tree:
    """The tree after the commit: byte for byte the leader's index. ``tree`` is not changed.

    ``own_index`` is the state that this node had sent. Guest registry, change counters and lock timers are
    carried over and rebuilt; the new tree has no changes pending (rows: ``row_changes``). Raises CommitError.
    """
    try:
        own, leader = wire.Index.unpack(own_index), wire.Index.unpack(leader_index)
    except WireError as error:
        raise CommitError(f"cannot commit the leader's state: {error}") from error
    gone = own.digests.keys() - leader.digests.keys()
    entries = {inode: entry.copy() for inode, entry in tree.by_inode.items() if inode and inode not in gone}
    root = tree.root.copy()
    for update in updates:
        if update.inode == 0:
            _check_root(update)
            root = Entry(0, 0, update.version, update.writer, update.mtime, DIRECTORY, b"")
        else:
            entries[update.inode] = _entry_of(update, leader.digests.get(update.inode))
    entries = dict(sorted(entries.items()))
    faults = load.link(root, entries)
    if faults:
        raise CommitError(f"the leader's state is no valid tree: {_some(faults)}")
    new = Tree(root, entries)
    if new.index() != leader_index:
        raise CommitError(f"the tree does not match the leader's index: {_mismatch(new, leader)}")
    new.guests = tree.guests.carry_over()
    faults = new.guests.rebuild(root)
    if faults:
        raise CommitError(f"the leader's tree has an impossible list of guests: {_some(faults)}")
    new.versions.update(tree.versions)
    new.versions.bump_all()
    new.locks = tree.locks
    new.rebuild_locks(now)
    return new


def row_changes(old: Tree, new: Tree) -> RowBatch:
    """What turns the database of ``old`` into that of ``new``, for one transaction.

    All changes of ``old`` must have been submitted to the store before. Rows that the original would leave
    behind (W9) are deleted too. The root row gets type 4, as after every synchronisation (core 3.3).
    """
    deletes = [inode for inode in old.by_inode if inode not in new.by_inode]
    deletes += sorted(inode for inode in old.dropped if inode not in new.by_inode)
    rows: list[Row] = []
    for inode, entry in new.by_inode.items():
        before = old.by_inode.get(inode)
        if inode and (before is None or not _same(before, entry)):
            rows.append(entry_row(entry))
    root, before_root = new.root, old.root
    if (root.version, root.writer, root.mtime) != (
        before_root.version,
        before_root.writer,
        before_root.mtime,
    ):
        rows.append(root_row(root, type_=DIRECTORY))
    return RowBatch(tuple(deletes), tuple(rows))


class LostEntry(NamedTuple):
    """Something that this node had and that a synchronisation takes away (W24)."""

    path: bytes
    type: int
    version: int
    writer: int
    mtime: int
    data: bytes | None
    removed: bool
    """True: the leader has no such entry. False: the leader has it in another state."""


def lost_entries(old: Tree, new: Tree) -> list[LostEntry]:
    """What ``old`` had that is gone or different in ``new``, by path; for the dump in the backup directory.

    The root itself and directories that are only touched otherwise are left out: nothing of theirs is lost.
    So are files whose content ``new`` has under the same name, made by whomever: the corosync.conf that every
    new member brings along.
    """
    lost = []
    for inode, entry in old.by_inode.items():
        if inode == 0:
            continue
        after = new.by_inode.get(inode)
        if after is None or (entry.type == REGULAR and not _same(entry, after)):
            path = old.path_of(entry)
            data = entry.content() if entry.type == REGULAR else None
            there = new.lookup(path)
            if there is not None and there.type == entry.type and data == _content(there):
                continue
            lost.append(
                LostEntry(
                    path,
                    entry.type,
                    entry.version,
                    entry.writer,
                    entry.mtime,
                    data,
                    after is None,
                ),
            )
    lost.sort()
    return lost


def _content(entry: Entry) -> bytes | None:
    return entry.content() if entry.type == REGULAR else None


def _check_root(update: Update) -> None:
    if update.type != DIRECTORY or update.name or update.data or update.parent:
        raise CommitError("the leader's update of the root has a name, a parent, content or the wrong type")
    if update.version > load.MAX_VERSION:
        raise CommitError(f"the leader's version {update.version} is out of range")


def _entry_of(update: Update, digest: bytes | None) -> Entry:
    """The entry of an update. Zeros become a phantom (W8) if only that makes the leader's digest right."""
    fault = load.entry_fault(
        update.inode, update.parent, update.version, update.type, update.name, update.data
    )
    if fault is not None:
        raise CommitError(f"the leader's update of inode {update.inode}: {fault}")
    entry = Entry(
        update.inode,
        update.parent,
        update.version,
        update.writer,
        update.mtime,
        update.type,
        update.name,
        update.data or None,
    )
    if digest is not None and entry.data is not None and not entry.data.strip(b"\0"):
        record = wire.index_record(entry.inode, digest)
        if entry.index_record() != record:
            phantom = entry.copy()
            phantom.data = None
            phantom.record = None
            if phantom.index_record() == record:
                return phantom
    return entry


def _same(one: Entry, other: Entry) -> bool:
    return one.index_record() == other.index_record()


def _mismatch(tree: Tree, leader: wire.Index) -> str:
    missing = sorted(leader.digests.keys() - tree.by_inode.keys())
    surplus = sorted(tree.by_inode.keys() - leader.digests.keys())
    other = [
        inode
        for inode, entry in tree.by_inode.items()
        if inode in leader.digests and entry.index_record()[8:] != leader.digests[inode]
    ]
    kinds = [("missing", missing), ("too many", surplus), ("different", other)]
    texts = [f"{kind}: inodes {_some([str(inode) for inode in inodes])}" for kind, inodes in kinds if inodes]
    return "; ".join(texts) or "version, writer or mtime of the database differ"


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - _MAX_SHOWN} more" if len(items) > _MAX_SHOWN else ""
    return ", ".join(items[:_MAX_SHOWN]) + more
