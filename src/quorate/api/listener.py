"""Connections of the HTTPS front: TLS, limits, idle ones closed, plain HTTP redirected (pvecm 6.1)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import ssl
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final

from quorate.api import clients
from quorate.api.clients import Held, NoRoomError, admit, client_group
from quorate.api.server import HttpServer

_log = logging.getLogger(__name__)

HANDSHAKE_SECONDS: Final = 10.0
FIRST_BYTE_SECONDS: Final = 10.0
HEADER_SECONDS: Final = 15.0
"""A connection that has asked nothing complete for so long is cut: slow senders hold no places."""
SWEEP_SECONDS: Final = 1.0
ACCEPTED_AT_ONCE: Final = 32
"""Then others are served before the next."""
COMPLAINT_SECONDS: Final = 60.0
"""So often it is logged that all places are taken: by whom, changes all the time then."""
_TLS_HANDSHAKE = b"\x16"
_MAX_PLAIN = 8192

_REQUEST = re.compile(rb"([A-Z]+) (/[^\s\x00-\x1f]*) HTTP/1\.[01]\r?\n")
_HOST = re.compile(rb"\r?\nhost:[ \t]*([A-Za-z0-9.:_\[\]-]+)[ \t]*\r?\n", re.IGNORECASE)


def redirect(head: bytes) -> bytes:
    """The answer to plain HTTP on the TLS port; nothing for what is no HTTP."""
    request, host = _REQUEST.match(head), _HOST.search(head)
    if request is None or host is None:
        return b""
    status = b"301 Moved Permanently" if request[1] in (b"GET", b"HEAD") else b"308 Permanent Redirect"
    location = b"https://" + host[1] + request[2]
    return b"HTTP/1.1 %s\r\nLocation: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % (
        status,
        location,
    )


@dataclass(slots=True)
class _Connection:
    """One that was taken. ``transport`` and ``protocol`` come with the end of the TLS handshake."""

    client: str
    socket: socket.socket
    transport: asyncio.Transport | None = None
    protocol: object = None


class Listener:
    """Accepts on one socket until closed. ``context`` may get a new certificate at any time.

    Clients that ``allows`` does not want are disconnected without an answer.
    """

    def __init__(
        self,
        listening: socket.socket,
        server: HttpServer,
        context: ssl.SSLContext,
        allows: Callable[[str], bool] = lambda client: True,
    ) -> None:
        self._socket = listening
        self._allows = allows
        self._server = server
        self._context = context
        self._connections: dict[int, _Connection] = {}
        self._number = 0
        self._complained = -COMPLAINT_SECONDS
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Accept until told to stop, and look after the connections for ever; ends by cancellation."""
        self._start(self._sweep())
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket, self._accept)
        try:
            await loop.create_future()
        finally:
            self.stop_accepting()
            for task in list(self._tasks):
                task.cancel()

    def arriving(self) -> int:
        """Connections that were accepted and speak no HTTP yet."""
        return sum(each.transport is None for each in self._connections.values())

    def stop_accepting(self) -> None:
        """Connections that there are go on. Others may still accept on the same socket in other processes."""
        if self._socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection, address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as err:
                # Out of descriptors, or the client went away: the next one may have more luck.
                _log.warning("accept failed: %s", err.strerror)
                self._start(self._pause())
                return
            client = client_address(address[0])
            if not self._allows(client):
                _log.info("connection of %s refused by /etc/default/pveproxy", client)
                connection.close()
            elif not self._make_room(client_group(client)):
                connection.close()
            else:
                self._number += 1
                self._connections[self._number] = _Connection(client_group(client), connection)
                self._start(self._connect(connection, client, self._number))

    async def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        await asyncio.sleep(SWEEP_SECONDS)
        if self._socket.fileno() >= 0:
            loop.add_reader(self._socket, self._accept)

    def _make_room(self, client: str) -> bool:
        """Whether one more connection of ``client`` is taken, for which another one may have been closed."""
        full = len(self._connections) >= clients.MAX_CONNECTIONS
        own = sum(each.client == client for each in self._connections.values())
        if full or own >= clients.MAX_PER_CLIENT:  # some may have ended since the last sweep
            self._forget_ended()
        held = [
            Held(number, each.client, idle=full and self._is_idle(each))
            for number, each in self._connections.items()
        ]
        try:
            gone = admit(held, client)
        except NoRoomError:
            return False
        if gone is not None:
            self._complain(gone.client)
            self._drop(gone.number)
        return True

    def _is_idle(self, each: _Connection) -> bool:
        if each.transport is None:  # has not even shaken hands
            return True
        return not self._server.state(each.protocol).busy and not unsent_bytes(each.transport)

    def _drop(self, number: int) -> None:
        gone = self._connections.pop(number)
        if gone.transport is not None:
            gone.transport.abort()
            self._server.forget(gone.protocol)
        else:  # its task finds the end of the stream, and closes it
            with contextlib.suppress(OSError):
                gone.socket.shutdown(socket.SHUT_RDWR)

    def _complain(self, client: str) -> None:
        now = time.monotonic()
        if now - self._complained >= COMPLAINT_SECONDS:
            self._complained = now
            _log.warning("all connections are taken: closing idle ones of %s, who has most of them", client)

    def _start(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, connection: socket.socket, client: str, number: int) -> None:
        try:
            taken = await self._take(connection)
        except (OSError, TimeoutError) as err:  # SSLError is an OSError
            _log.debug("connection of %s failed: %s", client, err)
            taken = None
            connection.close()
        if taken is None:
            self._connections.pop(number, None)
        elif number in self._connections:
            self._connections[number].transport, self._connections[number].protocol = taken
        else:  # it had to make room meanwhile
            taken[0].abort()

    async def _take(self, connection: socket.socket) -> tuple[asyncio.Transport, object] | None:
        """Shake hands; None when that was no TLS, which has had its answer."""
        loop = asyncio.get_running_loop()
        connection.setblocking(False)
        try:
            async with asyncio.timeout(FIRST_BYTE_SECONDS):
                first = await _peek(connection)
        except asyncio.CancelledError:  # the end of the service; from the handshake on asyncio closes it
            connection.close()
            raise
        if first != _TLS_HANDSHAKE:
            await _answer_plain(connection)
            return None
        transport, protocol = await loop.connect_accepted_socket(
            self._server.factory,
            connection,
            ssl=self._context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=SWEEP_SECONDS,
        )
        self._server.state(protocol)
        assert isinstance(transport, asyncio.Transport)
        return transport, protocol

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = time.monotonic()
            self._forget_ended()
            for each in self._connections.values():
                if each.transport is None:
                    continue
                state, unsent = self._server.state(each.protocol), unsent_bytes(each.transport)
                if unsent != state.unsent:  # a slow reader that does read
                    state.unsent, state.since = unsent, now
                if not state.busy and now - state.since > HEADER_SECONDS:
                    each.transport.abort()

    def _forget_ended(self) -> None:
        alive = self._server.open_connections()
        for number, each in list(self._connections.items()):
            if each.transport is not None and each.protocol not in alive:
                del self._connections[number]
                self._server.forget(each.protocol)


def unsent_bytes(transport: asyncio.Transport) -> int:
    """What waits to be sent. A TLS transport closed twice has forgotten what it stood on, and would fail."""
    try:
        return transport.get_write_buffer_size()
    except AttributeError:
        return 0


def client_address(text: str) -> str:
    """An address as people write it: IPv4 clients of a dual-stack socket without the mapping prefix."""
    return text.removeprefix("::ffff:").partition("%")[0]


async def _peek(connection: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(connection, lambda: None if readable.done() else readable.set_result(None))
    try:
        await readable
    finally:
        loop.remove_reader(connection)
    return connection.recv(1, socket.MSG_PEEK)


async def _answer_plain(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    head = b""
    with connection, contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FIRST_BYTE_SECONDS):
            while len(head) < _MAX_PLAIN and b"\r\n\r\n" not in head and b"\n\n" not in head:
                data = await loop.sock_recv(connection, _MAX_PLAIN)
                if not data:
                    return
                head += data
            await loop.sock_sendall(connection, redirect(head))
