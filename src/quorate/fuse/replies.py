"""Answers and notifications packed into the kernel's layouts. Pure: values in, bytes out.

Time-outs are whole seconds (0: do not cache). ``attr`` arguments are the bytes that pack_attr made: pack them
once per change and keep them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from quorate.fuse.abi import (
    ATTR,
    ATTR_HEAD,
    DIRENT_HEAD,
    ENTRY_HEAD,
    INVAL_ENTRY_EXPIRE_ONLY,
    LSEEK_OUT,
    NOTIFY_DELETE,
    NOTIFY_INVAL_ENTRY,
    NOTIFY_INVAL_INODE,
    NOTIFY_STORE,
    OPEN_OUT,
    OUT_HEADER,
    OUT_HEADER_SIZE,
    STATFS_OUT,
    WRITE_OUT,
    XATTR_SIZE_OUT,
    Notify,
)

DAY: Final = 86_400
"""The time-out for everything that is invalidated explicitly."""


def reply(unique: int, payload: bytes = b"") -> bytes:
    """A whole answer to request ``unique``."""
    return OUT_HEADER.pack(OUT_HEADER_SIZE + len(payload), 0, unique) + payload


def error(unique: int, errno: int) -> bytes:
    """A whole refusal; ``errno`` is positive (1 to 511, what the kernel accepts)."""
    return OUT_HEADER.pack(OUT_HEADER_SIZE, -errno, unique)


def pack_attr(
    ino: int,
    mode: int,
    *,
    size: int = 0,
    blocks: int = 0,
    atime: int = 0,
    mtime: int = 0,
    ctime: int = 0,
    nlink: int = 1,
    uid: int = 0,
    gid: int = 0,
    rdev: int = 0,
    blksize: int = 4096,
    atimensec: int = 0,
    mtimensec: int = 0,
    ctimensec: int = 0,
) -> bytes:
    """What stat shows (88 bytes). ``mode`` has the type bits; ``blocks`` is passed on as it is."""
    return ATTR.pack(
        ino,
        size,
        blocks,
        atime,
        mtime,
        ctime,
        atimensec,
        mtimensec,
        ctimensec,
        mode,
        nlink,
        uid,
        gid,
        rdev,
        blksize,
        0,
    )


def attr_out(attr: bytes, attr_valid: int) -> bytes:
    """Answer to GETATTR and SETATTR."""
    return ATTR_HEAD.pack(attr_valid, 0) + attr


def entry_out(nodeid: int, attr: bytes, entry_valid: int, attr_valid: int, generation: int = 0) -> bytes:
    """Answer to LOOKUP, MKDIR, MKNOD, SYMLINK, LINK: counts one lookup of ``nodeid``, until FORGET."""
    return ENTRY_HEAD.pack(nodeid, generation, entry_valid, attr_valid, 0, 0) + attr


_NO_ATTR: Final = bytes(ATTR.size)


def negative_entry(entry_valid: int) -> bytes:
    """Answer to LOOKUP: the name does not exist, and the kernel may remember that. No lookup is counted."""
    return ENTRY_HEAD.pack(0, 0, entry_valid, 0, 0, 0) + _NO_ATTR


def open_out(fh: int, flags: int = 0) -> bytes:
    """Answer to OPEN and OPENDIR; ``flags``: abi.Fopen."""
    return OPEN_OUT.pack(fh, flags)


def create_out(entry: bytes, fh: int, flags: int = 0) -> bytes:
    """Answer to CREATE; ``entry`` from entry_out (counts one lookup)."""
    return entry + OPEN_OUT.pack(fh, flags)


def write_out(size: int) -> bytes:
    """Answer to WRITE: bytes taken."""
    return WRITE_OUT.pack(size)


def statfs_out(
    *,
    blocks: int,
    free: int,
    available: int,
    files: int,
    files_free: int,
    block_size: int = 4096,
    name_max: int = 256,
    fragment_size: int = 0,
) -> bytes:
    """Answer to STATFS."""
    return STATFS_OUT.pack(blocks, free, available, files, files_free, block_size, name_max, fragment_size)


def xattr_size_out(size: int) -> bytes:
    """Answer to GETXATTR and LISTXATTR of size 0."""
    return XATTR_SIZE_OUT.pack(size)


def lseek_out(offset: int) -> bytes:
    return LSEEK_OUT.pack(offset)


def dirent(ino: int, next_offset: int, mode: int, name: bytes) -> bytes:
    """One READDIR record. ``next_offset``: where a later READDIR goes on (never 0); ``mode``: type bits."""
    length = len(name)
    return DIRENT_HEAD.pack(ino, next_offset, length, mode >> 12 & 15) + name + bytes(-length & 7)


def direntplus(entry: bytes, ino: int, next_offset: int, mode: int, name: bytes) -> bytes:
    """One READDIRPLUS record.

    ``entry`` from entry_out counts one lookup when it has a node id, except for ``.`` and ``..``;
    negative_entry(0) gives the name alone.
    """
    return entry + dirent(ino, next_offset, mode, name)


def fit(records: Sequence[bytes], start: int, size: int) -> tuple[bytes, int]:
    """As many whole records from index ``start`` as ``size`` bytes hold, and the index after the last.

    Nothing at all means the end of the directory; a record that alone is larger than ``size`` cannot occur
    (the kernel asks for at least a page).
    """
    end = start
    count = len(records)
    while end < count:
        size -= len(records[end])
        if size < 0:
            break
        end += 1
    return b"".join(records[start:end]), end


def notification(code: Notify, *parts: bytes) -> bytes:
    """A whole message that answers nothing (unique 0, the code in the place of the error)."""
    payload = b"".join(parts)
    return OUT_HEADER.pack(OUT_HEADER_SIZE + len(payload), code, 0) + payload


def inval_inode(nodeid: int, offset: int = 0, length: int = 0) -> bytes:
    """Forget attributes, and data from ``offset`` on (``length`` 0: to the end); offset -1: attributes only.

    For a directory the data is the listing the kernel keeps.
    """
    return notification(Notify.INVAL_INODE, NOTIFY_INVAL_INODE.pack(nodeid, offset, length))


def inval_entry(parent: int, name: bytes, *, expire_only: bool = False) -> bytes:
    """Forget a name (also a remembered absence); see Session.notify_inval_entry for its limits."""
    flags = INVAL_ENTRY_EXPIRE_ONLY if expire_only else 0
    return notification(Notify.INVAL_ENTRY, NOTIFY_INVAL_ENTRY.pack(parent, len(name), flags), name, b"\0")


def delete(parent: int, child: int, name: bytes) -> bytes:
    """The name is gone: like inval_entry, and watchers (inotify) are told, if it still is ``child``."""
    return notification(Notify.DELETE, NOTIFY_DELETE.pack(parent, child, len(name)), name, b"\0")


def store(nodeid: int, offset: int, data: bytes) -> bytes:
    """Put data into the kernel's page cache."""
    return notification(Notify.STORE, NOTIFY_STORE.pack(nodeid, offset, len(data)), data)


def inc_epoch() -> bytes:
    """Every name the kernel remembers is looked up again when next used (kernel 6.16 and later)."""
    return notification(Notify.INC_EPOCH)
