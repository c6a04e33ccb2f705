"""The named formats of single values and the text each gives when a value does not fit (section 0).

Pure functions; what a parameter is and when its format is checked lives in quorate.schema.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Final

REALM_PATTERN: Final = r"[A-Za-z][A-Za-z0-9.\-_]+"
_NAME: Final = r"[A-Za-z0-9._-]+"
_POOL: Final = rf"{_NAME}(/{_NAME}){{0,2}}"
_LABEL: Final = r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
FINGERPRINT_PATTERN: Final = r"([A-Fa-f0-9]{2}:){31}[A-Fa-f0-9]{2}"

USER_ID_MIN: Final = 3
USER_ID_MAX: Final = 64
SHORTEST_PREFIX: Final = 8
"""Networks wider than /8 are refused: nobody means them."""


class FormatError(ValueError):
    """A value does not have its format; the text says so as users of the original know it."""


def check_format(name: str, value: str) -> None:
    """Raise FormatError unless ``value`` has the format; ``-list`` and ``-opt`` may follow the name."""
    if name.endswith("-list"):
        for element in split_list(value):
            check_format(name.removesuffix("-list"), element)
        return
    if name.endswith("-opt"):
        if value:
            check_format(name.removesuffix("-opt"), value)
        return
    FORMATS[name](value)


def split_list(text: str) -> list[str]:
    """Elements separated by NUL, or by any mix of comma, semicolon and white space."""
    if "\0" in text:
        return text.split("\0")
    return [element for element in re.split(r"[,;\s]+", text) if element]


def is_ip(text: str) -> bool:
    """IPv4 dotted quad without leading zeros, or IPv6 without zone and brackets."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def parse_user_id(text: str) -> tuple[str, str, str]:
    """(user id, name, realm); raises FormatError."""
    if len(text) < USER_ID_MIN:
        raise FormatError(f"user name '{text}' is too short")
    if len(text) > USER_ID_MAX:
        raise FormatError(f"user name '{text}' is too long ({len(text)} > {USER_ID_MAX})")
    match = re.fullmatch(rf"([^\s:/]+)@({REALM_PATTERN})", text)
    if match is None:
        raise FormatError(f"value '{text}' does not look like a valid user name")
    return text, match[1], match[2]


def parse_token_id(text: str) -> tuple[str, str]:
    """(user id, token name); raises FormatError."""
    match = re.fullmatch(rf"([^\s:/]+@{REALM_PATTERN})!({REALM_PATTERN})", text)
    if match is None:
        raise FormatError(f"value '{text}' does not look like a valid token ID")
    return match[1], match[2]


def _by_pattern(pattern: str, text: str, *, show_value: bool = False) -> Callable[[str], None]:
    compiled = re.compile(pattern)

    def check(value: str) -> None:
        if compiled.fullmatch(value) is None:
            raise FormatError(text.replace("VALUE", value) if show_value else text)

    return check


def _ip(value: str) -> None:
    if not is_ip(value):
        raise FormatError("value does not look like a valid IP address")


def _address(value: str) -> None:
    if not is_ip(value) and re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", value) is None:
        raise FormatError(f"value does not look like a valid address: {value}")


def _cidr(value: str) -> None:
    address, slash, prefix = value.partition("/")
    if slash and is_ip(address) and re.fullmatch(r"[1-9][0-9]{0,2}|0", prefix):
        longest = 128 if ":" in address else 32
        if SHORTEST_PREFIX <= int(prefix) <= longest:
            return
    raise FormatError("value does not look like a valid CIDR network")


def _user_id(value: str) -> None:
    parse_user_id(value)


def _token_id(value: str) -> None:
    parse_token_id(value)


def _user_or_token(value: str) -> None:
    check_format("pve-tokenid" if "!" in value else "pve-userid", value)


PATTERNS: Final[dict[str, str]] = {
    "pve-node": _LABEL,
    "pve-vmid": r"[1-9][0-9]{2,8}",
    "pve-configid": r"[a-zA-Z][a-zA-Z0-9_-]+",
    "pve-realm": REALM_PATTERN,
    "pve-userid": rf"[^\s:/]+@{REALM_PATTERN}",
    "pve-tokenid": rf"[^\s:/]+@{REALM_PATTERN}!{REALM_PATTERN}",
    "pve-groupid": _NAME,
    "pve-roleid": _NAME,
    "pve-poolid": _POOL,
}
"""What of the formats one expression can say (of the whole value), for documents that programs read."""

FORMATS: Final[dict[str, Callable[[str], None]]] = {
    "string": lambda value: None,
    "pve-node": _by_pattern(_LABEL, "value does not look like a valid node name"),
    "ip": _ip,
    "address": _address,
    "CIDR": _cidr,
    "pve-vmid": _by_pattern(r"[1-9][0-9]{2,8}", "value does not look like a valid VM ID"),
    "pve-configid": _by_pattern(
        r"(?i:[a-z][a-z0-9_-]+)", "invalid configuration ID 'VALUE'", show_value=True
    ),
    "pve-realm": _by_pattern(REALM_PATTERN, "value does not look like a valid realm"),
    "pve-userid": _user_id,
    "pve-tokenid": _token_id,
    "pve-user-or-token": _user_or_token,
    "pve-groupid": _by_pattern(_NAME, "value 'VALUE' does not look like a valid group name", show_value=True),
    "pve-roleid": _by_pattern(_NAME, "value 'VALUE' does not look like a valid role name", show_value=True),
    "pve-poolid": _by_pattern(_POOL, "value 'VALUE' does not look like a valid pool name", show_value=True),
    "pve-storage-id": _by_pattern(
        r"(?i:[a-z][a-z0-9._-]*[a-z0-9])", "storage ID 'VALUE' contains illegal characters", show_value=True
    ),
    "email": _by_pattern(
        r"[\w+~-]+(\.[\w+~-]+)*@[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)*",
        "value does not look like a valid email address",
    ),
}
"""Every known format. Add one here and it can be named in a declaration."""
