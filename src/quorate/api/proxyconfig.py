"""``/etc/default/pveproxy``: who may connect, where to listen, how to speak TLS (pvecm 6.1).

Text in, values out. What is done with them is the business of `service` and `listener`.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_ASSIGNMENT: Final = re.compile(r"\s*(?:export\s+)?([A-Z][A-Z0-9_]*)=(.*)$")
_TRUE: Final = frozenset({"1", "yes", "true", "on"})
_FALSE: Final = frozenset({"0", "no", "false", "off", ""})
_FLAGS: Final = {
    "HONOR_CIPHER_ORDER": "honor_cipher_order",
    "COMPRESSION": "compression",
    "DISABLE_TLS_1_2": "disable_tls_1_2",
    "DISABLE_TLS_1_3": "disable_tls_1_3",
}
_TEXTS: Final = {
    "LISTEN_IP": "listen_ip",
    "CIPHERS": "ciphers",
    "CIPHERSUITES": "ciphersuites",
    "DHPARAMS": "dhparams",
    "TLS_KEY_FILE": "tls_key_file",
    "PROXY_REAL_IP_HEADER": "real_ip_header",
}
_NETWORKS: Final = {
    "ALLOW_FROM": "allow_from",
    "DENY_FROM": "deny_from",
    "PROXY_REAL_IP_ALLOW_FROM": "real_ip_allow_from",
}
_LOOPBACK: Final[tuple[Network, ...]] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1"))
_ALL: Final[tuple[Network, ...]] = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    """The settings with their defaults. ``warnings``: lines of the file that mean nothing; ``broken``: one of
    them says who may connect."""

    allow_from: tuple[Network, ...] = ()
    deny_from: tuple[Network, ...] = ()
    policy_allow: bool = True
    listen_ip: str | None = None
    ciphers: str | None = None
    ciphersuites: str | None = None
    dhparams: str | None = None
    honor_cipher_order: bool = True
    disable_tls_1_2: bool = False
    disable_tls_1_3: bool = False
    compression: bool = True
    tls_key_file: str | None = None
    real_ip_header: str | None = None
    real_ip_allow_from: tuple[Network, ...] = ()
    broken: bool = False
    warnings: tuple[str, ...] = ()

    def allows(self, client: str) -> bool:
        """Whether a client may connect: in one of the lists, or in both or none and then by the policy."""
        if self.broken:
            return False
        allowed, denied = _within(client, self.allow_from), _within(client, self.deny_from)
        return allowed if allowed != denied else self.policy_allow

    @property
    def believes_members(self) -> bool:
        """Whether it is for the cluster's members, and for this host, to name the clients of others: a header
        is named, and not whom to believe it. Anybody else could name whom he likes, and so guess passwords
        as somebody new each time."""
        return self.real_ip_header is not None and not self.real_ip_allow_from

    def real_client(self, peer: str, headers: dict[str, str], members: Collection[str] = ()) -> str:
        """Whom a trusted proxy in front of us names as its client; else who connected.

        ``members``: the addresses of the cluster's members.
        """
        name = self.real_ip_header
        if name is None or not self._believes(peer, members):
            return peer
        value = headers.get(name.lower(), "").split(",")[-1].strip().strip("[]")
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            return peer
        return str(getattr(address, "ipv4_mapped", None) or address)

    def _believes(self, peer: str, members: Collection[str]) -> bool:
        if self.real_ip_allow_from:
            return _within(peer, self.real_ip_allow_from)
        return _within(peer, _LOOPBACK) or peer in members


def parse_proxy_config(text: str) -> ProxyConfig:
    """Read the file. What cannot be used is left out and named in ``warnings``, but a list of who may connect
    with a mistake in it lets nobody in: leaving it out would let everybody in."""
    values: dict[str, object] = {}
    warnings: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.match(line)
        try:
            words = shlex.split(match[2], comments=True) if match is not None else None
        except ValueError:
            words = None
        if match is None or words is None or len(words) > 1:
            warnings.append(f"line {number} is no assignment of one value, ignored")
            continue
        _take(match[1], words[0] if words else "", values, warnings)
    config = ProxyConfig(**values)  # type: ignore[arg-type]
    if config.believes_members:
        warnings.append(
            "PROXY_REAL_IP_HEADER without PROXY_REAL_IP_ALLOW_FROM: only this host and the members of the "
            "cluster are believed"
        )
    return replace(config, warnings=tuple(warnings))


def _take(name: str, value: str, values: dict[str, object], warnings: list[str]) -> None:
    if name in _FLAGS:
        lowered = value.lower()
        if lowered not in _TRUE | _FALSE:
            warnings.append(f"{name} has to be 0 or 1, not '{value}'")
        else:
            values[_FLAGS[name]] = lowered in _TRUE
    elif name in _TEXTS:
        values[_TEXTS[name]] = value or None
    elif name in _NETWORKS:
        try:
            values[_NETWORKS[name]] = _networks(value)
        except ValueError as err:
            warnings.append(f"{name}: {err} - nobody may connect until this is corrected")
            values["broken"] = True
    elif name == "POLICY":
        if value not in ("allow", "deny"):
            warnings.append(f"POLICY has to be allow or deny, not '{value}': taken as deny")
        values["policy_allow"] = value == "allow"
    elif name != "MAX_WORKERS":  # one process serves all connections here
        warnings.append(f"unknown setting {name}, ignored")


def _networks(text: str) -> tuple[Network, ...]:
    found: list[Network] = []
    for element in re.split(r"[,\s]+", text):
        if element == "all":
            found += _ALL
        elif element:
            found.append(_network(element))
    return tuple(found)


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as err:
        raise ValueError(f"'{text}' is no address and no network") from err


def _within(client: str, networks: tuple[Network, ...]) -> bool:
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    return any(address in network for network in networks)
