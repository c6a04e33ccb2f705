"""HTTP for both halves of the API: requests within limits, answers with their reason (pvecm 6.1).

On aiohttp's low-level server. What is answered is the business of `front` and `privileged`; which connections
come in is `listener`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
import time
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from email.utils import formatdate
from typing import Final, NamedTuple

from aiohttp import web

from quorate.api.channel import HttpChannel
from quorate.api.connections import Connection, Connections
from quorate.api.malformed import Malformed
from quorate.api.protocol import (
    MAX_BODY,
    MAX_HEADER_BYTES,
    SERVER,
    Answer,
    Refusal,
    Request,
    check_protocol,
)
from quorate.api.relay import Relay

_log = logging.getLogger(__name__)
_http_log = logging.getLogger(f"{__name__}.http")

KEEP_ALIVE_SECONDS: Final = 5.0
KEEP_ALIVE_REQUESTS: Final = 100
BODY_SECONDS: Final = 30.0
LINGER_SECONDS: Final = 1.0
DRAIN_LOOK_SECONDS: Final = 0.1
COMPRESS_FROM: Final = 1024
FAILURE_SECONDS: Final = 3.0
"""A refused login or ticket is answered no sooner after the request began: slows down guessing."""

SPARE_STATES: Final = 32
"""States of connections that ended are dropped once there are so many more than connections."""

STREAM_WRITE_SECONDS: Final = 30.0
"""A client that takes nothing of a stream for so long is cut."""

_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
    ),
}
"""What the API's answers need; a page of the web interface brings its own policy. No
Strict-Transport-Security: it would hold for every port of the host, and nodes' own certificates are not
trusted by browsers, which then refuse to go on."""


class Outcome(NamedTuple):
    """The answer, and who asked (for the access log; empty when nobody proved it).

    slow: a refusal that is to be answered late; stream: what follows the headers, piece by piece, until it
    ends or the client goes (the answer's body is not sent then); upgrade: who has the connection after the
    answer 101.
    """

    answer: Answer
    user: str = ""
    slow: bool = False
    stream: AsyncGenerator[bytes, None] | None = None
    upgrade: Relay | None = None


Handle = Callable[[Request], Awaitable[Outcome]]
Record = Callable[[str, str, str, int, int], None]
"""Access log: client, user, request line, status, length."""
ClientOf = Callable[[web.BaseRequest], str]


class ConnectionState:
    """What is known of one connection: when something last ended or moved on it, and what is going on."""

    __slots__ = ("busy", "requests", "since", "unsent")

    def __init__(self, now: float) -> None:
        self.since = now
        self.busy = 0
        self.requests = 0
        self.unsent = 0


class HttpServer:
    """Makes protocol handlers for connections; ``handle`` answers, ``record`` writes the access log."""

    def __init__(
        self, handle: Handle, client_of: ClientOf, record: Record | None = None, *, compress: bool = True
    ) -> None:
        self._handle = handle
        self._compress = compress
        self._client_of = client_of
        self._record = record
        self._states: dict[object, ConnectionState] = {}
        self._leaving = False
        self.factory = Connections(
            self._on_request,
            self._on_fault,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            lingering_time=LINGER_SECONDS,
            access_log=None,
            logger=_http_log,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            auto_decompress=False,
        )

    def state(self, protocol: object) -> ConnectionState:
        """The state of a connection, new when it is seen for the first time."""
        found = self._states.get(protocol)
        if found is None:
            if len(self._states) > 2 * len(self.factory.connections) + SPARE_STATES:
                alive = self.open_connections()
                self._states = {known: state for known, state in self._states.items() if known in alive}
            found = self._states[protocol] = ConnectionState(time.monotonic())
        return found

    def forget(self, protocol: object) -> None:
        self._states.pop(protocol, None)

    def open_connections(self) -> set[object]:
        return set(self.factory.connections)

    async def drain(self, seconds: float, arriving: Callable[[], int] = lambda: 0) -> None:
        """Until all connections have ended, at most so long: each gets one more answer, or its idle time.

        ``arriving``: how many were accepted, and are not ours yet.
        Nothing is cut: who sends a request on a kept connection just now could not know that it was not
        read.
        """
        self._leaving = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    await asyncio.sleep(DRAIN_LOOK_SECONDS)
                    if not self.open_connections() and not arriving():
                        return

    async def close(self, seconds: float) -> None:
        """Let running requests end for so long, then cut them."""
        await self.factory.shutdown(seconds)

    async def _on_request(self, request: web.BaseRequest) -> web.StreamResponse:
        started = time.monotonic()
        connection = request.protocol
        assert isinstance(connection, Connection)
        connection.taken()
        state = self.state(connection)
        state.busy += 1
        state.requests += 1
        client = self._client_of(request)
        try:
            outcome = await self._outcome(request, client)
            if outcome.answer.status == 401 or outcome.slow:
                await asyncio.sleep(max(0.0, started + FAILURE_SECONDS - time.monotonic()))
        finally:
            connection.taken()
            state.busy -= 1
            state.since = time.monotonic()
        if outcome.stream is not None:
            return await self._stream(request, outcome, state, client)
        if outcome.upgrade is not None:
            return await self._upgrade(request, outcome, outcome.upgrade, state, client)
        response = self._response(request, outcome.answer)
        refused = outcome.answer.status >= 400 or "Upgrade" in request.headers
        if refused or state.requests >= KEEP_ALIVE_REQUESTS or self._leaving:
            response.force_close()
        elif request.keep_alive:
            response.headers["Connection"] = "Keep-Alive"
        self._log(request, client, outcome, response.content_length or 0)
        return response

    def _on_fault(
        self, request: web.BaseRequest, malformed: Malformed | None, error: BaseException | None
    ) -> web.Response:
        """The answer to what is no request, or to what we failed at; the log gets no content of either."""
        if malformed is None:
            _log.error("unable to answer %s", _request_line(request), exc_info=error)
            malformed = Malformed(_request_line(request), Refusal(500, "internal error: see the system log"))
        response = self._response(request, malformed.refusal.answer())
        response.force_close()
        if self._record is not None:
            length = response.content_length or 0
            client = self._client_of(request)
            self._record(client, "", malformed.line, malformed.refusal.status, length)
        return response

    def _log(self, request: web.BaseRequest, client: str, outcome: Outcome, length: int) -> None:
        if self._record is not None:
            self._record(client, outcome.user, _request_line(request), outcome.answer.status, length)

    async def _stream(
        self, request: web.BaseRequest, outcome: Outcome, state: ConnectionState, client: str
    ) -> web.StreamResponse:
        """Send headers and then what comes; the connection ends with it."""
        answer = outcome.answer
        assert outcome.stream is not None
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=_headers(answer))
        response.force_close()
        length = 0
        state.busy += 1
        try:
            await response.prepare(request)
            async with contextlib.aclosing(outcome.stream) as pieces:
                async for piece in pieces:
                    length += len(piece)
                    async with asyncio.timeout(STREAM_WRITE_SECONDS):
                        await response.write(piece)
        except (TimeoutError, OSError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            state.busy -= 1
            state.since = time.monotonic()
            self._log(request, client, outcome, length)
        return response

    async def _upgrade(
        self, request: web.BaseRequest, outcome: Outcome, relay: Relay, state: ConnectionState, client: str
    ) -> web.StreamResponse:
        """Answer, and hand the connection over; it ends with what it is used for."""
        answer = outcome.answer
        headers = {"Date": formatdate(usegmt=True), "Server": SERVER, **answer.headers}
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
        response.force_close()
        length = 0
        state.busy += 1
        try:
            await response.prepare(request)
            channel = HttpChannel(request, response)
            await relay.run(channel)
            length = channel.sent
        except OSError:
            if request.transport is not None:
                request.transport.abort()
        finally:
            relay.close()
            state.busy -= 1
            state.since = time.monotonic()
            self._log(request, client, outcome, length)
        return response

    async def _outcome(self, request: web.BaseRequest, client: str) -> Outcome:
        try:
            if request.version.major != 1:
                raise Refusal(506, "http protocol version not supported")
            headers = {key.lower(): _as_text(value) for key, value in request.headers.items()}
            lines = request.raw_headers
            size = sum(len(name) + len(value) + 4 for name, value in lines)
            check_protocol(request.method, headers, len(lines), size)
            target = _as_text(request.raw_path)
            if "#" in target:
                # Whoever passes it on would cut it there, and the next one read something else than we did.
                raise Refusal(400, "a request has no fragment: '#' has to be sent as %23")
            body = await _read_body(request, headers)
        except Refusal as refusal:
            return Outcome(refusal.answer())
        return await self._handle(Request(request.method, target, headers, body, client))

    def _response(self, request: web.BaseRequest, answer: Answer) -> web.Response:
        headers = _headers(answer)
        body = answer.body
        if self._compress and len(body) > COMPRESS_FROM and "Content-Encoding" not in headers:
            accepted = request.headers.get("Accept-Encoding", "").lower()
            if "gzip" in accepted:
                body = answer.compressed or gzip.compress(body, 1)
                headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            elif "deflate" in accepted:
                body = zlib.compress(body, 1)
                headers |= {"Content-Encoding": "deflate", "Vary": "Accept-Encoding"}
        return web.Response(status=answer.status, reason=answer.reason, body=body, headers=headers)


def _headers(answer: Answer) -> dict[str, str]:
    now = formatdate(usegmt=True)
    headers = {**_SECURITY_HEADERS, "Date": now, "Server": SERVER, "Content-Type": answer.content_type}
    if "Cache-Control" not in answer.headers:
        headers |= {"Cache-Control": "max-age=0", "Pragma": "no-cache", "Expires": now}
    return {**headers, **answer.headers}


def _request_line(request: web.BaseRequest) -> str:
    return f"{request.method} {request.raw_path} HTTP/{request.version.major}.{request.version.minor}"


def _as_text(value: str) -> str:
    """Without the placeholders for bytes that are no UTF-8: nothing behind this could encode them."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


async def _read_body(request: web.BaseRequest, headers: dict[str, str]) -> bytes:
    if not request.body_exists:
        return b""
    if headers.get("expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await request.content.read(MAX_BODY + 1)
            while not request.content.at_eof() and len(body) <= MAX_BODY:
                body += await request.content.read(MAX_BODY + 1 - len(body))
    except TimeoutError as err:
        raise Refusal(500, f"the body did not arrive within {BODY_SECONDS:.0f} s") from err
    if len(body) > MAX_BODY:
        raise Refusal(501, "for data too large")
    return body
