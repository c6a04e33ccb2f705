"""Our own client of the file system daemon's IPC, for programs that have no libqb (status 6).

One connection per process, made at the first call. Blocks up to a time limit; not for several threads.
"""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from quorate.ipc import codec, logtext, operations
from quorate.ipc.operations import Op
from quorate.settings import Settings

CALL_SECONDS: Final = 30.0
"""For one call. The daemon answers within milliseconds; a synchronisation or a full log can take seconds."""
RESTART_SECONDS: Final = 10.0
RESTART_PAUSE: Final = 0.1
"""How long and how often to try while the daemon is just being restarted (status 6.1)."""

PORTION_BYTES: Final = 1 << 16
"""Of keys and values in one call: a datagram must fit into the socket's buffer (net.core.wmem_default)."""

_REPEATABLE: Final = frozenset(Op) - {Op.LOG_CLUSTER_MSG}
"""Operations that may be carried out twice without harm."""

_LOST: Final = (errno.ENOTCONN, errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE)


class IpcError(OSError):
    """A call failed; ``errno`` is the daemon's answer, or the reason for which there was none."""


class IpcUnavailableError(IpcError):
    """The daemon is not there, hangs, or does not talk to this user."""

    sent = False
    """Whether the request had been handed over before: then the daemon may have carried it out."""


