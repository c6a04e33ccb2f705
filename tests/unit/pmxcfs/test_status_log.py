"""The cluster log: digest, filter, entries, ring, merge, against the recorded vectors (status 2)."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.pmxcfs.clusterlog import ClusterLog
from quorate.pmxcfs.logentry import MAX_ENTRY, EntryError, compare, digest, pack, parse, to_ascii
from quorate.pmxcfs.logring import MIN_RING_SIZE, RING_SIZE, Ring, merge

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "status-ipc-vectors.json").read_text()
)


def sha256(data: bytes | bytearray) -> str:
    return hashlib.sha256(data).hexdigest()


def steps(ring: Ring) -> list[list[int]]:
    return [[v.position, v.prev, v.next, v.entry.uid, v.entry.time] for v in ring.walk()]


def text_of(ring: Ring, **options: Any) -> bytes:
    log = ClusterLog()
    log.ring = ring
    return log.json(**{"maximum": 10**9, **options})


@pytest.mark.parametrize("vector", VECTORS["fnv1a64"], ids=lambda vector: vector["text"][:20])
def test_digest(vector: dict[str, str]) -> None:
    assert f"{digest(vector['text'].encode() + bytes(1)):016x}" == vector["digest"]


@pytest.mark.parametrize("vector", VECTORS["utf8_to_ascii"])
def test_filter(vector: dict[str, Any]) -> None:
    out = to_ascii(bytes.fromhex(vector["in_hex"]), vector["bufsize"], escape_quotes=vector["escape_quote"])
    assert out == vector["out"].encode()


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode), st.integers(11, 60), st.booleans())
def test_filtered_text_is_printable_and_fits(data: bytes, size: int, quotes: bool) -> None:
    out = to_ascii(data, size, escape_quotes=quotes)
    assert len(out) < size
    assert all(0x20 <= byte <= 0x7E for byte in out)
    assert out.startswith(to_ascii(data, size, escape_quotes=quotes, limit=8))


def packed(vector: dict[str, Any]) -> bytes:
    if "msg_hex" in vector:
        message = bytes.fromhex(vector["msg_hex"])
    else:
        repeat = vector["msg_repeat"]
        message = bytes.fromhex(repeat["prefix_hex"]) + bytes.fromhex(repeat["unit_hex"]) * repeat["count"]
    return pack(
        uid=vector["uid"],
        time=vector["time"],
        pid=vector["pid"],
        priority=vector["priority"],
        node=vector["node"].encode(),
        ident=vector["ident"].encode(),
        tag=vector["tag"].encode(),
        message=message,
    )


@pytest.mark.parametrize("vector", VECTORS["clog_pack"], ids=lambda vector: vector["name"])
def test_packing(vector: dict[str, Any]) -> None:
    entry = packed(vector)
    assert parse(entry).uid == vector["uid"]
    if vector["accepted_by_receivers"]:
        assert entry.hex() == vector["entry_hex"]
        assert f"{parse(entry).ident_digest:016x}" == vector["ident_digest"]
    else:  # the original cuts off the NUL and everybody refuses its broadcast; ours is shorter
        with pytest.raises(EntryError):
            parse(bytes.fromhex(vector["entry_hex"]))
        assert len(entry) <= MAX_ENTRY
        assert parse(entry).message.endswith(b"\\u00e9")


@given(
    st.text(max_size=300).map(str.encode) | st.binary(max_size=300),
    st.text(max_size=300).map(str.encode),
    st.integers(0, 6000),
    st.sampled_from([b"m", b'"', "é".encode(), b"\n", b"\xff"]),
)
def test_what_is_packed_is_accepted(ident: bytes, tag: bytes, count: int, unit: bytes) -> None:
    entry = pack(uid=1, time=2, pid=3, priority=4, node=b"n1", ident=ident, tag=tag, message=unit * count)
    read = parse(entry)
    assert len(entry) == read.size <= MAX_ENTRY
    assert (read.uid, read.time, read.pid, read.priority, read.node) == (1, 2, 3, 4, b"n1")
    assert not read.message.endswith(b"\\") or read.message.endswith(b"\\\\")


@given(st.binary(max_size=200))
def test_any_bytes_are_an_entry_or_the_typed_error(data: bytes) -> None:
    try:
        entry = parse(data)
    except EntryError:
        return
    assert entry.size == len(data)


@given(st.data())
def test_a_damaged_entry_is_refused_or_still_an_entry(data: st.DataObject) -> None:
    entry = bytearray(
        pack(uid=1, time=2, pid=3, priority=4, node=b"n1", ident=b"root", tag=b"t", message=b"m")
    )
    for _ in range(data.draw(st.integers(1, 4))):
        entry[data.draw(st.integers(0, len(entry) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = parse(bytes(entry))
    except EntryError:
        return
    assert read.size == len(entry)


def test_duplicates_are_dropped() -> None:
    log = ClusterLog()
    for step in VECTORS["clog_dedup"]:
        entry = pack(
            uid=step["uid"],
            time=step["time"],
            pid=1,
            priority=6,
            node=step["node"].encode(),
            ident=b"root",
            tag=b"t",
            message=b"m",
        )
        assert log.insert(entry) is bool(step["accepted"])
    assert len(steps(log.ring)) == sum(step["accepted"] for step in VECTORS["clog_dedup"])


def test_basic_ring() -> None:
    vector = VECTORS["clog_ring"]["basic"]
    ring = Ring(vector["ring_size"])
    assert text_of(ring) == vector["json_of_empty_ring"].encode()
    assert ring.sort() is ring
    for entry in vector["insert_entries_hex"]:
        ring.insert(bytes.fromhex(entry))
    assert ring.newest == vector["cpos"]
    prefix = bytes.fromhex(vector["used_prefix_hex"])
    assert ring.data[: len(prefix)] == prefix
    assert sha256(ring.data) == vector["sha256_whole_ring"]
    assert steps(ring) == vector["walk"]
    assert text_of(ring) == vector["json_all"].encode()
    assert text_of(ring, user=b"root@pam", maximum=50) == vector["json_user_root@pam_max50"].encode()
    assert text_of(ring, maximum=2) == vector["json_all_max2"].encode()
    assert text_of(ring, user=b"nobody") == vector["json_user_nobody"].encode()


WRAP = VECTORS["clog_ring"]["wrap"]


def recipe(count: int, first_uid: int) -> Ring:
    ring = Ring(WRAP["ring_size"])
    for k in range(count):
        ring.insert(
            pack(
                uid=first_uid + k,
                time=1700001000 + k,
                pid=k,
                priority=6,
                node=b"n1",
                ident=b"root",
                tag=b"t",
                message=bytes([97 + k % 26]) * (37 * k % 97),
            )
        )
    return ring


@pytest.mark.parametrize("case", WRAP["cases"], ids=lambda case: str(case["count"]))
def test_wrapped_ring(case: dict[str, Any]) -> None:
    ring = recipe(case["count"], case["first_uid"])
    walk = steps(ring)
    assert (ring.newest, len(walk), walk[0], walk[-1]) == (
        case["cpos"],
        case["walk_length"],
        case["walk_first"],
        case["walk_last"],
    )
    assert sha256(ring.data) == case["sha256_whole_ring"]
    text = text_of(ring)
    assert len(json.loads(text)["data"]) == case["json_entries"]
    assert sha256(text) == case["json_sha256"]
    in_order = ring.sort()
    assert (in_order.newest, len(steps(in_order))) == (case["sorted_cpos"], case["sorted_walk_length"])
    assert sha256(in_order.data) == case["sorted_sha256_whole_ring"]


MERGE = VECTORS["clog_merge"]


def logs_of_three_nodes() -> list[ClusterLog]:
    logs = []
    for inserts in MERGE["inserts_per_node"]:
        log = ClusterLog()
        for insert in inserts:
            assert log.insert(bytes.fromhex(insert["entry_hex"])) is insert["accepted"]
        logs.append(log)
    return logs


def test_states_are_sorted() -> None:
    for log, expected in zip(logs_of_three_nodes(), MERGE["sorted_states"], strict=True):
        state = log.state()
        assert len(state) == MERGE["state_len"] == RING_SIZE
        assert (log.ring.newest, sha256(state)) == (expected["cpos"], expected["sha256"])
        assert steps(log.ring) == expected["walk"]


@pytest.mark.parametrize(
    ("name", "node", "present"),
    [
        ("merge_on_node0_of_all_three", 0, (0, 1, 2)),
        ("merge_on_node1_with_node2_state_missing", 1, (0, 1)),
    ],
)
def test_merge(name: str, node: int, present: tuple[int, ...]) -> None:
    logs = logs_of_three_nodes()
    states = [Ring.received(log.state()) for log in logs]
    rings = [states[index] for index in present]
    rings[present.index(node)] = logs[node].ring
    logs[node].merge([ring for ring in rings if ring is not None])
    ring, expected = logs[node].ring, MERGE[name]
    assert steps(ring) == expected["walk"]
    assert (ring.newest, sha256(ring.data)) == (expected["cpos"], expected["sha256_whole_ring"])
    assert text_of(ring) == expected["json"].encode()


def test_after_a_merge_old_entries_are_known() -> None:
    one, two, three = logs_of_three_nodes()
    one.merge([one.ring, two.ring, three.ring])
    for inserts in MERGE["inserts_per_node"]:
        for insert in inserts:
            assert not one.insert(bytes.fromhex(insert["entry_hex"]))


def test_every_order_of_merging_gives_the_same_entries() -> None:
    logs = logs_of_three_nodes()
    texts = set()
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        ring, _ = merge([logs[index].ring for index in order])
        texts.add(text_of(ring))
    assert len(texts) == 1


def test_a_merge_of_full_rings_stays_within_the_ring() -> None:
    logs = []
    for node in range(3):
        log = ClusterLog()
        for k in range(2000):
            log.new(
                node=b"n%d" % node,
                ident=b"root",
                tag=b"t",
                pid=k,
                priority=6,
                time=1700000000 + k,
                message=b"m" * (k % 200),
            )
        logs.append(log)
    ring, taken = merge([log.ring for log in logs])
    walk = list(ring.walk())
    assert len(walk) == len(taken) > 700
    assert all(compare(newer.entry, older.entry) > 0 for newer, older in itertools.pairwise(walk))
    assert {visit.entry.node for visit in walk} == {b"n0", b"n1", b"n2"}


@pytest.mark.parametrize("state", [b"", bytes(8), bytes(RING_SIZE), b"\x09" + bytes(7)])
def test_states_that_lie_about_their_size_count_as_missing(state: bytes) -> None:
    assert Ring.received(state) is None


def test_damaged_rings_of_others_end_somewhere() -> None:
    """G6: whatever a peer sends as a state, reading it ends, and what is read is well formed."""
    chance = random.Random(7)
    good = recipe(400, 1)
    for _ in range(60):
        state = bytearray(good.data)
        for _ in range(chance.randrange(1, 200)):
            if chance.random() < 0.7:
                state[chance.randrange(4, 8)] = chance.randrange(256)
            state[chance.randrange(8, len(state))] = chance.randrange(256)
        ring = Ring.received(bytes(state))
        assert ring is not None
        merged, taken = merge([ring, good])
        assert len(steps(merged)) <= len(taken)
        assert json.loads(text_of(good))
    loop = bytearray(MIN_RING_SIZE)
    loop[0:4] = len(loop).to_bytes(4, "little")
    loop[4:8] = (8).to_bytes(4, "little")
    entry = pack(uid=1, time=2, pid=3, priority=4, node=b"n1", ident=b"root", tag=b"t", message=b"m")
    loop[8 : 8 + len(entry)] = entry
    loop[8:16] = (8).to_bytes(4, "little") + (8 + -(-len(entry) // 8) * 8).to_bytes(4, "little")
    ring = Ring.received(bytes(loop))
    assert ring is not None
    assert len(merge([ring, good])[1]) > 1


def test_priorities_above_7_are_not_logged() -> None:
    log = ClusterLog()
    fields: dict[str, Any] = {"node": b"n1", "ident": b"", "tag": b"", "pid": 1, "time": 5, "message": b"x"}
    assert log.new(priority=8, **fields) is None
    assert log.new(priority=7, **fields) is not None
    assert [visit.entry.uid for visit in log.ring.walk()] == [1]


def test_an_entry_that_the_clock_makes_old_is_broadcast_all_the_same() -> None:
    log = ClusterLog()
    fields: dict[str, Any] = {
        "node": b"n1",
        "ident": b"",
        "tag": b"",
        "pid": 1,
        "priority": 6,
        "message": b"x",
    }
    assert log.new(time=100, **fields) is not None
    assert log.new(time=99, **fields) is not None
    assert [visit.entry.time for visit in log.ring.walk()] == [100]


def test_times_wrap_around() -> None:
    before, after = (
        parse(pack(uid=1, time=time, pid=1, priority=1, node=b"n", ident=b"", tag=b"", message=b""))
        for time in (0xFFFFFFF0, 5)
    )
    assert compare(before, after) < 0
    assert compare(after, before) > 0
