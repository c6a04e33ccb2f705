"""What the front does before and after the other half answers: who is slowed down, and who is not."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from quorate.api import calls, front, privileged
from quorate.api.executor import Executor
from quorate.api.front import Front
from quorate.api.gate import Gate
from quorate.api.operations import make_router
from quorate.api.privileged import Privileged
from quorate.api.protocol import Answer, Request, failure
from quorate.api.server import Outcome
from quorate.api.throttle import CLIENT_FAILURES
from quorate.schema import ApiError
from tests.unit.api.access_world import AccessWorld

REFUSED = ApiError(401, "authentication failure")


class Asker:
    """Sends requests of one client to a front whose privileged half gives ``answer``."""

    def __init__(self, world: AccessWorld, made: Front) -> None:
        self._world = world
        self._front = made
        self.passed = 0
        self.answer = Answer(200, "OK", b'{"data":null}')
        made._passer.to_root = self._to_root  # type: ignore[method-assign]

    async def _to_root(self, request: Request) -> Answer:
        self.passed += 1
        return self.answer

    async def ask(
        self, method: str, target: str, body: str = "", client: str = "192.0.2.7", **headers: str
    ) -> Outcome:
        request = Request(method, target, headers, body.encode(), client)
        return await self._front.handle(request)

    async def as_user(self, user: str, method: str, target: str, body: str = "") -> Outcome:
        keys = self._world.directory.keys
        cookie = f"PVEAuthCookie={keys.login_ticket(user)}"
        return await self.ask(method, target, body, cookie=cookie, csrfpreventiontoken=keys.csrf_token(user))


def _with_front(root: Path, use: Callable[[Asker], Awaitable[None]]) -> None:
    async def main() -> None:
        world = AccessWorld(root)
        made = Front(world.settings, make_router(), "n1")
        try:
            await use(Asker(world, made))
        finally:
            await made.close()

    asyncio.run(main())


@pytest.mark.parametrize("form", ["json", "extjs"])
def test_confirming_with_the_password_is_no_place_to_guess_it(tmp_path: Path, form: str) -> None:
    """Whoever has taken a ticket must not find the password with it."""

    async def use(asker: Asker) -> None:
        asker.answer = failure(REFUSED, form)
        target = f"/api2/{form}/access/password"
        for number in range(CLIENT_FAILURES):
            outcome = await asker.as_user(
                "bob@pve", "PUT", target, f"userid=bob@pve&password=new-word-{number}"
            )
            assert outcome.slow
        assert asker.passed == CLIENT_FAILURES
        outcome = await asker.as_user("bob@pve", "PUT", target, "userid=bob@pve&password=new-word")
        assert b"too many failed logins" in outcome.answer.body
        tfa = f"/api2/{form}/access/tfa/bob@pve/x"
        outcome = await asker.as_user("bob@pve", "DELETE", tfa)
        assert b"too many failed logins" in outcome.answer.body
        assert asker.passed == CLIENT_FAILURES  # neither got there
        # What asks for no password goes on.
        asker.answer = Answer(200, "OK", b'{"data":[]}')
        outcome = await asker.as_user("bob@pve", "GET", f"/api2/{form}/access/tfa")
        assert outcome.answer.status == 200

    _with_front(tmp_path, use)


def test_a_host_with_many_ipv6_addresses_guesses_no_more_than_others(tmp_path: Path) -> None:
    """Every host has a whole /64: counted by address, each password could come from a new one."""

    async def use(asker: Asker) -> None:
        asker.answer = failure(REFUSED, "json")
        target = "/api2/json/access/ticket"
        for number in range(CLIENT_FAILURES):
            body = f"username=bob@pve&password=word-{number}"
            await asker.ask("POST", target, body, f"2001:db8:0:7::{number + 1:x}")
        outcome = await asker.ask("POST", target, "username=eve@pve&password=x", "2001:db8:0:7:a::1")
        assert outcome.answer.status == 429
        outcome = await asker.ask("POST", target, "username=eve@pve&password=x", "2001:db8:0:8::1")
        assert outcome.answer.status == 401

    _with_front(tmp_path, use)


def test_a_token_that_cannot_be_checked_is_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While /etc/pve hangs, monitoring gets an error: neither '401' nor a wait for the time after."""

    class Response:
        status, reason = 500, "unable to read '/etc/pve/user.cfg': Input/output error"

        def read(self, length: int) -> bytes:
            return b""

    monkeypatch.setattr(front._UnixConnection, "request", lambda *_a, **_k: None)
    monkeypatch.setattr(front._UnixConnection, "getresponse", lambda _self: Response())

    async def use(asker: Asker) -> None:
        for _ in range(CLIENT_FAILURES + 1):
            outcome = await asker.ask(
                "GET", "/api2/json/version", authorization="PVEAPIToken=bob@pve!tk=value"
            )
            assert outcome.answer.status == 500
            assert "Input/output error" in json.loads(outcome.answer.body)["message"]

    _with_front(tmp_path, use)


