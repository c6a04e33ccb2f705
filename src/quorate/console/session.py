"""Opening a console: a port, a ticket for it, and the task behind it (pvecm 6.8, guests 9.2)."""

from __future__ import annotations

import errno
import hmac
import os
import shlex
import socket
import syslog
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

from quorate.access.consoles import require_rights, verify_console
from quorate.access.directory import AuthenticationError, directory_of
from quorate.access.keys import KeyFileError
from quorate.console.command import environment
from quorate.console.protocol import Login
from quorate.console.server import ConsoleError, serve
from quorate.console.terminal import Terminal
from quorate.processname import set_process_name
from quorate.settings import CONSOLE_PORTS, Settings
from quorate.tasks import Upid, start_worker

TASK_TYPE: Final = "vncshell"
PRIVILEGE: Final = "Sys.Console"
LOOPBACK: Final = "127.0.0.1"
PROCESS_NAME: Final = "termproxy"


class Console(NamedTuple):
    """What a client needs to know of its console."""

    user: str
    ticket: str
    port: int
    upid: Upid


def open_console(settings: Settings, user: str, path: str, argv: Sequence[str]) -> Console:
    """Have ``argv`` run for ``user`` on a terminal once he comes to the port with the ticket.

    ``path`` is what his right to it is asked for. The port listens when this returns. Needs root, and a
    process with one thread. Raises `ConsoleError` without a free port, `TaskError` and `KeyFileError`.
    """
    with _listen() as listening:
        port: int = listening.getsockname()[1]
        ticket = directory_of(settings).keys.console_ticket(user, path, port)
        _check(settings, Login(user, ticket), path, port, "no ticket for a console would be taken")
        work = partial(_work, settings, listening, Login(user, ticket), path, port, list(argv))
        upid = start_worker(TASK_TYPE, "", user, work, settings, keep=(listening.fileno(),))
    return Console(user, ticket, port, upid)


def _work(
    settings: Settings,
    listening: socket.socket,
    wanted: Login,
    path: str,
    port: int,
    argv: list[str],
    upid: Upid,
) -> None:
    """The task. Nothing but the user's own line with the very ticket that he got starts the program."""

    def verify(login: Login) -> None:
        shown, made = (f"{each.user}:{each.ticket}".encode() for each in (login, wanted))
        if not hmac.compare_digest(shown, made):
            raise ConsoleError("the client's ticket is not the one that was made for this console")
        _check(settings, login, path, port, "the client's ticket was refused")
        print(f"{wanted.user} is here: {shlex.join(argv)}", flush=True)

    def refusal() -> str | None:
        try:
            require_rights(directory_of(settings), wanted.user, path, [PRIVILEGE])
        except AuthenticationError as err:
            return str(err)
        except (KeyFileError, OSError):
            return None  # without the cluster file system nobody knows, and shells are what helps then
        return None

    set_process_name(PROCESS_NAME)
    syslog.syslog(syslog.LOG_INFO, f"starting {PROCESS_NAME} {upid}")
    print(f"waiting for {wanted.user} at port {port}", flush=True)
    terminal = partial(Terminal, argv, environment(os.environ))
    print(serve(listening, verify, terminal, refusal), flush=True)


def _check(settings: Settings, login: Login, path: str, port: int, what: str) -> None:
    try:
        verify_console(directory_of(settings), login.user, login.ticket, path, [PRIVILEGE], port)
    except (AuthenticationError, KeyFileError, OSError) as err:
        raise ConsoleError(f"{what}: {err}") from err


def _listen() -> socket.socket:
    """A listening socket on a free port. Found by taking it, so that two who look get two."""
    for port in CONSOLE_PORTS:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((LOOPBACK, port))
            listening.listen(1)
        except OSError as err:
            listening.close()
            if err.errno != errno.EADDRINUSE:
                raise ConsoleError(f"unable to listen on port {port}: {err.strerror}") from err
            continue
        return listening
    text = f"no port from {CONSOLE_PORTS[0]} to {CONSOLE_PORTS[-1]} is free: close other consoles first"
    raise ConsoleError(text)
