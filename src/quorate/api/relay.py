"""Passing a WebSocket's bytes on to a console's port of this node, and back (pvecm 6.8).

Who may is asked before, by the operation; the program behind the port asks for the ticket once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from typing import Final, Protocol

from quorate.api.websocket import (
    CloseCode,
    FrameError,
    FrameReader,
    Opcode,
    close_frame,
    frame,
)
from quorate.schema import ApiError

_log = logging.getLogger(__name__)

HOST: Final = "127.0.0.1"
CONNECT_SECONDS: Final = 5.0
FAREWELL_SECONDS: Final = 2.0
"""For the client to take a farewell and to answer it; who does not is cut."""
IDLE_SECONDS: Final = 300.0
"""A client that has sent nothing for so long has gone: one that is there sends a sign of life every 30 s. So
has, for us, a client whose input nobody takes for so long."""
MAX_RELAYS: Final = 100
"""As many as there are ports."""
_RESET: Final = struct.pack("ii", 1, 0)
_PIECE: Final = 64 << 10


class Channel(Protocol):
    """A connection that speaks HTTP no longer."""

    async def receive(self) -> bytes:
        """What came; nothing when the other side has gone."""

    async def gone(self) -> None:
        """Returns when the other side has gone, where that can be seen without reading."""

    async def send(self, data: bytes) -> None:
        """Returns when there is room for more. Raises OSError when the other side has gone."""


class Relays:
    """Makes relays, and ends all that there are. Use it on one event loop."""

    def __init__(self) -> None:
        self._closing = asyncio.Event()
        self._open = 0

    async def connect(self, port: int) -> Relay:
        """A relay to a port of this node. Raises `ApiError`."""
        if self._open >= MAX_RELAYS:
            raise ApiError(503, "too many open consoles, close others first")
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(HOST, port)
        except (OSError, TimeoutError) as err:
            why = os.strerror(err.errno) if err.errno else "got timeout"
            raise ApiError(500, f"unable to connect to the console at port {port}: {why}") from err
        self._open += 1
        return Relay(self, reader, writer)

    @property
    def count(self) -> int:
        """How many there are."""
        return self._open

    def close(self) -> None:
        """End all of them, and what is made later."""
        self._closing.set()

    @property
    def is_closing(self) -> bool:
        return self._closing.is_set()

    async def closing(self) -> None:
        await self._closing.wait()

    def forget(self) -> None:
        self._open -= 1


class Relay:
    """One client and one port. `run` it, and `close` it in any case."""

    def __init__(self, relays: Relays, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._relays = relays
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader()
        self._closed = False
        self._answered = False
        """The client has said farewell."""

    async def run(self, channel: Channel) -> None:
        """Pass bytes on until either side ends, the client breaks the rules or says nothing, or all end."""
        ways = [
            asyncio.ensure_future(way)
            for way in (
                self._from_client(channel),
                self._to_client(channel),
                self._until_closing(),
                channel.gone(),
            )
        ]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        self.close()  # the console need not wait for the client's manners
        farewell = next(iter(done)).result()
        if farewell is not None:
            await self._part(channel, farewell)

    def close(self) -> None:
        """Cut the way to the console, so that it ends at once: the news must not wait behind what was typed
        and is not read."""
        if not self._closed:
            self._closed = True
            connection: socket.socket = self._writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._writer.transport.abort()
            self._relays.forget()

    async def _from_client(self, channel: Channel) -> bytes | None:
        """The frame to part with; None for a client that has gone."""
        try:
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    data = await channel.receive()
                    if not data:
                        return None
                    for each in self._frames.feed(data):
                        if each.opcode == Opcode.CLOSE:
                            self._answered = True
                            return close_frame(CloseCode.NORMAL)
                        if each.opcode == Opcode.PING:
                            await channel.send(frame(Opcode.PONG, each.payload))
                        elif each.opcode != Opcode.PONG:
                            self._writer.write(each.payload)
                    # A console that has ended has its last words told by the other way, then that one ends.
                    with contextlib.suppress(ConnectionError):
                        await self._writer.drain()
        except FrameError as err:
            _log.info("a WebSocket was closed: %s", err)
            return close_frame(err.code, str(err))
        except TimeoutError:
            return close_frame(CloseCode.GOING_AWAY, f"nothing was sent for {IDLE_SECONDS:.0f} s")
        except OSError:
            return None

    async def _to_client(self, channel: Channel) -> bytes | None:
        try:
            while data := await self._reader.read(_PIECE):
                await channel.send(frame(Opcode.BINARY, data))
        except OSError:
            return None
        return close_frame(CloseCode.NORMAL)

    async def _until_closing(self) -> bytes:
        await self._relays.closing()
        return close_frame(CloseCode.GOING_AWAY, "the server is ending")

    async def _part(self, channel: Channel, farewell: bytes) -> None:
        """Say farewell and wait for the client's: whose answer meets a closed connection sees a failure. A
        server that is ending has no time for it, and is handed nothing any more."""
        with contextlib.suppress(OSError, TimeoutError, FrameError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await channel.send(farewell)
                while not (self._answered or self._relays.is_closing) and (data := await channel.receive()):
                    self._answered = any(each.opcode == Opcode.CLOSE for each in self._frames.feed(data))
