"""Numbers and record layouts of the kernel's FUSE interface (linux/fuse.h, protocol 7.31 and later).

No behaviour lives here. Layouts are in native byte order without implicit padding, as the kernel has them.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from struct import Struct
from typing import Final

MAJOR: Final = 7
MINOR: Final = 38
"""Newest minor version whose layouts are written down here; told to the kernel."""
OLDEST_MINOR: Final = 31

ROOT_ID: Final = 1
NAME_MAX: Final = 1024
"""Longest name accepted, in bytes (core 1.10). Kernels before 6.13 refuse longer ones by themselves."""
MAX_WRITE: Final = 1 << 20
"""Bytes of data in one WRITE request: a file of the cluster file system is never larger."""
PAGE_SIZE: Final = 4096
BUFFER_SIZE: Final = MAX_WRITE + PAGE_SIZE
"""Room for the largest request: the kernel wants max_write and a page for headers."""


class Opcode(IntEnum):
    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    SETXATTR = 21
    GETXATTR = 22
    LISTXATTR = 23
    REMOVEXATTR = 24
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    GETLK = 31
    SETLK = 32
    SETLKW = 33
    ACCESS = 34
    CREATE = 35
    INTERRUPT = 36
    BMAP = 37
    DESTROY = 38
    IOCTL = 39
    POLL = 40
    NOTIFY_REPLY = 41
    BATCH_FORGET = 42
    FALLOCATE = 43
    READDIRPLUS = 44
    RENAME2 = 45
    LSEEK = 46
    COPY_FILE_RANGE = 47
    SETUPMAPPING = 48
    REMOVEMAPPING = 49
    SYNCFS = 50
    TMPFILE = 51
    STATX = 52
    COPY_FILE_RANGE_64 = 53


NO_REPLY: Final = frozenset({Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT, Opcode.NOTIFY_REPLY})
"""Requests that the kernel does not wait for; an answer to one of these would be an error."""


class Init(IntFlag):
    """Capabilities in INIT; those above bit 31 travel in ``flags2``."""

    ASYNC_READ = 1 << 0
    POSIX_LOCKS = 1 << 1
    ATOMIC_O_TRUNC = 1 << 3
    EXPORT_SUPPORT = 1 << 4
    BIG_WRITES = 1 << 5
    DONT_MASK = 1 << 6
    FLOCK_LOCKS = 1 << 10
    AUTO_INVAL_DATA = 1 << 12
    DO_READDIRPLUS = 1 << 13
    READDIRPLUS_AUTO = 1 << 14
    ASYNC_DIO = 1 << 15
    WRITEBACK_CACHE = 1 << 16
    NO_OPEN_SUPPORT = 1 << 17
    PARALLEL_DIROPS = 1 << 18
    HANDLE_KILLPRIV = 1 << 19
    POSIX_ACL = 1 << 20
    ABORT_ERROR = 1 << 21
    MAX_PAGES = 1 << 22
    CACHE_SYMLINKS = 1 << 23
    NO_OPENDIR_SUPPORT = 1 << 24
    EXPLICIT_INVAL_DATA = 1 << 25
    HANDLE_KILLPRIV_V2 = 1 << 28
    SETXATTR_EXT = 1 << 29
    INIT_EXT = 1 << 30
    HAS_EXPIRE_ONLY = 1 << 35


class Fopen(IntFlag):
    """Flags in the answer to OPEN, OPENDIR and CREATE."""

    DIRECT_IO = 1 << 0
    KEEP_CACHE = 1 << 1
    NONSEEKABLE = 1 << 2
    CACHE_DIR = 1 << 3
    STREAM = 1 << 4
    NOFLUSH = 1 << 5
    PARALLEL_DIRECT_WRITES = 1 << 6


class Fattr(IntFlag):
    """Which fields of SETATTR are meant."""

    MODE = 1 << 0
    UID = 1 << 1
    GID = 1 << 2
    SIZE = 1 << 3
    ATIME = 1 << 4
    MTIME = 1 << 5
    FH = 1 << 6
    ATIME_NOW = 1 << 7
    MTIME_NOW = 1 << 8
    LOCKOWNER = 1 << 9
    CTIME = 1 << 10
    KILL_SUIDGID = 1 << 11


GETATTR_FH: Final = 1 << 0
WRITE_CACHE: Final = 1 << 0
"""A WRITE that comes from the page cache (shared mapping); its file handle is a guess of the kernel."""
FSYNC_DATA_ONLY: Final = 1 << 0
INVAL_ENTRY_EXPIRE_ONLY: Final = 1 << 0


class Notify(IntEnum):
    INVAL_INODE = 2
    INVAL_ENTRY = 3
    STORE = 4
    DELETE = 6
    INC_EPOCH = 8


IN_HEADER: Final = Struct("=IIQQIIIHH")  # len opcode unique nodeid uid gid pid extension-words padding
OUT_HEADER: Final = Struct("=IiQ")  # len -errno unique
HEADER_SIZE: Final = IN_HEADER.size
OUT_HEADER_SIZE: Final = OUT_HEADER.size

# Times are signed here, so that times before 1970 survive; the kernel casts the same way.
ATTR: Final = Struct("=QQQqqqIIIIIIIIII")
# nodeid generation entry_valid attr_valid entry_nsec attr_nsec, followed by ATTR
ENTRY_HEAD: Final = Struct("=QQQQII")
ATTR_HEAD: Final = Struct("=QI4x")
OPEN_OUT: Final = Struct("=QI4x")
WRITE_OUT: Final = Struct("=I4x")
STATFS_OUT: Final = Struct("=QQQQQIII4x24x")
DIRENT_HEAD: Final = Struct("=QQII")  # ino next-offset namelen type
XATTR_SIZE_OUT: Final = Struct("=I4x")
LSEEK_OUT: Final = Struct("=Q")
INIT_OUT: Final = Struct("=IIIIHHIIHHI28x")
INIT_IN_SHORT: Final = Struct("=IIII")
INIT_IN_FLAGS2: Final = Struct("=I")

NOTIFY_INVAL_INODE: Final = Struct("=Qqq")
NOTIFY_INVAL_ENTRY: Final = Struct("=QII")
NOTIFY_DELETE: Final = Struct("=QQI4x")
NOTIFY_STORE: Final = Struct("=QQI4x")
