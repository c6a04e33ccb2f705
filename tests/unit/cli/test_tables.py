"""Results as text tables, JSON and YAML."""

from __future__ import annotations

import pytest

from quorate.cli.tables import ASCII, Style, human_bytes, human_duration, render
from quorate.schema import NULL, AnyValue, Array, Integer, Number, Object, String

PLAIN = Style(border=None)


def test_border_in_unicode_and_ascii() -> None:
    rows = [{"a": "x", "b": "two\nlines"}]
    declared = Array(items=AnyValue())
    assert render(rows, declared, "text", Style()) == (
        "┌───┬───────┐\n│ a │ b     │\n├───┼───────┤\n│ x │ two   │\n│   │ lines │\n└───┴───────┘\n"
    )
    assert render({"k": 1}, Object(), "text", Style(border=ASCII, header=False)) == (
        "+---+---+\n| k | 1 |\n+---+---+\n"
    )


def test_properties_that_are_always_there_come_first() -> None:
    declared = Array(items=Object(properties={"z": String(), "a": String(optional=True)}))
    assert render([{"z": "1", "a": "2", "m": "3"}], declared, "text", PLAIN) == "z a m\n1 2 3\n"


def test_scalars_lists_and_nothing() -> None:
    assert render(None, NULL, "text", PLAIN) == ""
    assert render("x\x1b[2J", String(), "text", PLAIN) == "x?[2J\n"
    assert render([1, "b"], Array(), "text", PLAIN) == "1\nb\n"
    assert render([], Array(), "text", PLAIN) == ""
    assert render({"n": {"b": [1]}}, Object(), "text", PLAIN) == 'key value\nn   {"b": [1]}\n'


def test_units() -> None:
    declared = Object(
        properties={
            "mem": Integer(unit="bytes"),
            "up": Integer(unit="seconds"),
            "cpu": Number(unit="fraction"),
        }
    )
    data = {"mem": 1 << 31, "up": 93784, "cpu": 0.125}
    assert render(data, declared, "text", Style(border=None, header=False)) == (
        "cpu 12.50%\nmem 2.00 GiB\nup  1d 2h 3m 4s\n"
    )


@pytest.mark.parametrize(("value", "text"), [(0, "0 B"), (1023, "1023 B"), (1 << 60, "1024.00 PiB")])
def test_bytes(value: int, text: str) -> None:
    assert human_bytes(value) == text


def test_durations() -> None:
    assert (human_duration(0), human_duration(3600)) == ("0s", "1h 0m 0s")


def test_other_formats() -> None:
    data = {"b": [1], "a": "ä"}
    assert render(data, AnyValue(), "json", PLAIN) == '{"a": "ä", "b": [1]}\n'
    assert render(data, AnyValue(), "json-pretty", PLAIN) == '{\n   "a": "ä",\n   "b": [\n      1\n   ]\n}\n'
    assert render(data, AnyValue(), "yaml", PLAIN) == "---\na: ä\nb:\n- 1\n"
