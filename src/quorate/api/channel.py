"""A connection after its upgrade: bytes of the HTTP library's connection, with limits (pvecm 6.8)."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

MAX_KEPT: Final = 256 << 10
"""Bytes that came and were not taken yet; more are left with the client until they are."""


class HttpChannel:
    """What a client sends after the answer 101, and what it is sent. Make it once the answer is prepared."""

    def __init__(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        self._protocol = request.protocol
        self._response = response
        self._kept = bytearray()
        self._ended = asyncio.Event()
        self._paused = False
        self._news = asyncio.Event()
        self.sent = 0
        # From here on the library hands all bytes to feed_data; it asks for no more of a parser than that.
        request.protocol.set_parser(self)  # type: ignore[arg-type]

    async def receive(self) -> bytes:
        """What came; nothing when the client has gone."""
        while not self._kept and not self._ended.is_set():
            self._news.clear()
            await self._news.wait()
        data = bytes(self._kept)
        self._kept.clear()
        if self._paused:
            self._paused = False
            self._protocol.resume_reading()
        return data

    async def gone(self) -> None:
        """Returns when the client has gone, as far as that is seen: not while too much of it is kept."""
        await self._ended.wait()

    async def send(self, data: bytes) -> None:
        """Returns when there is room for more. Raises OSError when the client has gone."""
        await self._response.write(data)
        self.sent += len(data)

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """For the library: never the end, and nothing left over."""
        self._kept += data
        if len(self._kept) >= MAX_KEPT and not self._paused:
            self._paused = True
            self._protocol.pause_reading()
        self._news.set()
        return False, b""

    def feed_eof(self) -> None:
        """For the library: the connection is lost."""
        self._ended.set()
        self._news.set()
