"""Passing a request on: to the privileged half by the local socket, to other nodes by HTTPS (pvecm 6.4)."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import ssl
from dataclasses import replace
from urllib.parse import quote

import aiohttp
from yarl import URL

from quorate.api.fingerprints import certificate_digest
from quorate.api.protocol import COOKIE, Answer, Request, credentials, one_line
from quorate.cfs import Cfs, CfsError
from quorate.schema import ApiError
from quorate.settings import API_PORT, Settings

_log = logging.getLogger(__name__)

PRIVILEGED_SECONDS = 130.0
"""A little more than the privileged half allows a call, so that its own answer arrives."""
NODE_SECONDS = 30.0
CONNECT_SECONDS = 5.0
LOCATE_SECONDS = 10.0
"""For reading where a node is and which certificate it has."""
MAX_ANSWER = 64 << 20
MAX_CONNECTIONS = 64

CLIENT_IP = "PVEClientIP"
REUSE_SECONDS = 2.0
"""How long an idle connection is kept for the next call. The other side ends it after 5 s, and a call that is
sent just then fails."""

_PASSED_HEADERS = ("cookie", "authorization", "csrfpreventiontoken", "content-type", "host")
_CONNECT, _TLS, _READ, _OTHER = 595, 596, 597, 599


class Passer:
    """Keeps the connections to the privileged half and to other nodes. Use and close it on one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cfs = Cfs(settings)
        self._local = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(
                path=str(settings.api_socket), limit=MAX_CONNECTIONS, keepalive_timeout=REUSE_SECONDS
            ),
            timeout=aiohttp.ClientTimeout(total=PRIVILEGED_SECONDS),
            auto_decompress=False,
        )
        self._nodes = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=MAX_CONNECTIONS,
                limit_per_host=MAX_CONNECTIONS // 4,
                keepalive_timeout=REUSE_SECONDS,
            ),
            timeout=aiohttp.ClientTimeout(total=NODE_SECONDS, sock_connect=CONNECT_SECONDS),
            auto_decompress=False,
        )

    async def close(self) -> None:
        await self._local.close()
        await self._nodes.close()

    async def to_root(self, request: Request) -> Answer:
        """The privileged half's answer; 5xx with the reason when it is not there."""
        headers = {**_passed(request), CLIENT_IP: request.client_ip}
        return await self._send(self._local, "http://localhost", request, headers, None, "pvedaemon")

    async def to_node(self, node: str, request: Request) -> Answer:
        """The other node's answer. Raises `ApiError` when the node or its certificate is not known."""
        try:
            async with asyncio.timeout(LOCATE_SECONDS):
                address, fingerprint = await asyncio.to_thread(self._locate, node)
        except TimeoutError as err:
            text = f"got timeout while looking for node '{node}' - does the cluster file system hang?"
            raise ApiError(500, text) from err
        host = f"[{address}]" if ":" in address else address
        headers = {**_passed(request), CLIENT_IP: request.client_ip, "PVEDisableProxy": "true"}
        shown = credentials(request.headers)
        if shown.ticket is not None:
            # Only the ticket: other cookies of the browser are not the other node's business.
            headers["cookie"] = f"{COOKIE}={quote(shown.ticket, safe='')}"
        else:
            headers.pop("cookie", None)
        pin = aiohttp.Fingerprint(fingerprint)
        return await self._send(self._nodes, f"https://{host}:{API_PORT}", request, headers, pin, node)

    async def _send(
        self,
        session: aiohttp.ClientSession,
        base: str,
        request: Request,
        headers: dict[str, str],
        pin: aiohttp.Fingerprint | None,
        peer: str,
    ) -> Answer:
        try:
            async with session.request(
                request.method,
                URL(base + request.target, encoded=True),
                headers=headers,
                data=request.body if request.body else None,
                ssl=pin if pin is not None else True,
                allow_redirects=False,
                skip_auto_headers=("Content-Type",),  # no body, no type: the other side would refuse a guess
            ) as response:
                body = await response.content.read(MAX_ANSWER + 1)
                while not response.content.at_eof() and len(body) <= MAX_ANSWER:
                    body += await response.content.read(MAX_ANSWER + 1 - len(body))
                if len(body) > MAX_ANSWER:
                    return _error(_READ, f"answer of {peer} is too large")
                kind = response.headers.get("Content-Type", "text/plain")
                return Answer(response.status, one_line(response.reason or ""), body, kind)
        except aiohttp.ServerFingerprintMismatch:
            return _error(_TLS, f"certificate of node '{peer}' is not the one in /etc/pve/nodes/{peer}")
        except (aiohttp.ClientSSLError, ssl.SSLError) as err:
            return _error(_TLS, f"{peer}: {err}")
        except aiohttp.ClientConnectorError as err:
            return _not_connected(peer, err.os_error.errno)
        except aiohttp.ConnectionTimeoutError:
            return _not_connected(peer, errno.ETIMEDOUT)
        except aiohttp.ClientPayloadError as err:
            return _error(_READ, f"{peer}: {err}")
        except TimeoutError:
            return _error(_OTHER, f"{peer}: got timeout")
        except (aiohttp.ClientError, OSError) as err:
            return _error(_OTHER, f"{peer}: {err}")

    def _locate(self, node: str) -> tuple[str, bytes]:
        try:
            member = self._cfs.members().nodes.get(node)
        except CfsError as err:
            raise ApiError(500, str(err)) from err
        if member is None or member.ip is None:
            raise ApiError(500, f"unable to get remote IP address for node '{node}'")
        return member.ip, certificate_digest(self._settings.mountpoint / "nodes" / node)


def _passed(request: Request) -> dict[str, str]:
    headers = {name: request.headers[name] for name in _PASSED_HEADERS if name in request.headers}
    headers["Accept-Encoding"] = "identity"  # compressed once, for the client
    if request.body and "content-type" not in headers:
        headers["content-type"] = "application/x-www-form-urlencoded"
    return headers


def _not_connected(peer: str, number: int | None) -> Answer:
    """The reason is the network's error alone, which clients show; asyncio has words of its own for it."""
    why = os.strerror(number) if number is not None and number > 0 else "unknown error"
    return replace(_error(_CONNECT, f"unable to connect to {peer}: {why}"), reason=why)


def _error(status: int, text: str) -> Answer:
    _log.warning("passing a request on failed: %s", text)
    return Answer(status, one_line(text), text.encode())
