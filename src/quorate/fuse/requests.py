"""Requests as the kernel sends them, decoded and validated into tuples. Pure: bytes in, tuples out.

The tuples are declared in bodies; how operations are answered is elsewhere (operations, replies).
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from struct import Struct
from typing import Final, TypeAlias

from quorate.fuse.abi import HEADER_SIZE, IN_HEADER, INIT_IN_FLAGS2, INIT_IN_SHORT, NAME_MAX, Init, Opcode
from quorate.fuse.bodies import (
    AccessIn,
    BatchForgetIn,
    BmapIn,
    Body,
    CopyFileRangeIn,
    CreateIn,
    FallocateIn,
    FlushIn,
    ForgetIn,
    FsyncIn,
    GetattrIn,
    GetxattrIn,
    InitIn,
    InterruptIn,
    IoctlIn,
    LinkIn,
    ListxattrIn,
    LockIn,
    LookupIn,
    LseekIn,
    MkdirIn,
    MknodIn,
    NoBody,
    OpaqueIn,
    OpenIn,
    PollIn,
    ReadIn,
    ReleaseIn,
    RemovexattrIn,
    RenameIn,
    Request,
    SetattrIn,
    SetxattrIn,
    SymlinkIn,
    UnlinkIn,
    WriteIn,
)
from quorate.fuse.errors import NameTooLongError, ProtocolError, UnknownOpcodeError

__all__ = [
    "AccessIn",
    "BatchForgetIn",
    "BmapIn",
    "Body",
    "Buffer",
    "CopyFileRangeIn",
    "CreateIn",
    "FallocateIn",
    "FlushIn",
    "ForgetIn",
    "FsyncIn",
    "GetattrIn",
    "GetxattrIn",
    "InitIn",
    "InterruptIn",
    "IoctlIn",
    "LinkIn",
    "ListxattrIn",
    "LockIn",
    "LookupIn",
    "LseekIn",
    "MkdirIn",
    "MknodIn",
    "NoBody",
    "OpaqueIn",
    "OpenIn",
    "PollIn",
    "ReadIn",
    "ReleaseIn",
    "RemovexattrIn",
    "RenameIn",
    "Request",
    "SetattrIn",
    "SetxattrIn",
    "SymlinkIn",
    "UnlinkIn",
    "WriteIn",
    "decode",
]

Buffer: TypeAlias = bytes | bytearray | memoryview


def decode(buffer: Buffer, length: int) -> Request:
    """The request in the first ``length`` bytes of ``buffer``; nothing of the buffer is kept.

    Raises ProtocolError (UnknownOpcodeError, NameTooLongError) with the errno to answer.
    """
    if length < HEADER_SIZE:
        raise ProtocolError(f"request of {length} bytes is shorter than its header of {HEADER_SIZE}")
    size, opcode, unique, nodeid, uid, gid, pid, extension_words, _ = IN_HEADER.unpack_from(buffer)
    end = length - 8 * extension_words
    if size != length or end < HEADER_SIZE:
        raise ProtocolError(
            f"request {opcode} says {size} bytes with {extension_words} words of extensions, {length} came",
            unique=unique,
        )
    decoder = _DECODERS.get(opcode)
    if decoder is None:
        raise UnknownOpcodeError(f"operation {opcode} is not known", unique=unique, errno=errno.ENOSYS)
    try:
        body = decoder(buffer, end)
    except ProtocolError as fault:
        fault.unique = unique
        raise
    return Request(opcode, unique, nodeid, uid, gid, pid, body)


_Decoder: TypeAlias = Callable[[Buffer, int], Body]


def _too_short(end: int, need: int) -> ProtocolError:
    return ProtocolError(f"body of {end - HEADER_SIZE} bytes is shorter than the {need - HEADER_SIZE} needed")


def _strings(buffer: Buffer, start: int, end: int, count: int) -> list[bytes]:
    """Exactly ``count`` NUL-terminated strings filling ``start`` to ``end``."""
    raw = bytes(buffer[start:end])
    parts = raw.split(b"\0")
    if len(parts) != count + 1 or parts[count]:
        raise ProtocolError(f"expected {count} NUL-terminated strings in the last {len(raw)} bytes")
    del parts[count]
    return parts


def _name(raw: bytes) -> bytes:
    """A directory entry's name, checked."""
    if not raw or b"/" in raw:
        raise ProtocolError("a name is empty or has a slash")
    if len(raw) > NAME_MAX:
        raise NameTooLongError(f"name of {len(raw)} bytes, at most {NAME_MAX}", errno=errno.ENAMETOOLONG)
    return raw


