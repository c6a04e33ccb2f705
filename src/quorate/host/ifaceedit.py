"""Changing one interface in ``/etc/network/interfaces``: only the lines that must, everything else stays.

A patch says field by field what the interface is to have: a text sets it, None takes it away, a field that is
not named stays. Fields are those of `interfaces`, addresses as ``cidr`` and ``cidr6``. Pure; whether the
result makes sense is judged by `ifacerules`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from quorate.host.ifacefile import Line, Stanza, is_automatic, parse, render
from quorate.host.interfaces import FIELDS, prefix_length

Patch = Mapping[str, str | None]

OPTIONS: Final = {
    "bridge_ports": "bridge-ports",
    "bridge_stp": "bridge-stp",
    "bridge_fd": "bridge-fd",
    "bridge_vlan_aware": "bridge-vlan-aware",
    "bridge_vids": "bridge-vids",
    "slaves": "bond-slaves",
    "bond_miimon": "bond-miimon",
    "bond_mode": "bond-mode",
    "bond-primary": "bond-primary",
    "bond_xmit_hash_policy": "bond-xmit-hash-policy",
    "vlan-id": "vlan-id",
    "vlan-raw-device": "vlan-raw-device",
    "mtu": "mtu",
}
"""Fields that are one option of the file, as a new line is spelled, in the order of a new interface."""
_ADDRESS_KEYS: Final = ("address", "netmask", "broadcast", "network")
"""What goes when an address changes: the others follow from it, and the old ones would be wrong."""
_SUFFIXES: Final = {"": "inet", "6": "inet6"}
_INDENT: Final = "\t"


def defined(text: str) -> set[str]:
    """Every interface that the file configures, also in forms that are left alone."""
    return {stanza.iface for stanza in parse(text) if stanza.iface is not None}


def left_alone(text: str) -> set[str]:
    """Interfaces whose stanzas have a form that is not understood, so that they cannot be changed here."""
    return {s.iface for s in parse(text) if s.iface is not None and s.family is None}


def create(text: str, name: str, patch: Patch, *, automatic: bool) -> str:
    """The text with a new interface at its end."""
    stanzas = parse(text)
    if stanzas:
        _end(stanzas[-1], -1)
        stanzas.append(_stanza("\n"))
    if automatic:
        stanzas.append(_stanza(f"auto {name}\n"))
    stanzas.append(_stanza(f"iface {name} inet manual\n"))
    return change(render(stanzas), name, patch)


def change(text: str, name: str, patch: Patch, *, automatic: bool | None = None) -> str:
    """The text with the patch applied to the interface, which has a stanza. ``automatic``: see `Interface`'s
    ``autostart``; None leaves it."""
    stanzas = parse(text)
    for field in OPTIONS:
        if field in patch:
            _set_option(stanzas, name, field, patch[field])
    for suffix in _SUFFIXES:
        if f"cidr{suffix}" in patch:
            _set_address(stanzas, name, suffix, patch[f"cidr{suffix}"])
        if f"gateway{suffix}" in patch:
            _set_lines(_in_family(stanzas, name, suffix), ("gateway",), "gateway", patch[f"gateway{suffix}"])
        if f"comments{suffix}" in patch:
            _set_comments(_in_family(stanzas, name, suffix), patch[f"comments{suffix}"] or "")
    stanzas = [stanza for stanza in stanzas if stanza.lines]
    if automatic is not None:
        _set_automatic(stanzas, name, automatic)
    return render(stanzas)


def remove(text: str, name: str) -> str:
    """The text without the interface."""
    stanzas = parse(text)
    _forget(stanzas, name, lambda stanza: is_automatic(stanza) or stanza.keyword.startswith("allow-"))
    was_last = bool(stanzas) and stanzas[-1].iface == name
    for stanza in stanzas:
        if stanza.iface == name:
            _drop(stanza)
    left = [stanza for stanza in stanzas if stanza.lines]
    if was_last and left and not left[-1].lines[-1].raw.strip():
        left[-1].lines.pop()  # it kept apart what is gone
    return render(left)


# -- options --------------------------------------------------------------------------------------------


def _of(stanzas: list[Stanza], name: str) -> list[Stanza]:
    return [stanza for stanza in stanzas if stanza.iface == name and stanza.family is not None]


def _in_family(stanzas: list[Stanza], name: str, suffix: str) -> list[Stanza]:
    return [stanza for stanza in _of(stanzas, name) if stanza.family == _SUFFIXES[suffix]]


def _set_option(stanzas: list[Stanza], name: str, field: str, value: str | None) -> None:
    keys = tuple(key for key, known in FIELDS.items() if known == field)
    _set_lines(_of(stanzas, name), keys, OPTIONS[field], value)


def _set_lines(own: list[Stanza], keys: tuple[str, ...], spelling: str, value: str | None) -> None:
    """Have the option once with this value: in the place of the last line that had it, which is the one that
    counts, else behind the other options of the first stanza."""
    found = [(stanza, line) for stanza in own for line in stanza.options if line.key in keys]
    if value is None:
        for stanza, line in found:
            stanza.lines.remove(line)
    elif found:
        stanza, line = found[-1]
        if line.value.split() != value.split():
            _replace(stanza, line, _option(line.words[0], value, _indent(line)))
    elif own:
        _insert(own[0], _option(spelling, value, _indent_of(own[0])))


def _set_address(stanzas: list[Stanza], name: str, suffix: str, cidr: str | None) -> None:
    own = _in_family(stanzas, name, suffix)
    if cidr is None:
        for stanza in own:
            _take_address(stanzas, stanza)
        return
    if not own:
        own = [_new_family(stanzas, name, suffix)]
    holder = next((stanza for stanza in own if _address(stanza) is not None), own[0])
    if holder.method != "static":
        _set_method(holder, "static")
    before = _address(holder)
    if before is None:
        _insert(holder, _option("address", cidr, _indent_of(holder)), first=True)
    elif _cidr(holder, before) != cidr:
        _replace(holder, before, _option(before.words[0], cidr, _indent(before)))
        for line in [line for line in holder.options if line.key in _ADDRESS_KEYS[1:]]:
            holder.lines.remove(line)


def _take_address(stanzas: list[Stanza], stanza: Stanza) -> None:
    """Without its first address; a stanza of the second family that was for nothing else goes."""
    line = _address(stanza)
    if line is None:
        return
    stanza.lines.remove(line)
    if _address(stanza) is not None:
        return  # there are more of them
    for other in [other for other in stanza.options if other.key in (*_ADDRESS_KEYS, "gateway")]:
        stanza.lines.remove(other)
    others = [other for other in _of(stanzas, stanza.iface or "") if other is not stanza]
    if stanza.family == "inet6" and others and not stanza.options and not stanza.comments:
        before = stanzas[stanzas.index(stanza) - 1]
        # The blank line behind it is now that of what stands in front.
        separated = not before.lines or not before.lines[-1].raw.strip()
        stanza.lines[:] = stanza.lines[stanza.end + separated :]
    elif stanza.method == "static":
        _set_method(stanza, "manual")


def _new_family(stanzas: list[Stanza], name: str, suffix: str) -> Stanza:
    """A stanza for the interface's other family: IPv4 before its first one, IPv6 behind its last."""
    own = _of(stanzas, name)
    stanza = _stanza(f"iface {name} {_SUFFIXES[suffix]} static\n")
    if suffix:
        last = own[-1]
        place = stanzas.index(last) + 1
        _end(last, -1)
        # What follows the last one behind a blank line stays in front of what it belongs to.
        stanza.lines += last.lines[last.end :]
        del last.lines[last.end :]
        last.lines.append(Line("\n"))
    else:
        place = stanzas.index(own[0])
        stanza.lines.append(Line("\n"))
    stanzas.insert(place, stanza)
    return stanza


