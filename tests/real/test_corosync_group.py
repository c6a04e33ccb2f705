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
from quorate.pmxcfs.effects import Clock, Effect, Mode, ModeChanged
from quorate.pmxcfs.group import Group
from quorate.pmxcfs.loop import Loop
from quorate.pmxcfs.replication import Machine
from quorate.pmxcfs.status import Status
from quorate.pmxcfs.tree import Tree
from tests.real.corosync_host import CorosyncHost, config, corosync_host, wait_until

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

    def __init__(self) -> None:
        self.loop = Loop()
        self.modes: list[Mode] = []
        tree = Tree.new(1)
        self.status = Status(
            "node1",
            ip="127.0.0.1",
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

    def run_until(self, condition: Callable[[], bool], limit: float = 20.0) -> None:
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
            "ip": "127.0.0.1",
        }
        for _ in range(2):
            daemon.modes.clear()
            intrude()
            daemon.run_until(lambda: Mode.LEAVE in daemon.modes)
            daemon.run_until(lambda: daemon.machine.synced)
            os.wait()
        message = daemon.status.set_value(b"kv/x", b"1\0")[1]
        assert message is not None
        daemon.group.submit(message.subtype, message.payload, None)
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
