"""Restarts of both halves under load: nobody is refused, what runs is answered (pvecm 11)."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.real.api_host import PASSWORDS, ApiHost, Reply, Session

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

EXTRA = """
import os, time
from quorate.api import operations
from quorate.api.router import Router
from quorate.schema import ALL, Operation, String
BASE = Path({base!r})
PROGRAM = (BASE / "program").read_text()  # read at the start, as a program's source is
def who(ctx):
    return {{"program": PROGRAM, "process": os.getppid()}}
def slow(ctx, name):
    (BASE / f"{{name}}-runs").touch()
    while not (BASE / f"{{name}}-may-end").exists():
        time.sleep(0.02)
    return PROGRAM
def declare(name, handler, **more):
    return Operation(method="GET", path=f"/test/{{name}}", name=name, description="", handler=handler,
                     permission=ALL, **more)
NAME = {{"name": String(description="")}}
serving.make_router = lambda: Router([
    *operations.all_operations(),
    declare("root", who, protected=True), declare("plain", who),
    declare("slow", slow, protected=True, parameters=NAME), declare("slowplain", slow, parameters=NAME),
])
"""
PAUSE_SECONDS = 0.05
"""Between a client's requests, so that the new worker gets some of the processor."""
HALVES = ("pveproxy", "pvedaemon")


@pytest.fixture(scope="module")
def host() -> Iterator[ApiHost]:
    api = ApiHost()
    (api.root / "test").mkdir()
    (api.root / "test").chmod(0o777)  # the front is www-data
    (api.root / "test/program").write_text("one")
    api.extra = EXTRA.format(base=str(api.root / "test"))
    with api:
        yield api


@pytest.fixture(scope="module")
def alice(host: ApiHost) -> Session:
    return host.login("alice@pve", PASSWORDS["alice"])


def _change_program(host: ApiHost) -> str:
    """What the next worker will say, other than all before."""
    global _changes
    _changes += 1
    word = f"program {_changes}"
    (host.root / "test/program").write_text(word)
    return word


_changes = 0


