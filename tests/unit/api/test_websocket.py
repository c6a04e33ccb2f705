"""WebSockets: the handshake, frames of clients and what is refused, and the relay to a port (pvecm 6.8)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.api import relay
from quorate.api.protocol import Refusal
from quorate.api.relay import Relays
from quorate.api.websocket import (
    MAX_FRAME,
    CloseCode,
    Frame,
    FrameError,
    FrameReader,
    Opcode,
    accept,
    close_frame,
    frame,
    wants_upgrade,
)
from quorate.schema import ApiError
from tests.real.console_client import frame as client_frame

HEADERS = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}

# -- handshake ------------------------------------------------------------------------------------------


def test_the_answer_is_the_standards_example() -> None:
    assert accept(HEADERS) == {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    }


@pytest.mark.parametrize(
    ("offered", "taken"), [("binary", "binary"), ("base64, binary", "binary"), ("chat", None), ("", None)]
)
def test_subprotocols(offered: str, taken: str | None) -> None:
    answer = accept({**HEADERS, "sec-websocket-protocol": offered})
    assert answer.get("Sec-WebSocket-Protocol") == taken


@pytest.mark.parametrize(
    ("headers", "wants"),
    [
        ({}, False),
        ({"connection": "keep-alive, Upgrade", "upgrade": "WebSocket"}, True),
        ({"connection": "keep-alive", "upgrade": "websocket"}, False),
        ({"connection": "Upgrade", "upgrade": "h2c"}, False),
    ],
)
def test_who_wants_an_upgrade(headers: dict[str, str], wants: bool) -> None:
    assert wants_upgrade(headers) == wants


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sec-websocket-version", "12"),
        ("sec-websocket-version", ""),
        ("sec-websocket-key", ""),
        ("sec-websocket-key", "c2hvcnQ="),
        ("sec-websocket-key", "not base64 at all, is it?"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==\x00"),
    ],
)
def test_a_handshake_against_the_rules(name: str, value: str) -> None:
    with pytest.raises(Refusal) as refused:
        accept({**HEADERS, name: value})
    assert refused.value.status == 400


# -- frames of clients ----------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(
            st.sampled_from([Opcode.TEXT, Opcode.BINARY]), st.sampled_from([0, 1, 125, 126, 65535, 65536])
        ),
        max_size=4,
    ),
    st.lists(st.integers(0, 200_000), max_size=6),
)
def test_frames_are_the_same_however_they_are_split(kinds: list[tuple[Opcode, int]], cuts: list[int]) -> None:
    frames = [Frame(opcode, os.urandom(size)) for opcode, size in kinds]
    data = b"".join(client_frame(each.payload, each.opcode) for each in frames)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reader = FrameReader()
    pieces = (reader.feed(data[start:end]) for start, end in itertools.pairwise(places))
    assert list(itertools.chain.from_iterable(pieces)) == frames


def test_control_frames_and_the_largest_one() -> None:
    reader = FrameReader()
    largest = b"x" * MAX_FRAME
    data = client_frame(b"?", Opcode.PING) + client_frame(largest) + client_frame(b"", Opcode.CLOSE)
    assert reader.feed(data) == [
        Frame(Opcode.PING, b"?"),
        Frame(Opcode.BINARY, largest),
        Frame(Opcode.CLOSE, b""),
    ]


@pytest.mark.parametrize(
    ("data", "code", "why"),
    [
        (client_frame(b"x", masked=False), CloseCode.PROTOCOL, "not masked"),
        (client_frame(b"x", first=0), CloseCode.PROTOCOL, "several frames"),
        (client_frame(b"x", opcode=0), CloseCode.PROTOCOL, "several frames"),
        (client_frame(b"x", opcode=Opcode.PING, first=0), CloseCode.PROTOCOL, "several frames"),
        (client_frame(b"x", first=0xC0), CloseCode.PROTOCOL, "extension"),
        (client_frame(b"x", first=0x90), CloseCode.PROTOCOL, "extension"),
        (client_frame(b"x", opcode=3), CloseCode.PROTOCOL, "no known kind"),
        (client_frame(b"x", opcode=11), CloseCode.PROTOCOL, "no known kind"),
        (client_frame(b"x" * 126, opcode=Opcode.PING), CloseCode.PROTOCOL, "control frame"),
        (client_frame(b"x" * (MAX_FRAME + 1)), CloseCode.TOO_LARGE, "larger than 131072 bytes"),
        (b"\x82\xff" + (1 << 63).to_bytes(8, "big"), CloseCode.TOO_LARGE, "larger than"),
        (b"\x82\xfe\x00\x7d", CloseCode.PROTOCOL, "more bytes than it needs"),
        (b"\x82\xff" + (65535).to_bytes(8, "big"), CloseCode.PROTOCOL, "more bytes than it needs"),
    ],
    ids=[
        "unmasked",
        "fragment",
        "continuation",
        "ping in pieces",
        "extension 1",
        "extension 3",
        "opcode 3",
        "opcode 11",
        "long ping",
        "too large",
        "absurdly large",
        "long length of 16 bits",
        "long length of 64 bits",
    ],
)
def test_refused_frames(data: bytes, code: CloseCode, why: str) -> None:
    with pytest.raises(FrameError, match=why) as refused:
        FrameReader().feed(data)
    assert refused.value.code == code


def test_a_frame_too_large_is_refused_by_its_head() -> None:
    head = client_frame(b"x" * (MAX_FRAME + 1))[:10]
    with pytest.raises(FrameError):
        FrameReader().feed(head)


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_frames_for_clients_are_whole_and_not_masked(size: int) -> None:
    data = frame(Opcode.BINARY, b"x" * size)
    head = {0: b"\x00", 125: b"\x7d", 126: b"\x7e\x00\x7e", 65535: b"\x7e\xff\xff"}
    assert data == b"\x82" + head.get(size, b"\x7f" + size.to_bytes(8, "big")) + b"x" * size


def test_farewells_fit_into_a_control_frame() -> None:
    data = close_frame(CloseCode.PROTOCOL, "ä" * 200)
    assert len(data) == 2 + 2 + 122
    assert data[2:4] == (1002).to_bytes(2, "big")
    data[4:].decode()


# -- the relay ------------------------------------------------------------------------------------------


class Client:
    """A channel in the place of a connection: what is put into ``says`` comes from the client."""

    def __init__(self) -> None:
        self.says: asyncio.Queue[bytes] = asyncio.Queue()
        self.heard = b""
        self.left = asyncio.Event()

    async def receive(self) -> bytes:
        return await self.says.get()

    async def gone(self) -> None:
        await self.left.wait()

    async def send(self, data: bytes) -> None:
        self.heard += data


class Console:
    """Something that listens on a port, as a console does."""

    def __init__(self) -> None:
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter
        self.connected = asyncio.Event()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.connected.set()

    async def ended(self) -> bytes:
        """What comes until the way to it is cut."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""


