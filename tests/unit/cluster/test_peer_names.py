"""Names that no resolver takes, answers that are none: errors with a text, not tracebacks."""

from __future__ import annotations

from typing import Any

import pytest

from quorate.cluster.host import system_lookup
from quorate.cluster.peer import Peer, PeerError


@pytest.mark.parametrize("name", ["a..b", "x" * 64])
def test_a_name_that_cannot_be_looked_up(name: str) -> None:
    with pytest.raises(PeerError, match="Can't connect to"):
        Peer(name, timeout=1).identify()
    with pytest.raises(OSError, match="not a host name"):
        system_lookup(name)


@pytest.mark.parametrize("data", [None, [], {}, "PVE:"])
def test_a_login_without_a_ticket(monkeypatch: pytest.MonkeyPatch, data: Any) -> None:
    peer = Peer("n1")
    monkeypatch.setattr(peer, "call", lambda *_: data)
    with pytest.raises(PeerError, match="gave no ticket") as caught:
        peer.login("root@pam", "very-secret-word")
    assert "very-secret-word" not in str(caught.value)
