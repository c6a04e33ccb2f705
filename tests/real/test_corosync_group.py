"""A group of the daemon over a real Corosync: join, leave after a malformed message, come back, restart."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quorate.corosync.cmap import Cmap
from quorate.corosync.cpg import Cpg
from quorate.corosync.errors import SendResult
from quorate.pmxcfs import clinfo, life, status
from quorate.pmxcfs.effects import Clock, Effect, Message, Mode, ModeChanged
from quorate.pmxcfs.group import Group
from quorate.pmxcfs.loop import Loop
from quorate.pmxcfs.replication import Machine
from quorate.pmxcfs.status import Status
from quorate.pmxcfs.tree import Tree
from tests.real.corosync_host import CorosyncHost, config, connect, corosync_host, set_link, wait_until

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        os.geteuid() != 0 or not Path("/usr/sbin/corosync").exists(),
        reason="needs root and Debian's package corosync",
    ),
]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[CorosyncHost]:
    with corosync_host(tmp_path) as made:
        made.write_config(config([(1, "127.0.0.1")]))
        made.start()
        yield made


class Daemon:
    """Loop, status and its group: what the daemon has for the status group, and nothing else."""

    def __init__(self, nodeid: int = 1) -> None:
        self.loop = Loop()
        self.modes: list[Mode] = []
        tree = Tree.new(1)
        self.status = Status(
            f"node{nodeid}",
            ip=f"10.99.0.{nodeid}",
            pid=os.getpid(),
            cluster=True,
            tree=lambda: tree,
            quorate=lambda: True,
            now=lambda: int(time.time()),
        )
        self.machine = Machine(
            self.status,
            nodeid=0,
            pid=os.getpid(),
            protocol_version=status.PROTOCOL_VERSION,
            has_updates=False,
            verifies=False,
            checks_quorum=False,
        )
        self.group = Group(
            status.GROUP,
            self.machine,
            self.loop,
            log=logging.getLogger("quorate.test"),
            clock=lambda: Clock(int(time.time()), time.monotonic()),
            before_event=lambda: None,
            after_event=lambda: None,
            special=self._special,
            lost=lambda: None,
            joined=self.status.joined,
        )
        self.loop.call_every(0.1, self.group.tick)

    def _special(self, effect: Effect) -> None:
        if isinstance(effect, ModeChanged):
            self.modes.append(effect.new)

    def send(self, message: Message | None) -> None:
        assert message is not None
        self.group.submit(message.subtype, message.payload, None)

    def log(self, text: bytes) -> None:
        self.send(self.status.log(ident=b"root", tag=b"test", pid=1, priority=6, message=text))

    def logged(self) -> list[str]:
        return [line["msg"] for line in json.loads(self.status.clusterlog())["data"]]

    def online(self) -> dict[str, int]:
        nodes = json.loads(self.status.members()).get("nodelist", {})
        return {name: node["online"] for name, node in nodes.items()}

    def run_until(self, condition: Callable[[], bool], limit: float = 40.0) -> None:
        deadline = time.monotonic() + limit
        while not condition():
            assert time.monotonic() < deadline, f"not true within {limit} s; modes {self.modes}"
            self.loop.run_once(0.1)


def intrude() -> None:
    """Join the group as another process and send what nobody understands."""
    child = os.fork()
    if child:
        return
    heard: list[bytes] = []
    cpg = Cpg(deliver=lambda _sender, data: heard.append(data), confchg=lambda *_: None)
    assert cpg.join(status.GROUP) is SendResult.SENT
    wait_until(lambda: cpg.mcast([b"bad"]) is SendResult.SENT, cpg)
    wait_until(lambda: b"bad" in heard, cpg)
    os._exit(0)


def test_a_group_leaves_on_a_malformed_message_and_comes_back(host: CorosyncHost) -> None:
    def body() -> None:
        life.REJOIN_SECONDS = 0.2
        daemon = Daemon()
        daemon.status.set_cluster_info(clinfo.read(Cmap()))
        assert daemon.group.connect()
        daemon.run_until(lambda: daemon.machine.synced)
        assert json.loads(daemon.status.members())["nodelist"]["node1"] == {
            "id": 1,
            "online": 1,
            "ip": "10.99.0.1",
        }
        for _ in range(2):
            daemon.modes.clear()
            intrude()
            daemon.run_until(lambda: Mode.LEAVE in daemon.modes)
            daemon.run_until(lambda: daemon.machine.synced)
            os.wait()
        daemon.send(daemon.status.set_value(b"kv/x", b"1\0")[1])
        daemon.run_until(lambda: not daemon.machine.requests.sent)
        daemon.group.stop()

    host.run(body)


def test_a_group_comes_back_after_corosync_was_killed(host: CorosyncHost) -> None:
    def body() -> None:
        daemon = Daemon()
        assert daemon.group.connect()
        daemon.run_until(lambda: daemon.machine.synced)
        os.kill(int(Path("/run/corosync.pid").read_text()), signal.SIGKILL)
        daemon.run_until(lambda: not daemon.group.connected)
        assert not daemon.machine.synced
        assert not daemon.group.connect()
        os.spawnlp(os.P_WAIT, "corosync", "corosync")  # becomes a daemon
        try:
            daemon.run_until(daemon.group.connect)
            daemon.run_until(lambda: daemon.machine.synced)
        finally:
            os.kill(int(Path("/run/corosync.pid").read_text()), signal.SIGKILL)

    host.run(body)


def test_two_nodes_tell_each_other_and_merge_their_logs_after_a_cut(tmp_path: Path) -> None:
    with corosync_host(tmp_path / "1") as one, corosync_host(tmp_path / "2") as two:
        connect(one, two)
        for host in (one, two):
            host.write_config(config([(1, "10.99.0.1"), (2, "10.99.0.2")]))
            host.start()

        def node(nodeid: int) -> None:
            other = 3 - nodeid
            daemon = Daemon(nodeid)
            daemon.status.set_cluster_info(clinfo.read(Cmap()))
            assert daemon.group.connect()

            def together() -> bool:
                return daemon.machine.synced and daemon.online() == {"node1": 1, "node2": 1}

            daemon.run_until(together)
            daemon.send(daemon.status.set_value(b"kv/from", b"%d\0" % nodeid)[1])
            daemon.run_until(lambda: daemon.status.get_value(b"kv/from", f"node{other}") == b"%d\0" % other)
            members = json.loads(daemon.status.members())
            assert members["nodelist"][f"node{other}"]["ip"] == f"10.99.0.{other}"
            daemon.log(b"together %d" % nodeid)
            daemon.run_until(lambda: f"together {other}" in daemon.logged())
            if nodeid == 1:
                set_link("down")
            daemon.run_until(lambda: daemon.online() == {f"node{nodeid}": 1, f"node{other}": 0})
            daemon.log(b"apart %d" % nodeid)
            daemon.run_until(lambda: daemon.machine.synced)
            if nodeid == 1:
                set_link("up")
            daemon.run_until(lambda: together() and {"apart 1", "apart 2"} <= set(daemon.logged()))
            daemon.send(daemon.status.set_value(b"kv/done", b"1\0")[1])
            daemon.run_until(lambda: daemon.status.get_value(b"kv/done", f"node{other}") == b"1\0")
            daemon.run_until(lambda: not daemon.machine.requests.sent)
            Path("/run/state").write_bytes(daemon.status.state())

        waits = [one.begin(lambda: node(1)), two.begin(lambda: node(2))]
        for wait in waits:
            wait()
        states = [Path(f"/proc/{host.pid}/root/run/state").read_bytes() for host in (one, two)]
        assert states[0] == states[1]
