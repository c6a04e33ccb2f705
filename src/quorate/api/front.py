"""The HTTPS front (pveproxy): who calls, which half or node answers. Runs as www-data (pvecm 6.1, 6.4)."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import http.client
import json
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from quorate.access.directory import AuthenticationError, directory_of
from quorate.access.keys import KeyFileError
from quorate.api import calls
from quorate.api.changes import TOPICS
from quorate.api.clients import client_group
from quorate.api.events import CONTENT_TYPE, EVENTS_PATH, Hub, Look
from quorate.api.exposition import CONTENT_TYPE as METRICS_TYPE
from quorate.api.exposition import exposition
from quorate.api.forward import Passer
from quorate.api.gate import Answered, Caller, Decision, Forward, Gate, PassToRoot, Run
from quorate.api.openapi import OPENAPI_PATH, openapi
from quorate.api.pages import HTML_FORMATS, page_of
from quorate.api.protocol import (
    Address,
    Answer,
    Credentials,
    Refusal,
    Request,
    credentials,
    decode_body,
    decode_form,
    encode_json,
    failure,
    one_line,
    parse_address,
    success,
)
from quorate.api.relay import Relays
from quorate.api.requestfigures import OTHER, RequestFigures
from quorate.api.results import Encoded
from quorate.api.router import Router
from quorate.api.server import Outcome
from quorate.api.throttle import LoginThrottle
from quorate.api.webfiles import WebFiles
from quorate.api.websocket import accept, wants_upgrade
from quorate.cfs import Cfs
from quorate.rules import ROOT
from quorate.schema import ApiError, Context
from quorate.settings import Settings

_log = logging.getLogger(__name__)

THREADS: Final = 16
"""For reading files and running unprivileged operations; a hung file system blocks these, not the loop."""
DECIDE_SECONDS: Final = 20.0
RUN_SECONDS: Final = 60.0
TOKEN_SECONDS: Final = 10.0
"""How long a token's secret counts as checked; its owner and expiry are checked every time."""
MAX_TOKENS: Final = 1024
MAX_LOGINS_PER_CLIENT: Final = 8
"""Logins of one client at the same time; each failed one takes 3 s."""
METRICS_PATH: Final = "/metrics"
TOKEN_PATH: Final = "/internal/token"
MAX_LOGIN_NAME: Final = 128
"""What of a name is remembered; longer ones do not exist."""
_LOGIN_PATHS: Final = frozenset({"/access/ticket", "/access/vncticket"})
"""What the privileged half does for people who are not logged in."""


