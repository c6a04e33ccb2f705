"""What is passed on to another node, and what is not (pvecm 6.4)."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from quorate.api import forward
from quorate.api.forward import Passer
from quorate.api.protocol import Answer, Credentials, Request, credentials
from quorate.schema import ApiError
from quorate.settings import Settings

TICKET = "PVE:a%3Ab@pve:60000000::ab+/c="


def _headers_to_node(root: Path, monkeypatch: pytest.MonkeyPatch, **headers: str) -> dict[str, str]:
    sent: list[dict[str, str]] = []

    async def send(_self: Passer, _session: object, _base: str, *arguments: object) -> Answer:
        assert isinstance(arguments[1], dict)
        sent.append(arguments[1])
        return Answer(200, "OK")

    monkeypatch.setattr(Passer, "_locate", lambda _self, _node: ("192.0.2.2", bytes(32)))
    monkeypatch.setattr(Passer, "_send", send)

    async def main() -> None:
        passer = Passer(Settings(root=root))
        try:
            await passer.to_node(
                "n2", Request("GET", "/api2/json/nodes/n2/status", headers, b"", "192.0.2.7")
            )
        finally:
            await passer.close()

    asyncio.run(main())
    return sent[0]


def test_only_the_ticket_of_the_cookies_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _headers_to_node(
        tmp_path, monkeypatch, cookie=f"session=other; PVEAuthCookie={TICKET.replace('%', '%25')}; more=x"
    )
    assert [name.lower() for name in found].count("cookie") == 1
    assert "other" not in str(found)
    assert credentials({name.lower(): text for name, text in found.items()}) == Credentials(ticket=TICKET)
    assert found["PVEClientIP"] == "192.0.2.7"


def test_no_cookie_goes_with_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = "PVEAPIToken=bob@pve!tk=value"
    found = _headers_to_node(tmp_path, monkeypatch, cookie="session=other", authorization=token)
    assert "cookie" not in {name.lower() for name in found}
    assert found["authorization"] == token


def test_a_hung_lookup_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end = threading.Event()

    def hang(_self: Passer, _node: str) -> tuple[str, bytes]:
        end.wait(60)
        return "", b""

    monkeypatch.setattr(Passer, "_locate", hang)
    monkeypatch.setattr(forward, "LOCATE_SECONDS", 0.05)

    async def main() -> None:
        passer = Passer(Settings(root=tmp_path))
        try:
            with pytest.raises(ApiError, match="got timeout while looking for node 'n2'"):
                await passer.to_node("n2", Request("GET", "/x", {}))
        finally:
            end.set()
            await passer.close()

    asyncio.run(main())


# -- what clients are told when the other side does not answer (pvecm 6.3) -------------------------------


async def _fails_to_connect(tmp_path: Path, reply: Callable[[Passer], Awaitable[Answer]]) -> Answer:
    passer = Passer(Settings(root=tmp_path))
    try:
        return await reply(passer)
    finally:
        await passer.close()


def _to_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, fingerprint: bytes = bytes(32)
) -> Answer:
    monkeypatch.setattr(Passer, "_locate", lambda _self, _node: (address, fingerprint))
    request = Request("GET", "/api2/json/nodes/n2/status", {}, b"", "192.0.2.7")
    return asyncio.run(_fails_to_connect(tmp_path, lambda passer: passer.to_node("n2", request)))


def _server(serve: Callable[[socket.socket], None]) -> tuple[int, threading.Thread]:
    """A port that serves one connection."""
    listening = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with listening, listening.accept()[0] as connection:
            serve(connection)

    thread = threading.Thread(target=run)
    thread.start()
    return listening.getsockname()[1], thread


def test_nobody_listens_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setattr(forward, "API_PORT", port)
    answer = _to_node(tmp_path, monkeypatch, "127.0.0.1")
    assert (answer.status, answer.reason) == (595, "Connection refused")
    assert answer.body == b"unable to connect to n2: Connection refused"


def test_the_privileged_half_is_not_there(tmp_path: Path) -> None:
    request = Request("GET", "/api2/json/cluster/status", {})
    answer = asyncio.run(_fails_to_connect(tmp_path, lambda passer: passer.to_root(request)))
    assert (answer.status, answer.reason) == (595, "No such file or directory")


def test_a_node_that_does_not_answer_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full queue of the listening socket is as silent as a node without power."""
    monkeypatch.setattr(forward, "CONNECT_SECONDS", 0.3)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        monkeypatch.setattr(forward, "API_PORT", full.getsockname()[1])
        waiting = [socket.socket() for _ in range(3)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(full.getsockname())
            answer = _to_node(tmp_path, monkeypatch, "127.0.0.1")
        finally:
            for each in waiting:
                each.close()
    assert (answer.status, answer.reason) == (595, "Connection timed out")


def test_what_does_not_speak_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port, thread = _server(lambda connection: connection.sendall(b"SSH-2.0-x\r\n"))
    monkeypatch.setattr(forward, "API_PORT", port)
    answer = _to_node(tmp_path, monkeypatch, "127.0.0.1")
    thread.join()
    assert answer.status == 596
    assert b"n2: " in answer.body


@pytest.mark.parametrize(("body", "kind"), [(b"", None), (b"a=1", "application/x-www-form-urlencoded")])
def test_a_call_without_a_body_has_no_content_type(tmp_path: Path, body: bytes, kind: str | None) -> None:
    """The other side refuses a type that it does not know, and our client's library would make one up."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async def main() -> Answer:
        settings = Settings(root=tmp_path)
        settings.api_socket.parent.mkdir(parents=True)
        async with await asyncio.start_unix_server(serve, settings.api_socket):
            passer = Passer(settings)
            try:
                return await passer.to_root(
                    Request("POST", "/api2/json/nodes/n1/services/sshd/restart", {}, body, "192.0.2.7")
                )
            finally:
                await passer.close()

    assert asyncio.run(main()).status == 200
    found = [line.partition(b": ")[2] for line in heads[0].lower().split(b"\r\n") if b"content-type" in line]
    assert found == ([] if kind is None else [kind.encode()])
