"""The service ``pve2`` for libqb's clients, without libqb: connections, credentials, messages (status 6).

Sockets only, all non-blocking, in the daemon's loop; what requests mean is ``ipcops``. The datagram transport
is used and never shared memory: memory that a client can shrink would let it end the daemon by a bus error.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import resource
import secrets
import shutil
import socket
from pathlib import Path
from typing import Final

from quorate.ipc import codec
from quorate.pmxcfs.ipcconnection import ERROR_FOREIGN, Connection, Handler, Peer
from quorate.pmxcfs.ipcsockets import CREDENTIALS
from quorate.pmxcfs.loop import RANK_IPC, Loop

MAX_CLIENTS: Final = 1000
"""Connections at once. A host has some dozens: one per process that uses the file system's IPC."""
MAX_UNPRIVILEGED: Final = 600
"""Of these for others than root, so that they cannot keep root out."""
FILES_PER_CLIENT: Final = 3
FILES_RESERVED: Final = 512
"""Descriptors for the rest of the daemon."""

BACKLOG: Final = 1024
"""Connections not yet accepted. libqb's clients do not wait when it is full: they fail with EAGAIN."""
ACCEPTS_PER_ROUND: Final = 64

ROUND_SECONDS: Final = 0.001
"""For answering requests in one round of the loop; then the file system has its turn: a file operation waits
for about five rounds. Clients that were not reached are the first in the next round."""

MAX_STRANGERS: Final = 32
"""Connections in the handshake of processes that will be refused; more are closed without an answer. Anybody
on the host can reach the socket."""
ACCEPT_PAUSE: Final = 0.2
"""Seconds without accepting when descriptors have run out."""

ERROR_FULL: Final = -errno.EAGAIN
"""What the handshake answers when too many are connected."""
REFUSALS_PERIOD: Final = 10.0
"""Seconds between two log lines about refused connections; anybody can cause them."""

_QUIET: Final = (BlockingIOError, InterruptedError)


class IpcServerError(Exception):
    """The service can't be offered; the text says why and what to do."""


class IpcServer:
    """The listening socket and the connections. ``start``, then the loop does the rest, ``stop`` at the end.

    Everything runs in the loop's thread; nothing in here waits.
    """

    def __init__(
        self,
        loop: Loop,
        handler: Handler,
        *,
        gid: int,
        directory: Path,
        log: logging.Logger,
        service: str = codec.SERVICE,
    ) -> None:
        """``gid``: the group that may read. ``directory``: for the connections' control files.

        It must be ours alone, below one where clients may go (``run_dir / "ipc"``): what is found there at
        the start is removed.
        """
        self._loop = loop
        self.handler = handler
        self._gid = gid
        self._directory = directory
        self.log = log
        self._service = service
        self._listener: socket.socket | None = None
        self._connections: set[Connection] = set()
        self.buffer = bytearray(codec.MAX_MESSAGE)
        self._line: dict[Connection, None] = {}
        self._scheduled = False
        self._serial = 0
        self._refused = 0
        self._refused_at = -REFUSALS_PERIOD

    def start(self) -> None:
        """Offer the service. Raises IpcServerError."""
        _allow_files(MAX_CLIENTS * FILES_PER_CLIENT + FILES_RESERVED)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            listener.bind(codec.address(self._service))
            self._prepare_directory()
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            hint = "; another pmxcfs offers it: stop that first" if error.errno == errno.EADDRINUSE else ""
            where = f" ({error.filename})" if error.filename else ""
            raise IpcServerError(
                f"cannot offer the IPC service '{self._service}'{where}: {error.strerror}{hint}"
            ) from error
        self._listener = listener
        self._loop.add_reader(listener.fileno(), self._accept, RANK_IPC)

    def stop(self) -> None:
        """Disconnect everybody; their sockets tell them."""
        if self._listener is not None:
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None
        for connection in list(self._connections):
            connection.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def clients(self) -> int:
        """Connections, those in the handshake included."""
        return len(self._connections)

    def _prepare_directory(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        self._directory.chmod(0o711)

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_ROUND):
            if self._listener is None:
                return
            try:
                stream, _address = self._listener.accept()
            except _QUIET:
                return
            except OSError as error:
                if error.errno == errno.ECONNABORTED:
                    continue
                self.log.error("cannot accept an IPC client: %s; trying again", error.strerror)  # noqa: TRY400
                self._pause()
                return
            stranger = self._is_stranger(stream)
            if stranger and self._strangers() >= MAX_STRANGERS:
                stream.close()
                continue
            self._serial += 1
            self._connections.add(Connection(self, self._loop, stream, stranger=stranger))

    def _is_stranger(self, stream: socket.socket) -> bool:
        """A first guess by the effective ids; ``judge`` decides by the real ones."""
        data = stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        _pid, uid, gid = CREDENTIALS.unpack(data)
        return bool(uid != 0 and gid != self._gid)

    def _strangers(self) -> int:
        return sum(connection.stranger for connection in self._connections)

    def _pause(self) -> None:
        assert self._listener is not None
        self._loop.remove_reader(self._listener.fileno())
        self._loop.call_later(ACCEPT_PAUSE, self._resume)

    def _resume(self) -> None:
        if self._listener is not None:
            self._loop.add_reader(self._listener.fileno(), self._accept, RANK_IPC)

    # For the connections

    def judge(self, pid: int, uid: int, gid: int) -> Peer | int:
        """Who may connect and how (status 6.2): the peer, or the handshake's error."""
        if gid == self._gid:
            peer = Peer(pid, uid, gid, read_only=True)
        elif uid == 0 and gid == 0:
            peer = Peer(pid, uid, gid, read_only=False)
        else:
            self._log_refusal(f"of pid {pid}: uid {uid}, gid {gid} may not use it")
            return ERROR_FOREIGN
        limit = MAX_CLIENTS if uid == 0 else MAX_UNPRIVILEGED
        if len(self._connections) > limit:
            self._log_refusal(f"of pid {pid}: {limit} others are open")
            return ERROR_FULL
        return peer

    def forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._line.pop(connection, None)

    def line_up(self, connection: Connection) -> None:
        """``connection`` has requests and is served in its turn. To be called again in each round."""
        self._line.setdefault(connection)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._serve_line)

    def _serve_line(self) -> None:
        self._scheduled = False
        until = self._loop.clock() + ROUND_SECONDS
        while self._line:
            connection = next(iter(self._line))
            del self._line[connection]
            connection.serve(until)
            if self._loop.clock() >= until:
                return

    def new_names(self, pid: int) -> tuple[Path, str]:
        """Directory of a new connection and base name of its sockets; nobody can guess it beforehand."""
        unique = f"qb-{os.getpid()}-{pid}-{self._serial}-{secrets.token_hex(8)}"
        return self._directory / unique, f"{unique}/qb-{self._service}"

    def _log_refusal(self, text: str) -> None:
        now = self._loop.clock()
        if now - self._refused_at < REFUSALS_PERIOD:
            self._refused += 1
            return
        others = f" ({self._refused} others since the last report)" if self._refused else ""
        self.log.warning("refused an IPC connection %s%s", text, others)
        self._refused, self._refused_at = 0, now


def _allow_files(number: int) -> None:
    """Raise the limit of open files as far as we may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