def _address(stanza: Stanza) -> Line | None:
    """The line of the first address, which is the interface's; ifupdown2 allows more."""
    return next((line for line in stanza.options if line.key == "address"), None)


def _cidr(stanza: Stanza, line: Line) -> str:
    """What the address line says together with the netmask's."""
    if "/" in line.value:
        return line.value
    mask = next((other.value for other in stanza.options if other.key == "netmask"), "")
    return f"{line.value}/{prefix_length(mask)}"


def _set_method(stanza: Stanza, method: str) -> None:
    """In the stanza's first line, whatever else stands there."""
    line = stanza.lines[0]
    pattern = rf"(iface\s+\S+\s+{stanza.family}\s+)\S+"
    raw, count = re.subn(pattern, rf"\g<1>{method}", line.raw, count=1)
    text = re.sub(pattern, rf"\g<1>{method}", line.text, count=1)
    # Continued over several lines: written anew on one.
    stanza.lines[0] = Line(raw, text) if count else Line(f"{text}\n", text)


# -- comments and automatic start -----------------------------------------------------------------------


def _set_comments(own: list[Stanza], text: str) -> None:
    if not own:
        return
    wanted = [f"#{line}" for line in text.replace("\r", "").removesuffix("\n").split("\n")] if text else []
    # Some readers go on behind a backslash in comments too.
    wanted = [f"{line} " if line.endswith("\\") else line for line in wanted]
    present = [line.raw.removesuffix("\n").removesuffix("\r") for stanza in own for line in stanza.comments]
    if wanted == present:
        return
    for stanza in own:
        for comment in stanza.comments:
            stanza.lines.remove(comment)
    _end(own[0], own[0].end - 1)
    lines = [Line(f"{line}\n", is_comment=True) for line in wanted]
    own[0].lines[own[0].end : own[0].end] = lines