def _wait(host: ApiHost, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, host.log("pveproxy") + host.log("pvedaemon")
        time.sleep(0.02)


class Clients:
    """Ask all the time: one on connections of its own, one on kept connections. Failures are remembered."""

    def __init__(self, host: ApiHost, session: Session, path: str) -> None:
        self._host = host
        self._session = session
        self._path = path
        self._stop = threading.Event()
        self.failures: list[str] = []
        self.answers = 0
        self._threads = [threading.Thread(target=self._fresh), threading.Thread(target=self._kept)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _fresh(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            try:
                reply = self._host.api("GET", self._path, self._session)
            except (OSError, http.client.HTTPException) as err:
                self.failures.append(f"fresh: {err!r}")
            else:
                self._note(reply.status, reply.reason)

    def _kept(self) -> None:
        while not self._stop.is_set():
            connection = self._host._tls()
            try:
                while not self._stop.wait(PAUSE_SECONDS):
                    connection.request("GET", f"/api2/json{self._path}", headers=self._session.headers("GET"))
                    response = connection.getresponse()
                    response.read()
                    self._note(response.status, response.reason)
                    if response.getheader("Connection", "").lower() == "close":
                        break
            except (OSError, http.client.HTTPException) as err:
                self.failures.append(f"kept: {err!r}")
            finally:
                connection.close()

    def _note(self, status: int, reason: str) -> None:
        self.answers += 1
        if status != 200:
            self.failures.append(f"{status} {reason}")


@pytest.mark.parametrize("half", HALVES)
def test_nobody_notices_a_restart_but_for_the_new_program(host: ApiHost, alice: Session, half: str) -> None:
    path = "/test/plain" if half == "pveproxy" else "/test/root"
    process = host.processes[half]
    with Clients(host, alice, path) as clients:
        word = _change_program(host)
        process.send_signal(signal.SIGHUP)
        _wait(host, lambda: host.api("GET", path, alice).data["program"] == word)
        before = clients.answers
        _wait(host, lambda: clients.answers > before + 10)
    assert clients.failures == []
    assert process.poll() is None


@pytest.mark.parametrize("half", HALVES)
def test_a_request_that_runs_is_answered(host: ApiHost, alice: Session, half: str) -> None:
    path, quick = ("/test/slowplain", "/test/plain") if half == "pveproxy" else ("/test/slow", "/test/root")
    before = host.api("GET", quick, alice).data["program"]
    replies: list[Reply] = []
    asking = threading.Thread(target=lambda: replies.append(host.api("GET", f"{path}?name={half}", alice)))
    asking.start()
    _wait(host, (host.root / f"test/{half}-runs").exists)
    word = _change_program(host)
    host.processes[half].send_signal(signal.SIGHUP)
    _wait(host, lambda: host.api("GET", quick, alice).data["program"] == word)
    assert asking.is_alive()  # others are served while it runs
    (host.root / f"test/{half}-may-end").touch()
    asking.join()
    assert [(reply.status, reply.data) for reply in replies] == [(200, before)]


def test_the_configuration_is_read_anew(host: ApiHost) -> None:
    path = host.settings.proxy_config
    path.parent.mkdir(parents=True, exist_ok=True)

    def is_compressed() -> bool:
        reply = host.request("GET", "/api2/openapi.json", headers={"Accept-Encoding": "gzip"})
        return "content-encoding" in reply.headers

    for text, compressed in (("COMPRESSION=0\n", False), ("", True)):
        assert is_compressed() != compressed
        path.write_text(text)
        host.processes["pveproxy"].send_signal(signal.SIGHUP)
        _wait(host, lambda expected=compressed: is_compressed() == expected)  # type: ignore[misc]


def test_a_configuration_that_cannot_be_used_leaves_the_one_before(host: ApiHost) -> None:
    path = host.settings.proxy_config
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("DISABLE_TLS_1_2=1\nDISABLE_TLS_1_3=1\n")
    host.processes["pveproxy"].send_signal(signal.SIGHUP)
    _wait(host, lambda: " goes on" in host.log("pveproxy"))
    assert "nothing is left to speak" in host.log("pveproxy")
    assert host.api("GET", "/access/domains").status == 200
    path.write_text("")
    workers = host.log("pveproxy").count("serving on port")
    host.processes["pveproxy"].send_signal(signal.SIGHUP)
    _wait(host, lambda: host.log("pveproxy").count("serving on port") > workers)
    assert host.api("GET", "/access/domains").status == 200


def test_the_access_log_is_opened_anew(host: ApiHost) -> None:
    path = host.settings.proxy_log_dir / "access.log"
    path.rename(path.with_suffix(".1"))
    host.processes["pveproxy"].send_signal(signal.SIGHUP)
    _wait(host, path.exists)
    _wait(host, lambda: host.api("GET", "/access/domains").status == 200 and path.stat().st_size > 0)


def test_streams_are_ended_for_the_page_to_come_back(host: ApiHost, alice: Session) -> None:
    connection = host._tls()
    try:
        connection.request("GET", "/api2/events", headers=alice.headers("GET"))
        response = connection.getresponse()
        while not response.readline().startswith(b"event: hello"):
            assert not response.isclosed()
        host.processes["pveproxy"].send_signal(signal.SIGHUP)
        assert b"data: " in response.read()  # to the end, which comes
    finally:
        connection.close()


def test_a_stop_during_a_drain_ends_all(host: ApiHost, alice: Session) -> None:
    asking = threading.Thread(target=lambda: _ask_quietly(host, alice))
    asking.start()
    _wait(host, (host.root / "test/stuck-runs").exists)
    word = _change_program(host)
    host.processes["pveproxy"].send_signal(signal.SIGHUP)
    _wait(host, lambda: host.api("GET", "/test/plain", alice).data["program"] == word)
    assert host.kill("pveproxy", signal.SIGTERM) == 0
    (host.root / "test/stuck-may-end").touch()
    asking.join()
    host.start_daemon("pveproxy")  # the address is free
    assert host.api("GET", "/access/domains").status == 200


def _ask_quietly(host: ApiHost, session: Session) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        host.api("GET", "/test/slow?name=stuck", session)
