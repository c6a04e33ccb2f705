"""The HTTP library's handler of a connection, with our answer to what it refuses or fails at (pvecm 6.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import ERROR

from quorate.api.malformed import MAX_HEAD, Malformed, explain

OnFault = Callable[[web.BaseRequest, Malformed | None, BaseException | None], web.Response]
"""The answer to a request that the parser refused, or (None) whose handling raised the exception."""


class Connections(web.Server):
    """Makes a handler for each connection. ``options`` are the library's."""

    def __init__(self, on_request: Any, on_fault: OnFault, **options: Any) -> None:
        super().__init__(on_request, request_factory=_request)
        self._on_fault = on_fault
        self._options = options

    def __call__(self) -> Connection:
        return Connection(self, self._on_fault, loop=asyncio.get_running_loop(), **self._options)


class Connection(web.RequestHandler):
    """One connection; remembers the beginning of what came since the last request was taken."""

    __slots__ = ("_came", "_on_fault")

    def __init__(self, manager: web.Server, on_fault: OnFault, **options: Any) -> None:
        super().__init__(manager, **options)
        self._on_fault = on_fault
        self._came = b""

    def data_received(self, data: bytes) -> None:
        missing = MAX_HEAD - len(self._came)
        if missing > 0:
            self._came += data[:missing]
        super().data_received(data)

    def taken(self) -> None:
        """A request is being handled, or has been: what came belonged to it."""
        self._came = b""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun: it cannot become another one")
        malformed = None
        if isinstance(exc, HttpProcessingError):
            malformed = explain(self._came, (message or "bad request").partition("\n")[0].rstrip(":"))
        return self._on_fault(request, malformed, exc)


_REFUSED: Final = ERROR._replace(version=HttpVersion11)


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    """The request of a message. What was refused counts as HTTP/1.1, for the answer's sake."""
    seen = _REFUSED if message is ERROR else message
    return web.BaseRequest(seen, payload, protocol, writer, task, asyncio.get_running_loop())
