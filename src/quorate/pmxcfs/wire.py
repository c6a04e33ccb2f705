"""Layouts of everything the two CPG groups exchange: pack, unpack, validate (core 4.1, 5, 7).

Nothing is decided here. Unpacking arbitrary bytes gives a message or raises WireError, which names the field.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import NamedTuple, TypeVar

DCDB_GROUP = b"pve_dcdb_v1\0"
KVSTORE_GROUP = b"pve_kvstore_v1\0"
DCDB_PROTOCOL = 1
KVSTORE_PROTOCOL = 0

HEADER_SIZE = 16
NORMAL_HEADER_SIZE = 24
STATE_HEADER_SIZE = 32
INDEX_HEADER_SIZE = 32
INDEX_ENTRY_SIZE = 40
DIGEST_SIZE = 32

DIRECTORY = 4
REGULAR = 8

_HEADER = struct.Struct("<HHIII")
_NORMAL = struct.Struct("<HHIIIQ")
_STATE = struct.Struct("<HHIIIIIII")
_FS = struct.Struct("<IIIII")
_UPDATE = struct.Struct("<QQQIIIIB")
_INDEX = struct.Struct("<QQIIII")
_INDEX_ENTRY = struct.Struct("<Q32s")
_VERIFY_ID = struct.Struct("<Q")
_VERIFY = struct.Struct("<Q32s")


class WireError(Exception):
    """A message that no peer should have sent. The text names the message, the field and what is wrong."""


class MessageType(IntEnum):
    """``type`` of the base header."""

    NORMAL = 0
    SYNC_START = 1
    STATE = 2
    UPDATE = 3
    UPDATE_COMPLETE = 4
    VERIFY_REQUEST = 5
    VERIFY = 6


class FsOp(IntEnum):
    """``subtype`` of normal messages in the configuration database's group (core 7.1)."""

    WRITE = 1
    MKDIR = 2
    DELETE = 3
    RENAME = 4
    CREATE = 5
    MTIME = 6
    UNLOCK_REQUEST = 7
    UNLOCK = 8


_FILE_OPS = {int(op): op for op in FsOp if op < FsOp.UNLOCK_REQUEST}
_FS_SIZE = _FS.size
_TYPE_NORMAL = int(MessageType.NORMAL)


class Header(NamedTuple):
    """What every message begins with (core 5.2). ``type`` may be one that we do not know."""

    type: int
    subtype: int
    protocol_version: int
    time: int

    @classmethod
    def unpack(cls, message: bytes) -> Header:
        if len(message) < HEADER_SIZE:
            raise WireError(f"header: {len(message)} bytes, at least {HEADER_SIZE} are needed")
        type_, subtype, version, time, _reserved = _HEADER.unpack_from(message)
        return cls(type_, subtype, version, time)


class NormalHeader(NamedTuple):
    """Header of an application message (core 5.3)."""

    subtype: int
    protocol_version: int
    time: int
    count: int  # type: ignore[assignment]  # the field's name; nobody counts in a header's tuple
    """1 for the first message of this process in the group, then 2, ..."""

    def pack(self) -> bytes:
        return _NORMAL.pack(_TYPE_NORMAL, self.subtype, self.protocol_version, self.time, 0, self.count)

    @classmethod
    def unpack(cls, message: bytes) -> NormalHeader:
        if len(message) < NORMAL_HEADER_SIZE:
            raise WireError(f"normal header: {len(message)} bytes, at least {NORMAL_HEADER_SIZE} are needed")
        type_, subtype, version, time, _reserved, count = _NORMAL.unpack_from(message)
        if type_ != _TYPE_NORMAL:
            raise WireError(f"normal header: type is {type_}, not 0")
        return cls(subtype, version, time, count)


def pack_normal(subtype: int, protocol_version: int, time: int, count: int) -> bytes:
    """As ``NormalHeader(...).pack()``, for every message that is sent."""
    return _NORMAL.pack(_TYPE_NORMAL, subtype, protocol_version, time, 0, count)


def normal_fields(message: bytes, protocol_version: int) -> tuple[int, int, int] | None:
    """Subtype, time and count of a sound application message of exactly this version; None for all else."""
    if len(message) >= NORMAL_HEADER_SIZE:
        type_, subtype, version, time, _reserved, count = _NORMAL.unpack_from(message)
        if type_ == _TYPE_NORMAL and version == protocol_version:
            return subtype, time, count
    return None


class Epoch(NamedTuple):
    """Names one synchronisation; all four parts are compared (core 5.4)."""

    epoch: int
    time: int
    nodeid: int
    pid: int


NO_EPOCH = Epoch(0, 0, 0, 0)


class StateHeader(NamedTuple):
    """Header of a state message (core 5.4)."""

    type: int
    protocol_version: int
    time: int
    epoch: Epoch

    def pack(self) -> bytes:
        return _STATE.pack(self.type, 0, self.protocol_version, self.time, 0, *self.epoch)

    @classmethod
    def unpack(cls, message: bytes) -> StateHeader:
        if len(message) < STATE_HEADER_SIZE:
            raise WireError(f"state header: {len(message)} bytes, at least {STATE_HEADER_SIZE} are needed")
        type_, _subtype, version, time, _reserved, *epoch = _STATE.unpack_from(message)
        if type_ == MessageType.NORMAL:
            raise WireError("state header: type is 0, which is a normal message")
        return cls(type_, version, time, Epoch(*epoch))