def _name_at(buffer: Buffer, start: int, end: int) -> bytes:
    """The one name that fills ``start`` to ``end``."""
    if end <= start:
        raise _too_short(end, start + 1)
    raw = bytes(buffer[start:end])
    if raw.find(b"\0") != len(raw) - 1:
        raise ProtocolError("a name is not terminated by its only NUL")
    return _name(raw[:-1])


def _fixed(make: Callable[[tuple[int, ...]], Body], layout: Struct) -> _Decoder:
    """A decoder for a record alone. Longer is accepted: newer kernels append fields."""
    need = HEADER_SIZE + layout.size
    unpack_from = layout.unpack_from

    def decode_fixed(buffer: Buffer, end: int) -> Body:
        if end < need:
            raise _too_short(end, need)
        return make(unpack_from(buffer, HEADER_SIZE))

    return decode_fixed


def _lookup(buffer: Buffer, end: int) -> Body:
    return LookupIn(_name_at(buffer, HEADER_SIZE, end))


def _unlink(buffer: Buffer, end: int) -> Body:
    return UnlinkIn(_name_at(buffer, HEADER_SIZE, end))


def _removexattr(buffer: Buffer, end: int) -> Body:
    return RemovexattrIn(_strings(buffer, HEADER_SIZE, end, 1)[0])


_COUNT: Final = Struct("=I4x")
_PAIR: Final = Struct("=QQ")


def _batch_forget(buffer: Buffer, end: int) -> Body:
    start = HEADER_SIZE + _COUNT.size
    if end < start:
        raise _too_short(end, start)
    (count,) = _COUNT.unpack_from(buffer, HEADER_SIZE)
    if end != start + count * _PAIR.size:
        raise ProtocolError(f"{count} nodes to forget do not fill {end - start} bytes")
    return BatchForgetIn(tuple(_PAIR.iter_unpack(buffer[start:end])))


_SETATTR: Final = Struct("=I4xQQQqqqIIII4xII4x")


def _setattr(buffer: Buffer, end: int) -> Body:
    if end < HEADER_SIZE + _SETATTR.size:
        raise _too_short(end, HEADER_SIZE + _SETATTR.size)
    body = SetattrIn._make(_SETATTR.unpack_from(buffer, HEADER_SIZE))
    if body.atimensec >= 1_000_000_000 or body.mtimensec >= 1_000_000_000 or body.ctimensec >= 1_000_000_000:
        raise ProtocolError("nanoseconds beyond a second", errno=errno.EINVAL)
    return body


def _symlink(buffer: Buffer, end: int) -> Body:
    name, target = _strings(buffer, HEADER_SIZE, end, 2)
    if not target:
        raise ProtocolError("a symbolic link without a target")
    return SymlinkIn(_name(name), target)


_MKNOD: Final = Struct("=III4x")
_MKDIR: Final = Struct("=II")
_CREATE: Final = Struct("=IIII")
_LINK: Final = Struct("=Q")
_RENAME: Final = Struct("=Q")
_RENAME2: Final = Struct("=QI4x")


def _mknod(buffer: Buffer, end: int) -> Body:
    name = _name_at(buffer, HEADER_SIZE + _MKNOD.size, end)
    return MknodIn._make((*_MKNOD.unpack_from(buffer, HEADER_SIZE), name))


