"""Running operations as root, each in a process of its own.

A helper process with a single thread is forked before the event loop starts; it forks once more for every
call. So a handler may block, fork a task, load PAM modules or crash: it harms nobody else, and a hung one is
killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import struct
from collections.abc import Callable
from typing import Any, Final, NoReturn

_log = logging.getLogger(__name__)

CALL_SECONDS: Final = 120.0
"""Longest call: the locks of the longest one (adding a node) add up to 80 s."""
MAX_CALLS: Final = 32
"""Calls at the same time; more wait."""
MAX_WAITING: Final = 256
MAX_MESSAGE: Final = 64 << 20
_LENGTH = struct.Struct("<I")
_STARTED = struct.Struct("<i")

Job = dict[str, Any]
Work = Callable[[Job], Job]


class ExecutorError(Exception):
    """A call got no result: too many are waiting, it took too long, or its process died."""


class Executor:
    """``work(job)`` in a fresh process per call. Jobs and results are JSON objects."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._control: socket.socket | None = None
        self._slots: asyncio.Semaphore | None = None
        self._waiting = 0
        self.pid = 0

    def start(self, *not_its: socket.socket) -> None:
        """Fork the helper, which closes ``not_its``. Call it while this process has one thread, and no event
        loop."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            for each in not_its:
                each.close()
            _serve(theirs, self._work)
        theirs.close()
        self._control = ours

    async def call(self, job: Job) -> Job:
        """The result of ``work(job)``. Raises `ExecutorError`."""
        if self._slots is None:
            self._slots = asyncio.Semaphore(MAX_CALLS)
        if self._waiting >= MAX_WAITING:
            raise ExecutorError("too many calls are waiting, try again later")
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            return await self._call(job)
        finally:
            self._slots.release()

    def close(self) -> None:
        """End the helper; calls that run go on to their end."""
        if self._control is not None:
            self._control.close()
            self._control = None
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)

    async def _call(self, job: Job) -> Job:
        if self._control is None:
            raise ExecutorError("the privileged half is ending")
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [b"c"], [theirs.fileno()])
            except OSError as err:
                ours.close()
                raise ExecutorError("the helper process has gone: restart pvedaemon") from err
        reader, writer = await asyncio.open_connection(sock=ours)
        pid = 0
        try:
            async with asyncio.timeout(CALL_SECONDS):
                data = json.dumps(job).encode()
                writer.write(_LENGTH.pack(len(data)) + data)
                await writer.drain()
                (pid,) = _STARTED.unpack(await reader.readexactly(_STARTED.size))
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                if length > MAX_MESSAGE:
                    raise ExecutorError("result too large")
                result = json.loads(await reader.readexactly(length))
        except TimeoutError as err:
            if pid > 0:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise ExecutorError(f"got timeout: no result within {CALL_SECONDS:.0f} s") from err
        except (asyncio.IncompleteReadError, OSError) as err:
            why = (
                "died without a result"
                if pid
                else "could not be started: is the node out of processes or memory?"
            )
            raise ExecutorError(f"the process of the call {why}") from err
        finally:
            writer.close()
        if not isinstance(result, dict):
            raise ExecutorError("malformed result")
        return result


def _serve(control: socket.socket, work: Work) -> NoReturn:
    """The helper: a child for every descriptor that comes, until the other side closes."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the calls' processes
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # ends when its parent ends
        while True:
            data, fds, _, _ = socket.recv_fds(control, 16, 1)
            if not data:
                break
            for fd in fds:
                try:
                    pid = os.fork()
                except OSError as err:
                    # Out of processes or memory now: this call fails, the next one may have more luck.
                    _log.warning("unable to start the process of a call: %s", err.strerror)
                    pid = -1
                if pid == 0:
                    _run(control, fd, work)
                os.close(fd)
    finally:
        os._exit(0)


def _run(control: socket.socket, fd: int, work: Work) -> NoReturn:
    try:
        control.close()
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        with socket.socket(fileno=fd) as connection, connection.makefile("rb") as stream:
            (length,) = _LENGTH.unpack(stream.read(_LENGTH.size))
            job = json.loads(stream.read(length))
            connection.sendall(_STARTED.pack(os.getpid()))
            data = json.dumps(work(job)).encode()
            # Nobody may listen any more: what was done is done.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(_LENGTH.pack(len(data)) + data)
    except BaseException:  # noqa: BLE001 - last resort of this process: the log is all that is left
        _log.exception("a call ended without a result")
    finally:
        os._exit(0)
