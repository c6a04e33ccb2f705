"""datacenter.cfg: what is read, what is written, what is refused (pvecm 8)."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.datacenter import MAX_TEXT, OPTIONS, DatacenterError, consent_text, parse, shown, write
from quorate.schema import Boolean, Integer, Number, Parameter, PropertyString, String

_WORD = st.from_regex(r"[a-z][a-z0-9.]{0,8}", fullmatch=True)
_PATTERNS: dict[str, st.SearchStrategy[str]] = {
    "http_proxy": _WORD.map(lambda word: f"http://{word}:3128"),
    "email_from": _WORD.map(lambda word: f"{word}@example.org"),
    "mac_prefix": st.sampled_from(["BC:24:12", "02:00", "0A:0b:0c:d"]),
    "registered-tags": st.lists(_WORD, min_size=1, max_size=3).map(";".join),
    "user-allow-list": st.lists(_WORD, min_size=1, max_size=3).map(";".join),
    "color-map": _WORD.map(lambda word: f"{word}:00ff00:AABBCC"),
    "network": st.sampled_from(["10.0.0.0/8", "fd00::/64"]),
}


def _value(name: str, parameter: Parameter) -> st.SearchStrategy[object]:
    if isinstance(parameter, PropertyString):
        keys = parameter.keys
        return st.fixed_dictionaries(
            {key: _value(key, kind) for key, kind in keys.items() if not kind.optional},
            optional={key: _value(key, kind) for key, kind in keys.items() if kind.optional},
        ).filter(bool)
    if isinstance(parameter, Boolean):
        return st.booleans()
    if isinstance(parameter, Integer):
        return st.integers(1, 10**9)
    if isinstance(parameter, Number):
        low, high = parameter.minimum or 0, parameter.maximum or 10**6
        return st.integers(int(low), int(high)).map(float) | st.floats(float(low), float(high)).map(abs)
    assert isinstance(parameter, String)
    if parameter.enum is not None:
        return st.sampled_from([value for value in parameter.enum if value != "applet"])
    if name == "description":
        return st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
    return _PATTERNS.get(name, _WORD)


_STORED = {key: value for key, value in OPTIONS.items() if key not in ("migration_unsecure", "next-id")}
OPTIONS_SETS = st.fixed_dictionaries(
    {}, optional={key: _value(key, parameter) for key, parameter in _STORED.items()}
)


@given(OPTIONS_SETS)
def test_what_was_written_is_read_again(options: dict[str, object]) -> None:
    found, warnings = parse(write(options))
    assert found == options
    assert warnings == []
    assert write(found) == write(options)


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    found, _ = parse(text)
    assert parse(write(found))[0] == found


def test_an_empty_comment_is_no_description() -> None:
    assert parse("#\n") == ({}, [])
    assert parse("#\n#\n")[0] == {"description": "\n"}


def test_the_file_of_the_manual() -> None:
    text = "migration: secure,network=10.1.2.0/24\nnext-id: upper=300,lower=200\nconsole: applet\n\n"
    options, warnings = parse(text)
    assert warnings == []
    assert options["migration"] == {"type": "secure", "network": "10.1.2.0/24"}
    expected = "console: html5\nmigration: secure,network=10.1.2.0/24\nnext-id: lower=200,upper=300\n"
    assert write(options) == expected


def test_description_is_comment_lines_above_all() -> None:
    text = write({"keyboard": "de", "description": "50% of\n\nall\n"})
    assert text == "#50%25 of\n#\n#all\n#\n\nkeyboard: de\n"
    assert parse(text)[0] == {"keyboard": "de", "description": "50% of\n\nall\n"}


@pytest.mark.parametrize(
    ("line", "warning"),
    [
        ("keyboard: xx", "parse error in 'datacenter.cfg' - 'keyboard': value 'xx' does not have a value in"),
        ("future: 1", "parse error in 'datacenter.cfg' - 'future': property is not defined in schema"),
        ("migration: network=10.0.0.0/8", "parse error in 'datacenter.cfg' - 'migration': format error"),
        ("crs:", "parse error in 'datacenter.cfg' - 'crs': empty value"),
        ("no colon here", "ignore config line: no colon here"),
        ("max_workers: 0", "parse error in 'datacenter.cfg' - 'max_workers': value must have a minimum"),
    ],
)
def test_what_is_wrong_is_dropped_with_a_warning(line: str, warning: str) -> None:
    options, warnings = parse(f"{line}\nlanguage: de\n")
    assert options == {"language": "de"}
    assert [text.startswith(warning) for text in warnings] == [True]


def test_the_old_migration_option_becomes_the_new_one() -> None:
    assert parse("migration_unsecure: yes\n")[0] == {"migration": {"type": "insecure"}}
    both, warnings = parse("migration_unsecure: 1\nmigration: secure\n")
    assert both == {"migration": {"type": "secure"}}
    assert len(warnings) == 1
    assert write({"migration_unsecure": False}) == "migration: secure\n"


def test_default_mac_prefix_is_told_and_not_written() -> None:
    assert write({"mac_prefix": "bc:24:11"}) == ""
    assert shown({}) == {"mac_prefix": "BC:24:11"}


@pytest.mark.parametrize("given", [{"lower": 300, "upper": 200}, {"lower": 2_000_000}, {"upper": 50}])
def test_range_of_ids_must_not_be_reversed(given: dict[str, int]) -> None:
    with pytest.raises(DatacenterError, match=r"^lower \(\d+\) <= upper \(\d+\) boundary rule broken$"):
        write({"next-id": given})


def test_nested_options_are_objects_of_texts() -> None:
    text = (
        "next-id: lower=200\ntag-style: case-sensitive=1,shape=full\nregistered-tags: a;b\n"
        "user-tag-access: user-allow=list,user-allow-list=x;y\nbwlimit: migration=1024,default=0.5\n"
        "max_workers: 7\n"
    )
    assert shown(parse(text)[0]) == {
        "mac_prefix": "BC:24:11",
        "next-id": {"lower": "200"},
        "tag-style": {"case-sensitive": True, "shape": "full"},
        "registered-tags": ["a", "b"],
        "user-tag-access": {"user-allow": "list", "user-allow-list": ["x", "y"]},
        "bwlimit": "default=0.5,migration=1024",
        "max_workers": "7",  # as every value of a file (pvecm 6.3)
    }


# -- the text before the login --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        (base64.b64encode("Nur für Befugte.\r\n\tDanke. ".encode()).decode(), "Nur für Befugte.\n\tDanke."),
        ("Authorised users only!", "Authorised users only!"),  # no Base64: written by hand
        (base64.b64encode(b"\xff\xfe").decode(), "//4="),  # Base64, but of no text
        (base64.b64encode(b"a\x00\x1b[31mb\x7f").decode(), "a[31mb"),
        (base64.b64encode(b" \n\x07").decode(), ""),
        (base64.b64encode(b"<script>&amp;").decode(), "<script>&amp;"),  # who shows it escapes it
    ],
)
def test_the_consent_text_is_plain_text(stored: str, text: str) -> None:
    assert consent_text({"consent-text": stored}) == text


def test_without_or_with_too_long_a_consent_text_there_is_none() -> None:
    assert consent_text({}) == ""
    options, warnings = parse(f"consent-text: {'QUJD' * (MAX_TEXT // 4 + 1)}\n")
    assert consent_text(options) == ""
    assert len(warnings) == 1
    longest, _ = parse(f"consent-text: {'QUJD' * (MAX_TEXT // 4)}\n")
    assert len(consent_text(longest)) == MAX_TEXT * 3 // 4


@given(st.text(max_size=300))
def test_any_consent_text_is_short_and_without_control_characters(stored: str) -> None:
    text = consent_text({"consent-text": stored})
    assert len(text) <= MAX_TEXT
    assert not [letter for letter in text if ord(letter) < 32 and letter not in "\n\t"]
