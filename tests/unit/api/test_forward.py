"""What is passed on to another node, and what is not (pvecm 6.4)."""

from __future__ import annotations

import asyncio
import threading
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
