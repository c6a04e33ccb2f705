"""All monitors are asked at once; stuck, busy and hostile ones cost one short wait, once."""

from __future__ import annotations

import json
import logging
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from quorate.settings import Settings
from quorate.statd.guestfigures import DiskTraffic
from quorate.statd.monitors import LEFT_ALONE_SECONDS, MAX_AT_ONCE, Monitors
from quorate.statd.qmp import MAX_BYTES

ANSWERS: dict[str, object] = {
    "query-status": {"status": "running"},
    "query-blockstats": [{"stats": {"rd_bytes": 3, "wr_bytes": 4}}],
    "guest-stats-polling-interval": 10,
}
Behaviour = Callable[[socket.socket], None]


def proper(peer: socket.socket) -> None:
    """As QEMU does it."""
    stream = peer.makefile("rwb")
    stream.write(b'{"QMP": {}}\r\n')
    stream.flush()
    for line in stream:
        asked = json.loads(line)
        stream.write(
            json.dumps({"return": ANSWERS.get(asked["id"], {}), "id": asked["id"]}).encode() + b"\r\n"
        )
        stream.flush()


def rude(peer: socket.socket) -> None:
    peer.sendall(b"go away\r\n")


def endless(peer: socket.socket) -> None:
    """Talks until it is hung up on."""
    peer.sendall(b'{"QMP": {}}\r\n')
    while True:
        peer.sendall(b" " * MAX_BYTES)


def leaving(peer: socket.socket) -> None:
    peer.sendall(b'{"QMP"')


class Host:
    """Machines with monitors. The path must be short: the kernel takes 107 bytes."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.settings = Settings(root)
        self.connections: list[int] = []
        self.now = 100.0
        self.monitors = Monitors(self.settings, lambda: self.now, answer_seconds=5.0)
        self._stack = stack
        self._directory = root / "var/run/qemu-server"
        self._directory.mkdir(parents=True)

    def machine(self, vmid: int, behaviour: Behaviour | None) -> None:
        """None: its monitor accepts nobody, as one that talks to somebody else or is stuck."""
        listening = socket.socket(socket.AF_UNIX)
        self._stack.callback(listening.close)
        listening.bind(str(self._directory / f"{vmid}.qmp"))
        listening.listen(1)
        if behaviour is not None:
            thread = threading.Thread(target=self._serve, args=(vmid, listening, behaviour))
            self._stack.callback(thread.join)
            self._stack.callback(listening.shutdown, socket.SHUT_RDWR)
            thread.start()

    def _serve(self, vmid: int, listening: socket.socket, behaviour: Behaviour) -> None:
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            self.connections.append(vmid)
            with peer:
                try:
                    behaviour(peer)
                except OSError:
                    continue


@pytest.fixture
def host() -> Iterator[Host]:
    with tempfile.TemporaryDirectory() as root, ExitStack() as stack:
        yield Host(Path(root), stack)


def test_all_are_asked_in_every_round(host: Host) -> None:
    vmids = range(100, 100 + MAX_AT_ONCE + 3)
    for vmid in vmids:
        host.machine(vmid, proper)
    for _ in range(2):
        found = host.monitors.ask(dict.fromkeys(vmids, 1))
        assert sorted(found) == list(vmids)
        assert {(figures.status, figures.disks) for figures in found.values()} == {
            ("running", DiskTraffic(3, 4))
        }
    assert len(host.connections) == 2 * len(vmids)


@pytest.mark.parametrize("behaviour", [rude, endless, leaving])
def test_a_hostile_monitor_is_hung_up_on_and_left_alone(
    host: Host, behaviour: Behaviour, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    host.machine(100, behaviour)
    host.machine(101, proper)
    machines = {100: 7, 101: 8}
    assert set(host.monitors.ask(machines)) == {101}
    host.now += LEFT_ALONE_SECONDS - 1
    assert set(host.monitors.ask(machines)) == {101}
    assert host.connections.count(100) == 1
    assert sum("monitor of VM 100" in message for message in caplog.messages) == 1
    host.now += 2
    host.monitors.ask(machines)
    assert host.connections.count(100) == 2


def test_a_stuck_monitor_costs_one_wait_and_the_others_answer(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    hung_up = threading.Event()

    def answers(peer: socket.socket) -> None:
        proper(peer)
        hung_up.set()

    host.machine(100, None)
    host.machine(101, answers)
    # Time does not pass before the other one has answered
    monitors = Monitors(host.settings, lambda: 50.0 if hung_up.is_set() else 0.0, answer_seconds=0.1)
    assert set(monitors.ask({100: 7, 101: 8})) == {101}
    assert "unable to ask the monitor of VM 100: no answer within 0.1 s; trying on" in caplog.messages
    assert {record.levelname for record in caplog.records} == {"INFO"}
    monitors._answer_seconds = 3600.0  # as long as this test would take if it were asked again
    assert set(monitors.ask({100: 7, 101: 8})) == {101}


def test_a_machine_that_was_started_anew_is_asked_at_once(host: Host) -> None:
    host.machine(100, rude)
    host.monitors.ask({100: 7})
    host.monitors.ask({100: 7})
    assert host.connections == [100]
    host.monitors.ask({100: 8})
    assert host.connections == [100, 100]


def test_a_machine_without_a_monitor(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert host.monitors.ask({100: 7}) == {}
    assert "No such file" in caplog.text
    host.machine(100, proper)
    assert set(host.monitors.ask({100: 8})) == {100}
    assert "able to ask the monitor of VM 100 again" in caplog.messages
    assert host.monitors.ask({}) == {}


def test_a_full_queue_is_as_silence(host: Host) -> None:
    host.machine(100, None)
    with ExitStack() as stack:
        for _ in range(9):
            client = stack.enter_context(
                socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            )
            try:
                client.connect(str(host.settings.at("/var/run/qemu-server/100.qmp")))
            except BlockingIOError:
                break
        else:
            raise AssertionError("the queue has no end")
        assert host.monitors.ask({100: 7}) == {}
