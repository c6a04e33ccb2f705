"""What each request says, as tuples. Decoding is in requests, which also exports all of these."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias


class LookupIn(NamedTuple):
    name: bytes


class ForgetIn(NamedTuple):
    nlookup: int


class BatchForgetIn(NamedTuple):
    items: tuple[tuple[int, int], ...]
    """Pairs (nodeid, nlookup)."""


class GetattrIn(NamedTuple):
    flags: int
    fh: int
    """Valid when flags has GETATTR_FH."""


class SetattrIn(NamedTuple):
    """Only the fields named by ``valid`` (abi.Fattr) mean anything. Times: whole seconds, signed."""

    valid: int
    fh: int
    size: int
    lock_owner: int
    atime: int
    mtime: int
    ctime: int
    atimensec: int
    mtimensec: int
    ctimensec: int
    mode: int
    uid: int
    gid: int


class NoBody(NamedTuple):
    """READLINK, STATFS, DESTROY."""


class SymlinkIn(NamedTuple):
    name: bytes
    target: bytes


class MknodIn(NamedTuple):
    mode: int
    rdev: int
    umask: int
    name: bytes


class MkdirIn(NamedTuple):
    mode: int
    umask: int
    name: bytes


class UnlinkIn(NamedTuple):
    """UNLINK and RMDIR."""

    name: bytes


class RenameIn(NamedTuple):
    """RENAME (flags 0) and RENAME2. The header's nodeid is the old directory."""

    newdir: int
    flags: int
    oldname: bytes
    newname: bytes


class LinkIn(NamedTuple):
    """The header's nodeid is the directory of the new name."""

    oldnodeid: int
    name: bytes


class OpenIn(NamedTuple):
    """OPEN and OPENDIR. ``flags``: those of open(2), without O_CREAT, O_EXCL, O_NOCTTY."""

    flags: int
    open_flags: int


class CreateIn(NamedTuple):
    """CREATE and TMPFILE (whose name is meaningless)."""

    flags: int
    mode: int
    umask: int
    open_flags: int
    name: bytes


class ReadIn(NamedTuple):
    """READ, READDIR and READDIRPLUS; ``size`` is the most that the answer may hold."""

    fh: int
    offset: int
    size: int
    read_flags: int
    lock_owner: int
    flags: int


class WriteIn(NamedTuple):
    fh: int
    offset: int
    write_flags: int
    lock_owner: int
    flags: int
    data: bytes


class ReleaseIn(NamedTuple):
    """RELEASE and RELEASEDIR."""

    fh: int
    flags: int
    release_flags: int
    lock_owner: int


class FsyncIn(NamedTuple):
    """FSYNC and FSYNCDIR."""

    fh: int
    flags: int


class FlushIn(NamedTuple):
    fh: int
    lock_owner: int


class SetxattrIn(NamedTuple):
    flags: int
    name: bytes
    value: bytes


class GetxattrIn(NamedTuple):
    size: int
    name: bytes


class ListxattrIn(NamedTuple):
    size: int


class RemovexattrIn(NamedTuple):
    name: bytes


class LockIn(NamedTuple):
    """GETLK, SETLK, SETLKW (never sent unless remote locks are negotiated, which they are not)."""

    fh: int
    owner: int
    start: int
    end: int
    type: int
    pid: int
    flags: int


class AccessIn(NamedTuple):
    mask: int


class InitIn(NamedTuple):
    major: int
    minor: int
    max_readahead: int
    flags: int
    """Both halves: bits 32-63 are flags2."""


class InterruptIn(NamedTuple):
    target: int
    """``unique`` of the request that is meant."""


class BmapIn(NamedTuple):
    block: int
    blocksize: int


class IoctlIn(NamedTuple):
    fh: int
    flags: int
    cmd: int
    arg: int
    in_size: int
    out_size: int


class PollIn(NamedTuple):
    fh: int
    kh: int
    flags: int
    events: int


class FallocateIn(NamedTuple):
    fh: int
    offset: int
    length: int
    mode: int


class LseekIn(NamedTuple):
    fh: int
    offset: int
    whence: int


class CopyFileRangeIn(NamedTuple):
    fh_in: int
    off_in: int
    nodeid_out: int
    fh_out: int
    off_out: int
    length: int
    flags: int


class OpaqueIn(NamedTuple):
    """Operations that are always refused and need no decoding (STATX, SYNCFS, DAX mappings)."""

    data: bytes


Body: TypeAlias = (
    LookupIn
    | ForgetIn
    | BatchForgetIn
    | GetattrIn
    | SetattrIn
    | NoBody
    | SymlinkIn
    | MknodIn
    | MkdirIn
    | UnlinkIn
    | RenameIn
    | LinkIn
    | OpenIn
    | CreateIn
    | ReadIn
    | WriteIn
    | ReleaseIn
    | FsyncIn
    | FlushIn
    | SetxattrIn
    | GetxattrIn
    | ListxattrIn
    | RemovexattrIn
    | LockIn
    | AccessIn
    | InitIn
    | InterruptIn
    | BmapIn
    | IoctlIn
    | PollIn
    | FallocateIn
    | LseekIn
    | CopyFileRangeIn
    | OpaqueIn
)


class Request(NamedTuple):
    """One request. ``uid``, ``gid``, ``pid`` are the caller's (pid is a thread id; 0 when not visible)."""

    opcode: int
    unique: int
    nodeid: int
    uid: int
    gid: int
    pid: int
    body: Body
