"""Tickets and CSRF tokens: their text, their signatures, their age (pvecm 7.1, 7.2).

Pure: keys, time and the state of the cluster are handed in. Where keys come from is `keys`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

LOGIN_PREFIX: Final = "PVE"
CONSOLE_PREFIXES: Final = ("PVEVNC", "PVETUNNEL")
LIFETIME: Final = 7200
GRACE: Final = 300
KEY_LIFETIME: Final = 86400
MAX_TICKET: Final = 4096
"""Longest text looked at; real tickets have about 400 characters."""

_SIGNED = re.compile(r"(\S+)::([^:\s]+)")
_CSRF = re.compile(r"([A-Z0-9]{8}):(\S+)")


class TicketError(Exception):
    """A ticket or token is not valid; the text is for the log, never for the client."""


class AgeWindow(NamedTuple):
    """Ages in seconds between which (exclusively) a ticket is accepted."""

    minimum: int
    maximum: int


def assemble(prefix: str, data: str, now: int, key: RSAPrivateKey, secret: str | None = None) -> str:
    """A ticket for ``data`` made now; ``secret`` is signed too and must be known to the verifier."""
    if re.search(r"\s", data):
        raise TicketError("ticket data must not contain white space")
    # The percent sign too, or a user whose name holds an escape would get another one's ticket.
    escaped = data.replace("%", "%25").replace(":", "%3A")
    plain = f"{prefix}:{escaped}:{now:08X}" if data else f"{prefix}:{now:08X}"
    signed = plain if secret is None else f"{plain}:{secret}"
    # SHA-1 is what all deployed nodes make and check: a cluster of mixed nodes needs it.
    signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA1())
    return f"{plain}::{base64.b64encode(signature).decode()}"


def verify(
    prefix: str, ticket: str, now: int, key: RSAPublicKey, window: AgeWindow, secret: str | None = None
) -> str:
    """The data of a valid ticket; raises `TicketError`."""
    if len(ticket) > MAX_TICKET:
        raise TicketError("ticket too long")
    match = _SIGNED.fullmatch(ticket)
    if match is None or not match[1].startswith(f"{prefix}:"):
        raise TicketError(f"not a {prefix} ticket")
    plain = match[1]
    try:
        signature = base64.b64decode(match[2], validate=True)
    except (binascii.Error, ValueError) as err:
        raise TicketError("signature is not base64") from err
    signed = plain if secret is None else f"{plain}:{secret}"
    if not _is_signature(key, signature, signed.encode()):
        raise TicketError("wrong signature")
    parts = re.fullmatch(re.escape(prefix) + r":(?:(\S+):)?([A-Z0-9]{8})", plain)
    if parts is None:
        raise TicketError("malformed content")
    try:
        age = now - int(parts[2], 16)
    except ValueError as err:
        raise TicketError("malformed time") from err
    if not window.minimum < age < window.maximum:
        raise TicketError(f"age {age} s outside of {window.minimum} to {window.maximum} s")
    return unquote(parts[1] or "")


def current_key_window(key_age: int, *, quorate: bool) -> AgeWindow:
    """What the current key may have signed. No ticket is older than its key; without quorum keys live on."""
    minimum = key_age - KEY_LIFETIME if key_age > KEY_LIFETIME and quorate else -GRACE
    return AgeWindow(minimum, key_age + GRACE if key_age < LIFETIME else LIFETIME)


def old_key_window(key_age: int) -> AgeWindow | None:
    """What the previous key (age by its file's time) may have signed; None when nothing any more."""
    minimum = key_age - GRACE
    return None if minimum > LIFETIME else AgeWindow(minimum, LIFETIME)


def console_window() -> AgeWindow:
    """Console tickets open a connection that is made at once."""
    return AgeWindow(-20, 40)


def csrf_secret(key_file: bytes) -> bytes:
    """The HMAC key made of the content of pve-www.key."""
    return _unpadded(hmac.new(key_file, b"", hashlib.sha256).digest()).encode()


def csrf_token(user: str, now: int, secret: bytes) -> str:
    stamp = f"{now:08X}"
    return f"{stamp}:{_csrf_digest(stamp, user, secret)}"


def check_csrf_token(token: str, user: str, now: int, secret: bytes) -> bool:
    match = _CSRF.fullmatch(token)
    if match is None or not hmac.compare_digest(
        match[2].encode(), _csrf_digest(match[1], user, secret).encode()
    ):
        return False
    try:
        age = now - int(match[1], 16)
    except ValueError:
        return False
    return -GRACE < age < LIFETIME


def _csrf_digest(stamp: str, user: str, secret: bytes) -> str:
    return _unpadded(hmac.new(secret, f"{stamp}:{user}".encode(), hashlib.sha256).digest())


def _unpadded(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def _is_signature(key: RSAPublicKey, signature: bytes, data: bytes) -> bool:
    for algorithm in (hashes.SHA1(), hashes.SHA256()):
        try:
            key.verify(signature, data, padding.PKCS1v15(), algorithm)
        except InvalidSignature:
            continue
        return True
    return False
