"""Alternative names of network interfaces, which only the kernel's routing socket tells (pvecm 6.8)."""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Iterator
from typing import Final

_log = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 2.0
MAX_ANSWER: Final = 4 << 20
"""Some thousand interfaces with all that the kernel says of them."""

_MESSAGE: Final = struct.Struct("=IHHII")
_LINK: Final = struct.Struct("=BxHiII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_NEW_LINK, _GET_LINK = 16, 18
_ERROR, _DONE = 2, 3
_REQUEST, _DUMP = 0x1, 0x300
_IFNAME, _PROPERTIES, _ALTERNATIVE = 3, 52, 53
_TYPE: Final = 0x3FFF
"""Without the flags of an attribute's type."""


def alternative_names() -> dict[str, list[str]]:
    """Interface -> its other names, where it has any. Empty where the kernel does not say."""
    try:
        return parse_links(_dump())
    except OSError as err:
        _log.warning("unable to read the alternative names of network interfaces: %s", err.strerror or err)
        return {}


def parse_links(data: bytes) -> dict[str, list[str]]:
    """The names in the messages of a dump of links; what is cut off or malformed is left out."""
    found = {}
    for kind, message in _messages(data):
        if kind != _NEW_LINK or len(message) < _LINK.size:
            continue
        name, others = "", []
        for number, value in _attributes(message[_LINK.size :]):
            if number == _IFNAME:
                name = _text(value)
            elif number == _PROPERTIES:
                others = [_text(inner) for kind, inner in _attributes(value) if kind == _ALTERNATIVE]
        if name and others:
            found[name] = others
    return found


def _dump() -> bytes:
    question = _MESSAGE.pack(_MESSAGE.size + _LINK.size, _GET_LINK, _REQUEST | _DUMP, 1, 0)
    question += _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    data = b""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as netlink:
        netlink.settimeout(ANSWER_SECONDS)
        netlink.send(question)
        while len(data) < MAX_ANSWER:
            piece = netlink.recv(65536)
            data += piece
            if not piece or any(kind in (_DONE, _ERROR) for kind, _ in _messages(piece)):
                break
    return data


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _MESSAGE.size <= len(data):
        length, kind, _, _, _ = _MESSAGE.unpack_from(data, at)
        if length < _MESSAGE.size or at + length > len(data):
            return
        yield kind, data[at + _MESSAGE.size : at + length]
        at += (length + 3) & ~3


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size or at + length > len(data):
            return
        yield kind & _TYPE, data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("utf-8", "replace")
