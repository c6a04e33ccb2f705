"""Where the daemon's log lines go: syslog always, standard error until it detaches or with ``-f``.

Each line carries its domain in brackets (core 1.1). The switch of ``.debug`` lives here too.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from pathlib import Path
from typing import Final

IDENTITY: Final = "pmxcfs"
FACILITY_DAEMON: Final = 3
SYSLOG_SOCKET: Final = Path("/dev/log")
MAX_LINE: Final = 8192
"""Bytes of one syslog datagram that we use; longer lines are cut."""

TOP: Final = "quorate"
"""Name of the logger that the handlers hang on: everything the package says."""

DOMAINS: Final = "quorate.log"
"""Name of the logger above the domains."""

_BY_MODULE: Final = {"quorate.pmxcfs.store": "database", "quorate.fuse": "main"}
"""Domains of rooms that log under their own module's name."""

_PRIORITIES: Final = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO + 5, 5),
    (logging.INFO, 6),
    (logging.DEBUG, 7),
)


def domain(name: str) -> logging.Logger:
    """The logger of one domain: ``main``, ``database``, ``dcdb``, ``status``, ``quorum``, ..."""
    return logging.getLogger(f"{DOMAINS}.{name}")


def set_debug(on: bool) -> None:
    """Turn debug lines of all domains on or off."""
    logging.getLogger(TOP).setLevel(logging.DEBUG if on else logging.INFO)


def debug_enabled() -> bool:
    return logging.getLogger(TOP).isEnabledFor(logging.DEBUG)


class DomainFormatter(logging.Formatter):
    """``[domain] text``; several lines become one, since syslog knows no others."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        line = " | ".join(part for part in text.splitlines() if part.strip())
        return line if line.startswith("[") else f"[{_domain_of(record.name)}] {line}"


def _domain_of(name: str) -> str:
    if name.startswith(DOMAINS + "."):
        return name[len(DOMAINS) + 1 :]
    for module, found in _BY_MODULE.items():
        if name == module or name.startswith(module + "."):
            return found
    return "main"


class SyslogHandler(logging.Handler):
    """Datagrams to the local syslog socket, never waiting: a full or absent socket loses the line."""

    def __init__(self, path: Path = SYSLOG_SOCKET) -> None:
        super().__init__()
        self._path = path
        self._socket: socket.socket | None = None

    def emit(self, record: logging.LogRecord) -> None:
        number = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        text = f"<{FACILITY_DAEMON * 8 + number}>{IDENTITY}[{os.getpid()}]: {self.format(record)}"
        data = text.encode("utf-8", "backslashreplace")[:MAX_LINE]
        for _attempt in range(2):  # the second one after syslog was restarted
            try:
                self._connected().send(data)
            except OSError:
                self.close_socket()
            else:
                return

    def close_socket(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def close(self) -> None:
        self.close_socket()
        super().close()

    def _connected(self) -> socket.socket:
        if self._socket is None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            try:
                connection.connect(str(self._path))
            except OSError:
                connection.close()
                raise
            self._socket = connection
        return self._socket


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        """A closed terminal is no reason to stop."""


def set_up(*, debug: bool) -> None:
    """Log to syslog and to standard error. To be called once, first of all."""
    root = logging.getLogger(TOP)
    root.propagate = False
    for handler in list(root.handlers):
        root.removeHandler(handler)
    formatter = DomainFormatter()
    for handler in (SyslogHandler(), _StderrHandler(sys.stderr)):
        handler.setFormatter(formatter)
        root.addHandler(handler)
    set_debug(debug)


def stop_stderr() -> None:
    """From now on syslog only (the daemon has detached)."""
    root = logging.getLogger(TOP)
    for handler in list(root.handlers):
        if isinstance(handler, _StderrHandler):
            with contextlib.suppress(OSError):
                handler.flush()
            root.removeHandler(handler)
