"""corosync.conf as data: parse (pvecm 2.1) and canonical writing (pvecm 2.2).

What a sensible file contains is judged in conf_verify, how it is changed in conf_edit. No I/O.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

Section: TypeAlias = "dict[str, Value]"
Value: TypeAlias = "str | Section | list[Section]"

REPEATABLE: Final = frozenset({"node", "interface"})
"""Sections that may occur more than once in their parent."""

_KEYED: Final = (
    ("nodelist", "node", ("name", "ring0_addr")),
    ("totem", "interface", ("linknumber", "ringnumber")),
)
"""Lists that become maps: section, list, and the keys of an entry that may name it."""

_ADDRESS_KEY: Final = re.compile(r"(?:ring|link)([0-9]+)_addr")


class ConfError(ValueError):
    """corosync.conf cannot be read or written as it stands; the text says where and why."""


@dataclass(slots=True)
class CorosyncConf:
    """A parsed file. ``main`` is empty for an empty or missing file; all values are strings.

    ``nodelist.node`` is a map by node name, ``totem.interface`` a map by link number (as text).
    """

    main: Section = field(default_factory=dict)
    digest: str = ""

    @property
    def totem(self) -> Section:
        return _section(self.main, "totem")

    @property
    def nodes(self) -> dict[str, Section]:
        """Node sections by name, in ascending order of the names."""
        return dict(sorted(_sections(_section(self.main, "nodelist"), "node").items()))

    @property
    def interfaces(self) -> dict[str, Section]:
        return _sections(self.totem, "interface")

    @property
    def quorum(self) -> Section:
        return _section(self.main, "quorum")

    @property
    def cluster_name(self) -> str | None:
        return text_of(self.totem, "cluster_name")

    @property
    def config_version(self) -> int | None:
        """The version, or None if there is none or it is no number."""
        text = text_of(self.totem, "config_version")
        return int(text) if text is not None and re.fullmatch(r"[0-9]{1,18}", text) else None


def parse(raw: bytes) -> CorosyncConf:
    """Parse the content of a file; raises ConfError. Bytes are taken as Latin-1, so none is lost."""
    digest = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
    text = re.sub(r"#[^\n]*", "", raw.decode("latin-1"))
    tokens = [token for token in re.split(r"\s+", text, flags=re.ASCII) if token]
    if not tokens:
        return CorosyncConf(digest=digest)
    main = _parse_tokens(tokens)
    for parent, name, keys in _KEYED:
        section = main.get(parent)
        if isinstance(section, dict):
            section[name] = _keyed(section.get(name, []), f"{parent}.{name}", keys)
    return CorosyncConf(main=main, digest=digest)


def write(conf: CorosyncConf) -> bytes:
    """The canonical text; raises ConfError for what the format cannot express."""
    out: list[str] = []
    for name, value in _sorted(conf.main):
        for entry in _entries(name, value, mapped=False):
            _write_entry(out, name, entry, 0, (name,))
            if not isinstance(entry, str):
                out.append("\n")
    return "".join(out).encode("latin-1")


def node_links(node: Mapping[str, Value]) -> dict[int, str]:
    """Link number -> address, from ``ringX_addr`` and ``linkX_addr``, ascending."""
    links = {}
    for key, value in node.items():
        match = _ADDRESS_KEY.fullmatch(key)
        if match and isinstance(value, str):
            links[int(match[1])] = value
    return dict(sorted(links.items()))


def text_of(section: Mapping[str, Value], key: str) -> str | None:
    """A value of a section; None if it is missing or a section itself."""
    value = section.get(key)
    return value if isinstance(value, str) else None


def _parse_tokens(tokens: list[str]) -> Section:
    main: Section = {}
    stack: list[Section] = [main]
    position = 0
    while position < len(tokens):
        token = tokens[position]
        following = tokens[position + 1] if position + 1 < len(tokens) else None
        if following == "{":
            stack.append(_open_section(stack[-1], token))
            position += 2
        elif token == "}":
            if len(stack) == 1:
                raise ConfError("parse error - uncexpected '}'")
            stack.pop()
            position += 1
        elif not token.endswith(":"):
            raise ConfError(f"missing ':' after key '{token}'")
        elif following is None:
            raise ConfError(f"parse error - no value for '{token[:-1]}'")
        else:
            stack[-1][token[:-1]] = following
            position += 2
    return main


def _open_section(parent: Section, name: str) -> Section:
    section: Section = {}
    existing = parent.get(name)
    if existing is None:
        parent[name] = [section] if name in REPEATABLE else section
    elif isinstance(existing, list):
        existing.append(section)
    else:
        raise ConfError(f"section '{name}' already exists and not marked as array!")
    return section


def _keyed(value: Value, where: str, keys: tuple[str, str]) -> Section:
    if not isinstance(value, list):
        raise ConfError(f"parse error - '{where}' must be a section, not a value")
    result: Section = {}
    for entry in value:
        name = entry.get(keys[0], entry.get(keys[1], ""))
        if not isinstance(name, str):
            raise ConfError(f"parse error - '{keys[0]}' in '{where}' must be a value, not a section")
        result[name] = entry
    return result


def _sorted(section: Mapping[str, Value]) -> list[tuple[str, Value]]:
    return sorted(section.items())


def _entries(name: str, value: Value, *, mapped: bool) -> Iterator[str | Section]:
    if isinstance(value, list):
        yield from value
    elif mapped and isinstance(value, dict):
        for _key, entry in _sorted(value):
            if not isinstance(entry, dict):
                raise ConfError(f"'{name}' must hold sections only")
            yield entry
    elif value is None:
        # The types forbid it; JSON that came from elsewhere may hold it all the same.
        raise ConfError(f"got undefined value for key '{name}'!")
    else:
        yield value


def _write_entry(out: list[str], name: str, value: str | Section, depth: int, path: tuple[str, ...]) -> None:
    indent = "  " * depth
    _check_name(name, section=not isinstance(value, str))
    if isinstance(value, str):
        _check_value(name, value)
        out.append(f"{indent}{name}: {value}\n")
        return
    out.append(f"{indent}{name} {{\n")
    for key, inner in _sorted(value):
        below = (*path, key)
        for entry in _entries(key, inner, mapped=below in _MAPPED):
            _write_entry(out, key, entry, depth + 1, below)
    out.append(f"{indent}}}\n")


_MAPPED: Final = frozenset((parent, name) for parent, name, _ in _KEYED)


def _check_name(name: str, *, section: bool) -> None:
    if not _is_token(name, empty_allowed=not section) or (section and name in ("{", "}")):
        raise ConfError(f"key '{name}' cannot be written to corosync.conf: brace, blank, '#' or not Latin-1")


def _check_value(name: str, value: str) -> None:
    if not _is_token(value) or value == "{":
        raise ConfError(f"value '{value}' of '{name}' cannot be written to corosync.conf")


def _is_token(text: str, *, empty_allowed: bool = False) -> bool:
    if not text:
        return empty_allowed
    return re.search(r"[\s#]|[^\x00-\xff]", text, flags=re.ASCII) is None


def _section(section: Section, name: str) -> Section:
    value = section.get(name)
    return value if isinstance(value, dict) else {}


def _sections(section: Section, name: str) -> dict[str, Section]:
    return {key: value for key, value in _section(section, name).items() if isinstance(value, dict)}
