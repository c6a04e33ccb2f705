"""Buffered writes: one message gives what the single writes would have given."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quorate.pmxcfs.pending import MAX_FILE_SIZE, Payload, Pending, acceptable


def apply(content: bytes, payload: Payload) -> bytes:
    """The rules of core 1.12 for a file with data."""
    offset, data, truncate = payload
    end = offset + len(data)
    if not content:
        return bytes(offset) + data if data else bytes(end)
    grown = content + bytes(max(0, end - len(content)))
    if truncate:
        grown = grown[:end]
    return grown[:offset] + data + grown[end:] if data else grown


writes = st.tuples(st.just("write"), st.integers(0, 40), st.binary(min_size=1, max_size=20))
cuts = st.tuples(st.just("cut"), st.integers(0, 60), st.just(b""))


@given(st.binary(max_size=50), st.lists(writes | cuts, max_size=12))
def test_messages_give_the_same_content_as_single_calls(
    content: bytes, calls: list[tuple[str, int, bytes]]
) -> None:
    expected = stored = content
    pending = Pending()
    for kind, number, data in calls:
        for _attempt in range(2):
            done = pending.write(number, data) if kind == "write" else pending.truncate(number)
            if done:
                break
            stored = apply(stored, pending.payload(len(stored)))
            pending = Pending()
        if kind == "write":
            grown = expected + bytes(max(0, number + len(data) - len(expected)))
            expected = grown[:number] + data + grown[number + len(data) :]
        else:
            expected = expected[:number] + bytes(max(0, number - len(expected)))
        if pending.empty:
            assert stored == expected
        else:
            assert pending.over(stored) == expected
            assert pending.size(len(stored)) == len(expected)
    if not pending.empty:
        stored = apply(stored, pending.payload(len(stored)))
    assert stored == expected


def test_many_small_writes_are_one_message() -> None:
    pending = Pending()
    assert pending.truncate(0)
    for number in range(128):
        assert pending.write(number * 4096, bytes([number]) * 4096)
    offset, data, truncate = pending.payload(0)
    assert (offset, len(data), truncate) == (0, 524288, True)


def test_extending_an_empty_file_sends_real_bytes() -> None:
    pending = Pending()
    assert pending.truncate(10)
    payload = pending.payload(0)
    assert payload.data
    assert apply(b"", payload) == bytes(10)


def test_a_gap_is_refused() -> None:
    pending = Pending()
    assert pending.write(0, b"ab")
    assert not pending.write(3, b"c")
    assert pending.payload(0) == Payload(0, b"ab", truncate=False)


def test_requests_that_fit_are_stored() -> None:
    assert acceptable(0, MAX_FILE_SIZE) == MAX_FILE_SIZE
    assert acceptable(1, MAX_FILE_SIZE) == 7 * 131072
    assert acceptable(MAX_FILE_SIZE - 1, 2) == 0
    assert acceptable(2**32, 1) == 0
    assert acceptable(900_000, 300_000) == 131072


def test_a_write_that_the_kernel_cut_anywhere_is_stored_as_if_it_had_not_been() -> None:
    assert acceptable(1044480, 4097, begin=0) == 4096
    assert acceptable(1044480, 4097) == 0
    assert acceptable(900_000, 300_000, begin=100) == 100 + 7 * 131072 - 900_000
    assert acceptable(1_000_000, 300_000, begin=100) == 0
