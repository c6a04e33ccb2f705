"""The generated texts and the rules of keys, against recorded contents and answers (status 1, 3.6, 4)."""

from __future__ import annotations

import errno
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from quorate.corosync.address import Address
from quorate.pmxcfs import kvstore
from quorate.pmxcfs.clinfo import ClusterInfo, Node
from quorate.pmxcfs.effects import Clock
from quorate.pmxcfs.status import MessageType, Status
from quorate.pmxcfs.tree import Tree

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "status-ipc-vectors.json").read_text()
)
CLOCK = Clock(1700000000, 0.0)


class Host:
    """A status with a clock that the test moves."""

    def __init__(self, name: str = "n1", *, cluster: bool = True, started: int = 1700000000) -> None:
        self.now = started
        self.quorate = True
        self.tree = Tree.new(started)
        self.status = Status(
            name,
            ip=f"10.77.0.{name.lstrip('n')}",
            pid=23972,
            cluster=cluster,
            tree=lambda: self.tree,
            quorate=lambda: self.quorate,
            now=lambda: self.now,
        )


def lab(*names: str, version: int = 3) -> ClusterInfo:
    return ClusterInfo("lab", version, {i: Node(i, name, 1) for i, name in enumerate(names, 1)})


def update(key: bytes, value: bytes) -> bytes:
    return b"".join(kvstore.Update(key, value).parts())


def hear(status: Status, nodeid: int, payload: bytes, subtype: int = MessageType.UPDATE) -> list[str]:
    """Deliver a message of another node; what was logged."""
    delivery = status.deliver(Address(nodeid, 99), subtype, 0, payload, CLOCK, own=False, lowest=False)
    assert delivery.result == 0
    return [effect.text for effect in delivery.effects]  # type: ignore[union-attr]


def test_local_mode_texts() -> None:
    host = Host("n3", cluster=False, started=1795353396)
    expected = VECTORS["virtual_files"]["local_mode"]
    status = host.status
    assert status.members() == expected[".members"].encode()
    assert status.rrd() == expected[".rrd"].encode()
    assert status.clusterlog() == expected[".clusterlog"].encode()
    assert status.vmlist() == expected[".vmlist (no guests, no nodes directory)"].encode()


def test_members_of_a_cluster() -> None:
    host = Host("n1")
    status = host.status
    status.set_cluster_info(lab("n1", "n2", "n3"))
    status.members_changed([Address(1, 5)], CLOCK)
    status.synced(CLOCK)
    status.members_changed([Address(1, 5), Address(2, 6)], CLOCK)
    assert hear(status, 2, update(b"nodeip", b"10.77.0.2\0")) == []
    assert status.members() == VECTORS["virtual_files"]["cluster_mode"][".members"].encode()
    host.quorate = False
    status.members_changed([Address(1, 5)], CLOCK)
    members = json.loads(status.members())
    assert members["cluster"]["quorate"] == 0
    assert {name: node["online"] for name, node in members["nodelist"].items()} == {"n1": 1, "n2": 0, "n3": 0}
    assert members["nodelist"]["n2"]["ip"] == "10.77.0.2"


def test_the_clinfo_version_counts_what_changed() -> None:
    status = Host("n1").status
    counts = [status.clinfo_version]

    def note() -> None:
        counts.append(status.clinfo_version)

    status.members_changed([Address(1, 5)], CLOCK)  # no cluster info yet
    note()
    status.set_cluster_info(lab("n1", "n2"))
    note()
    status.members_changed([Address(1, 5), Address(2, 6)], CLOCK)
    note()
    hear(status, 2, update(b"nodeip", b"10.77.0.2\0"))
    note()
    hear(status, 2, update(b"nodeip", b"10.77.0.2\0"))  # the same text
    note()
    hear(status, 2, update(b"kv/x", b"1\0"))  # an ordinary key
    note()
    assert counts == [0, 0, 1, 2, 3, 3, 3]


def test_members_before_the_cluster_info() -> None:
    assert Host("n3").status.members() == b'{\n"nodename": "n3",\n"version": 0\n}\n'


def test_version_text() -> None:
    host = Host("n1", started=1795353692)
    status = host.status
    status.set_cluster_info(lab("n1", "n2", "n3"))
    for _ in range(2):
        status.set_value(b"kv/ceph-versions", b"19\0")
    status.set_value(b"tasklist", b"[]\0")
    hear(status, 2, update(b"kv/on-n2", b"a\0"))
    hear(status, 2, update(b"kv/on-n2", b"b\0"))
    hear(status, 3, update(b"nodeip", b"10.77.0.3\0"))
    text = status.version()
    lines = text.decode().split("\n")
    assert lines[:4] == ["{", '"starttime": 1795353692,', '"clinfo": 2,', '"vmlist": 0,']
    assert [line.split('"')[1] for line in lines[4:47]] == [path.decode() for path in host.tree.versions]
    assert "\n".join(lines[47:]) == (
        '"kvstore": {\n"n1": {\n"kv/ceph-versions": 1,\n"tasklist": 0}\n,\n"n2": {\n"kv/on-n2": 1}\n}\n}\n'
    )
    hear(status, 2, update(b"kv/on-n2", b""))
    status.set_value(b"tasklist", b"")
    status.set_value(b"tasklist", b"again\0")
    version = json.loads(status.version())
    assert version["kvstore"] == {"n1": {"kv/ceph-versions": 1, "tasklist": 0}, "n2": {}}


