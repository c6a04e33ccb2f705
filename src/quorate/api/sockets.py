"""The listening sockets of the API's two halves (pvecm 6.1, 11)."""

from __future__ import annotations

import errno
import grp
import logging
import os
import socket
from pathlib import Path
from typing import Final

from quorate.settings import GROUP

_log = logging.getLogger(__name__)

BACKLOG: Final = 128


def open_socket(port: int, host: str | None = None) -> socket.socket:
    """A listening socket on all addresses: dual stack, or IPv4 where there is no IPv6. Raises OSError."""
    if host is not None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return _bind(family, host, port)
    try:
        return _bind(socket.AF_INET6, "::", port)
    except OSError as err:
        if err.errno == errno.EADDRINUSE:
            raise
        _log.info("no IPv6 (%s), listening on IPv4 only", err.strerror)
        return _bind(socket.AF_INET, "0.0.0.0", port)


def _bind(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind((host, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def open_local_socket(path: Path) -> socket.socket:
    """The socket between the halves: only root and the front may connect. Raises OSError, KeyError."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o117)
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        os.chown(path, 0, grp.getgrnam(GROUP).gr_gid)
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except (OSError, KeyError):
        listening.close()
        raise
    return listening