class FsMessage(NamedTuple):
    """Operations 1-6 (core 7.2). ``path`` and ``to`` are None when absent; ``truncate`` is flags != 0.

    MTIME carries the new mtime in ``offset``.
    """

    op: FsOp
    path: bytes | None
    to: bytes | None = None
    data: bytes = b""
    offset: int = 0
    truncate: bool = False

    def parts(self) -> tuple[bytes, ...]:
        """The payload in pieces; the last one is ``data`` itself, not a copy."""
        op, path, to, data, offset, truncate = self
        path = b"" if path is None else _terminated("path", path)
        to = b"" if to is None else _terminated("to", to)
        if not 0 <= offset <= 0xFFFFFFFF:
            raise WireError(f"{op.name} message: offset {offset} does not fit into 32 bits")
        head = _FS.pack(len(data), offset, len(path), len(to), int(truncate)) + path + to
        return (head, data) if data else (head,)

    def pack(self) -> bytes:
        return b"".join(self.parts())

    @classmethod
    def unpack(cls, subtype: int, payload: bytes) -> FsMessage:
        """``payload`` is what follows the normal header. A path ends at its first NUL, as in the original."""
        op = _FILE_OPS.get(subtype)
        if op is None:
            raise WireError(f"file message: subtype is {subtype}, not one of 1-6")
        if len(payload) < _FS_SIZE:
            raise WireError(f"{op.name} message: {len(payload)} bytes, at least {_FS_SIZE} are needed")
        size, offset, pathlen, tolen, flags = _FS.unpack_from(payload)
        to_at = _FS_SIZE + pathlen
        data_at = to_at + tolen
        if len(payload) != data_at + size:
            raise WireError(
                f"{op.name} message: {len(payload)} bytes, but size {size}, pathlen {pathlen} and tolen"
                f" {tolen} make {data_at + size}",
            )
        path = to = None
        try:
            if pathlen:
                path = _text("path", payload[_FS_SIZE:to_at])
            if tolen:
                to = _text("to", payload[to_at:data_at])
        except WireError as error:
            raise WireError(f"{op.name} message: {error}") from None
        return cls(op, path, to, payload[data_at:], offset, flags != 0)


class Unlock(NamedTuple):
    """UNLOCK_REQUEST and UNLOCK (core 7.3)."""

    op: FsOp
    checksum: bytes
    path: bytes

    def parts(self) -> tuple[bytes, ...]:
        if len(self.checksum) != DIGEST_SIZE:
            raise WireError(
                f"{self.op.name} message: checksum has {len(self.checksum)} bytes, not {DIGEST_SIZE}"
            )
        return (self.checksum + _terminated("path", self.path),)

    def pack(self) -> bytes:
        return self.parts()[0]

    @classmethod
    def unpack(cls, subtype: int, payload: bytes) -> Unlock:
        if subtype not in (FsOp.UNLOCK_REQUEST, FsOp.UNLOCK):
            raise WireError(f"unlock message: subtype is {subtype}, not 7 or 8")
        op = FsOp(subtype)
        if len(payload) < DIGEST_SIZE + 1:
            raise WireError(f"{op.name} message: {len(payload)} bytes, at least {DIGEST_SIZE + 1} are needed")
        return cls(op, payload[:DIGEST_SIZE], _text(f"{op.name} message: path", payload[DIGEST_SIZE:]))


class Update(NamedTuple):
    """One entry with its content, sent by the data leader (core 5.4). The root: no name, type 4."""

    parent: int
    inode: int
    version: int
    writer: int
    mtime: int
    type: int
    name: bytes
    data: bytes

    def parts(self) -> tuple[bytes, ...]:
        """The payload in pieces; the last one is ``data`` itself, not a copy."""
        name = _terminated("name", self.name)
        head = _UPDATE.pack(
            self.parent,
            self.inode,
            self.version,
            self.writer,
            self.mtime,
            len(self.data),
            len(name),
            self.type,
        )
        return (head + name, self.data) if self.data else (head + name,)

    def pack(self) -> bytes:
        return b"".join(self.parts())

    @classmethod
    def unpack(cls, payload: bytes) -> Update:
        """``payload`` is what follows the state header."""
        if len(payload) < _UPDATE.size + 1:
            raise WireError(f"UPDATE: {len(payload)} bytes, at least {_UPDATE.size + 1} are needed")
        parent, inode, version, writer, mtime, size, namelen, type_ = _UPDATE.unpack_from(payload)
        if type_ not in (DIRECTORY, REGULAR):
            raise WireError(f"UPDATE of inode {inode}: type is {type_}, neither 4 nor 8")
        if namelen == 0:
            raise WireError(f"UPDATE of inode {inode}: namelen is 0, the NUL counts")
        if len(payload) != _UPDATE.size + namelen + size:
            raise WireError(
                f"UPDATE of inode {inode}: {len(payload)} bytes, but size {size} and namelen {namelen}"
                f" make {_UPDATE.size + namelen + size}",
            )
        name_end = _UPDATE.size + namelen
        name = _text(f"UPDATE of inode {inode}: name", payload[_UPDATE.size : name_end])
        if len(name) != namelen - 1:
            raise WireError(f"UPDATE of inode {inode}: name has a NUL inside")
        return cls(parent, inode, version, writer, mtime, type_, name, payload[name_end:])