class Front:
    """Answers every request of the network. Make and close it on the event loop."""

    def __init__(self, settings: Settings, router: Router, node: str) -> None:
        self._settings = settings
        self._router = router
        self._node = node
        self._passer = Passer(settings)
        self._threads = ThreadPoolExecutor(THREADS, "api")
        self._files = WebFiles(settings.web_dir)
        self._figures = RequestFigures()
        self.count_connections: Callable[[], int] = lambda: 0
        self._hub = Hub(Look(Cfs(settings)))
        self._relays = Relays()
        self._document: Answer | None = None
        self._logins: Counter[str] = Counter()
        self._throttle = LoginThrottle()
        self._tokens: dict[bytes, tuple[str, float]] = {}
        self._gate = Gate(
            router=router,
            directory=directory_of(settings),
            node=node,
            privileged=False,
            check_token=self._check_token,
        )

    def end_events(self) -> None:
        """Before the server waits for what is going on: pages listen again by themselves."""
        self._hub.close()

    @property
    def consoles(self) -> int:
        """How many are open through this process."""
        return self._relays.count

    def end_consoles(self) -> None:
        """Now, and those that are asked for later."""
        self._relays.close()

    async def close(self) -> None:
        await self._passer.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def handle(self, request: Request) -> Outcome:
        started = time.monotonic()
        outcome = await self._handle(request)
        if outcome.stream is None:
            seconds = time.monotonic() - started
            self._figures.observe(request.method, self._template(request), outcome.answer.status, seconds)
        return outcome

    def _template(self, request: Request) -> str:
        """The declared path of what a request asks for."""
        try:
            address = parse_address(request.path)
            if address is not None:
                return self._router.match(request.method, address.path).operation.path
        except (Refusal, ApiError):
            pass
        return OTHER

    async def _handle(self, request: Request) -> Outcome:
        if request.path == METRICS_PATH and request.method == "GET":
            return await self._metrics(request)
        if request.path == OPENAPI_PATH and request.method == "GET":
            return Outcome(await self._openapi())
        if request.path == EVENTS_PATH and request.method == "GET":
            return await self._events(request)
        try:
            address = parse_address(request.path)
        except Refusal as refusal:
            return Outcome(refusal.answer())
        if address is None:
            return Outcome(await self._file(request))
        if address.format not in HTML_FORMATS:
            return await self._guarded(request, address)
        query = f"?{request.query}" if request.query else ""
        inner = replace(request, target=f"/api2/json{quote(address.path)}{query}")
        outcome = await self._guarded(inner, Address("json", address.path))
        page = page_of(outcome.answer, address.path, self._router.place(address.path))
        shown = credentials(request.headers) != Credentials()
        slow = outcome.answer.status == 401 and (shown or request.method == "POST")
        return Outcome(page, outcome.user, slow=slow)

    async def _guarded(self, request: Request, address: Address) -> Outcome:
        """The answer; a login is not tried where this client, or for this user somebody, guessed too often.

        API tokens are not counted: nobody guesses a random UUID, and one forgotten script with an old token
        must not keep out the others of its host.
        """
        if request.method != "POST" or address.path not in _LOGIN_PATHS:
            return await self._answer(request, address)
        client, user = client_group(request.client_ip), _login_name(request)
        seconds = self._throttle.wait(client, user, time.monotonic())
        if seconds > 0:
            _log.warning("too many failed logins; rhost=%s user=%s", request.client_ip, one_line(user))
            return Outcome(_too_many(seconds, address.format), slow=True)
        if self._logins[client] >= MAX_LOGINS_PER_CLIENT:
            return Outcome(Refusal(503, "too many logins at the same time").answer())
        with self._login(client):
            outcome = await self._answer(request, address)
        if _is_refused_login(outcome.answer):
            self._figures.refused_logins += 1
            self._throttle.failed(client, user, time.monotonic())
            return outcome._replace(slow=True)
        if outcome.answer.status == 200 and b'"NeedTFA"' not in outcome.answer.body:
            self._throttle.succeeded(client, user)
        return outcome

    async def _metrics(self, request: Request) -> Outcome:
        """What the node says of itself, and what this process counted; the operation's permission holds."""
        path = f"/nodes/{self._node}/metrics"
        inner = replace(request, target=f"/api2/json{path}")
        outcome = await self._guarded(inner, Address("json", path))
        if outcome.answer.status != 200:
            return outcome
        own = exposition(self._figures.families(self._hub.listeners, self.count_connections()))
        text = str(json.loads(outcome.answer.body)["data"]) + own
        return outcome._replace(answer=Answer(200, "OK", text.encode(), METRICS_TYPE))

    async def _events(self, request: Request) -> Outcome:
        """The event stream of one listener, told what it may know as long as its ticket holds."""

        def topics() -> frozenset[str]:
            try:
                user = self._gate.authenticate(request)
            except Refusal as refusal:
                raise AuthenticationError(refusal.reason) from refusal
            except KeyFileError as err:
                raise AuthenticationError(str(err)) from err
            caller = Caller(self._gate.directory, user)
            return frozenset(
                name for name, rule in TOPICS.items() if user == ROOT or rule.refusal(caller, {}) is None
            )

        try:
            user = await self._in_thread(DECIDE_SECONDS, self._gate.authenticate, request)
            last_id = request.headers.get("last-event-id", "")
            stream = self._hub.listen(client_group(request.client_ip), last_id, topics)
        except Refusal as refusal:
            return Outcome(refusal.answer())
        except (ApiError, KeyFileError, OSError, TimeoutError) as err:
            status = err.status if isinstance(err, ApiError) else 500
            return Outcome(Refusal(status, str(err) or "got timeout").answer())
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return Outcome(Answer(200, "OK", b"", CONTENT_TYPE, headers), str(user), stream=stream)

    async def _openapi(self) -> Answer:
        """Made once, for whoever asks: it holds nothing that the source does not say."""
        if self._document is None:
            body = await asyncio.to_thread(encode_json, openapi(self._router.operations))
            self._document = Answer(200, "OK", body, "application/json", compressed=gzip.compress(body, 6))
        return self._document

    async def _file(self, request: Request) -> Answer:
        try:
            answer = await self._in_thread(DECIDE_SECONDS, self._files.answer, request)
        except TimeoutError:
            return Refusal(500, f"got timeout while reading the file '{request.path}'").answer()
        if isinstance(answer, Answer):
            return answer
        return Refusal(500, f"no such file '{request.path}'").answer()

    async def _answer(self, request: Request, address: Address) -> Outcome:
        try:
            decision = await self._in_thread(DECIDE_SECONDS, self._gate.decide, request, address)
        except TimeoutError:
            text = "got timeout while reading /etc/pve - does the cluster file system hang?"
            return Outcome(failure(ApiError(500, text), address.format))
        assert isinstance(decision, Decision)
        if isinstance(decision, Answered):
            return Outcome(decision.answer, decision.user)
        if _asks_password(request.method, address.path):
            return await self._confirmed(request, address, decision)
        if isinstance(decision, Run) and _is_websocket(decision, request):
            return await self._upgrade(request, decision)
        return Outcome(await self._carry_out(request, address, decision), decision.user)

    async def _upgrade(self, request: Request, run: Run) -> Outcome:
        """The way to a console, where the operation says that the caller may have it (pvecm 6.8)."""
        address = Address("json", run.operation.path)
        try:
            headers = accept(request.headers)
            answer = await self._carry_out(request, address, replace(run, format=address.format))
            if answer.status != 200:
                return Outcome(answer, run.user)
            relay = await self._relays.connect(int(json.loads(answer.body)["data"]["port"]))
        except Refusal as refusal:
            return Outcome(refusal.answer(), run.user)
        except ApiError as error:
            return Outcome(failure(error, address.format), run.user)
        return Outcome(Answer(101, "Switching Protocols", headers=headers), run.user, upgrade=relay)

    async def _confirmed(
        self, request: Request, address: Address, decision: Run | PassToRoot | Forward
    ) -> Outcome:
        """What a user confirms with the password: with a stolen ticket one must not find it out."""
        client, user = client_group(request.client_ip), decision.user
        seconds = self._throttle.wait(client, user, time.monotonic())
        if seconds > 0:
            _log.warning("too many wrong passwords; rhost=%s user=%s", request.client_ip, user)
            return Outcome(_too_many(seconds, address.format), user, slow=True)
        answer = await self._carry_out(request, address, decision)
        refused = _is_refused_login(answer)
        if refused:
            self._throttle.failed(client, user, time.monotonic())
        return Outcome(answer, user, slow=refused)

    async def _carry_out(
        self, request: Request, address: Address, decision: Run | PassToRoot | Forward
    ) -> Answer:
        if isinstance(decision, PassToRoot):
            return await self._passer.to_root(request)
        if isinstance(decision, Forward):
            try:
                return await self._passer.to_node(decision.node, request)
            except ApiError as error:
                return failure(error, address.format)
        try:
            answer = await self._in_thread(RUN_SECONDS, self._run, decision, request.client_ip)
        except TimeoutError:
            text = f"{decision.operation.name} failed: got timeout"
            return failure(ApiError(500, text), address.format)
        assert isinstance(answer, Answer)
        return answer

    def _run(self, run: Run, client_ip: str) -> Answer:
        context = Context(settings=self._settings, user=run.user, node=self._node, client_ip=client_ip)
        try:
            result = calls.run_operation(run.operation, context, run.parameters)
        except ApiError as error:
            return failure(error, run.format)
        if isinstance(result, Encoded):
            return success(result, run.format)
        return calls.answer_of(calls.pack_result(result), run.format)

    async def _in_thread(self, seconds: float, function: object, *arguments: object) -> object:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            return await loop.run_in_executor(self._threads, function, *arguments)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def _login(self, client: str) -> Iterator[None]:
        self._logins[client] += 1
        try:
            yield
        finally:
            self._logins[client] -= 1
            if not self._logins[client]:
                del self._logins[client]

    def _check_token(self, credential: str) -> str:
        """Ask the privileged half, which alone may read the secrets. Called in a thread."""
        if not credential.isascii() or not credential.isprintable():
            raise AuthenticationError("malformed API token")
        key = hashlib.sha256(credential.encode()).digest()
        now = time.monotonic()
        known = self._tokens.get(key)
        if known is not None and known[1] > now:
            return known[0]
        user = _ask_token(str(self._settings.api_socket), credential)
        if len(self._tokens) >= MAX_TOKENS:
            self._tokens.clear()
        self._tokens[key] = (user, now + TOKEN_SECONDS)
        return user


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=DECIDE_SECONDS / 2)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _ask_token(path: str, credential: str) -> str:
    connection = _UnixConnection(path)
    try:
        connection.request("GET", TOKEN_PATH, headers={"Authorization": f"PVEAPIToken={credential}"})
        response = connection.getresponse()
        body = response.read(65536)
    except (OSError, http.client.HTTPException, ValueError) as err:
        raise ApiError(500, f"unable to check the API token: pvedaemon does not answer ({err})") from err
    finally:
        connection.close()
    if response.status >= 500:
        # The token may be good: whoever shows it is not told that it is not, nor slowed down for it.
        raise ApiError(500, f"unable to check the API token: {response.reason or response.status}")
    if response.status != 200:
        raise AuthenticationError(response.reason or "token refused")
    return str(json.loads(body)["user"])


