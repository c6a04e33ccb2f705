"""A client of consoles: a WebSocket over TLS, made here byte by byte so that it can also do what is wrong."""

from __future__ import annotations

import base64
import os
import socket
import ssl
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, urlencode

from tests.real.api_host import ApiHost, Session

SECONDS: Final = 30.0
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class WebSocketClient:
    """One connection to the front. ``status`` is that of the handshake, ``headers`` those of its answer."""

    def __init__(self, port: int, target: str, headers: dict[str, str]) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(socket.create_connection(("127.0.0.1", port), SECONDS))
        self._data = b""
        sent = {
            "Host": f"127.0.0.1:{port}",
            "Connection": "keep-alive, Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Protocol": "binary",
            **headers,
        }
        lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items() if value)]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in self._data:
            self._read()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.reason = first.split(" ", 2)[2]
        self.headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in rest}

    def send(self, payload: bytes, opcode: int = BINARY) -> None:
        self.socket.sendall(frame(payload, opcode))

    def receive(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload. Raises EOFError at the end of the connection."""
        first, second = self._take(2)
        assert first & 0xF0 == 0x80, "servers send whole frames without extensions"
        assert not second & 0x80, "servers do not mask"
        size = second
        if size == 126:
            (size,) = struct.unpack(">H", self._take(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self._take(8))
        return first & 0x0F, self._take(size)

    def until(self, text: bytes) -> bytes:
        """What the console says, up to where ``text`` is in it."""
        seen = b""
        while text not in seen:
            opcode, payload = self.receive()
            assert opcode == BINARY, (opcode, payload, seen)
            seen += payload
        return seen

    def push_back(self, payload: bytes) -> None:
        """Let it be the next frame that comes."""
        assert len(payload) < 126
        self._data = bytes([0x80 | BINARY, len(payload)]) + payload + self._data

    def closed(self) -> int:
        """The code of the server's farewell, behind which nothing comes. Raises EOFError without one."""
        opcode, payload = self.receive()
        while opcode != CLOSE:
            opcode, payload = self.receive()
        try:
            self.send(payload, CLOSE)
            rest = self.socket.recv(1)
        except (ConnectionError, ssl.SSLError):
            rest = b""
        assert rest == b""
        return int.from_bytes(payload[:2], "big")

    def rest(self) -> bytes:
        """All that comes until the end."""
        try:
            while True:
                self._read()
        except EOFError:
            return self._data

    def close(self) -> None:
        self.socket.close()

    def _take(self, size: int) -> bytes:
        while len(self._data) < size:
            self._read()
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def _read(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(f"the connection ended; unread: {self._data!r}")
        self._data += data


class Console:
    """A console that was asked for, and connections to it. `close` closes them all."""

    def __init__(self, host: ApiHost, session: Session, **form: str) -> None:
        self._host = host
        self._session = session
        self._clients: list[WebSocketClient] = []
        self.reply = host.api("POST", f"/nodes/{host.node}/termproxy", session, form=form)
        assert self.reply.status == 200, (self.reply.status, self.reply.reason)
        self.user: str = self.reply.data["user"]
        self.ticket: str = self.reply.data["ticket"]
        self.port: int = self.reply.data["port"]
        self.upid: str = self.reply.data["upid"]

    def connect(
        self,
        *,
        session: Session | None = None,
        ticket: str = "",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> WebSocketClient:
        """A connection; what is given replaces what is right, an empty header is left out."""
        query = urlencode({"port": self.port, "vncticket": ticket or self.ticket})
        path = f"/api2/json/nodes/{quote(self._host.node)}/vncwebsocket?{query}"
        shown = (session or self._session).headers("GET")
        client = WebSocketClient(self._host.port, path, {**shown, **headers})
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def log_in(self, client: WebSocketClient) -> None:
        """The first line, and its answer."""
        client.send(f"{self.user}:{self.ticket}\n".encode())
        opcode, payload = client.receive()
        assert (opcode, payload[:2]) == (BINARY, b"OK")
        if payload[2:]:  # the program was quick
            client.push_back(payload[2:])


def frame(payload: bytes, opcode: int = BINARY, *, first: int = 0x80, masked: bool = True) -> bytes:
    """A client's frame; ``first``: the flags of its first byte."""
    size = len(payload)
    flag = 0x80 if masked else 0
    if size < 126:
        head = bytes([first | opcode, flag | size])
    elif size < 1 << 16:
        head = bytes([first | opcode, flag | 126]) + struct.pack(">H", size)
    else:
        head = bytes([first | opcode, flag | 127]) + struct.pack(">Q", size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def typed(text: str) -> bytes:
    """Keyboard input as the console takes it."""
    data = text.encode()
    return b"0:%d:%s" % (len(data), data)
