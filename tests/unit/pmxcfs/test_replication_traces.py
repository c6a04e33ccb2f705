"""The original's recorded event orders, line by line (core 10, section ``traces``).

A trace is replayed: what it says was dispatched is dispatched, and what it says was multicast or which mode
was entered must be what the machine did. Messages that an original sends while it is not synced (W7) are put
on the wire as recorded, because our machine holds such messages back; as a receiver it has to cope with them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quorate.pmxcfs.effects import Effect, Mode, Reply, Send
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.wire import Epoch, FsMessage, FsOp, MessageType, StateHeader, Unlock
from tests.unit.pmxcfs.playbook import EPOCH_START, Node, address, changes, leaves, mkdir, normal, tree_of

TRACES: dict[str, list[str]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "memdb-vectors.json").read_text()
)["traces"]

CONFCHG = re.compile(r"  node (\d)  <- confchg members=\[(.*)\] left=(\d+) joined=(\d+)")
RECEIVED = re.compile(r"  node (\d)  <- #(\d+) (\w+) from (\d)")
MULTICAST = re.compile(r"  node (\d)  mcast #(\d+) (\w+) (.*)len=(\d+)")
MODE = re.compile(r"  node (\d)     mode (\w+) -> (\w+)")
CHECKSUM = re.compile(r"  checksum node index (\d) vs (\d): (\w+) \(versions (\d+) / (\d+)")
EPOCH = re.compile(r"epoch=(\d+)/(\d+)/(\d+)")


class Replay:
    """The nodes of one trace. ``operations`` yields what is submitted at each NORMAL line."""

    def __init__(self, trees: dict[int, Tree], operations: Iterator[FsMessage | Unlock]) -> None:
        self.nodes = {nodeid: Node(nodeid, tree) for nodeid, tree in trees.items()}
        self.operations = operations
        self.sent: dict[int, tuple[int, bytes]] = {}
        self.sends: dict[int, list[Send]] = {nodeid: [] for nodeid in trees}
        self.modes: dict[int, list[tuple[Mode, Mode]]] = {nodeid: [] for nodeid in trees}
        self.effects: dict[int, list[Effect]] = {nodeid: [] for nodeid in trees}
        self.before_line: dict[str, Callable[[Replay], None]] = {}
        self.differ_is_cured = False

    def take(self, nodeid: int, effects: list[Effect]) -> None:
        self.effects[nodeid] += effects
        self.sends[nodeid] += [effect for effect in effects if isinstance(effect, Send)]
        self.modes[nodeid] += changes(effects)

    def settled(self, nodeid: int) -> None:
        """Nothing that the trace does not know of was done since the node's last event."""
        assert not self.sends[nodeid], f"node {nodeid} sends more than the original"
        assert not self.modes[nodeid], f"node {nodeid} changes its mode unlike the original"

    def play(self, lines: list[str]) -> None:
        for line in lines:
            for start, action in self.before_line.items():
                if line.startswith(start):
                    action(self)
            self.line(line)
        for nodeid in self.nodes:
            self.settled(nodeid)

    def line(self, line: str) -> None:
        if match := CONFCHG.match(line):
            nodeid = int(match[1])
            self.settled(nodeid)
            members = [int(text.split("/")[0]) for text in match[2].split(",")]
            node = self.nodes[nodeid]
            self.take(nodeid, node.confchg(*members, joined=[9] * int(match[4]), left=[9] * int(match[3])))
        elif match := RECEIVED.match(line):
            nodeid = int(match[1])
            self.settled(nodeid)
            sender, data = self.sent[int(match[2])]
            assert sender == int(match[4])
            self.take(nodeid, self.nodes[nodeid].receive(sender, data))
        elif match := MULTICAST.match(line):
            self.multicast(int(match[1]), int(match[2]), match[3], match[4], int(match[5]), line)
        elif match := MODE.match(line):
            nodeid = int(match[1])
            assert self.modes[nodeid].pop(0) == (Mode[match[2]], Mode[match[3]]), line
        elif match := CHECKSUM.match(line):
            self.checksum(int(match[1]), int(match[2]), match[3] == "equal", line)
        else:
            assert line.startswith(
                ("node", "nodes", "1 and 3", "2 and 3", "  ", "sender", "three", "now")
            ) or (
                line in {"join", "merge", "majority writes", "partition {1} | {2,3}"}
                or line.startswith(("both", "unsynced", "minority"))
            ), f"nobody reads this line: {line}"

    def multicast(self, nodeid: int, number: int, kind: str, details: str, length: int, line: str) -> None:
        waiting = self.sends[nodeid]
        if kind == "NORMAL" and not waiting:
            self.submit(nodeid, int(details.split("count=")[1]))
        if kind == "VERIFY_REQUEST" and not waiting:
            self.take(nodeid, self.nodes[nodeid].machine.verify(self.nodes[nodeid].clock))
        # UPDATEs come in no defined order.
        send = next((s for s in waiting if s.type.name == kind and len(s.data) == length), None)
        assert send is not None, f"{line}: instead there is {[(s.type.name, len(s.data)) for s in waiting]}"
        if kind != "UPDATE":
            assert send is waiting[0], line
        waiting.remove(send)
        if match := EPOCH.search(details):
            epoch = StateHeader.unpack(send.data).epoch
            assert (epoch.epoch, epoch.nodeid, epoch.pid) == tuple(map(int, match.groups())), line
        self.sent[number] = (nodeid, send.data)

    def submit(self, nodeid: int, count: int) -> None:
        node = self.nodes[nodeid]
        operation = next(self.operations)
        if node.mode is Mode.SYNCED:
            self.take(nodeid, node.machine.submit(operation.op, operation.parts(), operation, node.clock))
        else:  # W7: only an original does this
            assert isinstance(operation, FsMessage)
            self.sends[nodeid].append(Send((normal(operation, count),), MessageType.NORMAL, count))

    def checksum(self, one: int, other: int, equal: bool, line: str) -> None:
        ids = sorted(self.nodes)
        ids = [nodeid for nodeid in ids if nodeid in self.alive]
        first, second = self.nodes[ids[one]].tree, self.nodes[ids[other]].tree
        assert (first.full_checksum() == second.full_checksum()) == (equal or self.differ_is_cured), line
        assert f"versions {first.root.version} / {second.root.version}" in line

    @property
    def alive(self) -> list[int]:
        return [nodeid for nodeid in self.nodes if nodeid not in self.dead]

    dead: frozenset[int] = frozenset()

    def results(self, nodeid: int) -> list[int]:
        return [effect.result for effect in self.effects[nodeid] if isinstance(effect, Reply)]