def test_version_without_keys() -> None:
    assert Host("n1").status.version().endswith(b'"kvstore": {\n"n1": {\n}\n}\n}\n')


def test_a_new_cluster_info_keeps_what_stays() -> None:
    status = Host("n1").status
    status.set_cluster_info(lab("n1", "n2", "n3"))
    hear(status, 2, update(b"k", b"2"))
    hear(status, 3, update(b"k", b"3"))
    status.members_changed([Address(i, 9) for i in (1, 2, 3)], CLOCK)
    status.set_cluster_info(lab("n1", "n2", version=4))
    assert status.get_value(b"k", "n2") == b"2"
    assert status.get_value(b"k", "n3") is None
    assert json.loads(status.members())["nodelist"]["n2"]["online"] == 1
    assert hear(status, 3, update(b"k", b"3")) == ["from node 3: ignored key b'k': the cluster info lacks it"]
    status.set_cluster_info(lab("n1", "n2", "n3", version=5))
    assert status.get_value(b"k", "n3") is None


def test_rrd_texts_expire_and_are_cached() -> None:
    host = Host()
    status = host.status
    assert status.rrd_answer() == b"\0"
    assert status.rrd_answer() == b""
    status.set_value(b"rrd/pve2-node/n1", b"1:2\0")
    assert status.rrd() == b""
    host.now += 2
    assert status.rrd_answer() == b"pve2-node/n1:1:2\n\0"
    host.now += 1
    status.set_value(b"rrd/a", b"9\0")
    assert status.rrd_answer() == b"pve2-node/n1:1:2\n"
    host.now += 297
    assert status.rrd() == b"pve2-node/n1:1:2\na:9\n"
    host.now += 2
    assert status.rrd() == b"a:9\n"
    host.now -= 3600  # a clock that goes back does not freeze the text
    status.set_value(b"rrd/b", b"1\0")
    assert b"b:1\n" in status.rrd()


# The recorded requests, as far as they are about status


def text(data: bytes) -> bytes:
    return data.split(b"\0", 1)[0]


def answer(status: Status, request: bytes) -> tuple[int, bytes] | None:
    """What section 6.4 says about an operation of the status; None: another one."""
    op, size = struct.unpack_from("<i4xi", request)
    if op == 1 and size == 16:
        return 0, status.version()
    if op == 2 and size == 16:
        return 0, status.members()
    if op == 3 and size == 16:
        return 0, status.vmlist()
    if op == 4 and size >= 272:
        return status.set_value(request[16:271], request[272:])[0], b""
    if op == 5 and size >= 528:
        value = status.get_value(text(request[16:271]), text(request[272:527]).decode())
        return (-errno.ENOENT, b"") if value is None else (0, value)
    if op == 7 and size > 19:
        priority, ident, tag = request[16:19]
        if (
            size - 19 - ident - tag < 1
            or not ident
            or not tag
            or request[18 + ident]
            or request[18 + ident + tag]
        ):
            return -errno.EINVAL, b""
        at = 19 + ident
        status.log(
            ident=text(request[19:at]),
            tag=text(request[at : at + tag]),
            pid=4711,
            priority=priority,
            message=text(request[at + tag :]),
        )
        return 0, b""
    if op == 8 and size > 32:
        return 0, status.clusterlog_answer(text(request[32:-1]), struct.unpack_from("<I", request, 16)[0])
    if op == 10 and size == 16:
        return 0, status.rrd_answer()
    return None


def fixture() -> Host:
    """The database that the recorded daemon had."""
    host = Host("n3", cluster=False)
    ipc = VECTORS["ipc"]["fixture"]
    contents = ipc["files_hex"]
    order = ipc["note"].removeprefix("files created in this order: ").split("; ")[0]
    tree = host.tree
    for name in [part.split(" ")[0] for part in order.split(", ")]:
        parts = name.split("/")
        for depth in range(1, len(parts)):
            tree.mkdir("/".join(parts[:depth]).encode(), 3, 1, 1)
        assert tree.create(name.encode(), 3, 1, 1) >= 0
        if contents[name]:
            assert tree.write(name.encode(), 3, 1, 1, bytes.fromhex(contents[name]), 0, False) >= 0
    return host


def request_of(vector: dict[str, Any]) -> bytes:
    if "request_hex" in vector:
        return bytes.fromhex(vector["request_hex"])
    repeat = vector["request_repeat"]
    middle = repeat["byte_hex"] * repeat["count"]
    return bytes.fromhex(f"{vector['request_hex_prefix']}{middle}{vector['request_hex_suffix']}")


