"""Option syntax, error texts and help of a command line (pvecm 1.1 to 1.3)."""

from __future__ import annotations

import pytest

from quorate.cli.options import UsageError, full_help, parse, usage_line
from quorate.schema import Array, Boolean, Integer, Parameter, String, indexed

DECLARED: dict[str, Parameter] = {
    "clustername": String(format="pve-node", max_length=15, description="The name."),
    "nodeid": Integer(minimum=1, optional=True, default=1, description="The id."),
    "force": Boolean(optional=True),
    "fingerprint": String(optional=True),
    **indexed("link", 8, String(optional=True, description="A link.")),
}


def words(text: str) -> dict[str, object]:
    return parse(text.split(), DECLARED, ("clustername",))


@pytest.mark.parametrize(
    "text",
    [
        "c1 -link0 10.0.0.1",
        "c1 --link0 10.0.0.1",
        "-link0=10.0.0.1 c1",
        "--LINK0=10.0.0.1 -- c1",
        "--link0 x c1 --link0 10.0.0.1",
    ],
)
def test_forms_that_mean_the_same(text: str) -> None:
    assert words(text) == {"clustername": "c1", "link0": "10.0.0.1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--force c1", None),
        ("c1 --force", True),
        ("--force 1 c1", True),
        ("--for=off c1", False),
        ("-fo -n 2 c1", True),
    ],
)
def test_booleans_take_an_optional_value(text: str, expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(UsageError, match=r"^unable to parse boolean option$"):
            words(text)
    else:
        assert words(text)["force"] is expected


@pytest.mark.parametrize(
    ("text", "message", "lines"),
    [
        ("", "not enough arguments", []),
        ("a b", "too many arguments", []),
        ("a --link9 x", "unable to parse option", ["Unknown option: link9"]),
        ("a --f 1", "unable to parse option", ["Option f is ambiguous (fingerprint, force)"]),
        ("a --nodeid", "unable to parse option", ["Option nodeid requires an argument"]),
    ],
)
def test_refusals(text: str, message: str, lines: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        words(text)
    assert (refused.value.message, refused.value.lines) == (message, lines)


def test_every_wrong_value_is_named() -> None:
    with pytest.raises(UsageError) as refused:
        words("abcdefghijklmnopq --nodeid 0")
    assert refused.value.message == "Parameter verification failed."
    assert refused.value.details == [
        "clustername: value may only be 15 characters long",
        "nodeid: value must have a minimum value of 1",
    ]


def test_an_array_takes_the_words_that_are_left() -> None:
    declared: dict[str, Parameter] = {
        "extra-args": Array(optional=True),
        "run-command": Boolean(optional=True),
    }
    assert parse(["-run-command", "--", "a", "-b"], declared, ("extra-args",)) == {
        "run-command": True,
        "extra-args": ["a", "-b"],
    }


def test_usage_and_help() -> None:
    assert usage_line("pvecm create", DECLARED, ("clustername",)) == "pvecm create <clustername> [OPTIONS]"
    text = full_help("pvecm create", "Make it.", DECLARED, ("clustername",))
    assert text.startswith(
        "USAGE: pvecm create <clustername> [OPTIONS]\n\n  Make it.\n\n"
        "  <clustername> <string>\n\t     The name.\n\n"
    )
    assert "  --link[n]  <string>\n\t     A link.\n\n" in text
    assert text.count("--link") == 1
    assert "  --nodeid   <integer> (1 - N)   (default=1)\n\t     The id.\n" in text
