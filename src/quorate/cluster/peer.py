"""The API of another node as a client: TLS with a pinned certificate, login, calls (pvecm 3.3).

The certificate is judged before anything is sent. Nothing here knows what the calls mean.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode

from quorate.cluster.host import ClusterError
from quorate.formats import is_ip
from quorate.settings import API_PORT

REQUEST_SECONDS: Final = 60.0
MAX_ANSWER: Final = 4 * 1024 * 1024
"""Far above corosync.conf and a key; a peer cannot make us hold more."""

AskFingerprint = Callable[[str, str], bool]
"""(host, fingerprint) -> whether a person at the terminal vouches for it."""

AskSecondFactor = Callable[[Mapping[str, Any]], str]
"""Challenge -> ``TYPE:CODE``."""


class PeerError(ClusterError):
    """A call failed: ``status`` is the HTTP status (0 if there was no answer), ``errors`` texts per key.

    ``sent``: whether the peer may have got the request.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        text: str | None = None,
        errors: Mapping[str, str] | None = None,
        *,
        sent: bool = True,
    ) -> None:
        super().__init__(text or f"{status} {reason}")
        self.sent = sent
        self.status = status
        self.reason = reason
        self.errors = dict(errors or {})


class Peer:
    """One node's API. With ``pin`` only that certificate is accepted and nothing else is looked at.

    Without, the system's trust store decides, then ``ask``; what was accepted is remembered.
    """

    def __init__(
        self,
        host: str,
        *,
        pin: str | None = None,
        ask: AskFingerprint | None = None,
        port: int = API_PORT,
        timeout: float = REQUEST_SECONDS,
        second_factor: AskSecondFactor | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self._pin = pin.upper() if pin else None
        self._ask = ask
        self._timeout = timeout
        self._second_factor = second_factor
        self._headers: dict[str, str] = {}

    @property
    def pin(self) -> str | None:
        return self._pin

    def identify(self) -> str | None:
        """Decide on the peer's certificate without sending anything; the fingerprint to pin.

        None if the system's trust store vouches for it. Raises ClusterError when it is not accepted.
        """
        self._connect().close()
        return self._pin

    def login(self, user: str, password: str) -> None:
        """Get a ticket; raises PeerError with the peer's status line."""
        form = {"username": user, "password": password}
        data = self._new_ticket(form)
        ticket = str(data["ticket"])
        if ticket.startswith("PVE:!tfa!"):
            answer = self._answer_challenge(ticket)
            data = self._new_ticket({**form, "password": answer, "tfa-challenge": ticket})
            ticket = str(data["ticket"])
        self._headers = {
            "Cookie": f"PVEAuthCookie={quote(ticket, safe='')}",
            "CSRFPreventionToken": str(data.get("CSRFPreventionToken", "")),
        }

    def call(self, method: str, path: str, params: Mapping[str, object] | None = None) -> Any:
        """Call and return ``data``; raises PeerError."""
        form = urlencode({key: _form_value(value) for key, value in (params or {}).items()})
        target = f"/api2/json{path}"
        body = None
        headers = {"Accept": "application/json", "Connection": "close", **self._headers}
        if method in ("POST", "PUT"):
            body = form.encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif form:
            target += f"?{form}"
        connection = http.client.HTTPConnection(self.host, self.port, timeout=self._timeout)
        connection.sock = self._connect()
        try:
            connection.request(method, target, body=body, headers=headers)
            response = connection.getresponse()
            raw = response.read(MAX_ANSWER + 1)
        except (OSError, http.client.HTTPException) as e:
            text = f"no answer from '{self.host}' to {method} {path}: {e or type(e).__name__}"
            raise PeerError(0, text, text) from e
        finally:
            connection.close()
        return _unpack(response.status, response.reason, raw)

    def _new_ticket(self, form: Mapping[str, object]) -> dict[str, Any]:
        data = self.call("POST", "/access/ticket", form)
        if not isinstance(data, dict) or "ticket" not in data:
            raise PeerError(200, f"'{self.host}' accepted the login, but gave no ticket")
        return data

    def _connect(self) -> ssl.SSLSocket:
        if self._pin is None:
            trusted = self._connect_trusted()
            if trusted is not None:
                return trusted
        connection = self._wrap(_unverified())
        shown = _fingerprint(connection)
        if shown == self._pin:
            return connection
        connection.close()
        if self._pin is not None:
            raise ClusterError(f"fingerprint '{shown}' not verified, abort!")
        if self._ask is None or not self._ask(self.host, shown):
            raise ClusterError("Fingerprint not verified, abort!")
        self._pin = shown
        return self._connect()

    def _connect_trusted(self) -> ssl.SSLSocket | None:
        try:
            return self._wrap(ssl.create_default_context())
        except ssl.SSLCertVerificationError:
            return None

    def _wrap(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        try:
            raw = socket.create_connection((self.host, self.port), timeout=self._timeout)
        except ValueError as e:  # an empty or overlong label, a NUL
            raise self._unreachable(OSError(f"'{self.host}' is not a host name")) from e
        except OSError as e:
            raise self._unreachable(e) from e
        try:
            return context.wrap_socket(raw, server_hostname=self.host)
        except ssl.SSLCertVerificationError:
            raw.close()
            raise
        except OSError as e:
            raw.close()
            raise self._unreachable(e) from e

    def _unreachable(self, error: OSError) -> PeerError:
        reason = f"Can't connect to {_bracketed(self.host)}:{self.port} ({error.strerror or error})"
        return PeerError(0, reason, reason, sent=False)

    def _answer_challenge(self, ticket: str) -> str:
        if self._second_factor is None:
            raise ClusterError("TFA-enabled login currently works only with a TTY.")
        try:
            challenge = json.loads(unquote(ticket.removeprefix("PVE:!tfa!").partition(":")[0]))
        except ValueError as e:
            raise ClusterError(f"unable to read the second factor challenge of '{self.host}': {e}") from e
        return self._second_factor(challenge)


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _fingerprint(connection: ssl.SSLSocket) -> str:
    der = connection.getpeercert(binary_form=True)
    if not der:
        raise ClusterError("the other side shows no certificate, abort!")
    return hashlib.sha256(der).digest().hex(":").upper()


def _unpack(status: int, reason: str, raw: bytes) -> Any:
    if len(raw) > MAX_ANSWER:
        raise PeerError(status, "answer too long", f"the answer is longer than {MAX_ANSWER} bytes")
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    if status != 200:
        errors = body.get("errors")
        texts = {str(k): str(v) for k, v in errors.items()} if isinstance(errors, dict) else {}
        raise PeerError(status, reason, errors=texts)
    if "data" not in body:
        raise PeerError(status, "the answer is no JSON object with 'data'")
    return body["data"]


def _form_value(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def _bracketed(host: str) -> str:
    return f"[{host}]" if is_ip(host) and ":" in host else host