def _set_automatic(stanzas: list[Stanza], name: str, automatic: bool) -> None:
    named = any(is_automatic(stanza) and name in stanza.words[1:] for stanza in stanzas)
    if automatic and not named:
        place = next(number for number, stanza in enumerate(stanzas) if stanza.iface == name)
        stanzas.insert(place, _stanza(f"auto {name}\n"))
    elif not automatic:
        _forget(stanzas, name, is_automatic)


def _forget(stanzas: list[Stanza], name: str, which: Callable[[Stanza], bool]) -> None:
    """Take the name out of the lists of these stanzas, and a list that is empty then."""
    for stanza in stanzas:
        if not which(stanza) or name not in stanza.words[1:]:
            continue
        line = stanza.lines[0]
        if set(stanza.words[1:]) == {name}:
            # A comment behind it must not become one of the stanza in front.
            apart = len(stanza.lines) > 1 and stanza.lines[1].is_comment
            stanza.lines[:1] = [Line("\n")] if apart else []
            continue
        word = rf"(?<=\s){re.escape(name)}(?=\s|\\|$)"
        raw = re.sub(rf"[ \t]*{word}", "", line.raw)
        said = " ".join(word for word in line.words if word != name)
        again = parse(raw)
        intact = len(again) == 1 and len(again[0].lines) == 1 and again[0].words == said.split()
        stanza.lines[0] = Line(raw, said) if intact else Line(f"{said}\n", said)


# -- lines ----------------------------------------------------------------------------------------------


def _stanza(raw: str) -> Stanza:
    return Stanza([Line(raw, raw.strip())])


def _option(key: str, value: str, indent: str) -> Line:
    text = f"{key} {value}".strip()
    return Line(f"{indent}{text}\n", text)


def _indent(line: Line) -> str:
    return line.raw[: len(line.raw) - len(line.raw.lstrip(" \t"))]


def _indent_of(stanza: Stanza) -> str:
    options = stanza.options
    return _indent(options[-1]) if options else _INDENT


def _replace(stanza: Stanza, line: Line, new: Line) -> None:
    stanza.lines[stanza.lines.index(line)] = new


def _insert(stanza: Stanza, line: Line, *, first: bool = False) -> None:
    """Behind the last option, so that comments stay at the end; or before all others."""
    last = max((number for number, each in enumerate(stanza.lines) if each.text), default=0)
    place = 1 if first else last + 1
    _end(stanza, place - 1)
    stanza.lines.insert(place, line)


def _drop(stanza: Stanza) -> None:
    """Leave nothing of a stanza but comments behind it that are not its own."""
    rest = stanza.lines[stanza.end :]
    stanza.lines[:] = rest if any(line.is_comment for line in rest) else []


def _end(stanza: Stanza, number: int) -> None:
    """Nothing is put behind a line that has no end, as the last one of a file may be."""
    stanza.lines[number] = stanza.lines[number].ended()
