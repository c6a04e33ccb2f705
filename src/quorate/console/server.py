"""The one client of a console: its login, then bytes between it and the terminal (guests 9.3).

Blocking, in a process of its own: nobody else waits for it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Final, NoReturn

from quorate.console.protocol import (
    ACCEPTED,
    Input,
    Login,
    LoginReader,
    MessageReader,
    ProtocolError,
)
from quorate.console.terminal import Terminal
from quorate.console.watch import Refusal, Watch

CLIENT_SECONDS: Final = 10.0
"""For the first client to come, and for it to say who it is."""
STUCK_SECONDS: Final = 300.0
"""For the program to take what was typed. While it does not, nothing is read from the client, and its end may
wait behind what it sent."""
FLUSH_SECONDS: Final = 5.0
"""For the client to take what the program said last."""
MAX_KEPT: Final = 64 << 10
"""Bytes kept for whoever is slow, in each direction; then the other side has to wait."""
_PIECE: Final = 64 << 10
_GONE: Final = select.POLLRDHUP | select.POLLHUP | select.POLLERR

CLIENT_LEFT: Final = "the client has left"
PROGRAM_ENDED: Final = "the program has ended"
REVOKED: Final = "the user may not have this console any more"
FAREWELL: Final = "\x1b[?1049l\x1b[0m\r\n*** This console is closed: {reason}. ***\r\n"
"""Behind the end of whatever filled the screen, for the person before it."""
STUCK: Final = "the program took nothing of what was typed for too long"


class ConsoleError(Exception):
    """A console was not used, or not rightly; the text is for the task's log and holds no ticket."""


Verify = Callable[[Login], None]
"""Raises `ConsoleError` for a login that is not good."""
Start = Callable[[], Terminal]


def serve(listening: socket.socket, verify: Verify, start: Start, refusal: Refusal) -> str:
    """Wait for one client, and serve it to the end; what ended it. Nothing is started before ``verify``, and
    nothing that was started is left. ``refusal`` is asked every few seconds, in a thread, whether the
    client's user may go on. Raises `ConsoleError`, also when he may not.
    """
    client = _accept(listening)
    with client:
        rest = _log_in(client, verify)
        terminal = start()
        try:
            with Watch(refusal) as watch:
                return _Exchange(client, terminal, watch).run(rest)
        finally:
            terminal.end()


def _accept(listening: socket.socket) -> socket.socket:
    """The first client; the port is given back with it, so that there is no second one."""
    with listening:
        listening.settimeout(CLIENT_SECONDS)
        try:
            client, _ = listening.accept()
        except TimeoutError as err:
            raise ConsoleError(f"no client came within {CLIENT_SECONDS:.0f} s") from err
        except OSError as err:
            raise ConsoleError(f"unable to accept a client: {err.strerror}") from err
    return client


def _log_in(client: socket.socket, verify: Verify) -> bytes:
    """What the client sent behind its login."""
    reader = LoginReader()
    deadline = time.monotonic() + CLIENT_SECONDS
    login = None
    try:
        while login is None:
            client.settimeout(max(0.001, deadline - time.monotonic()))
            data = client.recv(_PIECE)
            if not data:
                raise ConsoleError("the client left before it had said who it is")
            login = reader.feed(data)
    except TimeoutError as err:
        raise ConsoleError(f"the client did not say who it is within {CLIENT_SECONDS:.0f} s") from err
    except ConnectionError as err:
        raise ConsoleError("the client left before it had said who it is") from err
    except (OSError, ProtocolError) as err:
        raise ConsoleError(f"the client did not say who it is: {err}") from err
    verify(login)
    return reader.rest


