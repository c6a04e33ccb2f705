"""A console with real terminals and sockets: its one client, and the end of everything (guests 9.3)."""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.waiting import wait_for
from quorate.console import server, terminal, watch
from quorate.console.protocol import Login
from quorate.console.server import CLIENT_LEFT, PROGRAM_ENDED, STUCK, ConsoleError, serve
from quorate.console.terminal import Terminal
from quorate.console.watch import Refusal

SECONDS = 20.0
ENVIRONMENT = {"PATH": os.environ["PATH"], "PS1": "ready> "}
SHELL = ["/bin/sh"]


class Server:
    """`serve` in a thread of its own: one console for the argv."""

    def __init__(self, argv: list[str], refusal: Refusal = lambda: None) -> None:
        self.refusal = refusal
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.argv = argv
        self.started: list[int] = []
        self.result = ""
        self.error: ConsoleError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), SECONDS)
        client.settimeout(SECONDS)
        return client

    def end(self) -> str:
        """Wait for the end; the error's text or what ended it."""
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        for pid in self.started:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        return str(self.error) if self.error is not None else self.result

    def _run(self) -> None:
        try:
            self.result = serve(self.listening, self._verify, self._start, self.refusal)
        except ConsoleError as err:
            self.error = err

    def _verify(self, login: Login) -> None:
        if login != Login("root@pam", "T"):
            raise ConsoleError("refused")

    def _start(self) -> Terminal:
        started = Terminal(self.argv, ENVIRONMENT)
        self.started.append(started.pid)
        return started


def _until(client: socket.socket, text: bytes) -> bytes:
    seen = b""
    while text not in seen:
        data = client.recv(65536)
        assert data, seen
        seen += data
    return seen


def _rest(client: socket.socket) -> bytes:
    seen = b""
    try:
        while data := client.recv(65536):
            seen += data
    except ConnectionError:
        pass
    return seen


@contextmanager
def _client(console: Server, first: bytes = b"root@pam:T\n") -> Iterator[socket.socket]:
    with console.connect() as client:
        client.sendall(first)
        yield client


def test_messages_may_follow_the_first_line_at_once() -> None:
    console = Server(SHELL)
    with _client(console, b"root@pam:T\n1:111:22:20:18:stty size; exit 2\n") as client:
        seen = _rest(client)
    assert seen.startswith(b"OK")
    assert b"22 111\r\n" in seen
    assert console.end() == PROGRAM_ENDED


def test_a_refused_client_is_told_nothing_and_nothing_starts() -> None:
    console = Server(SHELL)
    with _client(console, b"root@pam:U\n0:3:ls\n") as client:
        assert _rest(client) == b""
    assert console.end() == "refused"
    assert console.started == []


@pytest.mark.parametrize(
    ("first", "text"),
    [
        (b"no ticket\n", "the client did not say who it is: the first line is not USER:TICKET"),
        (b"x" * 1025, "the client did not say who it is: the first line is longer than 1024 bytes"),
    ],
)
def test_a_client_that_is_none(first: bytes, text: str) -> None:
    console = Server(SHELL)
    with _client(console, first) as client:
        assert _rest(client) == b""
    assert console.end() == text
    assert console.started == []


def test_nobody_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CLIENT_SECONDS", 0.2)
    console = Server(SHELL)
    assert console.end() == "no client came within 0 s"
    with pytest.raises(ConnectionRefusedError):
        console.connect()


def test_somebody_comes_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CLIENT_SECONDS", 1.0)
    console = Server(SHELL)
    with console.connect() as client:
        client.sendall(b"root")
        assert _rest(client) == b""
        assert console.end() == "the client did not say who it is within 1 s"
    console = Server(SHELL)
    console.connect().close()
    assert console.end() == "the client left before it had said who it is"


def test_who_may_no_longer_is_told_so_and_the_program_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "CHECK_SECONDS", 0.05)
    answers: list[str | None] = [None]
    console = Server(["/bin/sh", "-c", "trap '' HUP; echo now; exec cat"], lambda: answers[0])
    monkeypatch.setattr(terminal, "HANGUP_SECONDS", 0.2)
    with _client(console) as client:
        _until(client, b"now")
        assert console.started
        answers[0] = "user 'x@pve' is disabled"
        seen = _rest(client)
    assert seen.endswith(b"\r\n*** This console is closed: user 'x@pve' is disabled. ***\r\n")
    assert console.end() == "the user may not have this console any more: user 'x@pve' is disabled"


def test_who_may_no_longer_and_does_not_read_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(server, "FLUSH_SECONDS", 0.2)
    full = threading.Event()
    console = Server(["/bin/sh", "-c", "yes"], lambda: "no permission" if full.is_set() else None)
    with _client(console) as client:
        _until(client, b"y\r\ny")
        full.set()
        assert console.end() == "the user may not have this console any more: no permission"