def _mkdir(buffer: Buffer, end: int) -> Body:
    name = _name_at(buffer, HEADER_SIZE + _MKDIR.size, end)
    return MkdirIn._make((*_MKDIR.unpack_from(buffer, HEADER_SIZE), name))


def _create(buffer: Buffer, end: int) -> Body:
    name = _name_at(buffer, HEADER_SIZE + _CREATE.size, end)
    return CreateIn._make((*_CREATE.unpack_from(buffer, HEADER_SIZE), name))


def _tmpfile(buffer: Buffer, end: int) -> Body:
    need = HEADER_SIZE + _CREATE.size
    if end < need:
        raise _too_short(end, need)
    return CreateIn._make((*_CREATE.unpack_from(buffer, HEADER_SIZE), b""))


def _link(buffer: Buffer, end: int) -> Body:
    name = _name_at(buffer, HEADER_SIZE + _LINK.size, end)
    return LinkIn._make((*_LINK.unpack_from(buffer, HEADER_SIZE), name))


def _rename(buffer: Buffer, end: int) -> Body:
    start = HEADER_SIZE + _RENAME.size
    if end < start:
        raise _too_short(end, start)
    (newdir,) = _RENAME.unpack_from(buffer, HEADER_SIZE)
    oldname, newname = _strings(buffer, start, end, 2)
    return RenameIn(newdir, 0, _name(oldname), _name(newname))


def _rename2(buffer: Buffer, end: int) -> Body:
    start = HEADER_SIZE + _RENAME2.size
    if end < start:
        raise _too_short(end, start)
    newdir, flags = _RENAME2.unpack_from(buffer, HEADER_SIZE)
    oldname, newname = _strings(buffer, start, end, 2)
    return RenameIn(newdir, flags, _name(oldname), _name(newname))


_READ: Final = Struct("=QQIIQI4x")
_WRITE: Final = Struct("=QQIIQI4x")
_LARGEST_OFFSET: Final = (1 << 63) - 1


def _read(buffer: Buffer, end: int) -> Body:
    if end < HEADER_SIZE + _READ.size:
        raise _too_short(end, HEADER_SIZE + _READ.size)
    return ReadIn._make(_READ.unpack_from(buffer, HEADER_SIZE))


def _write(buffer: Buffer, end: int) -> Body:
    start = HEADER_SIZE + _WRITE.size
    if end < start:
        raise _too_short(end, start)
    fh, offset, size, write_flags, lock_owner, flags = _WRITE.unpack_from(buffer, HEADER_SIZE)
    if end != start + size:
        raise ProtocolError(f"a write of {size} bytes came with {end - start}")
    if offset > _LARGEST_OFFSET - size:
        raise ProtocolError("a write ends beyond the largest offset", errno=errno.EFBIG)
    return WriteIn(fh, offset, write_flags, lock_owner, flags, bytes(buffer[start:end]))


_SETXATTR: Final = Struct("=II")  # the short form: SETXATTR_EXT is not negotiated
_GETXATTR: Final = Struct("=I4x")


def _setxattr(buffer: Buffer, end: int) -> Body:
    start = HEADER_SIZE + _SETXATTR.size
    if end < start:
        raise _too_short(end, start)
    size, flags = _SETXATTR.unpack_from(buffer, HEADER_SIZE)
    if end - start < size + 1:
        raise ProtocolError(f"an attribute of {size} bytes came with {end - start}")
    name = _strings(buffer, start, end - size, 1)[0]
    return SetxattrIn(flags, name, bytes(buffer[end - size : end]))


def _getxattr(buffer: Buffer, end: int) -> Body:
    start = HEADER_SIZE + _GETXATTR.size
    if end < start:
        raise _too_short(end, start)
    (size,) = _GETXATTR.unpack_from(buffer, HEADER_SIZE)
    return GetxattrIn(size, _strings(buffer, start, end, 1)[0])