class Client:
    """Calls of the service ``pve2``. After a failure of the connection the next call makes a new one."""

    def __init__(
        self, settings: Settings | None = None, *, service: str = codec.SERVICE, timeout: float = CALL_SECONDS
    ) -> None:
        """``timeout``: seconds for each call. ``settings`` tells where the restart flag is."""
        self._service = service
        self._timeout = timeout
        self._restart_flag: Path | None = settings.restart_flag if settings is not None else None
        self._connection: _Connection | None = None

    def version(self) -> dict[str, Any]:
        """Change counters: the parsed ``.version``."""
        return self._json(Op.GET_FS_VERSION)

    def members(self) -> dict[str, Any]:
        """The parsed ``.members``."""
        return self._json(Op.GET_CLUSTER_INFO)

    def guests(self) -> dict[str, Any]:
        """The parsed ``.vmlist``."""
        return self._json(Op.GET_GUEST_LIST)

    def set_status(self, key: str, value: bytes) -> None:
        """Tell the cluster ``value`` for ``key`` of this node; empty removes it. For root only."""
        self.call(Op.SET_STATUS, operations.set_status(key, value))

    def set_statuses(self, values: Sequence[tuple[str, bytes]]) -> None:
        """As `set_status` for each key and value, in few calls.

        Raises IpcError for one of those that were refused, when all others have been told; ValueError for a
        key that is empty or does not fit, before anything is told.
        """
        refused: IpcError | None = None
        for part, body in [(part, operations.set_statuses(part)) for part in _portions(values)]:
            try:
                self._set_portion(part, body)
            except IpcUnavailableError:
                raise
            except IpcError as error:
                refused = error
        if refused is not None:
            raise refused

    def _set_portion(self, part: Sequence[tuple[str, bytes]], body: bytes) -> None:
        try:
            self.call(Op.SET_STATUSES, body)
        except IpcError as error:
            if error.errno != errno.ECHRNG:
                raise
            # The daemon that runs is older than this package, or the original.
            for key, value in part:
                self.set_status(key, value)

    def get_status(self, key: str, node: str = "") -> bytes | None:
        """What ``node`` told (empty: this one), as it came; None if there is nothing."""
        return self._or_none(Op.GET_STATUS, operations.get_status(key, node))

    def get_config(self, path: str) -> bytes | None:
        """A file's content; None if there is no such file."""
        return self._or_none(Op.GET_CONFIG, operations.get_config(path))

    def log(self, message: str, *, ident: str, tag: str, priority: int = 6) -> None:
        """Make an entry of the cluster log. For root only."""
        self.call(Op.LOG_CLUSTER_MSG, operations.log(priority, ident, tag, message))

    def cluster_log(self, *, maximum: int = 0, user: str = "") -> list[dict[str, Any]]:
        """The newest entries (0: 50), newest first; of one user, or of all."""
        text = self.call(Op.GET_CLUSTER_LOG, operations.get_cluster_log(maximum, user))
        return logtext.parse(text.decode("utf-8", "surrogateescape"))

    def rrd_dump(self) -> bytes:
        """The latest RRD texts of the cluster, one per line."""
        return self.call(Op.GET_RRD_DUMP).rstrip(b"\0")

    def figures(self) -> dict[str, Any]:
        """What the daemon counts (``quorate.pmxcfs.figures``). Raises IpcError: ECHRNG by the original's."""
        return self._json(Op.GET_FIGURES)

    def guest_properties(self, names: Sequence[str], vmid: int = 0) -> dict[int, dict[str, str]]:
        """The named properties in the configuration of guest ``vmid``, or of all guests for 0."""
        found = self._json(
            Op.GET_GUEST_CONFIG_PROPERTIES, operations.guest_properties(vmid, names), strict=False
        )
        return {int(number): values for number, values in found.items()}

    def verify_token(self, token: str) -> bool:
        """Whether ``USER@REALM!TOKENID SECRET`` is a line of the token file."""
        return self._or_none(Op.VERIFY_TOKEN, operations.verify_token(token)) is not None

    def call(self, operation: int, body: bytes = b"") -> bytes:
        """Any operation: the payload. Raises IpcError."""
        request = codec.pack_request(operation, body)
        fresh = self._connection is None
        deadline = time.monotonic() + self._timeout
        try:
            error, payload = self._connected(deadline).call(request, deadline)
        except IpcUnavailableError as lost:
            self.close()
            if fresh or lost.errno not in _LOST or (lost.sent and operation not in _REPEATABLE):
                raise
            # The daemon was restarted since the last call: once more then.
            deadline = time.monotonic() + self._timeout
            error, payload = self._once_more(request, deadline)
        if error < 0:
            raise IpcError(-error, f"{_name(operation)}: {os.strerror(-error)}")
        return payload

    def close(self) -> None:
        """Disconnect; a later call connects again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def abandon(self) -> None:
        """Drop a connection that is our parent's process's, without ending it."""
        if self._connection is not None:
            self._connection.abandon()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _once_more(self, request: bytes, deadline: float) -> tuple[int, bytes]:
        try:
            return self._connected(deadline).call(request, deadline)
        except IpcUnavailableError:
            self.close()
            raise

    def _connected(self, deadline: float) -> _Connection:
        if self._connection is not None and self._connection.pid != os.getpid():
            self.abandon()
        if self._connection is None:
            self._connection = self._connect(deadline)
        return self._connection

    def _connect(self, deadline: float) -> _Connection:
        patience = min(deadline, time.monotonic() + RESTART_SECONDS)
        while True:
            try:
                return _Connection(self._service, deadline)
            except IpcUnavailableError as error:
                restarting = self._restart_flag is not None and self._restart_flag.exists()
                if error.errno != errno.ECONNREFUSED or not restarting or time.monotonic() >= patience:
                    raise
            time.sleep(RESTART_PAUSE)

    def _or_none(self, operation: int, body: bytes) -> bytes | None:
        try:
            return self.call(operation, body)
        except IpcError as error:
            if error.errno == errno.ENOENT and not isinstance(error, IpcUnavailableError):
                return None
            raise

    def _json(self, operation: int, body: bytes = b"", *, strict: bool = True) -> dict[str, Any]:
        """``strict`` False: control characters in texts are possible."""
        text = self.call(operation, body).decode("utf-8", "surrogateescape")
        found: dict[str, Any] = json.loads(text, strict=strict)
        return found


class _Connection:
    """The stream that holds the connection and the two datagram sockets (status 6.6.2)."""

    def __init__(self, service: str, deadline: float) -> None:
        self.pid = os.getpid()
        self._control: Path | None = None
        self._stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._requests = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._stream.connect(codec.address(service))
            self._stream.setblocking(False)
            self._requests.setblocking(False)
            self._stream.send(codec.pack_hello())
            welcome = codec.unpack_welcome(self._receive_welcome(deadline))
            self._accept(service, welcome)
        except IpcUnavailableError:
            self.close()
            raise
        except codec.CodecError as error:
            self.close()
            raise IpcUnavailableError(errno.EPROTO, f"the file system daemon: {error}") from error
        except OSError as error:
            self.close()
            raise IpcUnavailableError(
                error.errno or errno.EIO,
                f"cannot connect to the file system daemon ({error.strerror or error}); is pmxcfs running?",
            ) from error

    def call(self, request: bytes, deadline: float) -> tuple[int, bytes]:
        """(error, payload). Raises IpcUnavailableError; the connection then is of no use any more."""
        sent = False
        try:
            self._send(request, deadline)
            sent = True
            while True:
                response = self._receive(deadline)
                header = codec.unpack_response(response)
                if header.operation == codec.operation_of(request):
                    return header.error, response[codec.RESPONSE_BYTES :]
        except IpcUnavailableError as error:
            error.sent = sent
            raise
        except (codec.CodecError, OSError) as error:
            number = error.errno if isinstance(error, OSError) else errno.EPROTO
            lost = IpcUnavailableError(
                number or errno.EIO, f"the connection to the file system daemon broke: {error}"
            )
            lost.sent = sent
            raise lost from error

    def close(self) -> None:
        if self._control is not None:
            self._control.unlink(missing_ok=True)  # the daemon removes the rest
        self.abandon()

    def abandon(self) -> None:
        """Close our descriptors only: the connection is another process's."""
        self._stream.close()
        self._requests.close()

    def _accept(self, service: str, welcome: codec.Welcome) -> None:
        if welcome.error:
            raise IpcUnavailableError(
                errno.EACCES if welcome.error > 0 else -welcome.error,
                "the file system daemon refused the connection"
                + ("; only root and the group www-data may connect" if welcome.error > 0 else ", try again"),
            )
        if welcome.transport is not codec.Transport.DATAGRAMS:
            raise IpcUnavailableError(
                errno.EPROTONOSUPPORT,
                f"service '{service}' wants shared memory; it is not our pmxcfs, use libqb to talk to it",
            )
        self._control = Path(welcome.request)
        self._requests.bind(codec.address(welcome.response + codec.RESPONSE_SUFFIX))
        self._requests.connect(codec.address(welcome.response + codec.REQUEST_SUFFIX))

    def _receive_welcome(self, deadline: float) -> bytes:
        data = b""
        while len(data) < codec.WELCOME_BYTES:
            self._wait(self._stream, select.POLLIN, deadline, watch=False)
            part = self._stream.recv(codec.WELCOME_BYTES - len(data))
            if not part:
                raise ConnectionResetError(errno.ECONNRESET, "closed in the handshake")
            data += part
        return data

    def _send(self, request: bytes, deadline: float) -> None:
        while True:
            try:
                self._requests.send(request)
            except BlockingIOError:
                self._wait(self._requests, select.POLLOUT, deadline)
            else:
                return

    def _receive(self, deadline: float) -> bytes:
        while True:
            try:
                return self._requests.recv(codec.MAX_MESSAGE)
            except BlockingIOError:
                self._wait(self._requests, select.POLLIN, deadline)

    def _wait(self, sock: socket.socket, events: int, deadline: float, *, watch: bool = True) -> None:
        """Until ``sock`` is ready; ``watch``: or the stream says that the daemon has gone."""
        poll = select.poll()
        poll.register(sock, events)
        if watch:
            poll.register(self._stream, select.POLLIN)
        ready = dict(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
        if not ready:
            raise IpcUnavailableError(
                errno.ETIMEDOUT, "the file system daemon does not answer; see the log of pmxcfs"
            )
        if sock.fileno() not in ready:
            raise IpcUnavailableError(errno.ENOTCONN, "the file system daemon ended the connection")


def _name(operation: int) -> str:
    return Op(operation).name if operation in Op.__members__.values() else f"operation {operation}"


def _portions(values: Sequence[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    """All of ``values`` in their order, in parts of about PORTION_BYTES; a larger value goes alone."""
    part: list[tuple[str, bytes]] = []
    size = 0
    for key, value in values:
        needed = operations.KEY_FIELD + len(value)
        if part and size + needed > PORTION_BYTES:
            yield part
            part, size = [], 0
        part.append((key, value))
        size += needed
    if part:
        yield part
