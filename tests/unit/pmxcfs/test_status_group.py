"""The status group: recorded messages, and several nodes over the real state machine (status 1)."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.corosync.address import Address
from quorate.pmxcfs import kvstore, status, wire
from quorate.pmxcfs.clinfo import ClusterInfo, Node
from quorate.pmxcfs.effects import Clock, Effect, LeaveGroup, Level, Log, Mode, Send
from quorate.pmxcfs.kvstore import Update, UpdateError
from quorate.pmxcfs.logentry import parse
from quorate.pmxcfs.replication import Machine
from quorate.pmxcfs.requests import MAX_HELD, MAX_IN_FLIGHT
from quorate.pmxcfs.status import MessageType, Status
from quorate.pmxcfs.tree import Tree

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "status-ipc-vectors.json").read_text()
)["kvstore"]
NAMES = {1: "n1", 2: "n2", 3: "n3"}
INFO = ClusterInfo("lab", 1, {nodeid: Node(nodeid, name, 1) for nodeid, name in NAMES.items()})


def make(nodeid: int, now: Callable[[], int] = lambda: 1795353692) -> Status:
    tree = Tree.new(1)
    return Status(
        NAMES[nodeid],
        ip=f"10.77.0.{nodeid}",
        pid=1000 + nodeid,
        cluster=True,
        tree=lambda: tree,
        quorate=lambda: True,
        now=now,
    )


def messages(kind: str) -> list[dict[str, Any]]:
    return [message for message in VECTORS["messages"] if message["kind"] == kind]


def test_the_group() -> None:
    assert VECTORS["cpg_group"].encode() + b"\0" == status.GROUP
    assert len(status.GROUP) == VECTORS["cpg_group_name_length_field"]
    assert status.PROTOCOL_VERSION == 0


@pytest.mark.parametrize("vector", messages("update"), ids=lambda vector: vector["key"])
def test_recorded_updates(vector: dict[str, Any]) -> None:
    header = vector["header"]
    key, value = vector["key"].encode(), bytes.fromhex(vector["value_hex"])
    packed = wire.NormalHeader(MessageType.UPDATE, 0, header["time"], header["count"]).pack()
    assert b"".join((packed, *Update(key, value).parts())).hex() == vector["canonical_hex"]
    for form in ("canonical_hex", "observed_hex"):
        assert Update.unpack(bytes.fromhex(vector[form])[24:]) == (key, value)


def test_recorded_removal() -> None:
    vector = VECTORS["delete_example"]
    removal = Update(vector["key"].encode(), b"")
    assert b"".join(removal.parts()).hex() == vector["canonical_payload_hex"]
    assert Update.unpack(bytes.fromhex(vector["canonical_payload_hex"])) == removal


@pytest.mark.parametrize("vector", messages("log"), ids=lambda vector: str(vector["uid"]))
def test_recorded_log_messages(vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector["observed_hex"])[24:]
    entry, texts = parse(payload), vector["strings"]
    assert (entry.uid, entry.time, entry.pid, entry.priority, entry.size) == (
        vector["uid"],
        vector["entry_time"],
        vector["pid"],
        vector["priority"],
        vector["payload_len"],
    )
    assert [entry.node, entry.ident, entry.tag, entry.message] == [
        texts[name].encode() for name in ("node", "ident", "tag", "msg")
    ]
    receiver = make(2)
    for _ in range(2):  # the second time it is known
        delivery = receiver.deliver(
            Address(1, 9), MessageType.LOG, 0, payload, Clock(0, 0.0), own=False, lowest=False
        )
        assert delivery.result == 0
    lines = receiver.clusterlog().split(b"\n")[2:-3]  # no JSON if a client sends a lone backslash
    assert [line.split(b",")[0] for line in lines if b'"node": "n1"' in line] == [
        b'{"uid": %d' % vector["uid"]
    ]


def test_recorded_states() -> None:
    """The first state of a daemon that has logged nothing but its start."""
    for vector in messages("state"):
        prefix = bytes.fromhex(vector["payload_used_prefix_hex"])
        entry = parse(prefix, 8, exact=False)
        own = make(vector["sender_nodeid"], partial(int, entry.time))
        state = bytearray(own.state())
        state[8 + 32 : 8 + 36] = entry.pid.to_bytes(4, "little")
        assert state == prefix + bytes(vector["payload_len"] - len(prefix))


@given(st.binary(max_size=600))
def test_any_payload_is_an_update_or_the_typed_error(payload: bytes) -> None:
    try:
        update = Update.unpack(payload)
    except UpdateError:
        assert len(payload) < 256 or b"\0" not in payload[:256]
        return
    assert Update.unpack(b"".join(update.parts())) == update


@given(st.integers(0, 65535), st.binary(max_size=400), st.integers(0, 4))
def test_no_message_of_a_peer_raises_or_leaves(subtype: int, payload: bytes, nodeid: int) -> None:
    node = make(1)
    node.set_cluster_info(INFO)
    delivery = node.deliver(Address(nodeid, 5), subtype, 0, payload, Clock(0, 0.0), own=False, lowest=False)
    assert (delivery.result, delivery.sends) == (0, ())
    json.loads(node.members())


class Network:
    """A totally ordered bus between state machines; membership as the test says."""

    def __init__(self, *nodeids: int) -> None:
        self.clock = Clock(1795353700, 100.0)
        self.statuses = {nodeid: make(nodeid) for nodeid in nodeids}
        self.machines: dict[int, Machine] = {}
        self.logged: list[Log] = []
        self.bus: deque[tuple[Address, bytes]] = deque()
        self.present: list[Address] = []
        for nodeid, node in self.statuses.items():
            node.set_cluster_info(INFO)
            self.machines[nodeid] = Machine(
                node,
                nodeid=nodeid,
                pid=100 + nodeid,
                protocol_version=status.PROTOCOL_VERSION,
                has_updates=False,
                verifies=False,
                checks_quorum=False,
            )

    def carry_out(self, nodeid: int, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self.bus.append((self.machines[nodeid].own, effect.data))
            elif isinstance(effect, Log) and effect.level is not Level.DEBUG:
                self.logged.append(effect)

    def members(self, *nodeids: int) -> None:
        """These are in one group; the others have gone."""
        now = [self.machines[nodeid].own for nodeid in nodeids]
        left = [address for address in self.present if address not in now]
        joined = [address for address in now if address not in self.present]
        self.present = now
        for address in joined:
            self.statuses[address.nodeid].joined(address)
            self.carry_out(address.nodeid, self.machines[address.nodeid].connected(self.clock))
        for nodeid in nodeids:
            self.carry_out(nodeid, self.machines[nodeid].confchg(now, left, joined, self.clock))
        self.run()

    def run(self) -> None:
        while self.bus:
            sender, data = self.bus.popleft()
            for address in self.present:
                machine = self.machines[address.nodeid]
                self.carry_out(address.nodeid, machine.message(sender, data, self.clock))

    def set(self, nodeid: int, key: bytes, value: bytes) -> None:
        result, message = self.statuses[nodeid].set_value(key, value)
        assert result == 0
        assert message is not None
        machine = self.machines[nodeid]
        self.carry_out(nodeid, machine.submit(message.subtype, message.payload, None, self.clock))
        self.run()

    def log(self, nodeid: int, text: bytes) -> None:
        message = self.statuses[nodeid].log(ident=b"root@pam", tag=b"t", pid=1, priority=6, message=text)
        assert message is not None
        machine = self.machines[nodeid]
        self.carry_out(nodeid, machine.submit(message.subtype, message.payload, None, self.clock))
        self.run()

    def texts(self, nodeid: int) -> list[str]:
        lines = json.loads(self.statuses[nodeid].clusterlog())["data"]
        return [f"{line['node']}: {line['msg']}" for line in lines]


def test_three_nodes_tell_each_other_everything() -> None:
    net = Network(1, 2, 3)
    net.set(1, b"kv/early", b"before the group\0")
    net.members(1)
    net.members(1, 2)
    net.members(1, 2, 3)
    assert [machine.mode for machine in net.machines.values()] == [Mode.SYNCED] * 3
    for node in net.statuses.values():
        assert node.get_value(b"kv/early", "n1") == b"before the group\0"
        members = json.loads(node.members())["nodelist"]
        assert members == {f"n{i}": {"id": i, "online": 1, "ip": f"10.77.0.{i}"} for i in (1, 2, 3)}
    net.set(2, b"kv/x", b"1\0")
    net.set(2, b"kv/x", b"2\0")
    net.set(2, b"rrd/pve2-node/n2", b"1:2\0")
    net.log(3, b"hello")
    for nodeid, node in net.statuses.items():
        assert node.get_value(b"kv/x", "n2") == b"2\0"
        assert node.rrd() == b"pve2-node/n2:1:2\n"
        assert net.texts(nodeid)[0] == "n3: hello"
    assert json.loads(net.statuses[1].version())["kvstore"]["n2"] == {"kv/x": 1}
    net.set(2, b"kv/x", b"")
    assert net.statuses[3].get_value(b"kv/x", "n2") is None
    assert net.logged == []


def test_logs_of_two_parts_are_merged_when_they_meet() -> None:
    net = Network(1, 2)
    net.members(1)
    net.log(1, b"alone one")
    net.machines[2].connected(net.clock)
    net.statuses[2].log(ident=b"root", tag=b"t", pid=1, priority=6, message=b"alone two")
    net.members(1, 2)
    assert net.texts(1) == net.texts(2)
    assert {"n1: alone one", "n2: alone two"} <= set(net.texts(1))
    assert net.statuses[1].state() == net.statuses[2].state()


def test_who_leaves_is_offline_and_remembered_and_comes_back_with_counters_raised() -> None:
    net = Network(1, 2)
    net.members(1, 2)
    net.set(2, b"kv/x", b"1\0")
    before = net.statuses[1].clinfo_version
    net.members(1)
    members = json.loads(net.statuses[1].members())
    assert members["nodelist"]["n2"] == {"id": 2, "online": 0, "ip": "10.77.0.2"}
    assert net.statuses[1].clinfo_version == before + 1
    assert net.statuses[1].get_value(b"kv/x", "n2") == b"1\0"
    net.carry_out(2, net.machines[2].disconnected(net.clock))
    net.members(1, 2)
    assert json.loads(net.statuses[1].members())["nodelist"]["n2"]["online"] == 1
    assert json.loads(net.statuses[1].version())["kvstore"]["n2"] == {"kv/x": 1}


def test_what_is_set_while_synchronising_arrives() -> None:
    net = Network(1, 2)
    net.members(1)
    now = [machine.own for machine in net.machines.values()]
    net.statuses[2].joined(net.machines[2].own)
    net.carry_out(2, net.machines[2].connected(net.clock))
    net.present = now
    for nodeid in (1, 2):
        net.carry_out(nodeid, net.machines[nodeid].confchg(now, [], now[1:], net.clock))
    assert net.machines[1].mode is Mode.START_SYNC
    net.set(1, b"kv/late", b"v\0")
    assert net.statuses[2].get_value(b"kv/late", "n1") == b"v\0"


def test_entries_made_between_state_and_merge_are_kept() -> None:
    net = Network(1, 2)
    one, two = net.statuses[1], net.statuses[2]
    addresses = [net.machines[nodeid].own for nodeid in (1, 2)]
    states = {addresses[0]: one.state(), addresses[1]: two.state()}
    one.log(ident=b"root", tag=b"t", pid=1, priority=6, message=b"in between")
    for known in (True, False):
        if known:
            one.joined(addresses[0])
        choice = one.choose(states)
        assert (choice.leader, choice.synced) == (None, frozenset(addresses))
        assert "n1: in between" in net.texts(1)


def test_what_the_others_drop_after_a_synchronisation_is_dropped_here_too() -> None:
    """A node whose clock went back logs in the middle of one: the others know newer entries of it."""
    now = [1795353692]
    one, two = (make(nodeid, lambda: now[0]) for nodeid in (1, 2))
    for node in (one, two):
        node.set_cluster_info(INFO)
    addresses = Address(1, 1001), Address(2, 1002)
    one.joined(addresses[0])
    two.joined(addresses[1])
    now[0] += 100
    told = one.log(ident=b"root", tag=b"t", pid=1, priority=6, message=b"newer")
    assert told is not None
    two.deliver(addresses[0], told.subtype, 0, told.payload[0], Clock(0, 0.0), own=False, lowest=False)
    now[0] -= 50
    one = make(1, lambda: now[0])  # a new process, which knows nothing of its entries of before
    one.joined(addresses[0])
    states = {addresses[0]: one.state(), addresses[1]: two.state()}
    now[0] += 1
    told = one.log(ident=b"root", tag=b"t", pid=1, priority=6, message=b"in between")
    assert told is not None
    one.choose(states)
    two.choose(states)
    two.deliver(addresses[0], told.subtype, 0, told.payload[0], Clock(0, 0.0), own=False, lowest=False)
    assert b"in between" not in two.clusterlog()
    assert one.state() == two.state()


def test_a_message_that_was_lost_makes_it_tell_everything_anew() -> None:
    """Nobody waits for these messages: without a synchronisation the others would lack the key for ever."""
    net = Network(1, 2)
    net.members(1, 2)
    machine = net.machines[1]
    _, message = net.statuses[1].set_value(b"kv/lost", b"v\0")
    assert message is not None
    effects = machine.submit(message.subtype, message.payload, None, net.clock)
    sends = [effect for effect in effects if isinstance(effect, Send)]
    effects = machine.send_failed(net.clock, sends)
    assert [effect for effect in effects if isinstance(effect, LeaveGroup)]
    machine.confchg([], [machine.own], [], net.clock)
    net.members(2)
    net.members(1, 2)
    assert net.statuses[2].get_value(b"kv/lost", "n1") == b"v\0"


def test_more_messages_than_can_wait_make_it_tell_everything_anew() -> None:
    net = Network(1, 2)
    net.members(1, 2)
    for number in range(MAX_IN_FLIGHT + MAX_HELD + 1):
        _, message = net.statuses[1].set_value(b"kv/x", b"%d" % number)
        assert message is not None
        effects = net.machines[1].submit(message.subtype, message.payload, None, net.clock)
    assert [effect for effect in effects if isinstance(effect, LeaveGroup)]


def test_malformed_states_count_as_missing() -> None:
    net = Network(1, 2)
    one = net.statuses[1]
    own, other = (net.machines[nodeid].own for nodeid in (1, 2))
    one.joined(own)
    before = one.state()
    for state in (b"", b"\0" * 8, bytes(131072)):
        one.choose({own: before, other: state})
        assert one.state() == before


def test_messages_that_break_the_rules_are_logged_and_ignored() -> None:
    node = make(1)
    node.set_cluster_info(INFO)

    def said(sender: Address, subtype: int, payload: bytes) -> str:
        delivery = node.deliver(sender, subtype, 0, payload, Clock(0, 0.0), own=False, lowest=False)
        (line,) = delivery.effects
        assert isinstance(line, Log)
        return line.text

    peer = Address(2, 7)
    big = b"".join(Update(b"k", bytes(kvstore.MAX_VALUE + 1)).parts())
    assert "unknown type 2" in said(peer, 2, b"")
    assert "malformed message of type 1" in said(peer, MessageType.UPDATE, b"k\0")
    assert "malformed message of type 3" in said(peer, MessageType.LOG, bytes(60))
    assert "breaks the rules" in said(peer, MessageType.UPDATE, big)
    assert "breaks the rules" in said(peer, MessageType.UPDATE, b"".join(Update(b"nodeip", b"").parts()))
    assert "another process of this node" in said(Address(1, 7), MessageType.UPDATE, b"k".ljust(256, b"\0"))
    assert node.get_value(b"k", "n2") is None
    own = node.deliver(Address(1, 1), 77, 0, b"junk", Clock(0, 0.0), own=True, lowest=True)
    assert (own.result, own.effects) == (0, ())
