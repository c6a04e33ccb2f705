"""The listener on a real socket: who comes when all places are taken, and whose connection goes for it."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from quorate.api import clients
from quorate.api.listener import Listener
from quorate.api.protocol import Answer, Request
from quorate.api.server import HttpServer, Outcome
from quorate.api.sockets import open_socket

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SECONDS = 30.0
A, B, C = "127.0.0.2", "127.0.0.3", "127.0.0.4"


class World:
    """A listener with three places, two for each client. What is asked below /wait ends with ``go_on``."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._opened: list[asyncio.StreamWriter] = []
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()

    async def handle(self, request: Request) -> Outcome:
        if request.path == "/wait":
            self.asked.set()
            await self.go_on.wait()
        return Outcome(Answer(200, "OK", b"done"))

    async def connect(self, client: str, *, tls: bool = True) -> Streams:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=context if tls else None, local_addr=(client, 0)
        )
        self._opened.append(writer)
        return reader, writer

    async def ask(self, streams: Streams, path: str = "/") -> None:
        streams[1].write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await streams[1].drain()

    async def answer(self, streams: Streams) -> bytes:
        return (await asyncio.wait_for(streams[0].readline(), SECONDS)).strip()

    async def is_cut(self, streams: Streams) -> bool:
        try:
            return await asyncio.wait_for(streams[0].read(1), SECONDS) == b""
        except (ConnectionError, ssl.SSLError):
            return True

    def close(self) -> None:
        for writer in self._opened:
            writer.transport.abort()


@pytest.fixture
def context(tmp_path: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "n1")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    file = tmp_path / "cert.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    result = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    result.load_cert_chain(file)
    return result


def _run(
    context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, use: Callable[[World], Awaitable[None]]
) -> None:
    monkeypatch.setattr(clients, "MAX_CONNECTIONS", 3)
    monkeypatch.setattr(clients, "MAX_PER_CLIENT", 2)

    async def main() -> None:
        listening = open_socket(0, "127.0.0.1")
        world = World(listening.getsockname()[1])
        server = HttpServer(world.handle, lambda request: request.remote or "")
        serving = asyncio.create_task(Listener(listening, server, context).run())
        try:
            await use(world)
        finally:
            world.close()
            serving.cancel()
            await server.close(0.0)

    asyncio.run(main())


def test_the_newest_idle_one_makes_room(
    context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(world: World) -> None:
        old, new = await world.connect(A), await world.connect(A)
        other = await world.connect(B)
        newcomer = await world.connect(C)
        assert await world.is_cut(new)
        for streams in (old, other, newcomer):
            await world.ask(streams)
            assert await world.answer(streams) == b"HTTP/1.1 200 OK"

    _run(context, monkeypatch, use)
    assert f"closing idle ones of {A}" in caplog.text


def test_one_that_only_holds_the_place_makes_room(
    context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a TLS handshake: the cheapest way to take places."""

    async def use(world: World) -> None:
        await world.connect(A, tls=False)
        silent = await world.connect(A, tls=False)
        await world.connect(B)
        newcomer = await world.connect(C)
        assert await world.is_cut(silent)
        await world.ask(newcomer)
        assert await world.answer(newcomer) == b"HTTP/1.1 200 OK"

    _run(context, monkeypatch, use)


def test_a_running_request_is_not_cut(context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(world: World) -> None:
        idle, busy = await world.connect(A), await world.connect(A)
        await world.ask(busy, "/wait")
        await asyncio.wait_for(world.asked.wait(), SECONDS)
        await world.connect(B)
        await world.connect(C)
        assert await world.is_cut(idle)
        world.go_on.set()
        assert await world.answer(busy) == b"HTTP/1.1 200 OK"

    _run(context, monkeypatch, use)


def test_one_client_gets_no_more_than_its_share(
    context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(world: World) -> None:
        first = await world.connect(A)
        await world.connect(A)
        assert await world.is_cut(await world.connect(A, tls=False))
        await world.ask(first)
        assert await world.answer(first) == b"HTTP/1.1 200 OK"

    _run(context, monkeypatch, use)
