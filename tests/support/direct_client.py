"""A client whose calls go straight into the daemon's operations: no sockets, and the calls are counted."""

from __future__ import annotations

import errno
import os

from quorate.ipc import codec
from quorate.ipc.client import Client, IpcError, IpcUnavailableError
from quorate.pmxcfs.ipcconnection import Peer, finished
from quorate.pmxcfs.ipcops import Operations
from tests.support.ipc_vectors import CLIENT_PID, Fixture


class DirectClient(Client):
    """``away``: the daemon is not there."""

    def __init__(self, fixture: Fixture, *, read_only: bool = False) -> None:
        super().__init__()
        self.away = False
        self.calls: list[int] = []
        self._peer = Peer(CLIENT_PID, 0, 33 if read_only else 0, read_only)
        self._operations = Operations(fixture.status, lambda: fixture.tree, lambda message: None)

    def call(self, operation: int, body: bytes = b"") -> bytes:
        if self.away:
            raise IpcUnavailableError(errno.ECONNREFUSED, "cannot connect; is pmxcfs running?")
        self.calls.append(operation)
        answer = self._operations(self._peer, codec.pack_request(operation, body))
        error, payload = answer if isinstance(answer, tuple) else finished(answer)
        if error:
            raise IpcError(-error, os.strerror(-error))
        return payload