class VerifyRequest(NamedTuple):
    """Asks every member to compute its full checksum at this point of the order (core 6.7)."""

    id: int

    def pack(self) -> bytes:
        return _VERIFY_ID.pack(self.id)

    @classmethod
    def unpack(cls, payload: bytes) -> VerifyRequest:
        if len(payload) != _VERIFY_ID.size:
            raise WireError(f"VERIFY_REQUEST: {len(payload)} bytes, not {_VERIFY_ID.size}")
        return cls(*_VERIFY_ID.unpack(payload))


class Verify(NamedTuple):
    """The requester's full checksum (core 6.7)."""

    id: int
    checksum: bytes

    def pack(self) -> bytes:
        return _VERIFY.pack(self.id, self.checksum)

    @classmethod
    def unpack(cls, payload: bytes) -> Verify:
        if len(payload) != _VERIFY.size:
            raise WireError(f"VERIFY: {len(payload)} bytes, not {_VERIFY.size}")
        return cls(*_VERIFY.unpack(payload))


class Index(NamedTuple):
    """A node's state: every inode with its digest, ascending (core 4.1)."""

    version: int
    last_inode: int
    writer: int
    mtime: int
    digests: dict[int, bytes]

    @classmethod
    def unpack(cls, state: bytes) -> Index:
        """Checks length against both counters, that the root comes first and that inodes ascend."""
        if len(state) < INDEX_HEADER_SIZE:
            raise WireError(f"index: {len(state)} bytes, at least {INDEX_HEADER_SIZE} are needed")
        version, last_inode, writer, mtime, size, length = _INDEX.unpack_from(state)
        if length != len(state):
            raise WireError(f"index: field bytes says {length}, received {len(state)}")
        if length != INDEX_HEADER_SIZE + INDEX_ENTRY_SIZE * size:
            raise WireError(f"index: field size says {size} entries, which do not make {length} bytes")
        digests = dict(_INDEX_ENTRY.iter_unpack(memoryview(state)[INDEX_HEADER_SIZE:]))
        inodes = list(digests)
        if len(inodes) != size or inodes != sorted(inodes):
            raise WireError("index: inodes do not ascend")
        if not inodes or inodes[0] != 0:
            raise WireError("index: the root (inode 0) is missing")
        if inodes[-1] != last_inode:
            raise WireError(f"index: last_inode says {last_inode}, the last one is {inodes[-1]}")
        return cls(version, last_inode, writer, mtime, digests)


def pack_index(version: int, last_inode: int, writer: int, mtime: int, records: list[bytes]) -> bytes:
    """An index of ready-made 40-byte records (inode, digest), which the caller keeps sorted."""
    size = len(records)
    header = _INDEX.pack(
        version, last_inode, writer, mtime, size, INDEX_HEADER_SIZE + INDEX_ENTRY_SIZE * size
    )
    return header + b"".join(records)


def index_record(inode: int, digest: bytes) -> bytes:
    """One 40-byte entry of an index."""
    return _INDEX_ENTRY.pack(inode, digest)


def differing(leader: Index, others: Iterable[Index]) -> list[int]:
    """Inodes of the leader that at least one of the others lacks or has otherwise, ascending (core 4.4)."""
    missing: set[int] = set()
    for other in others:
        missing.update(dict(leader.digests.items() - other.digests.items()))
    return sorted(missing)


_Member = TypeVar("_Member", bound=tuple[int, int])


def choose_leader(states: Mapping[_Member, bytes]) -> tuple[_Member, frozenset[_Member]]:
    """Data leader and all members that are synced with it, itself included (core 4.3).

    Keys are (node id, pid). Highest version, then highest root mtime, then lowest key. Raises WireError when
    a state is malformed, ValueError when there is none.
    """
    if not states:
        raise ValueError("no states to choose a leader from")
    indexes = {member: Index.unpack(state) for member, state in states.items()}
    leader = max(sorted(indexes), key=lambda member: (indexes[member].version, indexes[member].mtime))
    wanted = states[leader]
    return leader, frozenset(member for member, state in states.items() if state == wanted)


def _terminated(field: str, text: bytes) -> bytes:
    if b"\0" in text:
        raise WireError(f"{field} {text!r} has a NUL inside")
    return text + b"\0"


def _text(field: str, raw: bytes) -> bytes:
    if raw[-1:] != b"\0":
        raise WireError(f"{field} does not end with NUL")
    return raw[: raw.index(b"\0")]
