"""Requests recorded from a real kernel decode to what was asked; arbitrary bytes are refused, never crash."""

# ruff: noqa: PT017 - both outcomes are right, each with its own claim
from __future__ import annotations

import errno
import json
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.fuse import (
    Fattr,
    NameTooLongError,
    Opcode,
    Operations,
    ProtocolError,
    UnknownOpcodeError,
    requests,
)
from quorate.fuse.abi import HEADER_SIZE, IN_HEADER, NAME_MAX
from quorate.fuse.requests import Request, decode

RECORDED: dict[str, list[bytes]] = {
    name: [bytes.fromhex(one) for one in many]
    for name, many in json.loads((Path(__file__).parent / "recorded_requests.json").read_text())[
        "requests"
    ].items()
}


def build(opcode: int, body: bytes, *, unique: int = 2, nodeid: int = 1, extension: bytes = b"") -> bytes:
    size = HEADER_SIZE + len(body) + len(extension)
    return IN_HEADER.pack(size, opcode, unique, nodeid, 0, 0, 1, len(extension) // 8, 0) + body + extension


def first(name: str) -> Request:
    raw = RECORDED[name][0]
    return decode(raw, len(raw))


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_every_recorded_request_decodes(name: str) -> None:
    for raw in RECORDED[name]:
        request = decode(memoryview(bytearray(raw) + b"rubbish after it"), len(raw))
        assert Opcode(request.opcode).name == name
        assert request.uid == 0


def test_recorded_names() -> None:
    assert first("LOOKUP").body == requests.LookupIn(b"missing")
    assert first("MKDIR").body == requests.MkdirIn(0o755, 0o022, b"directory")  # masked already
    assert first("RMDIR").body == requests.UnlinkIn(b"directory")
    assert first("SYMLINK").body == requests.SymlinkIn(b"new-link", b"target")
    create = first("CREATE").body
    assert isinstance(create, requests.CreateIn)
    assert create.name == b"file"
    renames = [decode(raw, len(raw)).body for raw in RECORDED["RENAME"]]
    assert [body[2:] for body in renames if isinstance(body, requests.RenameIn)] == [(b"file", b"renamed")]


def test_recorded_renames_with_flags() -> None:
    bodies = [decode(raw, len(raw)).body for raw in RECORDED["RENAME2"]]
    assert [body[1:] for body in bodies] == [(1, b"file", b"exchange"), (2, b"file", b"other")]


def test_recorded_write() -> None:
    bodies = [decode(raw, len(raw)).body for raw in RECORDED["WRITE"]]
    assert (0, b"some content") in [(b.offset, b.data) for b in bodies if isinstance(b, requests.WriteIn)]
    assert (7, b"more") in [(b.offset, b.data) for b in bodies if isinstance(b, requests.WriteIn)]


def test_recorded_setattr() -> None:
    bodies = [decode(raw, len(raw)).body for raw in RECORDED["SETATTR"]]
    sizes = [b.size for b in bodies if isinstance(b, requests.SetattrIn) and b.valid & Fattr.SIZE]
    modes = [b.mode & 0o7777 for b in bodies if isinstance(b, requests.SetattrIn) and b.valid & Fattr.MODE]
    assert sizes == [3]
    assert modes == [0o640]


def test_recorded_setxattr_and_interrupt() -> None:
    assert first("SETXATTR").body == requests.SetxattrIn(0, b"user.name", b"value")
    interrupt = first("INTERRUPT")
    assert interrupt.body == requests.InterruptIn(interrupt.unique & ~1)


def test_times_before_1970_are_negative() -> None:
    body = struct.pack("=IIQQQqqqIIIIIIII", Fattr.MTIME, 0, 0, 0, 0, -5, -6, -7, 0, 0, 0, 0, 0, 0, 0, 0)
    got = decode(build(Opcode.SETATTR, body), HEADER_SIZE + len(body)).body
    assert isinstance(got, requests.SetattrIn)
    assert (got.atime, got.mtime, got.ctime) == (-5, -6, -7)


def test_nanoseconds_beyond_a_second_are_refused() -> None:
    body = struct.pack("=IIQQQqqqIIIIIIII", Fattr.MTIME, 0, 0, 0, 0, 0, 0, 0, 0, 10**9, 0, 0, 0, 0, 0, 0)
    raw = build(Opcode.SETATTR, body)
    with pytest.raises(ProtocolError) as caught:
        decode(raw, len(raw))
    assert caught.value.errno == errno.EINVAL


def test_extensions_after_the_body_are_skipped() -> None:
    raw = build(Opcode.LOOKUP, b"abc\0", extension=bytes(16))
    assert decode(raw, len(raw)).body == requests.LookupIn(b"abc")


def test_batch_forget() -> None:
    raw = build(Opcode.BATCH_FORGET, struct.pack("=IIQQQQ", 2, 0, 5, 1, 6, 3))
    assert decode(raw, len(raw)).body == requests.BatchForgetIn(((5, 1), (6, 3)))


def test_unknown_operation_is_answered_not_implemented() -> None:
    raw = build(4711, b"", unique=8)
    with pytest.raises(UnknownOpcodeError) as caught:
        decode(raw, len(raw))
    assert (caught.value.unique, caught.value.errno) == (8, errno.ENOSYS)


@pytest.mark.parametrize(
    ("opcode", "body"),
    [
        (Opcode.LOOKUP, b"a" * (NAME_MAX + 1) + b"\0"),
        (Opcode.MKDIR, bytes(8) + b"a" * (NAME_MAX + 1) + b"\0"),
        (Opcode.RENAME, bytes(8) + b"a\0" + b"b" * (NAME_MAX + 1) + b"\0"),
    ],
)
def test_long_names_are_refused_as_such(opcode: int, body: bytes) -> None:
    raw = build(opcode, body)
    with pytest.raises(NameTooLongError) as caught:
        decode(raw, len(raw))
    assert caught.value.errno == errno.ENAMETOOLONG
    assert caught.value.unique == 2


def test_longest_name_passes() -> None:
    raw = build(Opcode.LOOKUP, b"a" * NAME_MAX + b"\0")
    assert decode(raw, len(raw)).body == requests.LookupIn(b"a" * NAME_MAX)


@pytest.mark.parametrize(
    ("opcode", "body"),
    [
        (Opcode.LOOKUP, b""),
        (Opcode.LOOKUP, b"\0"),
        (Opcode.LOOKUP, b"name"),
        (Opcode.LOOKUP, b"na\0me\0"),
        (Opcode.LOOKUP, b"na/me\0"),
        (Opcode.MKDIR, bytes(8)),
        (Opcode.MKDIR, bytes(7)),
        (Opcode.RENAME, bytes(8) + b"one\0"),
        (Opcode.RENAME, bytes(8) + b"one\0two\0three\0"),
        (Opcode.RENAME2, bytes(16) + b"one\0two"),
        (Opcode.SYMLINK, b"name\0\0"),
        (Opcode.OPEN, bytes(7)),
        (Opcode.READ, bytes(39)),
        (Opcode.WRITE, struct.pack("=QQIIQII", 1, 0, 5, 0, 0, 0, 0) + b"four"),
        (Opcode.WRITE, struct.pack("=QQIIQII", 1, 0, 3, 0, 0, 0, 0) + b"four"),
        (Opcode.WRITE, struct.pack("=QQIIQII", 1, 2**63 - 2, 4, 0, 0, 0, 0) + b"four"),
        (Opcode.BATCH_FORGET, struct.pack("=IIQQ", 2, 0, 5, 1)),
        (Opcode.SETXATTR, struct.pack("=II", 2**32 - 1, 0) + b"name\0value"),
        (Opcode.SETATTR, bytes(87)),
        (Opcode.INIT, bytes(15)),
    ],
)
def test_malformed_bodies_are_refused(opcode: int, body: bytes) -> None:
    raw = build(opcode, body)
    with pytest.raises(ProtocolError) as caught:
        decode(raw, len(raw))
    assert caught.value.unique == 2
    assert caught.value.errno > 0


def test_wrong_lengths_are_refused() -> None:
    raw = build(Opcode.STATFS, b"")
    for length in (0, HEADER_SIZE - 1):
        with pytest.raises(ProtocolError) as caught:
            decode(raw, length)
        assert caught.value.unique == 0
    with pytest.raises(ProtocolError):
        decode(raw + b"x", len(raw) + 1)
    too_many_words = IN_HEADER.pack(HEADER_SIZE, Opcode.STATFS, 2, 1, 0, 0, 0, 1, 0)
    with pytest.raises(ProtocolError):
        decode(too_many_words, HEADER_SIZE)


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_are_refused(raw: bytes) -> None:
    try:
        request = decode(raw, len(raw))
    except ProtocolError as fault:
        assert 0 < fault.errno < 512
    else:
        assert isinstance(request, Request)


@settings(max_examples=400)
@given(opcode=st.sampled_from(Opcode), body=st.binary(max_size=200))
def test_any_body_of_any_operation_decodes_or_is_refused(opcode: Opcode, body: bytes) -> None:
    raw = build(opcode, body)
    try:
        request = decode(memoryview(raw), len(raw))
    except ProtocolError as fault:
        assert fault.unique == 2
    else:
        assert request.opcode == opcode
        for field in request.body:
            # A view into the session's buffer would change under the holder.
            assert isinstance(field, int | bytes | tuple)


@settings(max_examples=300)
@given(data=st.data())
def test_damaged_recorded_requests_decode_or_are_refused(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(RECORDED)))
    raw = bytearray(data.draw(st.sampled_from(RECORDED[name])))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    length = data.draw(st.integers(0, len(raw)))
    try:
        assert isinstance(decode(raw, length), Request)
    except ProtocolError as fault:
        assert 0 < fault.errno < 512


def test_every_operation_has_a_handler() -> None:
    served = Operations().table()
    assert set(Opcode) - set(served) == {Opcode.INIT, Opcode.INTERRUPT}


@pytest.mark.parametrize("name", sorted(set(RECORDED) - {"INIT", "INTERRUPT"}))
def test_defaults_refuse_everything_recorded(name: str) -> None:
    """A file system that serves nothing still answers: an errno, or nothing where no answer is waited for."""
    request = first(name)
    reply = Operations().table()[request.opcode](request, request.body)
    if name in ("FORGET", "BATCH_FORGET"):
        assert reply is None
    elif name == "RELEASE":
        assert reply == b""
    else:
        assert isinstance(reply, int)
        assert reply > 0


def test_refusals_that_callers_see() -> None:
    expected = {
        "SYMLINK": errno.ENOSYS,
        "LINK": errno.ENOSYS,
        "MKNOD": errno.ENOSYS,
        "FALLOCATE": errno.EOPNOTSUPP,
        "RENAME2": errno.EINVAL,
        "IOCTL": errno.ENOTTY,
    }
    table = Operations().table()
    for name, code in expected.items():
        request = first(name)
        assert table[request.opcode](request, request.body) == code
