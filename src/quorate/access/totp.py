"""Time-based one-time codes (RFC 6238): the secret's URI, and whether a code is right. Pure.

Where secrets lie is `factors`; who is let in is `second_factor`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.twofactor.totp import TOTP

MAX_URI: Final = 2048
"""Longest URI looked at; real ones have about 150 characters."""
STEPS_AROUND: Final = 1
"""Steps before and after the present one whose codes count: clocks differ, typing takes time."""
SECRET_BYTES: Final = range(10, 129)
"""80 bits is what some apps make; more than the hash's block only costs time."""
PERIODS: Final = range(10, 121)

_Algorithm = type[hashes.SHA1] | type[hashes.SHA256] | type[hashes.SHA512]
_ALGORITHMS: Final[dict[str, _Algorithm]] = {
    "SHA1": hashes.SHA1,
    "SHA256": hashes.SHA256,
    "SHA512": hashes.SHA512,
}


class TotpError(ValueError):
    """A URI is not usable; the text never holds the secret."""


@dataclass(frozen=True, slots=True)
class TotpKey:
    """What a code is made of. ``secret`` is kept out of ``repr``."""

    secret: bytes
    digits: int = 6
    period: int = 30
    algorithm: str = "SHA1"
    issuer: str = ""
    account: str = ""

    def __repr__(self) -> str:
        return f"TotpKey(digits={self.digits}, period={self.period}, algorithm={self.algorithm!r})"

    def code_at(self, step: int) -> str:
        """The code of a step, which is time divided by the period."""
        # The length of the key is checked where it is read; apps make shorter ones than the RFC wants.
        maker = TOTP(
            self.secret, self.digits, _ALGORITHMS[self.algorithm](), self.period, enforce_key_length=False
        )
        return maker.generate(step * self.period).decode()

    def matching_step(self, code: str, now: float, last_step: int | None) -> int | None:
        """The step whose code this is, near ``now`` and after the one used last; None for a wrong code."""
        if not re.fullmatch(rf"[0-9]{{{self.digits}}}", code):
            return None
        present = int(now) // self.period
        found = None
        for step in range(max(present - STEPS_AROUND, 0), present + STEPS_AROUND + 1):
            right = hmac.compare_digest(self.code_at(step), code)
            if right and (last_step is None or step > last_step):
                found = step
        return found

    def uri(self) -> str:
        """The ``otpauth`` URI, as apps read it from a picture."""
        label = f"{self.issuer}:{self.account}" if self.issuer else self.account
        query = {
            "secret": base64.b32encode(self.secret).decode().rstrip("="),
            "digits": str(self.digits),
            "period": str(self.period),
            "algorithm": self.algorithm,
        }
        if self.issuer:
            query["issuer"] = self.issuer
        return f"otpauth://totp/{quote(label, safe='')}?{urlencode(query, quote_via=quote)}"


def parse_uri(text: str) -> TotpKey:
    """The key of an ``otpauth://totp/...`` URI. Raises `TotpError`."""
    if len(text) > MAX_URI:
        raise TotpError(f"TOTP URI is longer than {MAX_URI} characters")
    try:
        parts = urlsplit(text)
        query = {key: values[0] for key, values in parse_qs(parts.query, max_num_fields=16).items()}
    except ValueError:
        raise TotpError("malformed TOTP URI") from None
    if parts.scheme != "otpauth" or parts.netloc != "totp":
        raise TotpError("not a TOTP URI: it has to begin with 'otpauth://totp/'")
    algorithm = query.get("algorithm", "SHA1").upper().replace("-", "")
    if algorithm not in _ALGORITHMS:
        raise TotpError(f"unknown TOTP algorithm, possible are {', '.join(_ALGORITHMS)}")
    issuer, colon, account = unquote(parts.path.lstrip("/")).rpartition(":")
    return TotpKey(
        secret=_secret(query.get("secret", "")),
        digits=_number("digits", query.get("digits", "6"), range(6, 9)),
        period=_number("period", query.get("period", "30"), PERIODS),
        algorithm=algorithm,
        issuer=query.get("issuer", issuer if colon else ""),
        account=account.strip(),
    )


def _secret(text: str) -> bytes:
    compact = re.sub(r"[\s-]", "", text).upper().rstrip("=")
    try:
        secret = base64.b32decode(compact + "=" * (-len(compact) % 8))
    except (binascii.Error, ValueError):
        raise TotpError("the secret of the TOTP URI is not base32") from None
    if len(secret) not in SECRET_BYTES:
        low, high = SECRET_BYTES[0], SECRET_BYTES[-1]
        raise TotpError(f"the secret of the TOTP URI must have {low} to {high} bytes")
    return secret


def _number(name: str, text: str, allowed: range) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) not in allowed:
        raise TotpError(f"'{name}' of the TOTP URI must be {allowed[0]} to {allowed[-1]}")
    return int(text)
