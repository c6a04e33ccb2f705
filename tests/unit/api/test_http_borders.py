"""What the HTTP server remembers of connections, and targets that two readers read differently."""

from __future__ import annotations

import asyncio
from pathlib import Path

from quorate.api.protocol import Answer, Request
from quorate.api.server import SPARE_STATES, HttpServer, Outcome


async def _talk(path: Path, *texts: bytes) -> tuple[list[bytes], int, list[str]]:
    """The answers to requests on a connection each, how many connections are remembered, what was handled."""
    seen: list[str] = []

    async def handle(request: Request) -> Outcome:
        seen.append(request.target)
        return Outcome(Answer(200, "OK", b"done"))

    server = HttpServer(handle, lambda request: "192.0.2.7")
    site = await asyncio.get_running_loop().create_unix_server(server.factory, path=str(path))
    answers = []
    for text in texts:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(text)
        answers.append(await reader.read())
        writer.close()
    remembered = len(server._states)
    site.close()
    await server.close(1.0)
    return answers, remembered, seen


def test_connections_that_ended_are_forgotten(tmp_path: Path) -> None:
    text = b"GET /x HTTP/1.1\r\nHost: n1\r\nConnection: close\r\n\r\n"
    answers, remembered, _ = asyncio.run(_talk(tmp_path / "s", *[text] * (4 * SPARE_STATES)))
    assert all(answer.startswith(b"HTTP/1.1 200 OK") for answer in answers)
    assert remembered <= 2 * SPARE_STATES


def test_a_fragment_is_refused(tmp_path: Path) -> None:
    """Who passes the request on would cut it off, and the other half would read other parameters."""
    text = b"POST /api2/json/access/ticket?#&username=decoy@pve HTTP/1.1\r\nHost: n1\r\n\r\n"
    (answer,), _, seen = asyncio.run(_talk(tmp_path / "s", text))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert seen == []
