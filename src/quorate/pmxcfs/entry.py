"""One file or directory of the tree, its digests (core 4.2), and the record of a change.

Entries are plain slots: they are touched by every request. The rules are in tree.py.
"""

from __future__ import annotations

import hashlib
import struct
from enum import Enum
from typing import NamedTuple

from quorate.pmxcfs import wire

DIRECTORY = wire.DIRECTORY
REGULAR = wire.REGULAR

_DIGEST_HEAD = struct.Struct("<QIIIBQ")
_CHECKSUM_HEAD = struct.Struct("<QQIIIBQ")


class Entry:
    """A file or directory. ``parent`` is the inode of its directory; ``children`` is None for files.

    ``data`` is None without content. A *phantom* (core 1.12, W8) has ``size`` > 0 and no data: it reads as
    zeros. Only tree operations change entries; whoever changes a field sets ``record`` to None.
    """

    __slots__ = (
        "children",
        "data",
        "inode",
        "mtime",
        "name",
        "parent",
        "record",
        "size",
        "type",
        "version",
        "writer",
    )

    inode: int
    parent: int
    version: int
    writer: int
    mtime: int
    size: int
    type: int
    name: bytes
    data: bytes | None
    children: dict[bytes, Entry] | None
    record: bytes | None
    """The entry's 40 bytes of the index, None when not computed since the last change."""

    def __init__(
        self,
        inode: int,
        parent: int,
        version: int,
        writer: int,
        mtime: int,
        type_: int,
        name: bytes,
        data: bytes | None = None,
    ) -> None:
        self.inode = inode
        self.parent = parent
        self.version = version
        self.writer = writer
        self.mtime = mtime
        self.size = 0 if data is None else len(data)
        self.type = type_
        self.name = name
        self.data = data
        self.children = {} if type_ == DIRECTORY else None
        self.record = None

    def __repr__(self) -> str:
        return (
            f"Entry(inode={self.inode}, parent={self.parent}, version={self.version}, writer={self.writer},"
            f" mtime={self.mtime}, size={self.size}, type={self.type}, name={self.name!r})"
        )

    @property
    def is_directory(self) -> bool:
        return self.type == DIRECTORY

    @property
    def is_phantom(self) -> bool:
        return self.data is None and self.size > 0

    def copy(self) -> Entry:
        """An unlinked copy: same fields, same content object, no children."""
        other = Entry(
            self.inode,
            self.parent,
            self.version,
            self.writer,
            self.mtime,
            self.type,
            self.name,
            self.data,
        )
        other.size = self.size
        other.record = self.record
        return other

    def content(self) -> bytes:
        """All bytes that a reader sees; zeros for a phantom."""
        if self.data is None:
            return bytes(self.size)
        return self.data

    def read(self, offset: int, count: int) -> bytes:
        """At most ``count`` bytes from ``offset``; nothing at or behind the end."""
        if self.data is None:
            return bytes(max(0, min(count, self.size - offset)))
        return self.data[offset : offset + count]

    def index_record(self) -> bytes:
        """The entry's 40 bytes of the index (core 4.1), kept until it changes."""
        record = self.record
        if record is None:
            record = self.record = wire.index_record(self.inode, self.index_digest())
        return record

    def index_digest(self) -> bytes:
        """SHA-256 over all fields but the inode (core 4.2), computed afresh."""
        digest = hashlib.sha256(
            _DIGEST_HEAD.pack(self.version, self.writer, self.mtime, self.size, self.type, self.parent)
            + self.name,
        )
        if self.data is not None and self.type == REGULAR:
            digest.update(self.data)
        return digest.digest()

    def checksum_head(self) -> bytes:
        """Fields 1-8 of the full checksum (core 4.2); the content follows."""
        return (
            _CHECKSUM_HEAD.pack(
                self.inode, self.version, self.writer, self.mtime, self.size, self.type, self.parent
            )
            + self.name
        )

    def lock_checksum(self) -> bytes:
        """SHA-256 over all fields, as in lock messages (core 4.2)."""
        digest = hashlib.sha256(self.checksum_head())
        if self.data is not None and self.type == REGULAR:
            digest.update(self.data)
        return digest.digest()


class ChangeOp(Enum):
    """What happened to an entry."""

    __hash__ = object.__hash__  # Enum's own is a Python function, and these are keys on the hot path

    MKDIR = "mkdir"
    CREATE = "create"
    WRITE = "write"
    MTIME = "mtime"
    DELETE = "delete"
    RENAME = "rename"
    DROP = "drop"
    """Vanished from memory by a refused rename; its row stays (weakness W9)."""
    PURGE = "purge"
    """The row of what a DROP left in the database has to go now."""
    FORMAT = "format"
    """A new database: the root row has to be written. ``entry`` is not the tree's root but what is stored."""


class Change(NamedTuple):
    """One applied operation, for the database and for the kernel's caches.

    ``entry`` is the live entry, so its fields may be newer than the change. ``parent`` and ``name`` say where
    it is now (where it was, for DELETE and DROP). ``replaced`` is what a rename removed from there.
    ``origin`` is what the caller had put into ``Tree.origin``.
    """

    op: ChangeOp
    entry: Entry
    parent: Entry
    name: bytes
    replaced: Entry | None = None
    old_parent: Entry | None = None
    old_name: bytes | None = None
    origin: object | None = None
