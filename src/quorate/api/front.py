"""The HTTPS front (pveproxy): who calls, which half or node answers. Runs as www-data (pvecm 6.1, 6.4)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import json
import logging
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from quorate.access.directory import AuthenticationError, directory_of
from quorate.api import calls
from quorate.api.forward import Passer
from quorate.api.gate import Answered, Decision, Forward, Gate, PassToRoot, Run
from quorate.api.protocol import Address, Answer, Refusal, Request, failure, parse_address, success
from quorate.api.results import Encoded
from quorate.api.router import Router
from quorate.api.server import Outcome
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
TOKEN_PATH: Final = "/internal/token"
_LOGIN_PATHS: Final = frozenset({"/access/ticket", "/access/vncticket"})
"""What the privileged half does for people who are not logged in."""

_WELCOME = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>quorate</title></head>
<body><h1>quorate</h1><p>The API of this node is at <code>/api2/json</code>.</p></body></html>
"""


class Front:
    """Answers every request of the network. Make and close it on the event loop."""

    def __init__(self, settings: Settings, router: Router, node: str) -> None:
        self._settings = settings
        self._node = node
        self._passer = Passer(settings)
        self._threads = ThreadPoolExecutor(THREADS, "api")
        self._logins: Counter[str] = Counter()
        self._tokens: dict[bytes, tuple[str, float]] = {}
        self._gate = Gate(
            router=router,
            directory=directory_of(settings),
            node=node,
            privileged=False,
            check_token=self._check_token,
        )

    async def close(self) -> None:
        await self._passer.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def handle(self, request: Request) -> Outcome:
        try:
            address = parse_address(request.path)
        except Refusal as refusal:
            return Outcome(refusal.answer())
        if address is None:
            return Outcome(_static(request))
        with contextlib.ExitStack() as stack:
            if request.method == "POST" and address.path in _LOGIN_PATHS:
                if self._logins[request.client_ip] >= MAX_LOGINS_PER_CLIENT:
                    return Outcome(Refusal(503, "too many logins at the same time").answer())
                stack.enter_context(self._login(request.client_ip))
            return await self._answer(request, address)

    async def _answer(self, request: Request, address: Address) -> Outcome:
        try:
            decision = await self._in_thread(DECIDE_SECONDS, self._gate.decide, request, address)
        except TimeoutError:
            text = "got timeout while reading /etc/pve - does the cluster file system hang?"
            return Outcome(failure(ApiError(500, text), address.format))
        assert isinstance(decision, Decision)
        if isinstance(decision, Answered):
            return Outcome(decision.answer, decision.user)
        return Outcome(await self._carry_out(request, address, decision), decision.user)

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
    if response.status != 200:
        raise AuthenticationError(response.reason or "token refused")
    return str(json.loads(body)["user"])


def _static(request: Request) -> Answer:
    if request.path == "/" and request.method == "GET":
        return Answer(200, "OK", _WELCOME, "text/html; charset=UTF-8")
    return Refusal(500, f"no such file '{request.path}'").answer()
