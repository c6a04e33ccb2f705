"""What a process writes in the history check and how it is recognised: values, records, slots. No I/O."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

RECORD = 32
"""Bytes of a record in a log file."""
SLOT = 64
SLOTS = 8
PAGE = 4096
LINE = re.compile(rb"(n\d+-\d+\.\d+:\d+L?) [0-9a-f]{64}\n")
LARGE = "L"
"""Ends the token of a value that is long."""

Result = dict[str, Any]


def content(token: str) -> bytes:
    """The whole content that belongs to a value: its size and every byte follow from the token."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    size = (0, 100, 3000, 9000)[int(digest[0], 16) % 4] + int(digest[1:3], 16)
    if token.endswith(LARGE):
        size += 200_000  # more than one request of the kernel
    line = f"{token} {digest}\n"
    return (line * (size // len(line) + 1)).encode()


def token_of(data: bytes) -> str | None:
    """The value that this is the content of; None when it is nobody's whole content."""
    token = data.split(b" ", 1)[0].decode("latin-1")
    return token if data == content(token) else None


def record_of(token: str) -> bytes:
    return token.encode().ljust(RECORD - 1, b".") + b"\n"


def slot_of(token: str) -> bytes:
    return token.encode().ljust(SLOT - 1, b".") + b"\n"


# What was read, as a value


def value_in(data: bytes | None) -> Any:
    """The token; None: there is no such file; a list of one text: this is nobody's content."""
    if data is None:
        return None
    token = token_of(data)
    return [f"{len(data)} bytes: {data[:80]!r}"] if token is None else token


def number_in(data: bytes | None) -> int:
    return 0 if data is None else int(data.split(b" ", 1)[0])


def read_log(data: bytes | None) -> Result:
    """The tokens of the records in their order, without the name that they share."""
    if data is None:
        return {"value": None}
    tokens = _fields(data, RECORD)
    if tokens is None or "" in tokens:
        return {"bad": repr(data[:400])}
    return {"value": [int(token.rsplit(":", 1)[1]) for token in tokens]}


def read_slots(data: bytes | None) -> Result:
    if data is None:
        return {"value": [None] * SLOTS}
    tokens = _fields(data, SLOT)
    if tokens is None:
        return {"bad": repr(data[:600])}
    return {"value": [token or None for token in tokens] + [None] * (SLOTS - len(tokens))}


def read_whole(data: bytes | None) -> Result:
    """The token, None without a file, an empty text between the truncation and the content; or several tokens
    that it is torn between."""
    if data == b"":
        return {"value": ""}
    value = value_in(data)
    if data is None or not isinstance(value, list):
        return {"value": value}
    tokens = torn_between(data)
    return {"bad": value[0]} if tokens is None else {"torn": tokens, "bad": value[0]}


def torn_between(data: bytes) -> list[str] | None:
    """The values of which every page shows one, up to its end and then zeros, or as much of it as there is
    room; None when there is anything else. None of them: all is zeros."""
    tokens: list[str] = []
    for start in range(0, len(data), PAGE):
        page = data[start : start + PAGE]
        if not page.strip(b"\0"):
            continue
        found = LINE.search(page)
        for token in tokens[-1:] if found is None else [found[1].decode()]:
            if page == content(token)[start : start + len(page)].ljust(len(page), b"\0"):
                tokens += [token] if token not in tokens else []
                break
        else:
            return None
    return tokens


def _fields(data: bytes, size: int) -> list[str] | None:
    """Fields of one size, "" for zeros; None when a field is damaged."""
    tokens = []
    for start in range(0, len(data), size):
        field = data[start : start + size]
        if field == bytes(size):
            tokens.append("")
            continue
        token = field.rstrip(b"\n").rstrip(b".")
        if len(field) != size or b":" not in token or token + b"." * (size - 1 - len(token)) + b"\n" != field:
            return None
        tokens.append(token.decode("latin-1"))
    return tokens


READERS: dict[str, Callable[[bytes | None], Result]] = {
    "log": read_log,
    "slots": read_slots,
    "whole": read_whole,
}
