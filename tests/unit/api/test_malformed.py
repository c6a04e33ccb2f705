"""Requests that the HTTP library refuses: answered with our headers and a line in the log (pvecm 6.1)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from quorate.api.malformed import MAX_HEAD, explain
from quorate.api.protocol import SERVER, Answer, Request
from quorate.api.server import HttpServer, Outcome

_MANY = b"".join(b"X-%d: 1\r\n" % number for number in range(200))

CASES = [
    (b"FOO /x HTTP/1.1\r\nHost: n1\r\n\r\n", 501, "method 'FOO' not available"),
    (b"get /x HTTP/1.1\r\nHost: n1\r\n\r\n", 501, "method 'get' not available"),
    (
        b"GET /x HTTP/1.1\r\nHost: n1\r\nTransfer-Encoding: gzip\r\n\r\n",
        501,
        "Unknown transfer encoding 'gzip'",
    ),
    (
        b"POST /x HTTP/1.1\r\nHost: n1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
        501,
        "chunked transfer encoding not supported",
    ),
    (b"GET /x HTTP/1.1\r\nHost: n1\r\n" + _MANY + b"\r\n", 501, "too many http header lines"),
    (b"GET /x HTTP/1.1\r\nHost: n1\r\nX: " + b"y" * 9000 + b"\r\n\r\n", 501, "http header too large"),
    (b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\nHost: n1\r\n\r\n", 501, "http header too large"),
    (b"x" * 20000, 501, "http header too large"),
    (b"POST /x HTTP/1.1\r\nHost: n1\r\nContent-Length: -1\r\n\r\n", 400, "bad content length"),
    (b"POST /x HTTP/1.1\r\nHost: n1\r\nContent-Length: 600000\r\n\r\n", 501, "for data too large"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 506, "http protocol version not supported"),
    (b"GET /x HTPP/1.1\r\n\r\n", 400, "bad request: no line of the form 'METHOD /PATH HTTP/1.1'"),
    (b"\x00\x01\x02\r\n\r\n", 400, "bad request: no line of the form 'METHOD /PATH HTTP/1.1'"),
    (b"GET /x HTTP/1.1\r\n\r\n", 400, "Missing 'Host' header in request."),
    (b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "Duplicate 'Host' header found."),
]


def _talk(path: Path, *pieces: bytes) -> tuple[bytes, list[tuple[str, str, str, int, int]]]:
    """The answers to what comes in pieces on one connection, and the access log's lines."""
    logged: list[tuple[str, str, str, int, int]] = []

    async def handle(request: Request) -> Outcome:
        return Outcome(Answer(200, "OK", b"done"), "alice@pve")

    async def talk() -> bytes:
        server = HttpServer(handle, lambda request: "192.0.2.7", lambda *line: logged.append(line))
        site = await asyncio.get_running_loop().create_unix_server(server.factory, path=str(path))
        reader, writer = await asyncio.open_unix_connection(str(path))
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(30):
            answer = await reader.read()
        writer.close()
        site.close()
        await server.close(1.0)
        return answer

    return asyncio.run(talk()), logged


def _headers(answer: bytes) -> dict[str, str]:
    lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


@pytest.mark.parametrize(("sent", "status", "reason"), CASES, ids=[reason for _, _, reason in CASES])
def test_what_the_parser_refuses_is_answered_as_everything_else(
    tmp_path: Path, sent: bytes, status: int, reason: str
) -> None:
    answer, logged = _talk(tmp_path / "s", sent)
    assert answer.startswith(f"HTTP/1.1 {status} {reason}\r\n".encode())
    headers = _headers(answer)
    assert headers["server"] == SERVER
    assert headers["connection"] == "close"
    assert headers["cache-control"] == "max-age=0"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert b"aiohttp" not in answer
    body = answer.partition(b"\r\n\r\n")[2]
    assert body.decode() == ("" if reason.startswith("method ") else reason)
    line = sent.partition(b"\r\n")[0].decode()[:1024]
    assert logged == [("192.0.2.7", "", line, status, len(body))]


def test_the_head_may_come_in_pieces(tmp_path: Path) -> None:
    answer, logged = _talk(tmp_path / "s", b"FO", b"O /y HT", b"TP/1.1\r\nHost", b": n1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 501 method 'FOO' not available\r\n")
    # The parser does not wait for the end of a method that there cannot be
    assert logged[0][2] in ("FO", "FOO /y HT", "FOO /y HTTP/1.1")


def test_the_next_request_on_a_connection(tmp_path: Path) -> None:
    good = b"POST /x HTTP/1.1\r\nHost: n1\r\nContent-Length: 4\r\n\r\nBAR "
    answer, logged = _talk(tmp_path / "s", good, b"FOO /y HTTP/1.1\r\nHost: n1\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert b"HTTP/1.1 501 method 'FOO' not available\r\n" in answer
    assert logged[-1] == ("192.0.2.7", "", "FOO /y HTTP/1.1", 501, 0)


def test_a_request_right_behind_another() -> None:
    good = b"POST /x HTTP/1.1\r\nHost: n1\r\nContent-Length: 4\r\n\r\nBAR "
    found = explain(good + b"\r\nFOO /y HTTP/1.1\r\nHost: n1\r\n\r\n", "why")
    assert (found.line, found.refusal.reason) == ("FOO /y HTTP/1.1", "method 'FOO' not available")
    unknown = explain(good + good, "why")
    assert (unknown.line, unknown.refusal.status, unknown.refusal.reason) == ("POST /x HTTP/1.1", 400, "why")


def test_what_is_kept_of_a_request_is_bounded(tmp_path: Path) -> None:
    big = b"POST /x HTTP/1.1\r\nHost: n1\r\nContent-Length: 500000\r\n\r\n" + b"x" * 500000
    answer, logged = _talk(tmp_path / "s", big, b"FOO /y HTTP/1.1\r\nHost: n1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert logged[0][3:] == (200, 4)
    assert len(explain(b"x" * MAX_HEAD, "why").line) == 1024


def test_a_fault_of_ours_is_an_answer_of_ours_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def talk() -> bytes:
        async def handle(request: Request) -> Outcome:
            raise KeyError("secret detail")

        server = HttpServer(handle, lambda request: "192.0.2.7")
        site = await asyncio.get_running_loop().create_unix_server(server.factory, path=str(tmp_path / "s"))
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        writer.write(b"GET /x HTTP/1.1\r\nHost: n1\r\n\r\n")
        answer = await reader.read()
        writer.close()
        site.close()
        await server.close(1.0)
        return answer

    answer = asyncio.run(talk())
    assert answer.startswith(b"HTTP/1.1 500 internal error")
    assert _headers(answer)["server"] == SERVER
    assert b"secret" not in answer
    assert "secret detail" in caplog.text
