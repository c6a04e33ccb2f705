"""A node's settings file: what is read, what is written, what stays (pvecm 10)."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quorate.nodeconfig import NodeConfig, parse, path_of, shown, write

TEXT = """\
#Rack 4%2C left
#100%25 ours

acme: account=default,domains=a.example;b.example
acmedomain0: n1.example.org,plugin=ddns
future-thing: 7
startall-onboot-delay: 30
wakeonlan: 02:00:00:00:00:01,broadcast-address=10.0.0.255
"""
WITH_UNKNOWN = ["parse error in 'config' - 'future-thing': unknown setting"]


def test_reading() -> None:
    config, warnings = parse(TEXT)
    assert warnings == WITH_UNKNOWN
    assert config.start_delay == 30
    assert config.values["description"] == "Rack 4, left\n100% ours"
    assert config.values["wakeonlan"] == {"mac": "02:00:00:00:00:01", "broadcast-address": "10.0.0.255"}
    assert config.other == {"future-thing": "7"}


def test_writing_keeps_what_is_not_known() -> None:
    config, _ = parse(TEXT)
    assert write(config) == TEXT.replace("%2C", ",")
    assert parse(write(config))[0] == config


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("startall-onboot-delay: 301", "value must have a maximum value of 300"),
        ("startall-onboot-delay: soon", "type check ('integer') failed - got 'soon'"),
        ("wakeonlan: nowhere", "format error\nwakeonlan.mac: value does not match the regex pattern"),
        ("description: x", "unknown setting"),
    ],
)
def test_values_that_are_not_understood_stay_too(line: str, problem: str) -> None:
    config, warnings = parse(f"{line}\n")
    key = line.partition(":")[0]
    assert warnings == [f"parse error in 'config' - '{key}': {problem}"]
    assert config.start_delay == 0
    assert write(config) == f"{line}\n"


def test_nothing_and_garbage() -> None:
    assert parse("") == (NodeConfig(), [])
    assert write(NodeConfig()) == ""
    assert parse("what is this\n") == (NodeConfig(), ["ignore config line: what is this"])
    assert path_of("n1") == "nodes/n1/config"


@example("#")  # an empty description is none
@given(st.text(max_size=200))
def test_any_text_can_be_read_and_what_was_understood_stays(text: str) -> None:
    config, _ = parse(text)
    again, _ = parse(write(config))
    assert again == config


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60))
def test_notes_of_every_kind(text: str) -> None:
    assert parse(write(NodeConfig({"description": text})))[0].values == {"description": text}


def test_shown_as_in_the_file() -> None:
    assert shown("wakeonlan", {"mac": "02:00:00:00:00:01", "bind-interface": "eno1"}) == (
        "02:00:00:00:00:01,bind-interface=eno1"
    )
    assert shown("startall-onboot-delay", 5) == "5"