def _init(buffer: Buffer, end: int) -> Body:
    start = HEADER_SIZE + INIT_IN_SHORT.size
    if end < start:
        raise _too_short(end, start)
    major, minor, max_readahead, flags = INIT_IN_SHORT.unpack_from(buffer, HEADER_SIZE)
    if flags & Init.INIT_EXT and end >= start + INIT_IN_FLAGS2.size:
        flags |= INIT_IN_FLAGS2.unpack_from(buffer, start)[0] << 32
    return InitIn(major, minor, max_readahead, flags)


def _no_body(buffer: Buffer, end: int) -> Body:
    return NoBody()


def _opaque(buffer: Buffer, end: int) -> Body:
    return OpaqueIn(bytes(buffer[HEADER_SIZE:end]))


_OPEN: Final = _fixed(OpenIn._make, Struct("=II"))
_RELEASE: Final = _fixed(ReleaseIn._make, Struct("=QIIQ"))
_FSYNC: Final = _fixed(FsyncIn._make, Struct("=QI4x"))
_COPY: Final = _fixed(CopyFileRangeIn._make, Struct("=QQQQQQQ"))
_LOCK: Final = _fixed(LockIn._make, Struct("=QQQQIII4x"))

_DECODERS: Final[dict[int, _Decoder]] = {
    Opcode.LOOKUP: _lookup,
    Opcode.FORGET: _fixed(ForgetIn._make, Struct("=Q")),
    Opcode.GETATTR: _fixed(GetattrIn._make, Struct("=I4xQ")),
    Opcode.SETATTR: _setattr,
    Opcode.READLINK: _no_body,
    Opcode.SYMLINK: _symlink,
    Opcode.MKNOD: _mknod,
    Opcode.MKDIR: _mkdir,
    Opcode.UNLINK: _unlink,
    Opcode.RMDIR: _unlink,
    Opcode.RENAME: _rename,
    Opcode.LINK: _link,
    Opcode.OPEN: _OPEN,
    Opcode.READ: _read,
    Opcode.WRITE: _write,
    Opcode.STATFS: _no_body,
    Opcode.RELEASE: _RELEASE,
    Opcode.FSYNC: _FSYNC,
    Opcode.SETXATTR: _setxattr,
    Opcode.GETXATTR: _getxattr,
    Opcode.LISTXATTR: _fixed(ListxattrIn._make, Struct("=I4x")),
    Opcode.REMOVEXATTR: _removexattr,
    Opcode.FLUSH: _fixed(FlushIn._make, Struct("=Q8xQ")),
    Opcode.INIT: _init,
    Opcode.OPENDIR: _OPEN,
    Opcode.READDIR: _read,
    Opcode.RELEASEDIR: _RELEASE,
    Opcode.FSYNCDIR: _FSYNC,
    Opcode.GETLK: _LOCK,
    Opcode.SETLK: _LOCK,
    Opcode.SETLKW: _LOCK,
    Opcode.ACCESS: _fixed(AccessIn._make, Struct("=I4x")),
    Opcode.CREATE: _create,
    Opcode.INTERRUPT: _fixed(InterruptIn._make, Struct("=Q")),
    Opcode.BMAP: _fixed(BmapIn._make, Struct("=QI4x")),
    Opcode.DESTROY: _no_body,
    Opcode.IOCTL: _fixed(IoctlIn._make, Struct("=QIIQII")),
    Opcode.POLL: _fixed(PollIn._make, Struct("=QQII")),
    Opcode.NOTIFY_REPLY: _opaque,
    Opcode.BATCH_FORGET: _batch_forget,
    Opcode.FALLOCATE: _fixed(FallocateIn._make, Struct("=QQQI4x")),
    Opcode.READDIRPLUS: _read,
    Opcode.RENAME2: _rename2,
    Opcode.LSEEK: _fixed(LseekIn._make, Struct("=QQI4x")),
    Opcode.COPY_FILE_RANGE: _COPY,
    Opcode.SETUPMAPPING: _opaque,
    Opcode.REMOVEMAPPING: _opaque,
    Opcode.SYNCFS: _opaque,
    Opcode.TMPFILE: _tmpfile,
    Opcode.STATX: _opaque,
    Opcode.COPY_FILE_RANGE_64: _COPY,
}