def dirs(*names: bytes) -> Tree:
    """A fresh tree with these directories."""

    def build(tree: Tree) -> None:
        for name in names:
            assert tree.mkdir(name, 1, EPOCH_START, 0) == 0

    return tree_of(build)


def replay(name: str, trees: dict[int, Tree], *operations: FsMessage | Unlock) -> Replay:
    return Replay(trees, iter(operations))


def one_file(tree: Tree) -> None:
    tree.mkdir(b"d", 1, EPOCH_START, 0)
    tree.create(b"d/f", 1, EPOCH_START, 0)
    tree.write(b"d/f", 1, EPOCH_START, 0, b"data", 0, False)


def test_single() -> None:
    def unlocks() -> Iterator[FsMessage | Unlock]:
        yield mkdir(b"priv")
        yield mkdir(b"priv/lock")
        yield FsMessage(FsOp.CREATE, b"a.txt")
        yield FsMessage(FsOp.WRITE, b"a.txt", data=b"hello")
        yield FsMessage(FsOp.WRITE, b"a.txt", data=b"XY", offset=7)
        yield FsMessage(FsOp.WRITE, b"a.txt", offset=3, truncate=True)
        yield FsMessage(FsOp.RENAME, b"a.txt", b"b.txt")
        yield FsMessage(FsOp.MTIME, b"b.txt", offset=1_600_000_000)
        yield FsMessage(FsOp.DELETE, b"b.txt")
        yield FsMessage(FsOp.DELETE, b"b.txt")
        yield mkdir(b"priv/lock/l1")
        node = play.nodes[1]
        taken = node.mono
        for seconds in (0, 120, 121):
            node.wall, node.mono = EPOCH_START + seconds, taken + seconds
            lock = node.tree.lookup(b"priv/lock/l1")
            assert lock is not None
            yield Unlock(FsOp.UNLOCK_REQUEST, lock.lock_checksum(), b"priv/lock/l1")

    play = Replay({1: tree_of()}, unlocks())
    play.play(TRACES["single"])
    assert play.results(1)[:11] == [0, 0, 0, 5, 2, 0, 0, 0, 0, -2, 0]


def test_join() -> None:
    play = replay("join", {1: tree_of(one_file), 2: tree_of()}, FsMessage(FsOp.CREATE, b"from2"))
    play.play(TRACES["join"])