def _login_name(request: Request) -> str:
    """Who wants to log in, as the request says; empty where it does not."""
    try:
        values = {**decode_body(request.headers, request.body), **decode_form(request.query)}
    except Refusal:
        return ""
    name, realm = values.get("username", values.get("authid", "")), values.get("realm", "")
    full = f"{name}@{realm}" if realm else str(name)
    return full[:MAX_LOGIN_NAME]


def _is_websocket(run: Run, request: Request) -> bool:
    return run.operation.path.endswith("websocket") and wants_upgrade(request.headers)


def _asks_password(method: str, path: str) -> bool:
    """Whether an operation wants the password of a user who is logged in."""
    return method != "GET" and (path == "/access/password" or path.startswith("/access/tfa/"))


def _is_refused_login(answer: Answer) -> bool:
    """Also in the extjs format, where every status is 200."""
    if answer.status != 200:
        return answer.status == 401
    if b'"success":0' not in answer.body:
        return False
    envelope = json.loads(answer.body)
    return isinstance(envelope, dict) and envelope.get("status") == 401


def _too_many(seconds: int, form: str) -> Answer:
    text = f"too many failed logins, try again in {seconds} s"
    answer = failure(ApiError(429, text), form)
    return replace(answer, headers={"Retry-After": str(seconds)})
