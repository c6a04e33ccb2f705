"""A server of the IPC service in a process of its own, with the recorded files and operations for tests."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from quorate.ipc import codec
from quorate.pmxcfs import ipcconnection, ipcserver
from quorate.pmxcfs.ipcconnection import Answer, Peer, Work
from quorate.pmxcfs.ipcops import Operations
from quorate.pmxcfs.ipcserver import IpcServer
from quorate.pmxcfs.loop import Loop
from tests.support.ipc_vectors import Fixture

OP_BYTES: Final = 1000
"""Answers so many bytes as the request says."""
OP_STATE: Final = 1001
"""Answers how many clients there are, who asks, and how many slow requests were answered."""
OP_SLOW: Final = 1002
SLOW_SECONDS: Final = 0.01
"""What such a request takes."""
OP_DEAR: Final = 1003
DEAR_PORTIONS: Final = 50
"""Each of them takes as long as a slow request."""

WWW_DATA: Final = 33


def _dear() -> Work:
    for _ in range(DEAR_PORTIONS):
        time.sleep(SLOW_SECONDS)
        yield
    return 0, b""


class Host:
    """The server's process; ``service`` is its name, unlike that of any other test."""

    def __init__(self, directory: Path, limits: dict[str, float]) -> None:
        self.directory = directory / "ipc"
        self.service = f"test-{os.getpid()}-{time.monotonic_ns()}"
        self._limits = limits
        self.pid = 0
        self.start()

    def start(self) -> None:
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._serve(writer)
            finally:
                os._exit(1)
        os.close(writer)
        assert os.read(reader, 1) == b"1"
        os.close(reader)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal it; its exit status."""
        os.kill(self.pid, number)
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def _serve(self, ready: int) -> None:
        for name, value in self._limits.items():
            for module in (ipcserver, ipcconnection):
                if hasattr(module, name):
                    setattr(module, name, value)
        loop, fixture = Loop(), Fixture()
        slow = 0
        operations = Operations(fixture.status, lambda: fixture.tree, lambda message: None)

        def handle(peer: Peer, message: bytes) -> Answer | Work:
            nonlocal slow
            operation = codec.operation_of(message)
            if operation == OP_SLOW:
                slow += 1
                time.sleep(SLOW_SECONDS)
                return 0, b""
            if operation == OP_DEAR:
                return _dear()
            if operation == OP_BYTES:
                return 0, bytes(struct.unpack_from("<I", message, 16)[0])
            if operation == OP_STATE:
                return 0, json.dumps({"clients": server.clients, "slow": slow, **peer._asdict()}).encode()
            return operations(peer, message)

        server = IpcServer(
            loop,
            handle,
            gid=WWW_DATA,
            directory=self.directory,
            log=logging.getLogger("test.ipc"),
            service=self.service,
        )
        signal.signal(signal.SIGTERM, lambda *_: loop.stop())
        server.start()
        os.write(ready, b"1")
        loop.run()
        server.stop()
        os._exit(0)


@contextmanager
def an_ipc_host(directory: Path, **limits: float) -> Iterator[Host]:
    """``limits``: constants of the server to be changed."""
    directory.chmod(0o755)
    for parent in directory.parents:
        if parent.stat().st_mode & 0o777 == 0o700 and parent.is_relative_to("/tmp"):
            parent.chmod(0o711)  # other users come too
    host = Host(directory, limits)
    try:
        yield host
    finally:
        if host.pid:
            host.stop(signal.SIGKILL)


class RawClient:
    """The protocol by hand, for what libqb's clients never do."""

    def __init__(self, host: Host, max_message: int = codec.MAX_MESSAGE) -> None:
        self.stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.stream.settimeout(10)
        self.stream.connect(codec.address(host.service))
        self.stream.sendall(codec.pack_hello(max_message))
        data = b""
        while len(data) < codec.WELCOME_BYTES:
            part = self.stream.recv(codec.WELCOME_BYTES - len(data))
            if not part:
                raise ConnectionResetError("closed in the handshake")
            data += part
        self.welcome = codec.unpack_welcome(data)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(10)

    def bind(self) -> None:
        """What a client does after the handshake."""
        self.socket.bind(codec.address(self.welcome.response + codec.RESPONSE_SUFFIX))
        self.socket.connect(codec.address(self.welcome.response + codec.REQUEST_SUFFIX))

    def call(self, request: bytes) -> bytes:
        self.socket.send(request)
        return self.socket.recv(codec.MAX_MESSAGE)

    def close(self) -> None:
        self.socket.close()
        self.stream.close()


def as_user(body: Callable[[], Any], *, ids: Callable[[], None]) -> Any:
    """The JSON value of ``body`` in a child of other ids; or the number of the errno as ``-errno``."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            ids()
            try:
                answer = body()
            except OSError as error:
                answer = -(error.errno or 0)
            os.write(writer, json.dumps(answer).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(pid, 0)
    return json.loads(text)


def user(
    uid: int, gid: int, *, groups: list[int] | None = None, effective_gid: int | None = None
) -> Callable[[], None]:
    """What makes a process that user's."""

    def become() -> None:
        os.setgroups(groups or [])
        os.setresgid(gid, gid if effective_gid is None else effective_gid, gid)
        os.setresuid(uid, uid, uid)

    return become


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.005)


def end(pid: int) -> None:
    """Kill and reap a child."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
