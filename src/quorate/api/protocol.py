"""The HTTP conventions of the API without a server: parameters in, envelope out (pvecm 6.1-6.4).

Pure functions and values. Who may call what is `gate`; sockets are in `server`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, unquote_plus

from quorate.api.results import Download, Encoded, Image, Page
from quorate.schema import VERIFICATION_FAILED, ApiError, Array, Operation, String

MAX_BODY: Final = 512 * 1024
MAX_HEADER_LINES: Final = 63
MAX_HEADER_BYTES: Final = 8 * 1024
MAX_PARAMETERS: Final = 1024
"""More pairs than any operation takes by far; keeps decoding cheap."""
MAX_DEPTH: Final = 8
"""Levels of a JSON body; parameters are texts and lists of texts. Deeper ones could be read, but not always
written again further down the stack."""
MAX_REASON: Final = 1024
"""A status line must fit into the line limit of every client (8 KiB in common ones)."""
MAX_WORD: Final = 128
"""No user or API token has a longer name."""

METHODS: Final = ("GET", "POST", "PUT", "DELETE")
FORMATS: Final = ("json", "extjs")
IMAGE_FORMAT: Final = "png"
"""Of operations whose result is an image, which it gives without an envelope."""
COOKIE: Final = "PVEAuthCookie"
TOKEN: Final = "PVEAPIToken"
JSON_TYPE: Final = "application/json;charset=UTF-8"
SERVER: Final = "pve-api-daemon/3.0"

_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    500: "Internal Server Error",
}
_CONFLICT = "duplicate parameter (already defined in URI) with conflicting values!"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came. Header names are lower case; ``target`` is the raw text of the request line."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    client_ip: str = ""

    @property
    def path(self) -> str:
        """Decoded, slashes collapsed, no trailing slash."""
        raw = self.target.partition("?")[0]
        return "/" + "/".join(part for part in unquote(raw).split("/") if part)

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True, slots=True)
class Answer:
    """Status line, headers, body. ``reason`` is one line that clients show to people.

    ``compressed``: the body in gzip, where it is kept for many answers.
    """

    status: int
    reason: str
    body: bytes = b""
    content_type: str = "text/plain"
    headers: Mapping[str, str] = field(default_factory=dict)
    compressed: bytes | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """Where a URL leads: the output format and the path of the API tree."""

    format: str
    path: str


class Refusal(Exception):
    """The request is answered before any operation; the reason is also the plain body unless unwanted."""

    def __init__(self, status: int, reason: str, *, body: bool = True) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.body = body

    def answer(self) -> Answer:
        line = one_line(self.reason)
        return Answer(self.status, line, self.reason.encode() if self.body else b"")


def check_protocol(method: str, headers: Mapping[str, str], header_lines: int, header_bytes: int) -> None:
    """Refuse what is wrong with a request before its body is read. Raises `Refusal`."""
    if method not in METHODS:
        raise Refusal(501, f"method '{method}' not available", body=False)
    if header_lines > MAX_HEADER_LINES:
        raise Refusal(501, "too many http header lines")
    if header_bytes >= MAX_HEADER_BYTES:
        raise Refusal(501, "http header too large")
    coding = headers.get("transfer-encoding")
    if coding is not None:
        if coding.strip().lower() == "chunked":
            raise Refusal(501, "chunked transfer encoding not supported")
        raise Refusal(501, f"Unknown transfer encoding '{coding}'")
    length = headers.get("content-length", "0")
    if not length.isdecimal():
        raise Refusal(400, "bad content length")
    if int(length) > MAX_BODY:
        raise Refusal(501, "for data too large")
    if int(length) and method in ("GET", "DELETE"):
        raise Refusal(501, f"Unexpected content for method '{method}'")


def parse_address(path: str) -> Address | None:
    """``/api2/FORMAT/PATH``; None when the URL is not one of the API."""
    parts = path.split("/")
    if len(parts) < 2 or parts[1] != "api2":
        return None
    if len(parts) == 2:
        raise Refusal(501, "no such uri")
    return Address(parts[2], "/" + "/".join(parts[3:]))


def decode_form(text: str) -> dict[str, object]:
    """Pairs separated by ``&`` or ``;``; a key that comes again makes a list."""
    pairs = [pair for pair in re.split("[&;]", text) if pair]
    if len(pairs) > MAX_PARAMETERS:
        raise Refusal(501, f"more than {MAX_PARAMETERS} parameters")
    result: dict[str, object] = {}
    for pair in pairs:
        raw_key, _, raw_value = pair.partition("=")
        key, value = unquote_plus(raw_key), unquote_plus(raw_value)
        if key in result:
            before = result[key]
            result[key] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            result[key] = value
    return result


def decode_body(headers: Mapping[str, str], body: bytes) -> dict[str, object]:
    """Parameters of a body: form (also without a type) or JSON. Raises `Refusal`."""
    full_type = headers.get("content-type", "")
    kind = full_type.partition(";")[0].strip().lower()
    if kind in ("", "application/x-www-form-urlencoded"):
        return decode_form(body.decode("utf-8", "replace"))
    if kind != "application/json":
        raise Refusal(506, f"upload 'Content-Type '{full_type}' not implemented")
    if not body:
        return {}
    try:
        value = json.loads(body)
        # Escapes may stand for half characters, which no file, program or log line can take.
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as err:
        raise Refusal(500, "unable to parse the JSON body: not all of it is text") from err
    except (ValueError, RecursionError) as err:
        raise Refusal(500, f"unable to parse the JSON body: {err}") from err
    if not isinstance(value, dict):
        raise Refusal(500, "unable to parse the JSON body: an object is needed")
    if _deeper_than(MAX_DEPTH, value):
        raise Refusal(500, f"unable to parse the JSON body: more than {MAX_DEPTH} levels")
    return value


def _deeper_than(levels: int, value: object) -> bool:
    """Level by level, so that depth costs no stack."""
    below = [value]
    for _ in range(levels + 1):
        below = [
            element
            for value in below
            if isinstance(value, dict | list)
            for element in (value.values() if isinstance(value, dict) else value)
        ]
        if not below:
            return False
    return True


def merge_parameters(
    operation: Operation, path: Mapping[str, str], body: Mapping[str, object], query: Mapping[str, object]
) -> dict[str, object]:
    """All parameters of a call: path, then query over body. Raises `ApiError` on a conflict with the path."""
    merged: dict[str, object] = {**body, **query}
    merged.pop("_dc", None)
    conflicts = {key: _CONFLICT for key in path if key in merged and _text(merged[key]) != path[key]}
    if conflicts:
        raise ApiError(400, VERIFICATION_FAILED, conflicts)
    merged.update(path)
    for key, value in merged.items():
        declared = operation.parameters.get(key)
        if isinstance(value, list) and isinstance(declared, String) and _is_list(declared):
            merged[key] = ",".join(_text(element) for element in value)
        elif not isinstance(value, list) and isinstance(declared, Array):
            merged[key] = [value]
    return merged


def success(result: object, form: str) -> Answer:
    """The envelope of a result."""
    if isinstance(result, Encoded):
        body, compressed = result.bodies(form)
        return Answer(200, "OK", body, JSON_TYPE, compressed=compressed)
    if isinstance(result, Download):
        return Answer(200, "OK", result.text.encode("utf-8", "replace"), "text/plain;charset=UTF-8")
    envelope: dict[str, object] = {"data": result.data if isinstance(result, Page) else result}
    if isinstance(result, Page) and result.total:
        envelope["total"] = result.total
    if isinstance(result, Page) and result.changes:
        envelope["changes"] = result.changes
    if form == "extjs":
        envelope["success"] = 1
    return Answer(200, "OK", encode_json(envelope), JSON_TYPE)


def failure(error: ApiError, form: str) -> Answer:
    """The envelope of an error; its first line goes into the status line."""
    message = error.message if error.message.endswith("\n") else f"{error.message}\n"
    envelope: dict[str, object] = {"data": None, "message": message}
    if error.errors:
        envelope["errors"] = error.errors
    if form == "extjs":
        envelope |= {"success": 0, "status": error.status}
        return Answer(200, "OK", encode_json(envelope), JSON_TYPE)
    return Answer(error.status, one_line(message), encode_json(envelope), JSON_TYPE)


def encode_json(value: object) -> bytes:
    """Booleans as 0 and 1, as all clients expect them."""
    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def one_line(text: str) -> str:
    """What of a text can stand in a status line: its first line, printable, of bounded length."""
    line = text.partition("\n")[0].replace("\r", " ").strip()
    return "".join(char if char.isprintable() else "?" for char in line)[:MAX_REASON]


def one_word(text: str) -> str:
    """A name that a caller gave, as a log line takes it: who reads logs for addresses to ban must not find
    a line or a field that the caller wrote."""
    return "".join(char if char.isprintable() and not char.isspace() else "?" for char in text)[:MAX_WORD]


def standard_reason(status: int) -> str:
    return _REASONS.get(status, "Error")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request shows to say who it is: a login ticket, or ``ID=SECRET`` of an API token."""

    ticket: str | None = None
    token: str | None = None


def credentials(headers: Mapping[str, str]) -> Credentials:
    """Cookie, then ticket in the Authorization header, then API token (pvecm 6.4)."""
    for header in ("cookie", "authorization"):
        value = _extract(COOKIE, headers.get(header, ""))
        if value:
            return Credentials(ticket=value)
    value = _extract(TOKEN, headers.get("authorization", ""))
    return Credentials(token=value) if value else Credentials()


def _extract(name: str, text: str) -> str | None:
    match = re.search(rf"(?:^|\s){name}(?:=| )([^;]*)", text)
    return unquote(match[1]).strip() if match else None


def _is_list(declared: String) -> bool:
    return declared.format is not None and declared.format.endswith("-list")


def _text(value: object) -> str:
    return ("1" if value else "0") if isinstance(value, bool) else str(value)


def plain(value: object) -> object:
    """A value as JSON can hold it: booleans as numbers, every sequence a list."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): plain(element) for key, element in value.items()}
    if isinstance(value, str | int | float) or value is None:
        return value
    if isinstance(value, Encoded):
        return value.value()
    if isinstance(value, Download):
        return value.text
    if isinstance(value, Image):
        return {"filename": value.filename}
    if isinstance(value, Iterable):
        return [plain(element) for element in value]
    return str(value)
