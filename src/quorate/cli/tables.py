"""Results as people and programs read them: tables, JSON, YAML (pvecm 6.10). Pure: data in, text out."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from quorate.schema import Array, Boolean, Integer, Number, Object, Parameter

OutputFormat = Literal["text", "json", "json-pretty", "yaml"]

_BYTES: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


@dataclass(frozen=True, slots=True)
class Lines:
    """The strokes of a table: corners and crossings from left to right, for its three horizontal lines."""

    top: str
    middle: str
    bottom: str
    dash: str
    bar: str


UNICODE: Final = Lines("┌┬┐", "├┼┤", "└┴┘", "─", "│")
ASCII: Final = Lines("+++", "+++", "+++", "-", "|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a text table looks. ``human``: bytes, times and shares as people write them."""

    border: Lines | None = UNICODE
    header: bool = True
    human: bool = True


def render(data: object, declared: Parameter, form: OutputFormat, style: Style) -> str:
    """The whole output, with its last newline; empty when there is nothing to show as text."""
    if form == "json":
        return json.dumps(data, sort_keys=True, ensure_ascii=False) + "\n"
    if form == "json-pretty":
        return json.dumps(data, sort_keys=True, ensure_ascii=False, indent=3) + "\n"
    if form == "yaml":
        import yaml  # only when asked for: it costs half the start-up

        return str(yaml.safe_dump(data, allow_unicode=True, explicit_start=True))
    return _text(data, declared, style)


def _text(data: object, declared: Parameter, style: Style) -> str:
    if data is None:
        return ""
    if isinstance(data, Mapping):
        properties = declared.properties if isinstance(declared, Object) else {}
        rows = [[str(key), _cell(data[key], properties.get(key), style)] for key in sorted(data)]
        return table(["key", "value"], rows, style)
    if isinstance(data, list):
        items = declared.items if isinstance(declared, Array) else None
        if not all(isinstance(element, Mapping) for element in data):
            return "".join(f"{_cell(element, items, style)}\n" for element in data)
        properties = items.properties if isinstance(items, Object) else {}
        columns = _columns(data, properties)
        rows = [[_cell(row.get(name), properties.get(name), style) for name in columns] for row in data]
        return table(columns, rows, style) if columns else ""
    return f"{_cell(data, declared, style)}\n"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], style: Style) -> str:
    """Rows under their titles; cells of several lines take several lines."""
    shown = [titles, *rows] if style.header else rows
    widths = [
        max((_width(line) for row in shown for line in row[n].split("\n")), default=0)
        for n in range(len(titles))
    ]
    border = style.border
    out: list[str] = []
    if border is not None:
        out.append(_rule(border.top, border.dash, widths))
    if style.header:
        out += _row(titles, widths, border)
        if border is not None:
            out.append(_rule(border.middle, border.dash, widths))
    for number, row in enumerate(rows):
        out += _row(row, widths, border)
        if border is not None and number < len(rows) - 1:
            out.append(_rule(border.middle, border.dash, widths))
    if border is not None:
        out.append(_rule(border.bottom, border.dash, widths))
    return "".join(f"{line}\n" for line in out)


def _columns(rows: Sequence[Mapping[str, object]], properties: Mapping[str, Parameter]) -> list[str]:
    """Properties that every element has come first, then the others; each by name."""
    present = {str(key) for row in rows for key in row}
    always = {name for name in present if name in properties and not properties[name].optional}
    return [*sorted(always), *sorted(present - always)]


def _cell(value: object, declared: Parameter | None, style: Style) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping | list):
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    if style.human and isinstance(value, int | float):
        return _human(value, declared)
    return _printable(str(int(value) if isinstance(value, bool) else value))


def _human(value: float, declared: Parameter | None) -> str:
    unit = declared.unit if isinstance(declared, Integer | Number) else None
    if isinstance(declared, Boolean) or isinstance(value, bool):
        return str(int(value))
    if unit == "bytes":
        return human_bytes(value)
    if unit == "seconds":
        return human_duration(int(value))
    if unit == "epoch":
        return datetime.fromtimestamp(value).astimezone().isoformat(sep=" ", timespec="seconds")
    if unit == "fraction":
        return f"{value * 100:.2f}%"
    return str(value)


def human_bytes(value: float) -> str:
    """``1536`` -> ``1.50 KiB``"""
    for unit in _BYTES[:-1]:
        if abs(value) < 1024:
            return f"{value:.0f} B" if unit == "B" else f"{value:.2f} {unit}"
        value /= 1024
    return f"{value:.2f} {_BYTES[-1]}"


def human_duration(seconds: int) -> str:
    """``93784`` -> ``1d 2h 3m 4s``"""
    parts: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        count, seconds = divmod(seconds, length)
        if count or parts:
            parts.append(f"{count}{unit}")
    return " ".join([*parts, f"{seconds}s"])


def _rule(corners: str, dash: str, widths: Sequence[int]) -> str:
    return corners[0] + corners[1].join(dash * (width + 2) for width in widths) + corners[2]


def _row(cells: Sequence[str], widths: Sequence[int], border: Lines | None) -> list[str]:
    split = [cell.split("\n") for cell in cells]
    height = max(len(lines) for lines in split)
    out = []
    for number in range(height):
        texts = [lines[number] if number < len(lines) else "" for lines in split]
        padded = [text + " " * (width - _width(text)) for text, width in zip(texts, widths, strict=True)]
        if border is None:
            out.append(" ".join(padded).rstrip())
        else:
            out.append(f"{border.bar} {f' {border.bar} '.join(padded)} {border.bar}")
    return out


def _printable(text: str) -> str:
    """Nothing that moves the cursor or colours the screen: texts come from files and other nodes."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