Use = Callable[[Client, Console, Relays, "asyncio.Task[None]"], Awaitable[None]]


def _relayed(use: Use) -> Client:
    """``use`` a running relay; the relay has ended and its connection is cut when this returns."""

    async def main() -> Client:
        console, client, relays = Console(), Client(), Relays()
        server = await asyncio.start_server(console.accept, "127.0.0.1", 0)
        async with server:
            made = await relays.connect(server.sockets[0].getsockname()[1])
            await console.connected.wait()
            running = asyncio.get_running_loop().create_task(made.run(client))
            async with asyncio.timeout(20):
                await use(client, console, relays, running)
                await running
                await console.ended()
            console.writer.close()
            with contextlib.suppress(ConnectionError):
                await console.writer.wait_closed()
            assert relays._open == 0
        return client

    return asyncio.run(main())


def test_bytes_both_ways_and_a_farewell() -> None:
    async def use(client: Client, console: Console, relays: Relays, running: asyncio.Task[None]) -> None:
        client.says.put_nowait(client_frame(b"hel") + client_frame(b"lo", Opcode.TEXT))
        assert await console.reader.readexactly(5) == b"hello"
        client.says.put_nowait(client_frame(b"?", Opcode.PING) + client_frame(b"", Opcode.PONG))
        client.says.put_nowait(client_frame(b"!"))
        assert await console.reader.readexactly(1) == b"!"
        console.writer.write(b"bye")
        console.writer.close()
        while not client.heard.endswith(close_frame(CloseCode.NORMAL)):
            await asyncio.sleep(0)
        assert not running.done()  # it waits for the answer
        client.says.put_nowait(client_frame((1000).to_bytes(2, "big"), Opcode.CLOSE))

    pong, bye = frame(Opcode.PONG, b"?"), frame(Opcode.BINARY, b"bye")
    assert _relayed(use).heard == pong + bye + close_frame(CloseCode.NORMAL)


