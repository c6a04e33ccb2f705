"""One client of the service ``pve2``: handshake, requests, responses, the end (status 6.6).

Everything is non-blocking and in the loop's thread: a client that does not take its answers waits alone. Who
may connect is ``ipcserver``'s business.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeVar

from quorate.ipc import codec
from quorate.pmxcfs.ipcsockets import ANCILLARY, credentials, datagrams, enlarge, make_control, remove_control
from quorate.pmxcfs.loop import RANK_IPC, Loop, Timer

HANDSHAKE_SECONDS: Final = 5.0
"""For the first message of a new connection; clients send it at once."""
RESPONSE_SECONDS: Final = 10.0
"""For taking a response. A client that does not take it for so long is disconnected."""
RETRY_FIRST: Final = 0.002
RETRY_LONGEST: Final = 0.1
"""Seconds between two tries to hand over a response that the client's full queue refused."""
REQUESTS_PER_ROUND: Final = 4
"""Of one client, then the next one has its turn."""
ERROR_FOREIGN: Final = 1
"""What the handshake answers to who is neither root nor of the group (status 6.2)."""

_QUIET: Final = (BlockingIOError, InterruptedError)

T = TypeVar("T")


class Peer(NamedTuple):
    """Who is at the other end, as the kernel says: real ids of the process that connected."""

    pid: int
    uid: int
    gid: int
    read_only: bool


Answer = tuple[int, bytes]
"""(0, payload) or (negated errno, b"")."""
Work = Generator[None, None, Answer]
"""An answer that takes long, in portions: whoever drives it may do something else at each yield."""
Handler = Callable[[Peer, bytes], Answer | Work]
"""Takes a whole request of exactly its size field's length."""