def comparable(label: str, payload: bytes) -> Any:
    """Tables come in any order; times and pids vary."""
    if "rrd" in label:
        return sorted(payload.split(b"\n"))
    if not payload.startswith(b"{"):
        return payload
    value = json.loads(payload)
    value.pop("starttime", None)
    for line in value.get("data", []):
        del line["time"], line["pid"]
    return value


def test_recorded_requests() -> None:
    host, checked = fixture(), 0
    host.status.rrd()  # it was read through the mount less than two seconds before
    for vector in [*VECTORS["ipc"]["sequence_root"], *VECTORS["ipc"]["sequence_www_data"]]:
        if vector["error"] == -errno.EPERM:
            continue  # refused before the status is asked
        answered = answer(host.status, request_of(vector))
        if answered is None:
            continue
        label, payload = vector["label"], bytes.fromhex(vector["response_hex"])[24:]
        assert answered[0] == vector["error"], label
        assert len(answered[1]) == len(payload) or b'"time"' in payload, label
        assert comparable(label, answered[1]) == comparable(label, payload), label
        checked += 1
    assert checked >= 35


def test_recorded_rrd_dump() -> None:
    host = fixture()
    host.status.set_value(b"rrd/foo/bar", b"1:2:3\0")
    for vector in VECTORS["ipc"]["rrd_dump"]["set"]:
        assert answer(host.status, bytes.fromhex(vector["request_hex"])) == (vector["error"], b"")
    host.now += 3
    for vector in VECTORS["ipc"]["rrd_dump"]["then_3s_later"]:
        answered = answer(host.status, bytes.fromhex(vector["request_hex"]))
        assert answered is not None
        assert sorted(answered[1].split(b"\n")) == sorted(vector["payload_text"].encode().split(b"\n"))


def test_recorded_answers_in_a_cluster() -> None:
    vectors = {vector["label"]: vector for vector in VECTORS["ipc"]["cluster_mode"]}
    host = Host("n2", started=1795353767)
    status = host.status
    status.set_cluster_info(lab("n1", "n2", "n3"))
    status.members_changed([Address(1, 1), Address(2, 2)], CLOCK)
    for value in (b'{"version":"19"}\0', b'{"version":"20"}\0'):
        hear(status, 1, update(b"kv/ceph-versions", value))
    status.synced(CLOCK)
    hear(status, 1, update(b"nodeip", b"10.77.0.1\0"))
    expected = json.loads(vectors["members_cluster"]["payload_text"])
    members = json.loads(status.members())
    assert expected.pop("version") == members.pop("version") + 2  # its sync took two more changes
    assert members == expected
    version = json.loads(vectors["version_cluster"]["payload_text"])
    ours = json.loads(status.version())
    assert list(ours) == list(version)
    request = bytes.fromhex(vectors["get_status_remote"]["request_hex"])
    assert answer(status, request) == (0, vectors["get_status_remote"]["payload_text"].encode())


@pytest.mark.parametrize(
    ("key", "value", "result"),
    [
        (b"k", bytes(32768), 0),
        (b"k", bytes(32769), -errno.EFBIG),
        (b"rrd/x", b"", -errno.ENOMEM),
        (b"rrd/x", b"1", -errno.ENOMEM),
        (b"rrd/x", b"1" * 4094 + b"\0", 0),
        (b"rrd/x", b"1" * 4095 + b"\0", -errno.ENOMEM),
        (b"nodeip", b"1" * 254 + b"\0", 0),
        (b"nodeip", b"1" * 255 + b"\0", -errno.ENOMEM),
        (b"nodeip", b"", -errno.ENOMEM),
        (b"absent", b"", 0),
    ],
)
def test_local_limits_and_refused_values_are_not_sent(key: bytes, value: bytes, result: int) -> None:
    answered, message = Host().status.set_value(key, value)
    assert answered == result
    if result:
        assert message is None
    else:
        assert message is not None
        assert kvstore.Update.unpack(b"".join(message.payload)) == (key, value)


def test_the_number_of_keys_is_bounded() -> None:
    status = Host().status
    for number in range(kvstore.MAX_KEYS):
        assert status.set_value(b"k%d" % number, b"v")[0] == 0
    assert status.set_value(b"one more", b"v") == (-errno.ENOMEM, None)
    assert status.set_value(b"k0", b"again")[0] == 0


def test_the_number_of_rrd_texts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer could fill the memory otherwise (S6); what has expired makes room."""
    monkeypatch.setattr(kvstore, "MAX_RRD_KEYS", 3)
    texts = kvstore.RrdTexts()
    assert all(texts.store(b"k%d" % number, b"v\0", 100) for number in range(3))
    assert not texts.store(b"one more", b"v\0", 100)
    assert texts.store(b"k0", b"again\0", 100 + kvstore.RRD_LIFETIME + 1)
    assert texts.store(b"one more", b"v\0", 100 + kvstore.RRD_LIFETIME + 1)
    assert texts.dump(100 + kvstore.RRD_LIFETIME + 1)[0] == b"k0:again\none more:v\n"
