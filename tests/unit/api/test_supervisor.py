"""Workers that are replaced while clients are served (pvecm 11): the rules, then real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quorate.api.restarting import RestartError, ask_for_restart
from quorate.api.supervision import (
    START_SECONDS,
    STEADY_SECONDS,
    STOP_SECONDS,
    Answer,
    Exit,
    Renew,
    Send,
    Spawn,
    Workers,
)

HUP, TERM, KILL = signal.SIGHUP, signal.SIGTERM, signal.SIGKILL


def _serving(pid: int = 1, now: float = 0.0) -> Workers:
    workers = Workers()
    workers.spawned(pid, now)
    assert workers.told(pid, now) == []
    return workers


def test_a_restart_ends_the_worker_when_the_next_one_serves() -> None:
    workers = _serving()
    assert workers.restart(9) == [Spawn()]
    workers.spawned(2, 10.0)
    assert workers.current == 1
    assert workers.told(2, 11.0) == [Send(1, HUP), Renew()]
    assert (workers.current, workers.ending) == (2, {1})
    assert workers.told(1, 11.1) == [Answer(frozenset({9}), done=True)]
    assert workers.died(1, 12.0) == []
    assert workers.ending == set()


def test_who_asks_is_answered_when_only_the_new_worker_takes_connections() -> None:
    workers = _serving()
    workers.restart(8)
    workers.spawned(2, 10.0)
    workers.restart(9)
    workers.told(2, 11.0)
    workers.spawned(3, 11.0)
    assert workers.told(1, 11.5) == []
    assert workers.told(3, 12.0) == [Send(2, HUP), Renew()]
    assert workers.died(2, 12.5) == [Answer(frozenset({8, 9}), done=True)]


def test_restarts_in_a_row_become_one() -> None:
    workers = _serving()
    assert workers.restart(9) == [Spawn()]
    workers.spawned(2, 10.0)
    assert workers.restart(9) == []
    assert workers.restart(9) == []
    assert workers.told(2, 11.0) == [Send(1, HUP), Spawn()]
    workers.spawned(3, 11.0)
    assert workers.told(3, 12.0) == [Send(2, HUP), Renew()]


def test_a_new_worker_that_fails_changes_nothing() -> None:
    workers = _serving()
    workers.restart(9)
    workers.spawned(2, 10.0)
    assert workers.died(2, 10.5) == [Answer(frozenset({9}), done=False)]
    assert workers.current == 1
    assert workers.not_spawned() == []
    workers.restart(9)
    workers.spawned(3, 20.0)
    workers.restart(9)
    assert workers.died(3, 21.0) == [Spawn()]


def test_a_first_worker_that_fails_is_the_end() -> None:
    workers = Workers()
    workers.spawned(1, 0.0)
    assert workers.died(1, 1.0) == [Exit(failed=True)]
    assert Workers().not_spawned() == [Exit(failed=True)]


def test_a_worker_that_hangs_at_its_start_is_killed() -> None:
    workers = _serving()
    workers.restart(9)
    workers.spawned(2, 100.0)
    assert workers.deadline() == 100.0 + START_SECONDS
    assert workers.overdue(100.0 + START_SECONDS - 1) == []
    assert workers.overdue(100.0 + START_SECONDS) == [Send(2, KILL)]
    assert workers.died(2, 161.0) == [Answer(frozenset({9}), done=False)]
    assert workers.deadline() is None


@pytest.mark.parametrize(
    ("age", "effects"), [(STEADY_SECONDS, [Spawn()]), (STEADY_SECONDS - 1, [Exit(failed=True)])]
)
def test_a_dead_worker_is_replaced_unless_it_died_young(age: float, effects: list[object]) -> None:
    assert _serving(now=50.0).died(1, 50.0 + age) == effects


def test_a_worker_that_dies_during_a_restart_is_replaced_by_the_next() -> None:
    workers = _serving()
    workers.restart(9)
    workers.spawned(2, 1.0)
    assert workers.died(1, 1.5) == []
    assert workers.told(2, 2.0) == [Answer(frozenset({9}), done=True)]
    assert workers.current == 2


def test_a_stop_ends_all_and_kills_what_does_not_end() -> None:
    workers = _serving()
    workers.ending = {5}
    workers.restart(9)
    workers.spawned(2, 1.0)
    assert workers.stop(2.0) == [
        Answer(frozenset({9}), done=False),
        Send(1, TERM),
        Send(2, TERM),
        Send(5, TERM),
    ]
    assert workers.restart(9) == [Answer(frozenset({9}), done=False)]
    assert workers.told(2, 2.5) == []
    assert workers.died(5, 3.0) == []
    assert workers.died(1, 3.0) == []
    assert workers.overdue(2.0 + STOP_SECONDS) == [Send(2, KILL)]
    assert workers.died(2, 20.0) == [Exit(failed=False)]
    assert Workers().stop(0.0) == [Exit(failed=False)]


# -- real processes ---------------------------------------------------------------------------------------

_SERVICE = """
import os, signal, socket, sys, time
from pathlib import Path
from quorate.api import supervisor
from quorate.api.supervisor import Service, ServiceError, run_service
base = Path(sys.argv[1])
def listen(place):
    listening = socket.create_server(("127.0.0.1", int(place)))
    return listening
