"""The files that only root reads: password hashes of realm ``pve``, secrets of API tokens (pvecm 7.3, 7.5).

Parsing, and comparing in constant time.
"""

from __future__ import annotations

import hmac
import logging
import re

_log = logging.getLogger(__name__)

_TOKEN_LINE = re.compile(r"(\S+@\S+![^\s!]+)\s+(\S+)")


def parse_shadow(text: str) -> dict[str, str]:
    """``priv/shadow.cfg``: user name without realm -> hash. Malformed lines are skipped."""
    hashes = {}
    for line in text.splitlines():
        name, mark, rest = line.strip().partition(":")
        if name and mark:
            hashes[name] = rest.partition(":")[0]
    return hashes


def format_shadow(hashes: dict[str, str]) -> str:
    return "".join(f"{name}:{value}:\n" for name, value in sorted(hashes.items()))


def parse_token_secrets(text: str) -> dict[str, str]:
    """``priv/token.cfg``: full token id -> secret. Malformed lines are skipped with a warning."""
    found = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        match = _TOKEN_LINE.fullmatch(line.strip())
        if match is None:
            _log.warning("skipping invalid token.cfg entry")
            continue
        found[match[1]] = match[2]
    return found


def format_token_secrets(stored: dict[str, str]) -> str:
    return "".join(f"{token} {secret}\n" for token, secret in sorted(stored.items()))


def token_matches(stored: dict[str, str], token_id: str, value: str) -> bool:
    """Whether ``value`` is the token's secret."""
    expected = stored.get(token_id, "")
    return bool(expected) and hmac.compare_digest(expected.encode(), value.encode())
