"""Parameters, envelope, status line, credentials (pvecm 6.1-6.4)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.api.protocol import (
    Credentials,
    Refusal,
    Request,
    check_protocol,
    credentials,
    decode_body,
    decode_form,
    failure,
    merge_parameters,
    one_line,
    parse_address,
    success,
)
from quorate.api.results import Page
from quorate.schema import ApiError, Array, Operation, String


def _operation() -> Operation:
    return Operation(
        method="POST",
        path="/x/{node}",
        name="x",
        description="",
        handler=lambda ctx: None,
        parameters={"node": String(), "many": Array(), "list": String(format="string-list")},
    )


def test_paths_are_decoded_and_collapsed() -> None:
    request = Request("GET", "//api2//json/nodes/n1/tasks/UPID%3An1%3A/?a=b%2Fc", {})
    assert request.path == "/api2/json/nodes/n1/tasks/UPID:n1:"
    assert request.query == "a=b%2Fc"


def test_address() -> None:
    address = parse_address("/api2/json/cluster/config")
    assert address is not None
    assert (address.format, address.path) == ("json", "/cluster/config")
    assert parse_address("/other") is None
    assert parse_address("/") is None
    with pytest.raises(Refusal) as caught:
        parse_address("/api2")
    assert (caught.value.status, caught.value.reason) == (501, "no such uri")


def test_form() -> None:
    assert decode_form("a=1+2&b=%C3%A4;c&a=3") == {"a": ["1 2", "3"], "b": "ä", "c": ""}
    assert decode_form("") == {}
    with pytest.raises(Refusal):
        decode_form("&".join(f"k{n}=1" for n in range(2000)))


@given(st.text(max_size=1000))
def test_short_forms_never_fail(text: str) -> None:
    assert all(isinstance(key, str) for key in decode_form(text))


def test_bodies() -> None:
    assert decode_body({}, b"a=1") == {"a": "1"}
    assert decode_body({"content-type": "application/json; charset=utf-8"}, b'{"a":1}') == {"a": 1}
    for body in (b"{", b"[1]", b"\xff", b"[" * 100_000, b'{"a":' * 20 + b"1" + b"}" * 20):
        with pytest.raises(Refusal) as caught:
            decode_body({"content-type": "application/json"}, body)
        assert caught.value.status == 500
    with pytest.raises(Refusal) as caught:
        decode_body({"content-type": "text/xml"}, b"")
    assert (caught.value.status, caught.value.reason) == (
        506,
        "upload 'Content-Type 'text/xml' not implemented",
    )


def test_query_goes_over_body_and_the_path_over_both() -> None:
    merged = merge_parameters(
        _operation(), {"node": "n1"}, {"a": "body", "b": "1", "_dc": "9"}, {"a": "query", "node": "n1"}
    )
    assert merged == {"a": "query", "b": "1", "node": "n1"}


def test_conflict_with_the_path() -> None:
    with pytest.raises(ApiError) as caught:
        merge_parameters(_operation(), {"node": "n1"}, {"node": "n2"}, {})
    text = "duplicate parameter (already defined in URI) with conflicting values!"
    assert (caught.value.status, caught.value.errors) == (400, {"node": text})


def test_arrays_and_lists() -> None:
    merged = merge_parameters(_operation(), {"node": "n1"}, {"many": "one", "list": ["a", "b"]}, {})
    assert merged == {"node": "n1", "many": ["one"], "list": "a,b"}


@pytest.mark.parametrize(
    ("method", "headers", "lines", "size", "expected"),
    [
        ("PATCH", {}, 1, 10, "method 'PATCH' not available"),
        ("GET", {}, 64, 10, "too many http header lines"),
        ("GET", {}, 1, 8192, "http header too large"),
        ("POST", {"transfer-encoding": "chunked"}, 1, 1, "chunked transfer encoding not supported"),
        ("POST", {"transfer-encoding": "gzip"}, 1, 1, "Unknown transfer encoding 'gzip'"),
        ("POST", {"content-length": "524289"}, 1, 1, "for data too large"),
        ("DELETE", {"content-length": "1"}, 1, 1, "Unexpected content for method 'DELETE'"),
    ],
)
def test_refusals_before_the_body(
    method: str, headers: dict[str, str], lines: int, size: int, expected: str
) -> None:
    with pytest.raises(Refusal) as caught:
        check_protocol(method, headers, lines, size)
    assert (caught.value.status, caught.value.reason) == (501, expected)


def test_what_is_not_refused() -> None:
    check_protocol("DELETE", {"content-length": "0"}, 63, 8191)
    check_protocol("POST", {"content-length": "524288"}, 63, 8191)


def test_success() -> None:
    assert success(None, "json").body == b'{"data":null}'
    assert success({"a": True, "b": [False, "x"]}, "json").body == b'{"data":{"a":1,"b":[0,"x"]}}'
    assert json.loads(success(Page([1], 7), "json").body) == {"data": [1], "total": 7}
    assert json.loads(success(Page([], 0), "extjs").body) == {"data": [], "success": 1}


def test_failure() -> None:
    error = ApiError(400, "Parameter verification failed.", {"a": "wrong"})
    answer = failure(error, "json")
    assert (answer.status, answer.reason) == (400, "Parameter verification failed.")
    assert json.loads(answer.body) == {
        "data": None,
        "message": "Parameter verification failed.\n",
        "errors": {"a": "wrong"},
    }
    extjs = failure(error, "extjs")
    assert extjs.status == 200
    assert json.loads(extjs.body)["status"] == 400


@given(st.text())
def test_reason_is_always_one_printable_line(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert len(line) <= 1024


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, Credentials()),
        ({"cookie": "a=b; PVEAuthCookie=PVE%3Abob; c=d"}, Credentials(ticket="PVE:bob")),
        ({"cookie": "PVEAuthCookie=PVE:bob@pve:1::a+b/c=="}, Credentials(ticket="PVE:bob@pve:1::a+b/c==")),
        ({"authorization": "PVEAuthCookie=PVE:x"}, Credentials(ticket="PVE:x")),
        ({"authorization": "PVEAPIToken=a@pve!t=s"}, Credentials(token="a@pve!t=s")),
        ({"authorization": "PVEAPIToken a@pve!t=s"}, Credentials(token="a@pve!t=s")),
        ({"cookie": "PVEAuthCookie=t", "authorization": "PVEAPIToken=x"}, Credentials(ticket="t")),
        ({"cookie": "NotPVEAuthCookie=t"}, Credentials()),
    ],
)
def test_credentials(headers: dict[str, str], expected: Credentials) -> None:
    assert credentials(headers) == expected