@pytest.mark.parametrize("how", ["end of the connection", "seen without reading"])
def test_a_client_that_goes_ends_it(how: str) -> None:
    async def use(client: Client, console: Console, relays: Relays, running: asyncio.Task[None]) -> None:
        if how == "end of the connection":
            client.says.put_nowait(b"")
        else:
            client.left.set()

    assert _relayed(use).heard == b""


def test_a_clients_farewell_is_answered() -> None:
    async def use(client: Client, console: Console, relays: Relays, running: asyncio.Task[None]) -> None:
        client.says.put_nowait(client_frame(b"\x03\xe9", Opcode.CLOSE) + client_frame(b"too late"))

    assert _relayed(use).heard == close_frame(CloseCode.NORMAL)


def test_a_frame_against_the_rules_ends_it() -> None:
    async def use(client: Client, console: Console, relays: Relays, running: asyncio.Task[None]) -> None:
        client.says.put_nowait(client_frame(b"x", masked=False))
        assert await console.ended() == b""
        client.says.put_nowait(b"")

    assert _relayed(use).heard == close_frame(CloseCode.PROTOCOL, "a frame is not masked")


def test_a_client_that_says_nothing_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(relay, "FAREWELL_SECONDS", 0.05)

    async def use(client: Client, console: Console, relays: Relays, running: asyncio.Task[None]) -> None:
        pass

    assert _relayed(use).heard == close_frame(CloseCode.GOING_AWAY, "nothing was sent for 0 s")


def test_input_that_nobody_takes_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "IDLE_SECONDS", 0.2)
    monkeypatch.setattr(relay, "FAREWELL_SECONDS", 0.05)

    async def use(client: Client, console: Console, relays: Relays, running: asyncio.Task[None]) -> None:
        console.writer.transport.pause_reading()  # type: ignore[attr-defined]
        data = client_frame(b"x" * 100_000)
        for _ in range(200):
            client.says.put_nowait(data)
        await running
        console.writer.transport.resume_reading()  # type: ignore[attr-defined]

    assert _relayed(use).heard == close_frame(CloseCode.GOING_AWAY, "nothing was sent for 0 s")


def test_all_end_with_the_server() -> None:
    async def use(client: Client, console: Console, relays: Relays, running: asyncio.Task[None]) -> None:
        relays.close()

    assert _relayed(use).heard == close_frame(CloseCode.GOING_AWAY, "the server is ending")


def test_there_is_no_relay_to_nobody_and_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ApiError, match=f"console at port {port}: Connection refused"):
            asyncio.run(Relays().connect(port))
    monkeypatch.setattr(relay, "MAX_RELAYS", 0)
    with pytest.raises(ApiError, match="too many open consoles") as refused:
        asyncio.run(Relays().connect(port))
    assert refused.value.status == 503
