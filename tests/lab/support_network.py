"""A program on a machine beside the nodes: a thread in the network of a lab's switch, and its requests."""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab import Lab, Node
from lab.base import ROOT_PASSWORD

_CLONE_NEWNET: Final = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def outside(lab: Lab, body: Callable[[], None]) -> None:
    """Run ``body`` in a thread that is in the switch's network; what it raises is raised here."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            with Path("/run/netns", lab.record.switch_netns).open("rb") as namespace:
                if _libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            body()
        except BaseException as err:  # noqa: BLE001 - raised again by the test's own thread
            failed.append(err)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def proxmoxer_of(server: Node, **credentials: Any) -> Any:
    """A proxmoxer client of this node; root with the password unless told otherwise."""
    from proxmoxer import ProxmoxAPI

    wanted = {"user": "root@pam", "password": ROOT_PASSWORD, "timeout": 60, "verify_ssl": False}
    if "token_name" in credentials:
        del wanted["password"]
    return ProxmoxAPI(server.address(), **wanted | credentials)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came."""

    status: int
    reason: str
    body: bytes

    @property
    def data(self) -> Any:
        assert self.status == 200, f"{self.status} {self.reason}: {self.body!r}"
        return json.loads(self.body)["data"]


def ask(
    server: Node,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    *,
    seconds: float = 90.0,
) -> Answer:
    """One request with exactly these headers and this body."""
    connection = open_connection(server, seconds)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return Answer(response.status, response.reason, response.read())
    finally:
        connection.close()


def open_connection(server: Node, seconds: float = 90.0) -> http.client.HTTPSConnection:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the cluster's own certificates
    return http.client.HTTPSConnection(server.address(), 8006, timeout=seconds, context=context)
