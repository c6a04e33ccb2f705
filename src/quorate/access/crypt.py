"""Password hashes as the system's crypt(3) makes and checks them, through libcrypt."""

from __future__ import annotations

import hmac
import secrets
from functools import cache
from typing import Any, Final

from cffi import FFI

_SALT_CHARACTERS: Final = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SALT_LENGTH = 8
_LIBRARY = "libcrypt.so.1"
_MAX_PASSWORD = 512
"""libcrypt refuses longer ones."""


class CryptError(Exception):
    """The system's crypt(3) is missing or refused the hash; the text never holds a password."""


def hash_password(password: str) -> str:
    """SHA-256 crypt with a fresh salt of 8 characters."""
    salt = "".join(secrets.choice(_SALT_CHARACTERS) for _ in range(_SALT_LENGTH))
    return _crypt(password, f"$5${salt}$")


def check_password(password: str, stored: str) -> bool:
    """Whether ``password`` has the stored hash; compared in constant time. Locked hashes match nothing."""
    if not stored or stored[0] in "*!":
        return False
    return hmac.compare_digest(_crypt(password, stored).encode(), stored.encode())


def _crypt(password: str, setting: str) -> str:
    ffi, library = _load()
    raw = password.encode("utf-8", "surrogatepass")
    if b"\0" in raw or len(raw) >= _MAX_PASSWORD:
        raise CryptError("password has a NUL byte or is too long")
    result = library.crypt(raw, setting.encode())
    text = "" if result == ffi.NULL else ffi.string(result).decode("ascii", "replace")
    if not text or text.startswith("*"):
        raise CryptError("crypt(3) refused the stored hash: unknown method or malformed")
    return text


@cache
def _load() -> tuple[Any, Any]:
    ffi = FFI()
    ffi.cdef("char *crypt(const char *phrase, const char *setting);")
    try:
        return ffi, ffi.dlopen(_LIBRARY)
    except OSError as err:
        raise CryptError(f"unable to load {_LIBRARY}: install the package libcrypt1") from err
