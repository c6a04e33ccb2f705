"""Connections handed to a node: both ways, half-closed ones too, and a node that is not there."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest

from lab import Lab, labcommands
from lab.cli import main
from lab.forward import forward

SECONDS = 30.0
BIG = bytes(range(256)) * 4096
"""More than all buffers on the way hold."""


async def _with_forward(port: int, use: Callable[[int], Awaitable[None]]) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(forward(listening, "127.0.0.1", port))
    try:
        await use(listening.getsockname()[1])
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


def test_both_directions_to_their_ends() -> None:
    async def far(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.read()  # to the end: what was half-closed there is so here
        writer.write(asked[::-1])
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def use(port: int) -> None:
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(BIG)
            writer.write_eof()
            assert await asyncio.wait_for(reader.read(), SECONDS) == BIG[::-1]
            writer.close()
            await writer.wait_closed()

    async def run() -> None:
        async with await asyncio.start_server(far, "127.0.0.1", 0) as server:
            await _with_forward(server.sockets[0].getsockname()[1], use)

    asyncio.run(run())


def test_a_node_that_is_off_ends_the_connection_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    async def use(own: int) -> None:
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", own)
            cut = b""
            with contextlib.suppress(ConnectionError):
                cut = await asyncio.wait_for(reader.read(), SECONDS)
            assert cut == b""
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    asyncio.run(_with_forward(port, use))


def test_a_port_that_is_taken_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(labcommands, "_node", lambda _: SimpleNamespace(init=1))
    monkeypatch.setattr(Lab, "open", lambda _: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["web", "--port", str(taken.getsockname()[1])]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "Address already in use. Name another one: ./dev web --port N" in said
    assert main(["web", "--port", "65536"]) == 1
    assert "65536 is no port" in capsys.readouterr().err
