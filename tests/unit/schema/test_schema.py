"""Texts and conversions of parameters (pvecm section 0)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.schema import (
    NULL,
    UNKNOWN_PARAMETER,
    AnyValue,
    ApiError,
    Array,
    Boolean,
    Context,
    Integer,
    Number,
    Object,
    Operation,
    Parameter,
    PropertyString,
    PropertyStringError,
    String,
    indexed,
    verified,
    verify,
)
from quorate.settings import Settings

MIGRATION = PropertyString(
    default_key="type",
    keys={
        "type": String(enum=("secure", "insecure")),
        "network": String(format="CIDR", optional=True),
        "flag": Boolean(optional=True),
    },
)
LINK = PropertyString(
    default_key="address",
    keys={
        "address": String(format="address", typetext="<IP>"),
        "priority": Integer(minimum=0, maximum=255, optional=True, typetext="<integer>"),
    },
)
FINGERPRINT = String(pattern=r"([A-Fa-f0-9]{2}:){31}[A-Fa-f0-9]{2}")


def text(parameter: Parameter, value: object, *, words: bool = False) -> str | None:
    return verify({"p": value}, {"p": parameter}, words=words)[1].get("p")


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        (Integer(), "x", "type check ('integer') failed - got 'x'"),
        (Boolean(), "on", "type check ('boolean') failed - got 'on'"),
        (Boolean(), 2, "type check ('boolean') failed - got '2'"),
        (Number(), "1.x", "type check ('number') failed - got '1.x'"),
        (Array(), "x", "type check ('array') failed"),
        (FINGERPRINT, "AA:BB", "value does not match the regex pattern"),
        (
            String(enum=("a", "b", "c")),
            "x",
            "value 'x' does not have a value in the enumeration 'a, b, c'",
        ),
        (String(max_length=15), "x" * 16, "value may only be 15 characters long"),
        (String(min_length=5), "x", "value must be at least 5 characters long"),
        (Integer(maximum=255), 256, "value must have a maximum value of 255"),
        (Integer(minimum=1), "0", "value must have a minimum value of 1"),
        (
            String(format="pve-node", max_length=3),
            "a_b_c",
            "invalid format - value does not look like a valid node name\n",
        ),
    ],
)
def test_first_failing_check_gives_the_text(parameter: Parameter, value: object, expected: str) -> None:
    assert text(parameter, value) == expected


def test_all_wrong_parameters_are_named() -> None:
    declared: dict[str, Parameter] = {
        "a": Integer(),
        "b": String(optional=True, requires="c"),
        "c": String(optional=True),
    }
    values, errors = verify({"b": "1", "z": "1"}, declared)
    assert values == {"b": "1"}
    assert errors == {
        "a": "property is missing and it is not optional",
        "c": "missing property required by 'b'",
        "z": "property is not defined in schema and the schema does not allow additional properties",
    }


def test_several_texts_for_one_key_are_joined_by_a_literal_backslash_n() -> None:
    declared: dict[str, Parameter] = {"b": String(requires="c"), "c": String()}
    _, errors = verify({"b": "1"}, declared)
    assert errors["c"] == ("missing property required by 'b'\\nproperty is missing and it is not optional")


@pytest.mark.parametrize(("value", "expected"), [(True, True), (0, False), ("1", True), ("0", False)])
def test_booleans_of_the_api(value: object, expected: bool) -> None:
    assert verify({"p": value}, {"p": Boolean()})[0] == {"p": expected}


@pytest.mark.parametrize("word", ["on", "Yes", "TRUE", "1"])
def test_boolean_words_on_the_command_line(word: str) -> None:
    assert verify({"p": word}, {"p": Boolean()}, words=True)[0] == {"p": True}


def test_lists_are_handed_over_as_lists() -> None:
    assert verify({"p": "100,200;300"}, {"p": String(format="pve-vmid-list")})[0] == {
        "p": ["100", "200", "300"]
    }
    assert text(String(format="pve-vmid-list"), "100,7") == (
        "invalid format - value does not look like a valid VM ID\n"
    )


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("secure,flag=on", {"type": "secure", "flag": True}),
        (",secure,,flag=true", {"type": "secure", "flag": True}),
        ("type=insecure,network=10.0.0.0/8", {"type": "insecure", "network": "10.0.0.0/8"}),
    ],
)
def test_property_strings_are_parsed(given_text: str, expected: dict[str, object]) -> None:
    assert MIGRATION.parse(given_text) == expected


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("flag=1", "format error\ntype: property is missing and it is not optional"),
        ("secure,insecure", "duplicate key in comma-separated list property: type"),
        ("secure,network=", "missing key in comma-separated list property"),
        ("secure,=x", "missing key in comma-separated list property"),
        (
            "secure, flag=1",
            (
                "format error\n flag: property is not defined in schema"
                " and the schema does not allow additional properties"
            ),
        ),
    ],
)
def test_property_strings_are_refused(given_text: str, expected: str) -> None:
    with pytest.raises(PropertyStringError) as refused:
        MIGRATION.parse(given_text)
    assert str(refused.value) == expected


def test_no_default_key() -> None:
    with pytest.raises(
        PropertyStringError, match=r"^value without key, but schema does not define a default key$"
    ):
        PropertyString(keys={"a": String(optional=True)}).parse("x")


def test_the_parameter_is_named_in_the_lines_of_a_property_string() -> None:
    _, errors = verify({"link0": "10.0.0.1,priority=999"}, indexed("link", 8, LINK) | {})
    assert errors["link0"] == (
        "invalid format - format error\nlink0.priority: value must have a maximum value of 255\n"
    )


@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["secure", "insecure"])},
        optional={"network": st.sampled_from(["10.0.0.0/8", "fd00::/64"]), "flag": st.booleans()},
    )
)
def test_a_printed_property_string_parses_to_the_same(values: dict[str, object]) -> None:
    assert MIGRATION.parse(MIGRATION.print(values)) == values


def test_printing_puts_the_default_key_first_and_refuses_commas() -> None:
    assert MIGRATION.print({"flag": True, "type": "secure"}) == "secure,flag=1"
    with pytest.raises(PropertyStringError, match="illegal value with commas for type"):
        MIGRATION.print({"type": "a,b"})


def test_the_type_text_of_a_link() -> None:
    assert LINK.describe_type() == "[address=]<IP> [,priority=<integer>]"
    assert Integer(minimum=1).describe_type() == "<integer> (1 - N)"


def test_an_operation_checks_before_it_runs() -> None:
    operation = Operation(
        method="POST",
        path="/x",
        name="x",
        description="",
        parameters={"token-coefficient": Integer()},
        handler=lambda ctx, token_coefficient: (ctx.user, token_coefficient),
    )
    ctx = Context(settings=Settings(), user="root@pam", node="n1")
    assert operation.call(ctx, {"token-coefficient": "5"}) == ("root@pam", 5)
    with pytest.raises(ApiError) as refused:
        operation.call(ctx, {"token-coefficient": "y"})
    assert (refused.value.status, refused.value.message) == (400, "Parameter verification failed.")
    with pytest.raises(ApiError):
        verified({}, operation.parameters)


def test_objects_of_results_and_parameters() -> None:
    declared = Object(properties={"name": String(), "count": Integer(optional=True)}, additional=None)
    assert declared.check("p", {"name": "a", "count": "3"}) == ({"name": "a", "count": 3}, None)
    assert declared.check("p", {}) == (None, "name: property is missing and it is not optional")
    assert declared.check("p", [])[1] == "type check ('object') failed"
    assert declared.check("p", {"name": "a", "x": 1})[1] == f"x: {UNKNOWN_PARAMETER}"
    free = Object(additional=AnyValue())
    assert free.check("p", {"x": [1]}) == ({"x": [1]}, None)
    assert NULL.check("p", None) == (None, None)
    assert NULL.check("p", 1)[1] == "type check ('null') failed"
