"""Properties of guests, read from their configurations: the scan and its JSON text (status 7.1, 7.2).

Pure. The cluster asks for ``lock`` and ``tags`` of all guests every few seconds, so what was found in an
unchanged configuration is kept.
"""

from __future__ import annotations

import errno
import re
from collections import OrderedDict
from collections.abc import Generator, Sequence
from functools import lru_cache
from typing import Final

from quorate.pmxcfs.entry import Entry
from quorate.pmxcfs.guests import RegisteredGuest
from quorate.pmxcfs.paths import GUEST_DIRECTORIES
from quorate.pmxcfs.tree import Tree

MAX_KEPT: Final = 4
"""Different lists of properties whose findings are kept. The existing clients ask for two or three."""

PORTION: Final = 16
"""Guests between two points at which the caller may do something else: a fraction of a millisecond."""

MAX_ALTERNATIVES: Final = 8
"""Names that a regular expression looks for. It tries all of them on each line; with more, and a request may
bring 255, it is cheaper to look up what stands before each colon."""

_DIRECTORY_OF: Final = {kind: name for name, kind in GUEST_DIRECTORIES.items()}
_SPACE: Final = b" \t\n\v\f\r"


def scan(text: bytes, names: Sequence[bytes]) -> dict[bytes, bytes]:
    """The values of ``names`` in the current section of a configuration; names without one are missing."""
    return _scan(text, tuple(names))


def item(vmid: int, names: Sequence[bytes], values: dict[bytes, bytes]) -> bytes:
    """The object of one guest."""
    found = b",".join(
        b'"%b": "%b"' % (name, values[name].replace(b"\\", b"\\\\").replace(b'"', b'\\"'))
        for name in names
        if name in values
    )
    return b'"%d":{%b}' % (vmid, found)


class GuestScan:
    """Answers for the guests of one tree after the other; keeps what it found."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[bytes, ...], dict[int, tuple[Entry, int, bytes]]] = OrderedDict()

    def work(self, tree: Tree, vmid: int, names: Sequence[bytes]) -> Generator[None, None, tuple[int, bytes]]:
        """The text for guest ``vmid``, or all for 0; or ENOENT (not in the list), EIO (no configuration).

        In portions: it yields wherever the caller may go on with something else first. Guests that changed
        meanwhile are told as they are when their turn comes.
        """
        wanted = tuple(names)
        if vmid:
            return self._one(tree, vmid, wanted)
        before = self._kept.get(wanted, {})
        kept: dict[int, tuple[Entry, int, bytes]] = {}
        scanned = 0
        for number, guest in list(tree.guests.guests.items()):
            entry = _configuration(tree, number, guest)
            if entry is None:
                continue
            known = before.get(number)
            if known is None or known[0] is not entry or known[1] != entry.version:
                values = _scan(entry.content(), wanted)
                known = (entry, entry.version, item(number, wanted, values) if values else b"")
                scanned += 1
                if scanned % PORTION == 0:
                    yield
            kept[number] = known
        self._kept[wanted] = kept
        self._kept.move_to_end(wanted)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return 0, _text([found for _, _, found in kept.values() if found])

    def _one(self, tree: Tree, vmid: int, wanted: tuple[bytes, ...]) -> tuple[int, bytes]:
        guest = tree.guests.get(vmid)
        if guest is None:
            return -errno.ENOENT, b""
        entry = _configuration(tree, vmid, guest)
        if entry is None:
            return -errno.EIO, b""
        values = _scan(entry.content(), wanted)
        return 0, _text([item(vmid, wanted, values)] if values else [])


def _text(items: list[bytes]) -> bytes:
    return b"{\n" + b",\n".join(items) + b"\n}\n"


def _configuration(tree: Tree, vmid: int, guest: RegisteredGuest) -> Entry | None:
    """The guest's file; None if it is missing or empty."""
    entry: Entry | None = tree.root
    name = b"%d.conf" % vmid
    for part in (b"nodes", guest.node.encode(), _DIRECTORY_OF[guest.type], name):
        if entry is None or entry.children is None:
            return None
        entry = entry.children.get(part)
    return entry if entry is not None and entry.children is None and entry.size else None


def _scan(text: bytes, names: tuple[bytes, ...]) -> dict[bytes, bytes]:
    values: dict[bytes, bytes] = {}
    replaced = 0
    different = frozenset(names)
    longest = max(map(len, different), default=0)
    few = len(different) <= MAX_ALTERNATIVES
    lines = _pattern(names).findall(text) if few else text.split(b"\n")
    for line in lines:
        # "[" ends the scan whatever the names are, and NUL never begins a match.
        if line[:1] == b"[":
            break
        if line[:1] == b"\0":
            continue
        colon = line.find(b":", 0, longest + 1)
        while colon >= 0:
            name = line[:colon]
            if name in different and len(line) >= colon + 2:
                value = _trimmed(line[colon + 1 :])
                if name in values:
                    replaced += 1
                if value:
                    values[name] = value
                else:
                    values.pop(name, None)
            colon = line.find(b":", colon + 1, longest + 1)
        if replaced >= len(names):
            break
    return values


@lru_cache(maxsize=16)
def _pattern(names: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """Lines that may matter: those that begin like a match, and beginnings of sections."""
    starts = b"|".join(re.escape(name) + b":" for name in dict.fromkeys(names))
    return re.compile(rb"^(?:\[|(?!\0)(?:%b))[^\n]*" % starts, re.MULTILINE)


def _trimmed(value: bytes) -> bytes:
    """Without white space around it, keeping one character each time; up to a NUL."""
    start, end = 0, len(value)
    while start < end - 1 and value[start] in _SPACE:
        start += 1
    while end > start + 1 and value[end - 1] in _SPACE:
        end -= 1
    return value[start:end].split(b"\0", 1)[0]
