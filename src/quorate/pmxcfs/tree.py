"""The file system's tree in memory and every operation on it (core 1.12-1.17). No I/O, no clock.

All nodes apply the same operations in the same order, so results and refusals are exactly the original's,
quirks included. What a node must not even send is in guard.py; taking over another node's tree is in sync.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from errno import EACCES, EEXIST, EFBIG, EINVAL, EIO, ENOENT, ENOTDIR, ENOTEMPTY, EREMOTEIO

from quorate.pmxcfs import load, wire
from quorate.pmxcfs.counters import ChangeCounters
from quorate.pmxcfs.entry import DIRECTORY, REGULAR, Change, ChangeOp, Entry
from quorate.pmxcfs.guests import GuestRegistry
from quorate.pmxcfs.locks import LockTable
from quorate.pmxcfs.paths import LOCK_DIRECTORY, guest_config, is_lock_path, split_path
from quorate.pmxcfs.rows import Row
from quorate.pmxcfs.wire import FsOp

MAX_FILE_SIZE = 1 << 20
"""Bytes; an operation with offset + length above it is refused with EFBIG (core 1.10)."""
MAX_TOTAL_SIZE = 128 << 20
MAX_ENTRIES = 262144


class Tree:
    """All entries, the guest registry, lock timers and change counters of one node.

    Operations return a result >= 0 or -errno. ``writer`` and ``mtime`` come from the message; ``now`` only
    sets lock timers: seconds of a local clock which never jumps, or setting a clock would end valid locks.
    """

    __slots__ = (
        "_changes",
        "by_inode",
        "dropped",
        "error",
        "guests",
        "locks",
        "origin",
        "root",
        "total_size",
        "versions",
    )

    root: Entry
    by_inode: dict[int, Entry]
    """Every entry, the root included, always in ascending order: new inodes are the highest."""
    total_size: int
    """Sum of all entry sizes, bytes."""
    error: bool
    """Set when the store failed (core 1.17): every operation then answers EIO until a restart."""
    origin: object | None
    """Copied into every Change; the caller of an operation notes here where it came from."""
    dropped: dict[int, Change]
    """Inodes that are gone from memory while their rows stay in the database until the next change (W9)."""
    guests: GuestRegistry
    versions: ChangeCounters
    locks: LockTable

    def __init__(self, root: Entry, entries: dict[int, Entry]) -> None:
        """Of checked and linked entries (load.link); ``entries`` is without the root, ascending."""
        self.root = root
        self.by_inode = {0: root, **entries}
        self.total_size = sum(entry.size for entry in entries.values())
        self.error = False
        self.origin = None
        self.dropped = {}
        self.guests = GuestRegistry()
        self.versions = ChangeCounters()
        self.locks = LockTable()
        self._changes: list[Change] = []

    @classmethod
    def new(cls, now: float) -> Tree:
        """An empty tree of version 1. The stored root gets mtime ``now``, the one in memory 0 (core 3.5)."""
        tree = cls(Entry(0, 0, 1, 0, 0, DIRECTORY, b""), {})
        tree.versions.bump_all()
        stored = Entry(0, 0, 1, 0, int(now) & 0xFFFFFFFF, DIRECTORY, b"")
        tree._changes.append(Change(ChangeOp.FORMAT, stored, stored, b""))
        return tree

    @classmethod
    def load(cls, rows: Iterable[Row], now: float, timers: float | None = None) -> Tree:
        """The tree of a database; a new one when there is no entry. Raises DatabaseError, all faults.

        ``now`` is the time of a new root. ``timers``: the clock of the locks' timers, None if it is the same.
        """
        root, entries, faults = load.entries_from_rows(rows)
        if root is None or root.version == 0:
            if not entries and not faults:
                return cls.new(now)
            what = "there is no root row" if root is None else "the root row has version 0"
            faults.append(f"{what}, so numbers of entries would be used again")
            root = Entry(0, 0, load.MAX_VERSION, 0, 0, DIRECTORY, b"")
        faults += load.link(root, entries)
        if faults:
            raise load.DatabaseError(faults)
        tree = cls(root, entries)
        faults = tree.guests.rebuild(root)
        if faults:
            raise load.DatabaseError(faults)
        tree.versions.bump_all()
        tree.rebuild_locks(now if timers is None else timers)
        return tree

    def __len__(self) -> int:
        return len(self.by_inode)

    # Reading

    def lookup(self, path: bytes) -> Entry | None:
        """The entry at ``path``; empty, ``.`` and ``/`` are the root."""
        entry = self.root
        if path == b"." or not path:
            return entry
        for name in path.split(b"/"):
            if name:
                children = entry.children
                if children is None:
                    return None
                child = children.get(name)
                if child is None:
                    return None
                entry = child
        return entry

    def path_of(self, entry: Entry) -> bytes:
        """Internal path of an entry that is in the tree."""
        names: list[bytes] = []
        while entry.inode:
            names.append(entry.name)
            entry = self.by_inode[entry.parent]
        names.reverse()
        return b"/".join(names)

    def index(self) -> bytes:
        """The node's state for a synchronisation (core 4.1); only changed entries are hashed."""
        root = self.root
        records = [entry.record or entry.index_record() for entry in self.by_inode.values()]
        return wire.pack_index(root.version, next(reversed(self.by_inode)), root.writer, root.mtime, records)

    def full_checksum(self) -> bytes:
        """SHA-256 over all fields and contents in inode order (core 4.2). Reads everything."""
        digest = hashlib.sha256()
        for entry in self.by_inode.values():
            digest.update(entry.checksum_head())
            if entry.data is not None and entry.type == REGULAR:
                digest.update(entry.data)
        return digest.digest()

    def lock_checksum(self, entry: Entry) -> bytes:
        """Checksum that names one state of a lock directory (core 4.2)."""
        return entry.lock_checksum()

    def entries_by_inode(self) -> list[Entry]:
        """Every entry, root first, by ascending inode."""
        return list(self.by_inode.values())

    def update_payload(self, entry: Entry) -> wire.Update:
        """What the data leader sends of an entry; a phantom is sent with the zeros that it reads as."""
        data = entry.content() if entry.type == REGULAR else b""
        return wire.Update(
            entry.parent,
            entry.inode,
            entry.version,
            entry.writer,
            entry.mtime,
            entry.type,
            entry.name,
            data,
        )

    @property
    def has_changes(self) -> bool:
        """Whether ``take_changes`` would return anything."""
        return bool(self._changes)

    def take_changes(self) -> list[Change]:
        """All changes since the last call, oldest first."""
        changes = self._changes
        self._changes = []
        return changes

    def lock_expired(self, path: bytes, entry: Entry, now: float) -> bool:
        """The expiry test of a lock directory at ``path``, with its side effects (core 1.14)."""
        return self.locks.expired(self.path_of(entry), entry.lock_checksum(), now)

    def lock_at(self, path: bytes, checksum: bytes) -> Entry | None:
        """The directory that an unlock message means, None when its conditions do not hold (core 7.5)."""
        if not is_lock_path(path):
            return None
        entry = self.lookup(path)
        if entry is None or entry.type != DIRECTORY or entry.lock_checksum() != checksum:
            return None
        return entry

    # Operations

    def apply(self, message: wire.FsMessage, writer: int, time: int, now: float) -> int:
        """Apply a file message of the total order (core 7.4) from node ``writer``; ``time``: its header's."""
        path, op = message.path, message.op
        if path is None or (op is FsOp.RENAME and message.to is None):
            return -EREMOTEIO
        if op is FsOp.WRITE:
            return self._write(path, writer, time, message.data, message.offset, message.truncate, False)
        if op is FsOp.CREATE:
            return self._write(path, writer, time, b"", 0, False, True)
        if op is FsOp.RENAME:
            assert message.to is not None
            return self.rename(path, message.to, writer, time, now)
        if op is FsOp.DELETE:
            return self.delete(path, writer, time, now)
        if op is FsOp.MKDIR:
            return self.mkdir(path, writer, time, now)
        return self.set_mtime(path, writer, message.offset, now)

    def mkdir(self, path: bytes, writer: int, mtime: int, now: float) -> int:
        if self.error:
            return -EIO
        directory, base = split_path(path)
        parent = self.lookup(directory)
        if parent is None:
            return -ENOENT
        if parent.children is None:
            return -ENOTDIR
        if base in (b".", b".."):
            return -EACCES
        if base in parent.children:
            return -EEXIST
        entry = self._add(parent, base, DIRECTORY, writer, mtime)
        self._changes.append(Change(ChangeOp.MKDIR, entry, parent, base, origin=self.origin))
        if directory == LOCK_DIRECTORY:
            self.locks.register(self.path_of(entry), entry.lock_checksum(), now)
        return 0

    def create(self, path: bytes, writer: int, mtime: int, now: float) -> int:
        return self._write(path, writer, mtime, b"", 0, False, True)

    def write(
        self,
        path: bytes,
        writer: int,
        mtime: int,
        now: float,
        data: bytes,
        offset: int,
        truncate: bool,
    ) -> int:
        """Result: the number of bytes. With ``truncate`` the file ends at offset + len(data)."""
        return self._write(path, writer, mtime, data, offset, truncate, False)

    def set_mtime(self, path: bytes, writer: int, mtime: int, now: float) -> int:
        if self.error:
            return -EIO
        directory, base = split_path(path)
        parent = self.lookup(directory)
        if parent is None:
            return -ENOENT
        if parent.children is None:
            return -ENOTDIR
        if base in (b".", b".."):
            return -EACCES
        entry = parent.children.get(base)
        if entry is None:
            return -ENOENT
        is_lock = entry.type == DIRECTORY and directory == LOCK_DIRECTORY
        if is_lock and (mtime < entry.mtime or writer != entry.writer):
            return -EACCES
        self._touch(entry, writer, mtime)
        self.versions.bump(path)
        self._changes.append(Change(ChangeOp.MTIME, entry, parent, base, origin=self.origin))
        if is_lock:
            self.locks.register(self.path_of(entry), entry.lock_checksum(), now)
        return 0

    def delete(self, path: bytes, writer: int, mtime: int, now: float) -> int:
        """Remove a file or an empty directory."""
        if self.error:
            return -EIO
        entry = self.lookup(path)
        if entry is None:
            return -ENOENT
        if entry.inode == 0:
            return -EACCES
        if entry.children:
            return -ENOTEMPTY
        if entry.type == DIRECTORY:
            self.locks.forget(self.path_of(entry))
        self.versions.bump(path)
        parent = self.by_inode[entry.parent]
        self._remove(entry, parent)
        self._bump(writer, mtime)
        self._changes.append(Change(ChangeOp.DELETE, entry, parent, entry.name, origin=self.origin))
        guest = guest_config(path)
        if guest is not None:  # whatever the entry was and whoever is registered: W10
            self.guests.unregister(guest.vmid)
        return 0

    def rename(self, path: bytes, to: bytes, writer: int, mtime: int, now: float) -> int:
        """Move a file or an empty directory, replacing what is at ``to``, of whatever type."""
        if self.error:
            return -EIO
        entry = self.lookup(path)
        if entry is None:
            return -ENOENT
        if entry.inode == 0:
            return -EACCES
        from_guest = to_guest = None
        if entry.type == REGULAR:
            from_guest, to_guest = guest_config(path), guest_config(to)
            if (
                to_guest is not None
                and self.guests.taken_elsewhere(to_guest)
                and not (from_guest is not None and from_guest.vmid == to_guest.vmid)
            ):
                return -EEXIST
        elif is_lock_path(path):
            return -EACCES
        replaced = self.lookup(to)
        if replaced is not None:
            if replaced.inode == 0:
                return -EACCES
            if replaced.children:
                return -ENOTEMPTY
            parent = self.by_inode[replaced.parent]
            base = replaced.name
            # No sound peer sends these two: onto itself, into itself. The original's behaviour is undefined.
            if replaced is entry or (parent is entry and len(entry.children or ()) == 1):
                return -EINVAL
            if replaced.type == DIRECTORY:
                self.locks.forget(self.path_of(replaced))
            self._remove(replaced, parent)
        else:
            directory, base = split_path(to)
            found = self.lookup(directory)
            if found is None:
                return -ENOENT
            if found.children is None:
                return -ENOTDIR
            parent = found
            # Nor does one send such names, which the original takes: the database would not load again.
            if (parent is entry and not entry.children) or base in (b".", b".."):
                return -EINVAL
        self.versions.bump(path)
        self.versions.bump(to)
        if entry.children:
            # The target is gone from memory although nothing was renamed: as in the original (W9).
            if replaced is not None:
                drop = Change(ChangeOp.DROP, replaced, parent, base, origin=self.origin)
                self.dropped[replaced.inode] = drop
                self._changes.append(drop)
            return -ENOTEMPTY
        old_parent, old_name = self.by_inode[entry.parent], entry.name
        assert old_parent.children is not None
        assert parent.children is not None
        del old_parent.children[old_name]
        parent.children[base] = entry
        entry.parent = parent.inode
        entry.name = base
        self._touch(entry, writer, mtime)
        self._changes.append(
            Change(ChangeOp.RENAME, entry, parent, base, replaced, old_parent, old_name, self.origin),
        )
        if from_guest is not None:
            self.guests.unregister(from_guest.vmid)
        if to_guest is not None:
            self.guests.register(to_guest)
        return 0

    def rebuild_locks(self, now: float) -> None:
        """Make the lock table match the directories in ``priv/lock``; timers of unchanged ones go on."""
        directory = self.lookup(LOCK_DIRECTORY)
        locks: list[tuple[bytes, bytes]] = []
        if directory is not None and directory.children is not None:
            for entry in directory.children.values():
                if entry.type == DIRECTORY:
                    locks.append((LOCK_DIRECTORY + b"/" + entry.name, entry.lock_checksum()))
        self.locks = self.locks.rebuilt(locks, now)

    # Helpers

    def _write(
        self, path: bytes, writer: int, mtime: int, data: bytes, offset: int, truncate: bool, creates: bool
    ) -> int:
        if self.error:
            return -EIO
        count = len(data)
        if offset + count > MAX_FILE_SIZE:
            return -EFBIG
        directory, base = split_path(path)
        parent = self.lookup(directory)
        if parent is None:
            return -ENOENT
        if parent.children is None:
            return -ENOTDIR
        if base in (b".", b".."):
            return -EACCES
        guest = guest_config(path)
        if guest is not None and self.guests.taken_elsewhere(guest):
            return -EEXIST
        entry = parent.children.get(base)
        if entry is not None:
            if entry.type == DIRECTORY:
                return -ENOTDIR
            if creates:
                return -EEXIST
            self._touch(entry, writer, mtime)
        elif not creates:
            return -ENOENT
        else:
            entry = self._add(parent, base, REGULAR, writer, mtime)
        if not creates:
            old_size = entry.size
            _put_content(entry, data, offset, truncate)
            self.total_size += entry.size - old_size
        self.versions.bump(path)
        op = ChangeOp.CREATE if creates else ChangeOp.WRITE
        self._changes.append(Change(op, entry, parent, base, None, None, None, self.origin))
        if guest is not None:
            self.guests.register(guest)
        return count

    def _bump(self, writer: int, mtime: int) -> int:
        if self.dropped:
            self._changes += [drop._replace(op=ChangeOp.PURGE) for drop in self.dropped.values()]
            self.dropped.clear()
        root = self.root
        root.version += 1
        root.writer = writer
        root.mtime = mtime
        root.record = None
        return root.version

    def _touch(self, entry: Entry, writer: int, mtime: int) -> None:
        entry.version = self._bump(writer, mtime)
        entry.writer = writer
        entry.mtime = mtime
        entry.record = None

    def _add(self, parent: Entry, name: bytes, type_: int, writer: int, mtime: int) -> Entry:
        version = self._bump(writer, mtime)
        entry = Entry(version, parent.inode, version, writer, mtime, type_, name)
        assert parent.children is not None
        parent.children[name] = entry
        self.by_inode[version] = entry
        return entry

    def _remove(self, entry: Entry, parent: Entry) -> None:
        assert parent.children is not None
        del parent.children[entry.name]
        del self.by_inode[entry.inode]
        self.total_size -= entry.size


def _put_content(entry: Entry, data: bytes, offset: int, truncate: bool) -> None:
    """The content rules of a write (core 1.12), phantom size included."""
    old = entry.data
    end = offset + len(data)
    if old is None:
        entry.data = bytes(offset) + data if offset and data else (data or None)
        entry.size = end
        return
    size = len(old)
    if offset == 0 and (truncate or end >= size):
        new = data
    elif end >= size:
        new = old[:offset].ljust(offset, b"\0") + data
    elif truncate:
        new = old[:offset] + data
    else:
        new = b"".join((old[:offset], data, old[end:])) if data else old
    entry.data = new or None
    entry.size = len(new)
