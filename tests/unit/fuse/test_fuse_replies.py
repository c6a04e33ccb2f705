"""Answers and notifications have the kernel's sizes, places and alignment."""

from __future__ import annotations

import stat
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.fuse import replies
from quorate.fuse.abi import INIT_OUT, Init, Notify
from quorate.fuse.errors import NegotiationError
from quorate.fuse.negotiation import REQUIRED, WANTED, InitOptions, negotiate
from quorate.fuse.requests import InitIn

FILE = stat.S_IFREG | 0o640


def test_record_sizes_are_the_kernels() -> None:
    attr = replies.pack_attr(7, FILE)
    entry = replies.entry_out(7, attr, 1, 1)
    assert len(attr) == 88
    assert len(entry) == 128
    assert len(replies.attr_out(attr, 1)) == 104
    assert len(replies.negative_entry(5)) == 128
    assert len(replies.open_out(1)) == 16
    assert len(replies.create_out(entry, 1)) == 144
    assert len(replies.write_out(1)) == 8
    assert len(replies.statfs_out(blocks=1, free=1, available=1, files=1, files_free=1)) == 80
    assert len(replies.xattr_size_out(1)) == 8
    assert len(replies.lseek_out(1)) == 8
    assert INIT_OUT.size == 64


def test_attr_fields_in_the_kernels_order() -> None:
    attr = replies.pack_attr(
        1, FILE, size=2, blocks=3, atime=4, mtime=5, ctime=6, nlink=7, uid=8, gid=9, rdev=10, blksize=11
    )
    assert struct.unpack("=QQQQQQIIIIIIIIII", attr) == (1, 2, 3, 4, 5, 6, 0, 0, 0, FILE, 7, 8, 9, 10, 11, 0)


def test_entry_and_negative_entry() -> None:
    attr = replies.pack_attr(7, FILE)
    entry = replies.entry_out(7, attr, 11, 12, generation=13)
    assert struct.unpack("=QQQQII", entry[:40]) == (7, 13, 11, 12, 0, 0)
    assert entry[40:] == attr
    negative = replies.negative_entry(60)
    assert struct.unpack("=QQQQ", negative[:32]) == (0, 0, 60, 0)
    assert negative[40:] == bytes(88)


def test_headers() -> None:
    assert replies.reply(9, b"abc") == struct.pack("=IiQ", 19, 0, 9) + b"abc"
    assert replies.error(9, 13) == struct.pack("=IiQ", 16, -13, 9)


@given(
    name=st.binary(min_size=1, max_size=1024), ino=st.integers(0, 2**64 - 1), offset=st.integers(1, 2**63 - 1)
)
def test_directory_records_are_aligned_and_read_back(name: bytes, ino: int, offset: int) -> None:
    record = replies.dirent(ino, offset, FILE, name)
    assert len(record) % 8 == 0
    assert struct.unpack("=QQII", record[:24]) == (ino, offset, len(name), 8)
    assert record[24 : 24 + len(name)] == name
    assert record[24 + len(name) :].strip(b"\0") == b""
    plus = replies.direntplus(replies.negative_entry(0), ino, offset, FILE, name)
    assert plus[128:] == record


@given(sizes=st.lists(st.integers(1, 40), max_size=30), start=st.integers(0, 35), room=st.integers(0, 600))
def test_fit_takes_whole_records_and_as_many_as_fit(sizes: list[int], start: int, room: int) -> None:
    records = [bytes([number]) * size for number, size in enumerate(sizes)]
    data, end = replies.fit(records, start, room)
    assert data == b"".join(records[start:end])
    assert len(data) <= room
    assert end >= len(records) or len(data) + len(records[end]) > room


def test_notifications() -> None:
    def parts(message: bytes) -> tuple[int, int, int, bytes]:
        size, code, unique = struct.unpack("=IiQ", message[:16])
        assert size == len(message)
        return code, unique, size, message[16:]

    code, unique, _, body = parts(replies.inval_inode(5, -1, 0))
    assert (code, unique) == (Notify.INVAL_INODE, 0)
    assert struct.unpack("=Qqq", body) == (5, -1, 0)

    code, _, _, body = parts(replies.inval_entry(5, b"name"))
    assert code == Notify.INVAL_ENTRY
    assert body == struct.pack("=QII", 5, 4, 0) + b"name\0"
    assert parts(replies.inval_entry(5, b"n", expire_only=True))[3][12:16] == struct.pack("=I", 1)

    code, _, _, body = parts(replies.delete(5, 6, b"name"))
    assert code == Notify.DELETE
    assert body == struct.pack("=QQII", 5, 6, 4, 0) + b"name\0"

    code, _, _, body = parts(replies.store(5, 8, b"data"))
    assert code == Notify.STORE
    assert body == struct.pack("=QQII", 5, 8, 4, 0) + b"data"

    assert parts(replies.inc_epoch()) == (Notify.INC_EPOCH, 0, 16, b"")


ALL_FLAGS = 2**36 - 1


def test_init_takes_what_is_wanted_and_offered() -> None:
    agreed, answer = negotiate(InitIn(7, 45, 2**20, ALL_FLAGS), InitOptions())
    assert agreed.flags == WANTED
    assert agreed.has_epoch
    major, minor, ahead, low, background, congestion, max_write, granularity, pages, _, high = (
        INIT_OUT.unpack(answer)
    )
    assert (major, minor, ahead) == (7, 38, 2**20)
    assert low | high << 32 == WANTED
    assert congestion < background
    assert (max_write, pages, granularity) == (2**20, 256, 10**9)


def test_init_leaves_out_what_must_not_be() -> None:
    agreed, _ = negotiate(InitIn(7, 45, 0, ALL_FLAGS), InitOptions(readdirplus=False))
    for flag in (
        Init.WRITEBACK_CACHE,
        Init.POSIX_LOCKS,
        Init.FLOCK_LOCKS,
        Init.AUTO_INVAL_DATA,
        Init.POSIX_ACL,
        Init.SETXATTR_EXT,
        Init.DO_READDIRPLUS,
        Init.READDIRPLUS_AUTO,
    ):
        assert not agreed.flags & flag


def test_init_of_an_older_kernel() -> None:
    agreed, answer = negotiate(InitIn(7, 31, 0, int(REQUIRED)), InitOptions())
    assert (agreed.minor, agreed.flags) == (31, REQUIRED)
    assert not agreed.has_epoch
    assert INIT_OUT.unpack(answer)[1] == 31


@pytest.mark.parametrize(
    "init",
    [
        InitIn(8, 0, 0, ALL_FLAGS),
        InitIn(7, 30, 0, ALL_FLAGS),
        InitIn(7, 45, 0, ALL_FLAGS & ~int(Init.MAX_PAGES)),
    ],
)
def test_unusable_kernels_are_refused(init: InitIn) -> None:
    with pytest.raises(NegotiationError, match=r"Linux 5\.4"):
        negotiate(init, InitOptions())
