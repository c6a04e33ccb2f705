"""The node's name servers and hosts file (pvecm 6.8): texts in, texts out. What is not understood stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from quorate.formats import is_ip

SERVERS: Final = 3
"""Name servers that the C library asks; it ignores further ones."""


def parse_resolv_conf(text: str) -> dict[str, str]:
    """``search`` and the first three name servers as ``dns1`` to ``dns3``; the last ``search`` counts."""
    result: dict[str, str] = {}
    servers: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] in ("search", "domain"):
            result["search"] = words[1]
        elif len(words) > 1 and words[0] == "nameserver":
            servers.append(words[1])
    result.update({f"dns{number}": server for number, server in enumerate(servers[:SERVERS], 1)})
    return result


def set_resolv_conf(text: str, search: str, servers: Sequence[str]) -> str:
    """The text with this search domain and these name servers, in the place of those that it has.

    A search list that begins with the same domain stays whole, and so do all other lines.
    """
    shown = parse_resolv_conf(text)
    kept_search = shown.get("search") == search
    kept_servers = [shown[key] for key in ("dns1", "dns2", "dns3") if key in shown] == list(servers)
    new = [] if kept_search else [f"search {search}\n"]
    new += [] if kept_servers else [f"nameserver {server}\n" for server in servers]
    lines: list[str] = []
    place: int | None = None
    for line in text.splitlines(keepends=True):
        key = line.split()[:1]
        if (key in (["search"], ["domain"]) and not kept_search) or (
            key == ["nameserver"] and not kept_servers
        ):
            place = len(lines) if place is None else place
        else:
            lines.append(line)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    place = len(lines) if place is None else place
    return "".join([*lines[:place], *new, *lines[place:]])


def hosts_problem(text: str) -> str | None:
    """Why a text is no hosts file: the first line that nobody could use, with its number."""
    for number, line in enumerate(text.split("\n"), 1):
        content = line.partition("#")[0]
        if any(ord(char) < 0x20 and char not in "\t\r" for char in line):
            return f"line {number} has a control character"
        words = content.split()
        if not words:
            continue
        if not is_ip(words[0].partition("%")[0]):
            return f"line {number} does not begin with an IP address: '{words[0][:64]}'"
        if len(words) < 2:
            return f"line {number} names no host for {words[0]}"
    return None
