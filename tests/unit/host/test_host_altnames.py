"""Alternative names of interfaces in the kernel's messages (pvecm 6.8)."""

from __future__ import annotations

import socket
import struct

import pytest

from quorate.host import altnames
from quorate.host.altnames import alternative_names, parse_links


def _attribute(kind: int, value: bytes) -> bytes:
    data = struct.pack("=HH", 4 + len(value), kind) + value
    return data + bytes(-len(data) % 4)


def _link(*attributes: bytes, kind: int = 16) -> bytes:
    body = struct.pack("=BxHiII", 0, 1, 2, 0x1003, 0) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 0) + body


ETH0 = _attribute(3, b"eth0\0")
OTHERS = _attribute(52 | 0x8000, _attribute(53, b"enp1s0\0") + _attribute(53, b"enx0011\0"))
DONE = struct.pack("=IHHIIi", 20, 3, 2, 1, 0, 0)


def test_names_of_links() -> None:
    data = _link(_attribute(3, b"lo\0")) + _link(_attribute(13, bytes(7)), ETH0, OTHERS) + DONE
    assert parse_links(data) == {"eth0": ["enp1s0", "enx0011"]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 40,
        DONE,
        _link(OTHERS),
        _link(ETH0, OTHERS, kind=17),
        _link(ETH0, OTHERS)[:-8],
        _link(ETH0, struct.pack("=HH", 2, 52)),
        _link(ETH0, struct.pack("=HH", 200, 52)),
        struct.pack("=IHHII", 18, 16, 2, 1, 0) + b"\0\0\0\0",
    ],
)
def test_what_is_no_link_with_names_is_left_out(data: bytes) -> None:
    assert parse_links(data) == {}


def test_the_kernel_is_asked() -> None:
    names = {name for _, name in socket.if_nameindex()}
    assert alternative_names().keys() <= names


def test_a_kernel_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> bytes:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(altnames, "_dump", fail)
    assert alternative_names() == {}
    assert "alternative names of network interfaces: Operation not permitted" in caplog.text