def place():
    text = (base / "port").read_text()
    if not text.isdigit():
        raise ServiceError("the port is no number")
    return text
def serve(listening, tell):
    listening.settimeout(0.02)
    word = (base / "word").read_text()
    if word == "broken":
        sys.exit(3)
    told = []
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: told.append(number))
    tell()
    busy = []
    while not told:
        try:
            client, _ = listening.accept()
        except TimeoutError:
            continue
        client.setblocking(True)
        if client.recv(4) == b"slow":
            busy.append(client)
        else:
            client.sendall(f"{word} {os.getpid()} {os.getppid()}".encode())
            client.close()
    while (base / "linger").exists():
        time.sleep(0.01)
    listening.close()
    tell()
    while busy and told == [signal.SIGHUP] and not (base / "finish").exists():
        time.sleep(0.01)
    for client in busy:
        client.sendall(word.encode())
        client.close()
supervisor.ADDRESS_SECONDS = float(os.environ.get("ADDRESS_SECONDS", "5"))
run_service(Service(what="a port", place=place, prepare=lambda: None, listen=listen, serve=serve,
                    pidfile=base / "pid"))
"""


class _Host:
    def __init__(self, base: Path) -> None:
        self.base = base
        self.say("one")
        self.port = _free_port()
        (base / "port").write_text(str(self.port))
        with (base / "log").open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-c", _SERVICE, str(base)], stderr=log)
        self.wait(lambda: self.ask().startswith("one "))

    def say(self, word: str) -> None:
        (self.base / "word").write_text(word)

    def ask(self, port: int | None = None) -> str:
        """Word, worker and supervisor; nothing when it does not listen yet."""
        with (
            contextlib.suppress(ConnectionRefusedError),
            socket.create_connection(("127.0.0.1", port or self.port), 10) as connection,
        ):
            connection.sendall(b"fast")
            return connection.recv(100).decode()
        return ""

    def restart(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def log(self) -> str:
        return (self.base / "log").read_text()

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, self.log()
            assert self.process.poll() is None, self.log()
            time.sleep(0.01)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[_Host]:
    found = _Host(tmp_path)
    yield found
    if found.process.poll() is None:
        found.process.kill()
        found.process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_nobody_is_refused_and_what_runs_is_answered(host: _Host) -> None:
    with socket.create_connection(("127.0.0.1", host.port), 30) as slow:
        slow.sendall(b"slow")
        before = host.ask().split()
        host.say("two")
        host.restart()
        answers = [host.ask()]
        while not answers[-1].startswith("two "):
            assert answers[-1] != ""  # the socket is there all the time
            answers.append(host.ask())
        _, worker, supervisor = answers[-1].split()
        assert supervisor == before[2] == str(host.process.pid)
        assert worker != before[1]
        os.kill(int(before[1]), 0)  # it still has a client
        (host.base / "finish").touch()
        assert slow.recv(100) == b"one"
    host.wait(lambda: not Path("/proc", before[1]).exists())


def test_the_supervisor_executes_itself_and_goes_on_restarting(host: _Host) -> None:
    for word in ("two", "three"):
        host.say(word)
        host.restart()
        host.wait(lambda word=word: host.ask().startswith(f"{word} "))  # type: ignore[misc]
        # What one image tells the next is in its environment, as the kernel shows it
        host.wait(lambda: b"QUORATE_SUPERVISOR=" in Path(f"/proc/{host.process.pid}/environ").read_bytes())
    host.process.send_signal(signal.SIGTERM)
    assert host.process.wait(30) == 0
    assert host.ask() == ""


def test_the_file_names_the_supervisor_as_long_as_it_is_there(host: _Host) -> None:
    file = host.base / "pid"
    assert file.read_text() == f"{host.process.pid}\n"
    made = file.stat().st_ino
    host.say("two")
    host.restart()
    host.wait(lambda: b"QUORATE_SUPERVISOR=" in Path(f"/proc/{host.process.pid}/environ").read_bytes())
    host.wait(lambda: host.ask().startswith("two "))
    assert (file.read_text(), file.stat().st_ino) == (f"{host.process.pid}\n", made)
    host.process.send_signal(signal.SIGTERM)
    assert host.process.wait(30) == 0
    assert not file.exists()


def test_the_file_of_another_one_is_left(host: _Host) -> None:
    file = host.base / "pid"
    file.write_text("1\n")
    host.process.send_signal(signal.SIGTERM)
    assert host.process.wait(30) == 0
    assert file.read_text() == "1\n"


def test_a_file_that_cannot_be_written_is_said_and_no_reason_not_to_serve(tmp_path: Path) -> None:
    (tmp_path / "pid").mkdir()
    found = _Host(tmp_path)
    try:
        assert f"unable to write '{tmp_path / 'pid'}': Is a directory" in found.log()
    finally:
        found.process.terminate()
        assert found.process.wait(30) == 0


def test_who_asks_waits_until_the_old_worker_takes_no_more_connections(host: _Host) -> None:
    (host.base / "linger").touch()
    host.say("two")
    with pytest.raises(RestartError, match="no new worker serves after 1 s; the one before goes on"):
        ask_for_restart(host.process.pid, 1.0)
    (host.base / "linger").unlink()
    ask_for_restart(host.process.pid, 30.0)
    assert host.ask().startswith("two ")


def test_who_asks_learns_why_not(host: _Host) -> None:
    host.say("broken")
    with pytest.raises(RestartError, match="did not start, the one before goes on"):
        ask_for_restart(host.process.pid, 30.0)
    host.process.kill()
    host.process.wait()
    with pytest.raises(RestartError, match=r"unable to ask process .*: No such process"):
        ask_for_restart(host.process.pid, 30.0)


def test_a_worker_that_cannot_start_leaves_the_one_that_serves(host: _Host) -> None:
    before = host.ask()
    host.say("broken")
    host.restart()
    host.wait(lambda: f"ended with status 3, {before.split()[1]} goes on" in host.log())
    assert host.ask() == before
    (host.base / "port").write_text("none")
    host.restart()
    host.wait(lambda: "goes on: the port is no number" in host.log())
    assert host.ask() == before


def test_another_address_after_a_restart(host: _Host) -> None:
    other = _free_port()
    (host.base / "port").write_text(str(other))
    host.restart()
    host.wait(lambda: host.ask(other) != "")
    host.wait(lambda: host.ask() == "")


def test_workers_end_with_their_supervisor(host: _Host) -> None:
    worker = host.ask().split()[1]
    host.process.kill()
    host.process.wait()
    deadline = time.monotonic() + 30
    while Path("/proc", worker).exists() and "Z" not in Path("/proc", worker, "stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_no_address_is_an_error_that_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (tmp_path / "port").write_text(str(taken.getsockname()[1]))
        (tmp_path / "word").write_text("one")
        done = subprocess.run(
            [sys.executable, "-c", _SERVICE, str(tmp_path)],
            capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "ADDRESS_SECONDS": "0.2"},
        )  # fmt: skip
    assert done.returncode == 1
    assert "unable to listen on a port: Address already in use" in done.stderr