def test_a_question_that_hangs_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "CHECK_SECONDS", 0.05)
    asked, answer = threading.Event(), threading.Event()

    def hang() -> str | None:
        asked.set()
        answer.wait()
        return "too late"

    console = Server(SHELL, hang)
    with _client(console) as client:
        _until(client, b"ready> ")
        assert asked.wait(SECONDS)
        client.sendall(b"0:22:echo $((6*7)); exit 0\n")
        assert b"42\r\n" in _rest(client)
    assert console.end() == PROGRAM_ENDED
    answer.set()


def test_there_is_no_second_client() -> None:
    console = Server(SHELL)
    with _client(console) as client:
        _until(client, b"ready> ")
        with pytest.raises(ConnectionRefusedError):
            console.connect()
    assert console.end() == CLIENT_LEFT


def test_the_last_words_arrive_whole() -> None:
    console = Server(["/bin/sh", "-c", "seq 100000"])
    with _client(console) as client:
        seen = _rest(client)
    assert seen.removeprefix(b"OK").split() == [b"%d" % number for number in range(1, 100_001)]
    assert console.end() == PROGRAM_ENDED


def test_a_program_that_is_not_there_says_so() -> None:
    console = Server(["/no/such/login"])
    with _client(console) as client:
        assert _rest(client) == b"OKunable to start '/no/such/login': No such file or directory\r\r\n"
    assert console.end() == PROGRAM_ENDED


def test_no_message() -> None:
    console = Server(SHELL)
    with _client(console) as client:
        _until(client, b"ready> ")
        client.sendall(b"ls\n")
        assert _rest(client) == b""
    assert console.end() == "the client does not speak the protocol: a message begins with b'l'"


@pytest.mark.parametrize("cut", [True, False])
def test_a_client_that_goes_is_noticed_while_its_input_waits(
    monkeypatch: pytest.MonkeyPatch, cut: bool
) -> None:
    """More than the terminal takes, for a program that does not read. The end of a connection that is not cut
    comes behind it."""
    monkeypatch.setattr(server, "STUCK_SECONDS", 1000.0 if cut else 1.0)
    console = Server(["/bin/sh", "-c", "stty raw -echo; echo now; exec sleep 1000"])
    with _client(console) as client:
        _until(client, b"now")
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.sendall(b"0:16000000:" + b"x" * 16_000_000)
        if cut:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert console.end() == (CLIENT_LEFT if cut else STUCK)


def test_a_client_that_does_not_read_holds_up_the_program_alone() -> None:
    console = Server(["/bin/sh", "-c", "yes"])
    with _client(console) as client:
        _until(client, b"y\r\ny")
        client.sendall(b"2" * 100)
    assert console.end() == CLIENT_LEFT


def test_the_shell_goes_also_where_it_has_a_session_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind login, whose child takes the terminal over; both ignore the hang-up here."""
    monkeypatch.setattr(terminal, "HANGUP_SECONDS", 0.5)
    script = "trap '' HUP; setsid --ctty --wait sh -c 'echo is=$$; trap \"\" HUP; while :; do sleep 1; done'"
    console = Server(["/bin/sh", "-c", script])
    with _client(console) as client:
        found = re.search(rb"is=(\d+)\r\n", _until(client, b"\n"))
        assert found is not None
        shell = int(found[1])
        assert os.getsid(shell) == shell
    assert console.end() == CLIENT_LEFT

    def gone() -> bool:  # killed, and waited for by whoever adopts orphans
        try:
            with open(f"/proc/{shell}/stat") as file:  # noqa: PTH123
                return file.read().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    wait_for(gone, timeout=SECONDS, what="the end of the shell")


def test_jobs_that_were_detached_live_on() -> None:
    console = Server(SHELL)
    with _client(console) as client:
        _until(client, b"ready> ")
        text = b"setsid --fork nohup sleep 1000 >/dev/null 2>&1; pgrep -n -x sleep\n"
        client.sendall(b"0:%d:%s" % (len(text), text))
        found = re.search(rb"\n(\d+)\r\n", _until(client, b"\nready> "))
        assert found is not None
        job = int(found[1])
    assert console.end() == CLIENT_LEFT
    os.kill(job, signal.SIGTERM)  # raises where it is not there


def test_the_program_has_nothing_of_ours() -> None:
    console = Server(["/bin/sh", "-c", "ls -l /proc/self/fd; grep -E 'Sig(Ign|Blk)' /proc/self/status"])
    started = time.monotonic()
    with _client(console) as client:
        seen = _rest(client).decode()
    assert console.end() == PROGRAM_ENDED
    assert time.monotonic() - started < SECONDS
    links = re.findall(r"(\d+) -> (\S+)", seen)
    assert {number for number, target in links if target.startswith("/dev/pts/")} == {"0", "1", "2"}
    assert [target for _, target in links if "socket" in target or "pidfd" in target] == []
    assert re.findall(r"Sig(?:Blk|Ign):\s(0+)\r", seen) == ["0" * 16] * 2