# -- what hangs -------------------------------------------------------------------------------------------


@pytest.fixture
def hang() -> Iterator[Callable[..., object]]:
    """A function that does not return before the test's end."""
    end = threading.Event()

    def function(*_arguments: object, **_options: object) -> object:
        assert end.wait(60)
        raise ApiError(500, "it went on")

    yield function
    end.set()


@pytest.mark.parametrize("form", ["json", "extjs"])
def test_an_operation_that_hangs_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hang: Callable[..., object], form: str
) -> None:
    monkeypatch.setattr(front, "RUN_SECONDS", 0.1)

    async def use(asker: Asker) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(calls, "run_operation", hang)
            outcome = await asker.as_user("alice@pve", "GET", f"/api2/{form}/version")
        told = json.loads(outcome.answer.body)
        assert told["status" if form == "extjs" else "message"] == (
            500 if form == "extjs" else "version failed: got timeout\n"
        )
        assert "version failed: got timeout" in told["message"]
        assert outcome.answer.status == (200 if form == "extjs" else 500)
        # Others are served meanwhile: it took one thread of many.
        monkeypatch.setattr(front, "RUN_SECONDS", 60.0)
        assert (await asker.as_user("alice@pve", "GET", f"/api2/{form}/version")).answer.status == 200

    _with_front(tmp_path, use)


HANGS = "got timeout while reading /etc/pve - does the cluster file system hang?"


def test_who_calls_is_not_found_out_while_the_file_system_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hang: Callable[..., object]
) -> None:
    monkeypatch.setattr(front, "DECIDE_SECONDS", 0.1)

    async def use(asker: Asker) -> None:
        for name, target in (("decide", "/api2/json/version"), ("authenticate", "/api2/events")):
            with monkeypatch.context() as patched:
                patched.setattr(Gate, name, hang)
                outcome = await asker.as_user("alice@pve", "GET", target)
            assert outcome.answer.status == 500
            assert not outcome.slow
            assert "got timeout" in outcome.answer.reason
        with monkeypatch.context() as patched:
            patched.setattr("quorate.api.webfiles.WebFiles.answer", hang)
            outcome = await asker.ask("GET", "/index.html")
        assert "got timeout while reading the file '/index.html'" in outcome.answer.reason

    _with_front(tmp_path, use)


def test_the_privileged_half_answers_while_the_file_system_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hang: Callable[..., object]
) -> None:
    monkeypatch.setattr(privileged, "DECIDE_SECONDS", 0.1)
    monkeypatch.setattr(Gate, "decide", hang)

    async def main() -> None:
        world = AccessWorld(tmp_path)
        half = Privileged(world.settings, make_router(), "n1", Executor(lambda job: job))
        try:
            outcome = await half.handle(Request("GET", "/api2/json/access/tfa", {}, b"", "192.0.2.7"))
        finally:
            half.close()
        assert (outcome.answer.status, json.loads(outcome.answer.body)["message"].strip()) == (500, HANGS)

    asyncio.run(main())