class _Exchange:
    """Bytes both ways, with bounded buffers, until either side ends."""

    def __init__(self, client: socket.socket, terminal: Terminal, watch: Watch) -> None:
        self._client = client
        self._terminal = terminal
        self._watch = watch
        self._reader = MessageReader()
        self._to_client = bytearray(ACCEPTED)
        self._to_program = bytearray()
        self._taken = time.monotonic()
        client.setblocking(False)

    def run(self, rest: bytes) -> str:
        terminal = self._terminal
        try:
            self._take(rest)
            while True:
                ready = self._wait()
                if not ready:
                    return STUCK
                if self._watch.fd in ready:
                    self._revoke(self._watch.reason)
                if ready.get(self._client.fileno(), 0) & _GONE:
                    return CLIENT_LEFT
                if ready.get(self._client.fileno(), 0) & select.POLLIN:
                    self._receive()
                if terminal.exited in ready:
                    return self._last_words()
                if ready.get(terminal.fd, 0) & select.POLLOUT:
                    self._write()
                if ready.get(terminal.fd, 0) & (select.POLLIN | select.POLLHUP):
                    self._read()
                self._send()
        except ConnectionError:
            return CLIENT_LEFT
        except ProtocolError as err:
            raise ConsoleError(f"the client does not speak the protocol: {err}") from err

    def _wait(self) -> dict[int, int]:
        """What can be done without waiting; nothing when the program took nothing for too long. That the
        client goes is noticed also while nothing is read."""
        poll = select.poll()
        wanted = select.POLLRDHUP
        seconds = None
        if len(self._to_program) < MAX_KEPT:
            wanted |= select.POLLIN
            self._taken = time.monotonic()
        else:
            seconds = max(0.0, self._taken + STUCK_SECONDS - time.monotonic())
        if self._to_client:
            wanted |= select.POLLOUT
        poll.register(self._client, wanted)
        poll.register(self._terminal.exited, select.POLLIN)
        poll.register(self._watch.fd, select.POLLIN)
        wanted = select.POLLOUT if self._to_program else 0
        if len(self._to_client) < MAX_KEPT:
            wanted |= select.POLLIN
        if wanted:
            poll.register(self._terminal.fd, wanted)
        return dict(poll.poll(None if seconds is None else seconds * 1000))

    def _receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._take(self._client.recv(_PIECE))

    def _take(self, data: bytes) -> None:
        for message in self._reader.feed(data):
            if isinstance(message, Input):
                self._to_program += message.data
            else:
                self._terminal.resize(message.columns, message.rows)

    def _write(self) -> None:
        try:
            del self._to_program[: os.write(self._terminal.fd, self._to_program)]
            self._taken = time.monotonic()
        except BlockingIOError:
            pass
        except OSError as err:
            if err.errno != errno.EIO:
                raise
            self._to_program.clear()  # hung up; that the program has ended is told by itself

    def _read(self) -> bool:
        """Whether there may be more."""
        try:
            data = os.read(self._terminal.fd, _PIECE)
        except BlockingIOError:
            return False
        except OSError as err:
            if err.errno != errno.EIO:
                raise
            return False
        self._to_client += data
        return bool(data)

    def _send(self) -> None:
        if self._to_client:
            with contextlib.suppress(BlockingIOError):
                del self._to_client[: self._client.send(self._to_client)]

    def _last_words(self) -> str:
        """What the program said before it ended, as far as the client takes it."""
        self._flush(more=True)
        return PROGRAM_ENDED

    def _revoke(self, reason: str) -> NoReturn:
        """Tell the person why it ends; what is typed or shown no longer counts. Raises `ConsoleError`."""
        self._to_client += FAREWELL.format(reason=reason).encode()
        with contextlib.suppress(ConnectionError):  # the client has left as well
            self._flush(more=False)
        raise ConsoleError(f"{REVOKED}: {reason}")

    def _flush(self, *, more: bool) -> None:
        """What is kept for the client, and with ``more`` what the program has said, as far as it is taken."""
        deadline = time.monotonic() + FLUSH_SECONDS
        while (more or self._to_client) and (seconds := deadline - time.monotonic()) > 0:
            while more and len(self._to_client) < MAX_KEPT:
                more = self._read()
            poll = select.poll()
            poll.register(self._client, select.POLLOUT)
            poll.poll(seconds * 1000)
            self._send()
