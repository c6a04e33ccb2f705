"""Values of Corosync's maps: bytes to Python and back."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.corosync.cmap import Value, ValueType, decode, encode
from quorate.corosync.errors import CsError

INTEGERS = {
    ValueType.INT8: (-(2**7), 2**7 - 1),
    ValueType.UINT8: (0, 2**8 - 1),
    ValueType.INT16: (-(2**15), 2**15 - 1),
    ValueType.UINT16: (0, 2**16 - 1),
    ValueType.INT32: (-(2**31), 2**31 - 1),
    ValueType.UINT32: (0, 2**32 - 1),
    ValueType.INT64: (-(2**63), 2**63 - 1),
    ValueType.UINT64: (0, 2**64 - 1),
}


@pytest.mark.parametrize(("kind", "limits"), INTEGERS.items())
def test_integers_keep_their_limits(kind: ValueType, limits: tuple[int, int]) -> None:
    assert [decode(kind, encode(kind, value)) for value in limits] == list(limits)
    with pytest.raises(struct.error):
        encode(kind, limits[1] + 1)


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8")))
def test_strings_end_at_the_nul(text: str) -> None:
    assert decode(ValueType.STRING, encode(ValueType.STRING, text) + b"\0") == text


@given(st.binary())
def test_strings_of_any_bytes_survive(data: bytes) -> None:
    value = decode(ValueType.STRING, data)
    assert encode(ValueType.STRING, value) == data.split(b"\0")[0]


@given(st.binary())
def test_binary_is_kept(data: bytes) -> None:
    assert decode(ValueType.BINARY, encode(ValueType.BINARY, data)) == data


@given(st.floats(allow_nan=False))
def test_doubles(value: float) -> None:
    assert decode(ValueType.DOUBLE, encode(ValueType.DOUBLE, value)) == value


@given(st.integers(), st.binary(max_size=10))
def test_nothing_else_comes_out_of_bad_values_than_the_typed_error(kind: int, data: bytes) -> None:
    try:
        value: Value = decode(kind, data)
    except CsError:
        return
    assert isinstance(value, int | float | str | bytes)


def test_text_is_needed_for_a_string() -> None:
    with pytest.raises(TypeError, match="STRING needs str or bytes"):
        encode(ValueType.STRING, 5)
