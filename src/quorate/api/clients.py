"""Whom the limits of the front count as one client, and who makes room for whom. Pure."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

MAX_CONNECTIONS: Final = 500
MAX_PER_CLIENT: Final = 48
"""It takes eleven clients to fill the front. A browser opens six, another node's front 16."""
IPV6_CLIENT_BITS: Final = 64
_TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 clients behind NAT64 (RFC 6052): the last 32 bits tell them apart."""


def client_group(client: str) -> str:
    """What is counted for an address: IPv4 by itself, IPv6 by its /64, of which every host has all addresses.

    What is no address is counted as it is.
    """
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv4Address) or address in _TRANSLATED:
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), IPV6_CLIENT_BITS), strict=False))


@dataclass(frozen=True, slots=True)
class Held:
    """A connection that is open. ``number`` rises with every new one; ``idle``: nothing is being answered."""

    number: int
    client: str
    idle: bool


class NoRoomError(Exception):
    """The new connection is not taken."""


def admit(held: Collection[Held], client: str) -> Held | None:
    """Which connection has to be closed so that one more of ``client`` (a group) is taken; None: none has to.

    When all places are taken, the client with the most idle connections gives up its newest idle one, as long
    as it has more of them than the new one has connections. Raises NoRoomError.
    """
    total = Counter(each.client for each in held)
    if total[client] >= MAX_PER_CLIENT:
        raise NoRoomError
    if len(held) < MAX_CONNECTIONS:
        return None
    idle = Counter(each.client for each in held if each.idle)
    candidates = [each for each in held if each.idle and idle[each.client] > total[client]]
    if not candidates:
        raise NoRoomError
    return max(candidates, key=lambda each: (idle[each.client], each.number))
