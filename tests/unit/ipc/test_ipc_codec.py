"""The handshake and the headers against recorded bytes (status 6.3, 6.6)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.ipc import codec, operations
from tests.support.ipc_vectors import IPC

HANDSHAKE = IPC["handshake"]


def test_the_address_is_the_recorded_one() -> None:
    assert codec.address("pve2").hex() == IPC["socket_abstract_name_hex"]
    assert len(codec.address("pve2")) == 108


def test_the_recorded_hello() -> None:
    recorded = bytes.fromhex(HANDSHAKE["request_hex"])
    assert codec.pack_hello(1048576) == recorded
    assert codec.unpack_hello(recorded) == HANDSHAKE["request_meaning"]["max_msg_size"]


def test_a_recorded_welcome_is_understood() -> None:
    data = bytearray(HANDSHAKE["response_len"])
    head = bytes.fromhex(HANDSHAKE["response_first_40_bytes_hex"])
    data[: len(head)] = head
    for offset, text in HANDSHAKE["response_strings_at"].items():
        data[int(offset) : int(offset) + len(text)] = text.encode()
    welcome = codec.unpack_welcome(bytes(data))
    assert welcome.error == 0
    assert welcome.transport is codec.Transport.RINGS
    assert welcome.max_message == 1048576
    assert [welcome.request, welcome.response, welcome.event] == list(
        HANDSHAKE["response_strings_at"].values()
    )


def test_our_welcome_and_rejection() -> None:
    welcome = codec.unpack_welcome(codec.pack_welcome(4096, "/run/x/control", "x/qb"))
    assert welcome == (0, codec.Transport.DATAGRAMS, 4096, "/run/x/control", "x/qb", "")
    rejection = codec.unpack_welcome(codec.pack_rejection(HANDSHAKE["rejected_response_error"]))
    assert rejection.error == 1
    assert rejection.max_message == 0


@pytest.mark.parametrize("size", [0, 15, 18, 2**31 - 1, -1])
def test_an_impossible_size_field_is_refused(size: int) -> None:
    data = (1).to_bytes(8, "little") + size.to_bytes(8, "little", signed=True) + b"x"
    with pytest.raises(codec.CodecError, match=r"size field|shorter"):
        codec.unpack_request(data)


def test_a_request_may_be_longer_than_its_size_field_says() -> None:
    assert codec.unpack_request(codec.pack_request(6, b"ab") + b"junk") == (6, 18)


def test_a_name_that_does_not_fit_is_refused() -> None:
    with pytest.raises(codec.CodecError):
        codec.address("x" * 107)
    with pytest.raises(codec.CodecError):
        codec.pack_welcome(1, "x" * 4096, "")


@given(st.binary(max_size=64))
def test_any_bytes_are_refused_or_understood(data: bytes) -> None:
    for unpack in (codec.unpack_hello, codec.unpack_welcome, codec.unpack_request, codec.unpack_response):
        with suppress(codec.CodecError):  # nothing else may come out
            assert unpack(data) is not None


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-200, 0), st.binary(max_size=50))
def test_responses_are_read_as_they_were_written(op: int, error: int, payload: bytes) -> None:
    data = codec.pack_response(op, error, payload)
    assert codec.unpack_response(data) == (op, 24 + len(payload), error)


def test_bodies_refuse_what_they_cannot_carry() -> None:
    with pytest.raises(ValueError, match="255 bytes"):
        operations.set_status("k" * 256, b"")
    with pytest.raises(ValueError, match="NUL"):
        operations.get_config("a\0b")
    with pytest.raises(ValueError, match="254"):
        operations.log(6, "u" * 255, "t", "m")
    with pytest.raises(ValueError, match="properties"):
        operations.guest_properties(0, [])
