"""Requests that the HTTP library's parser refuses: what was asked, and why it is refused (pvecm 6.1).

The parser tells where it stopped, not what the specification wants told. So the beginning of what came is
looked at once more, for the answer and for the access log alone: nothing of it is carried out.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from quorate.api.protocol import MAX_BODY, MAX_HEADER_BYTES, METHODS, Refusal, check_protocol

MAX_HEAD: Final = 2 * MAX_HEADER_BYTES
"""What is kept of a request for this; a longer head is refused for its length anyway."""
MAX_LINE: Final = 1024
"""What the access log shows of a line that is no request."""

_REQUEST: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}) +([^ ]+) +HTTP/(\d+)\.(\d+)")
_METHOD: Final = re.compile(r"[A-Za-z]{1,64}(?= +/|$)")
"""The first word of what looks like a request; the parser may stop at it, before the line's end has come."""
_END: Final = re.compile(rb"\r?\n\r?\n")


class Malformed(NamedTuple):
    """The request's first line as it came, and why it is refused."""

    line: str
    refusal: Refusal


def explain(data: bytes, reason: str) -> Malformed:
    """Why the parser refused ``data``, which is what came after the last request that it took.

    ``reason``: what the parser says, for what we do not know better.
    """
    while True:
        data = data.lstrip(b"\r\n")
        end = _END.search(data)
        lines = data[: end.start() if end else None].decode("utf-8", "replace").split("\n")
        line = lines[0].rstrip("\r")
        headers = [text.rstrip("\r") for text in lines[1:]]
        refusal = _refusal(line, headers, len(data) if end is None else end.end())
        if refusal is not None:
            return Malformed(line[:MAX_LINE], refusal)
        if end is None:
            return Malformed(line[:MAX_LINE], Refusal(400, reason))
        # This one was good: the fault is in one that came right behind it.
        rest = data[end.end() + _length(headers) :]
        if not rest.strip(b"\r\n"):
            return Malformed(line[:MAX_LINE], Refusal(400, reason))
        data = rest


def _refusal(line: str, headers: list[str], size: int) -> Refusal | None:
    request = _REQUEST.fullmatch(line)
    if request is None:
        if size >= MAX_HEADER_BYTES:
            return Refusal(501, "http header too large")
        word = _METHOD.match(line)
        if word is not None and not any(method.startswith(word[0]) for method in METHODS):
            return Refusal(501, f"method '{word[0]}' not available", body=False)
        return Refusal(400, "bad request: no line of the form 'METHOD /PATH HTTP/1.1'")
    if request[3] != "1":
        return Refusal(506, "http protocol version not supported")
    fields = {}
    for text in headers:
        name, _, value = text.partition(":")
        fields[name.strip().lower()] = value.strip()
    try:
        check_protocol(request[1], fields, len(headers), size)
    except Refusal as refusal:
        return refusal
    return None


def _length(headers: list[str]) -> int:
    """Of the body, as `check_protocol` has let it pass."""
    for text in headers:
        name, _, value = text.partition(":")
        if name.strip().lower() == "content-length" and value.strip().isdecimal():
            return min(int(value), MAX_BODY)
    return 0
