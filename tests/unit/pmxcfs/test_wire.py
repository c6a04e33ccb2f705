"""Message layouts: the original's bytes, round trips, and arbitrary bytes (core 4, 5, 7, 10.5)."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quorate.pmxcfs import wire
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.wire import FsMessage, FsOp, MessageType, Unlock, Update, WireError

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "memdb-vectors.json").read_text(),
)
WIRE = VECTORS["wire"]
MESSAGES = [bytes.fromhex(text) for op in WIRE["single_node"]["ops"] for text in op["messages"]]
MESSAGES += [
    bytes.fromhex(message["hex"])
    for scenario in WIRE.values()
    if isinstance(scenario, dict)
    for message in scenario.get("messages", [])
]

U32 = st.integers(0, 0xFFFFFFFF)
U64 = st.integers(0, (1 << 64) - 1)
NAME = st.binary(max_size=20).map(lambda raw: raw.replace(b"\0", b"_"))
DATA = st.binary(max_size=50)
FS_MESSAGES = st.builds(
    FsMessage,
    st.sampled_from([op for op in FsOp if op < FsOp.UNLOCK_REQUEST]),
    st.none() | NAME,
    st.none() | NAME,
    DATA,
    U32,
    st.booleans(),
)
UPDATES = st.builds(Update, U64, U64, U64, U32, U32, st.sampled_from([4, 8]), NAME, DATA)


def test_there_are_messages_of_every_type() -> None:
    types = {wire.Header.unpack(message).type for message in MESSAGES}
    assert types == set(MessageType)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message[:4].hex())
def test_original_messages_survive_unpack_and_pack(message: bytes) -> None:
    header = wire.Header.unpack(message)
    assert header.protocol_version == wire.DCDB_PROTOCOL
    if header.type == MessageType.NORMAL:
        normal = wire.NormalHeader.unpack(message)
        payload = message[wire.NORMAL_HEADER_SIZE :]
        body: FsMessage | Unlock
        if normal.subtype >= FsOp.UNLOCK_REQUEST:
            body = Unlock.unpack(normal.subtype, payload)
        else:
            body = FsMessage.unpack(normal.subtype, payload)
        assert normal.pack() + body.pack() == message
        return
    state = wire.StateHeader.unpack(message)
    payload = message[wire.STATE_HEADER_SIZE :]
    if state.type == MessageType.STATE:
        index = wire.Index.unpack(payload)
        records = [wire.index_record(inode, digest) for inode, digest in index.digests.items()]
        packed = wire.pack_index(index.version, index.last_inode, index.writer, index.mtime, records)
    elif state.type == MessageType.UPDATE:
        packed = Update.unpack(payload).pack()
    elif state.type == MessageType.VERIFY_REQUEST:
        packed = wire.VerifyRequest.unpack(payload).pack()
    elif state.type == MessageType.VERIFY:
        packed = wire.Verify.unpack(payload).pack()
    else:
        packed = b""
    assert state.pack() + packed == message


def test_applying_the_original_messages_gives_the_original_state() -> None:
    """One node alone: every message applied as on delivery (core 7.4, 7.5)."""
    scenario = WIRE["single_node"]
    tree = Tree.new(1700000000)
    for op in scenario["ops"]:
        for text in op["messages"]:
            message = bytes.fromhex(text)
            if wire.Header.unpack(message).type != MessageType.NORMAL:
                continue
            header = wire.NormalHeader.unpack(message)
            payload = message[wire.NORMAL_HEADER_SIZE :]
            if header.subtype < FsOp.UNLOCK_REQUEST:
                result = tree.apply(FsMessage.unpack(header.subtype, payload), 1, header.time, header.time)
                assert result == op["result"], op
                continue
            unlock = Unlock.unpack(header.subtype, payload)
            entry = tree.lock_at(unlock.path, unlock.checksum)
            assert entry is not None
            if unlock.op is FsOp.UNLOCK:
                assert tree.delete(unlock.path, 1, header.time, header.time) == 0
            else:
                answered = len(op["messages"]) == 2
                assert tree.lock_expired(unlock.path, entry, header.time) is answered
        assert tree.root.version == op["root_version_after"], op
    assert tree.index().hex() == scenario["index_hex"]
    assert tree.full_checksum().hex() == scenario["full_checksum"]


@pytest.mark.parametrize("case", VECTORS["leader_selection"], ids=lambda case: case["note"])
def test_leader_selection(case: dict[str, Any]) -> None:
    states = {}
    for number, state in enumerate(case["states"]):
        record = wire.index_record(0, bytes(32))
        packed = wire.pack_index(state["version"], 0, 0, state["mtime"], [record])
        states[(number + 1, 1000)] = packed
    backwards = dict(reversed(states.items()))
    leader, synced = wire.choose_leader(backwards)
    assert leader == (case["leader_index"] + 1, 1000)
    assert synced == {member for member, state in states.items() if state == states[leader]}


def test_only_differing_entries_are_transferred() -> None:
    def index(**digests: int) -> wire.Index:
        return wire.Index(1, 9, 0, 0, {int(key[1:]): bytes([value]) * 32 for key, value in digests.items()})

    leader = index(i0=1, i2=1, i3=1, i5=1)
    assert wire.differing(leader, []) == []
    assert wire.differing(leader, [leader]) == []
    assert wire.differing(leader, [index(i0=1, i2=2, i3=1, i5=1), index(i0=1, i2=1, i5=1, i7=1)]) == [2, 3]


@given(FS_MESSAGES)
def test_file_messages_round_trip(message: FsMessage) -> None:
    packed = message.pack()
    assert FsMessage.unpack(message.op, packed) == message
    assert b"".join(message.parts()) == packed
    if message.data:
        assert message.parts()[-1] is message.data


@given(UPDATES)
def test_updates_round_trip(update: Update) -> None:
    assert Update.unpack(update.pack()) == update


@given(st.sampled_from([FsOp.UNLOCK_REQUEST, FsOp.UNLOCK]), st.binary(min_size=32, max_size=32), NAME)
def test_unlock_round_trips(op: FsOp, checksum: bytes, path: bytes) -> None:
    unlock = Unlock(op, checksum, path)
    assert Unlock.unpack(op, unlock.pack()) == unlock


@given(st.binary(max_size=200))
@example(struct.pack("<IIIII", 0xFFFFFFFF, 0, 0xFFFFFFFF, 2, 0) + b"x\0")
@example(struct.pack("<QQQIIIIB", 0, 1, 1, 0, 0, 0, 0, 8) + b"xx")
def test_arbitrary_bytes_are_a_message_or_a_wire_error(raw: bytes) -> None:
    parse_as_everything(raw)


@given(st.sampled_from(MESSAGES), st.data())
def test_damaged_messages_are_a_message_or_a_wire_error(message: bytes, data: st.DataObject) -> None:
    damaged = bytearray(message)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(damaged) - 1))
        damaged[position] = data.draw(st.integers(0, 255))
    raw = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    for cut in (0, wire.NORMAL_HEADER_SIZE, wire.STATE_HEADER_SIZE):
        parse_as_everything(raw[cut:])


def parse_as_everything(raw: bytes) -> None:
    """Anything but a message or a WireError with a text fails the test."""
    parsers: list[Callable[[bytes], object]] = [
        wire.Header.unpack,
        wire.NormalHeader.unpack,
        wire.StateHeader.unpack,
        Update.unpack,
        wire.Index.unpack,
        wire.Verify.unpack,
        wire.VerifyRequest.unpack,
    ]
    for number in range(10):
        parsers += [partial(FsMessage.unpack, number), partial(Unlock.unpack, number)]
    for parse in parsers:
        try:
            parsed = parse(raw)
        except WireError as error:
            assert str(error)  # noqa: PT017 (a message is as good)
        else:
            assert isinstance(parsed, tuple)


INDEX = wire.pack_index(7, 5, 1, 2, [wire.index_record(inode, bytes(32)) for inode in (0, 3, 5)])


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (b"", "at least"),
        (INDEX[:-1], "field bytes"),
        (INDEX + b"x", "field bytes"),
        (INDEX[:24] + struct.pack("<I", 2) + INDEX[28:], "field size"),
        (INDEX[:8] + struct.pack("<Q", 6) + INDEX[16:], "last_inode"),
        (INDEX[:72] + INDEX[112:] + INDEX[72:112], "ascend"),
        (INDEX[:112] + INDEX[72:112], "ascend"),
        (INDEX[:32] + struct.pack("<Q", 1) + INDEX[40:], "root"),
        (wire.pack_index(1, 0, 0, 0, []), "root"),
    ],
)
def test_bad_indexes_are_refused(state: bytes, reason: str) -> None:
    wire.Index.unpack(INDEX)
    with pytest.raises(WireError, match=reason):
        wire.Index.unpack(state)


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        (struct.pack("<QQQIIIIB", 0, 9, 1, 0, 0, 0, 2, 4) + b"a", "make"),
        (struct.pack("<QQQIIIIB", 0, 9, 1, 0, 0, 0, 2, 4) + b"ab", "NUL"),
        (struct.pack("<QQQIIIIB", 0, 9, 1, 0, 0, 0, 0, 4) + b"\0", "namelen"),
        (struct.pack("<QQQIIIIB", 0, 9, 1, 0, 0, 0, 4, 4) + b"a\0b\0", "NUL inside"),
        (struct.pack("<QQQIIIIB", 0, 9, 1, 0, 0, 0, 2, 5) + b"a\0", "type"),
        (b"\0" * 41, "at least"),
    ],
)
def test_bad_updates_are_refused(update: bytes, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        Update.unpack(update)


def test_names_with_nul_are_not_sent() -> None:
    with pytest.raises(WireError, match="path"):
        FsMessage(FsOp.MKDIR, b"a\0b").pack()


def test_offsets_above_32_bits_are_not_sent() -> None:
    with pytest.raises(WireError, match="offset"):
        FsMessage(FsOp.WRITE, b"a", offset=1 << 32).pack()


def test_a_path_ends_at_its_first_nul() -> None:
    payload = struct.pack("<IIIII", 0, 0, 4, 0, 0) + b"a\0b\0"
    assert FsMessage.unpack(FsOp.MKDIR, payload).path == b"a"