def test_stale() -> None:
    def older(tree: Tree) -> None:
        tree.mkdir(b"d", 1, 10, 0)
        tree.create(b"old", 1, 11, 0)
        tree.create(b"both", 1, 12, 0)

    def newer(tree: Tree) -> None:
        older(tree)
        tree.delete(b"old", 2, 20, 0)
        tree.write(b"both", 2, 21, 0, b"new", 0, False)
        tree.create(b"added", 2, 22, 0)

    replay("stale", {1: tree_of(older), 2: tree_of(newer)}).play(TRACES["stale"])


def test_partition() -> None:
    play = replay(
        "partition",
        {1: dirs(), 2: dirs(), 3: dirs()},
        mkdir(b"base"),
        FsMessage(FsOp.CREATE, b"maj"),
        FsMessage(FsOp.WRITE, b"maj", data=b"x"),
        FsMessage(FsOp.CREATE, b"min"),
    )
    play.play(TRACES["partition"])
    for node in play.nodes.values():
        assert node.tree.lookup(b"min") is None
        assert node.tree.lookup(b"maj") is not None


def test_crash_of_the_leader_after_its_updates() -> None:
    play = replay("crash_leader", {1: dirs(b"a", b"b"), 2: dirs(), 3: dirs(b"a")})
    play.dead = frozenset({1})
    play.play(TRACES["crash_leader"])


def test_crash_of_the_lowest_after_sync_start() -> None:
    play = replay("crash_lowest_after_sync_start", {1: dirs(), 2: dirs(b"a"), 3: dirs()})
    play.dead = frozenset({1})
    play.play(TRACES["crash_lowest_after_sync_start"])


def test_leader_dies_before_update_complete() -> None:
    play = replay("leader_dies_mid_update", {1: dirs(b"a", b"b"), 2: dirs(), 3: dirs(b"a")})
    play.dead = frozenset({1})
    # Its UPDATE_COMPLETE never reaches the wire.
    play.before_line["node 1 crashes"] = lambda play: play.sends[1].clear()
    play.play(TRACES["leader_dies_mid_update"])


def test_verification_finds_a_difference() -> None:
    play = replay("verify_mismatch", {1: dirs(), 2: dirs()}, mkdir(b"d"))

    def differ(play: Replay) -> None:
        entry = play.nodes[2].tree.lookup(b"d")
        assert entry is not None
        entry.mtime += 1
        entry.record = None

    def restart(play: Replay) -> None:
        assert leaves(play.effects[2])
        play.take(2, play.nodes[2].machine.connected(play.nodes[2].clock))
        play.modes[2].clear()  # LEAVE -> START, which the trace does not mention

    play.before_line["node 2 state silently differs"] = differ
    play.before_line["node 2 service restarts"] = restart
    play.play(TRACES["verify_mismatch"])


def test_message_delivered_without_quorum() -> None:
    play = replay("delivered_nonquorate", {1: dirs()}, mkdir(b"priv"))
    node = play.nodes[1]
    play.before_line["  node 1  <- #1"] = lambda play: play.take(1, node.machine.quorum(False, node.clock))
    play.play(TRACES["delivered_nonquorate"])
    assert play.results(1) == [-1]
    assert leaves(play.effects[1])
    assert node.tree.root.version == 1


def test_queue_during_sync() -> None:
    play = replay(
        "queue_during_sync",
        {1: dirs(b"d"), 2: dirs()},
        *(mkdir(name) for name in (b"x1", b"x2", b"x3", b"by1", b"by2")),
    )
    play.play(TRACES["queue_during_sync"])


def test_queued_messages_are_sent_again_when_somebody_joins() -> None:
    play = replay("resend_on_join", {1: dirs(b"d"), 2: dirs(), 3: dirs()}, mkdir(b"q1"), mkdir(b"q2"))
    play.play(TRACES["resend_on_join"])


def test_ordering_hazard_is_cured_on_our_side() -> None:
    """The original's node 2 ends up with other inodes than node 1. With our receiver order nobody differs.

    Nodes 1 and 3 behave as recorded; so does node 2 in everything that others can see, but it repeats the
    messages in the order in which the synced members applied them.
    """
    play = replay(
        "ordering_hazard", {1: dirs(b"d"), 2: dirs(), 3: dirs(b"d")}, mkdir(b"late2"), mkdir(b"late3")
    )
    play.differ_is_cured = True
    play.play(TRACES["ordering_hazard"])


@pytest.mark.parametrize("name", sorted(TRACES))
def test_every_trace_is_replayed(name: str) -> None:
    source = Path(__file__).read_text()
    assert f'TRACES["{name}"]' in source


def test_epochs_count_configurations_of_the_process() -> None:
    node = Node(1)
    node.confchg(1, joined=[1])
    node.confchg(1, 2, joined=[2])
    assert node.machine.epoch == Epoch(2, EPOCH_START, 1, address(1).pid)