def finished(work: Generator[None, None, T]) -> T:
    """What comes out at the end, however long it takes."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


def respond(handler: Handler, peer: Peer, data: bytes, max_message: int) -> bytes:
    """The whole response to a message that came (status 6.3)."""
    return finished(response(handler, peer, data, max_message))


def response(handler: Handler, peer: Peer, data: bytes, max_message: int) -> Generator[None, None, bytes]:
    """As ``respond``, yielding where something else may be done; the size field is checked here."""
    operation = codec.operation_of(data)
    try:
        size = codec.unpack_request(data).size
    except codec.CodecError:
        return codec.pack_response(operation, -errno.EINVAL)
    answer = handler(peer, data[:size])
    error, payload = answer if isinstance(answer, tuple) else (yield from answer)
    if codec.RESPONSE_BYTES + len(payload) > max_message:  # libqb's clients cannot take it
        return codec.pack_response(operation, -errno.ENOBUFS)
    return codec.pack_response(operation, error, payload)


class Server(Protocol):
    """What a connection needs of the server."""

    log: logging.Logger
    handler: Handler
    buffer: bytearray
    """Where any connection receives; used up before the next one does."""

    def judge(self, pid: int, uid: int, gid: int) -> Peer | int: ...
    def new_names(self, pid: int) -> tuple[Path, str]: ...
    def forget(self, connection: Connection) -> None: ...
    def line_up(self, connection: Connection) -> None: ...


class Connection:
    """One client, from accepting it to the end."""

    def __init__(self, server: Server, loop: Loop, stream: socket.socket, *, stranger: bool) -> None:
        """``stranger``: most likely to be refused."""
        self.stranger = stranger
        self._server = server
        self._loop = loop
        self._stream = stream
        self._hello = b""
        self._credentials: tuple[int, int, int] | None = None
        self._peer: Peer | None = None
        self._max_message = codec.MIN_MESSAGE
        self._directory: Path | None = None
        self._requests: socket.socket | None = None
        self._events: socket.socket | None = None
        self._client_address = b""
        self._reachable = False
        self._reading = False
        self._work: Generator[None, None, bytes] | None = None
        """The response that is being made: the client's next request waits for it."""
        self._response = b""
        self._deadline = 0.0
        self._delay = RETRY_FIRST
        self._retry: Timer | None = None
        stream.setblocking(False)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._patience: Timer | None = loop.call_later(HANDSHAKE_SECONDS, self._too_late)
        loop.add_reader(stream.fileno(), self._greet, RANK_IPC)

    def close(self) -> None:
        """End the connection and take away what belongs to it. May be called again."""
        if self._stream.fileno() < 0:
            return
        for timer in (self._patience, self._retry):
            if timer is not None:
                timer.cancel()
        self._loop.remove_reader(self._stream.fileno())
        self._stop_reading()
        self._work = None
        for sock in (self._stream, self._requests, self._events):
            if sock is not None:
                sock.close()
        if self._directory is not None:
            remove_control(self._directory)
        self._server.forget(self)

    # Handshake

    def _too_late(self) -> None:
        self._server.log.debug("an IPC client said nothing for %.0f s; disconnected", HANDSHAKE_SECONDS)
        self.close()

    def _greet(self) -> None:
        wanted = codec.HELLO_BYTES - len(self._hello)
        try:
            data, ancillary, _flags, _address = self._stream.recvmsg(wanted, ANCILLARY)
        except _QUIET:
            return
        except OSError:
            self.close()
            return
        if not data:
            self.close()
            return
        self._hello += data
        if self._credentials is None:
            self._credentials = credentials(ancillary)
        if len(self._hello) < codec.HELLO_BYTES:
            return
        try:
            max_message = codec.unpack_hello(self._hello)
        except codec.CodecError as error:
            self._server.log.warning("an IPC client was disconnected: it sent %s", error)
            self.close()
            return
        if self._credentials is None:
            self._refuse(ERROR_FOREIGN)
            return
        peer = self._server.judge(*self._credentials)
        if isinstance(peer, int):
            self._refuse(peer)
            return
        self._peer = peer
        self.stranger = False
        self._max_message = max(max_message, codec.MIN_MESSAGE)
        try:
            welcome = self._open_sockets(peer)
            if self._stream.send(welcome) != len(welcome):
                raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        except OSError as error:
            self._server.log.warning(
                "cannot open an IPC connection for pid %d: %s", peer.pid, error.strerror or error
            )
            self._refuse(-(error.errno or errno.EIO))
            return
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._loop.remove_reader(self._stream.fileno())
        self._loop.add_reader(self._stream.fileno(), self._watch, RANK_IPC)
        self._start_reading()

    def _refuse(self, error: int) -> None:
        with contextlib.suppress(OSError):
            self._stream.send(codec.pack_rejection(error))
        self.close()

    def _open_sockets(self, peer: Peer) -> bytes:
        """Control file and sockets of this connection; returns the answer for the client."""
        directory, name = self._server.new_names(peer.pid)
        self._client_address = codec.address(name + codec.RESPONSE_SUFFIX)
        self._requests = datagrams(codec.address(name + codec.REQUEST_SUFFIX))
        # Events are never sent, but the client connects to their source.
        self._events = datagrams(codec.address(name + codec.EVENT_SOURCE_SUFFIX))
        self._directory = directory
        control = make_control(directory, peer.uid, peer.gid)
        return codec.pack_welcome(self._max_message, str(control), name)

    def _watch(self) -> None:
        """The stream carries nothing any more; its end is the client's."""
        try:
            ended = not self._stream.recv(256)
        except _QUIET:
            return
        except OSError:
            ended = True
        if ended:
            self.close()

    # Messages

    def _start_reading(self) -> None:
        if not self._reading and self._requests is not None:
            self._reading = True
            self._loop.add_reader(self._requests.fileno(), self._line_up, RANK_IPC)

    def _stop_reading(self) -> None:
        if self._reading and self._requests is not None:
            self._reading = False
            self._loop.remove_reader(self._requests.fileno())

    def _line_up(self) -> None:
        self._server.line_up(self)

    def serve(self, until: float) -> None:
        """Answer some requests; not more of them, nor more of one, when the loop's clock says ``until``."""
        for _ in range(REQUESTS_PER_ROUND):
            if not self._reading:
                return
            if self._work is None and not self._take_request():
                return
            if self._work is not None and not self._go_on(self._work, until):
                return
            if self._loop.clock() >= until:
                return

    def _go_on(self, work: Generator[None, None, bytes], until: float) -> bool:
        """Make the response, as far as there is time; whether it was made and taken."""
        while True:
            try:
                next(work)
            except StopIteration as end:
                self._work = None
                return self._send(end.value)
            if self._loop.clock() >= until:
                # In the next round, whether or not the client sends more: others have their turn between.
                self._loop.call_later(0.0, self._line_up)
                return False

    def _take_request(self) -> bool:
        """Whether there may be more after this one; ``_work`` is its response, unless it has none."""
        assert self._requests is not None
        assert self._peer is not None
        buffer = self._server.buffer
        try:
            count, ancillary, flags, sender = self._requests.recvmsg_into([buffer], ANCILLARY)
        except _QUIET:
            return False
        except OSError:
            self.close()
            return False
        if not self._is_peer(ancillary):
            self._server.log.warning("ignored an IPC message that is not of pid %d", self._peer.pid)
            return True
        if not self._reachable and not self._reach(sender):
            return True
        data = bytes(memoryview(buffer)[:count])
        if codec.operation_of(data) == codec.DISCONNECT:
            self.close()
            return False
        if flags & socket.MSG_TRUNC:
            self._server.log.debug("pid %d sent more than %d bytes", self._peer.pid, len(buffer))
            data = data[: codec.REQUEST_BYTES]  # whose size field then is impossible
        self._work = response(self._server.handler, self._peer, data, self._max_message)
        return True

    def _reach(self, sender: object) -> bool:
        """After the first message the client's socket is there: from now on it alone can send to us."""
        assert self._requests is not None
        if sender != self._client_address:
            return False
        try:
            self._requests.connect(self._client_address)
        except OSError:
            self.close()
            return False
        self._reachable = True
        return True

    def _is_peer(self, ancillary: list[tuple[int, int, bytes]]) -> bool:
        """Abstract sockets have no permissions: believe only who made the handshake, or the same user."""
        found = credentials(ancillary)
        peer = self._peer
        assert peer is not None
        return found is not None and (found[0] == peer.pid or found[1:] == (peer.uid, peer.gid))

    def _send(self, response: bytes) -> bool:
        """Hand the response to the kernel; whether it took it. Otherwise this client, and it alone, waits."""
        assert self._requests is not None
        try:
            self._requests.send(response)
        except _QUIET:
            pass
        except OSError as error:
            if error.errno == errno.EMSGSIZE and enlarge(self._requests, len(response)):
                return self._send(response)
            if error.errno in (errno.EMSGSIZE, errno.ENOBUFS, errno.ENOMEM) and len(response) > 4096:
                self._server.log.warning(
                    "cannot send %d bytes to an IPC client: %s", len(response), error.strerror
                )
                return self._send(codec.pack_response(codec.operation_of(response), -errno.ENOBUFS))
            self.close()
            return False
        else:
            return True
        self._stop_reading()
        self._response = response
        self._deadline = self._loop.clock() + RESPONSE_SECONDS
        self._delay = RETRY_FIRST
        self._retry = self._loop.call_later(self._delay, self._send_again)
        return False

    def _send_again(self) -> None:
        assert self._requests is not None
        try:
            self._requests.send(self._response)
        except _QUIET:
            if self._loop.clock() < self._deadline:
                self._delay = min(self._delay * 2, RETRY_LONGEST)
                self._retry = self._loop.call_later(self._delay, self._send_again)
                return
            assert self._peer is not None
            self._server.log.warning(
                "pid %d took no answers for %.0f s; disconnected", self._peer.pid, RESPONSE_SECONDS
            )
            self.close()
        except OSError:
            self.close()
        else:
            self._response = b""
            self._retry = None
            self._start_reading()
