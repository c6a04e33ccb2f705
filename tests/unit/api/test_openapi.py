"""The OpenAPI document: valid, complete, and saying what the declarations say."""

from __future__ import annotations

from typing import Any, cast

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from quorate.api.jsonschema import json_schema, object_schema
from quorate.api.openapi import openapi, operation_id
from quorate.api.operations import all_operations
from quorate.rules import WORLD, Check
from quorate.schema import (
    NULL,
    AnyValue,
    Array,
    Boolean,
    Integer,
    Number,
    Object,
    Operation,
    Parameter,
    PropertyString,
    String,
)


def _operation(**more: Any) -> Operation:
    given = {"method": "GET", "path": "/x/{id}", "name": "x", "description": "Show X. More of it."} | more
    return Operation(handler=lambda ctx, **params: None, **given)


def test_document_of_all_operations_is_valid() -> None:
    document = cast(dict[str, Any], openapi(all_operations()))
    OpenAPIV31SpecValidator(document).validate()
    declared = {(operation.method.lower(), operation.path) for operation in all_operations()}
    shown = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert shown == declared


def test_one_operation() -> None:
    operation = _operation(
        method="PUT",
        parameters={"id": String(format="pve-node"), "flag": Boolean(optional=True, default=True)},
        returns=Array(items=Object(properties={"name": String()}), link="{name}", paged=True),
        permission=Check("/x/{id}", ("Sys.Audit",)),
        allow_token=False,
        proxyto_node=True,
    )
    entry = cast(dict[str, Any], openapi([operation]))["paths"]["/x/{id}"]["put"]
    assert entry["operationId"] == "putXId"
    assert entry["summary"] == "Show X"
    assert "Permission: Sys.Audit on /x/{id}" in entry["description"]
    assert "Not with an API token." in entry["description"]
    assert entry["security"] == [{"ticket": [], "csrf": []}]
    assert [(p["name"], p["in"], p["required"]) for p in entry["parameters"]] == [("id", "path", True)]
    assert entry["requestBody"]["required"] is False
    assert entry["requestBody"]["content"]["application/json"]["schema"] == {
        "type": "object",
        "properties": {"flag": {"type": "integer", "enum": [0, 1], "default": 1}},
        "additionalProperties": False,
    }
    envelope = entry["responses"]["200"]["content"]["application/json"]["schema"]
    assert set(envelope["properties"]) == {"data", "total"}
    assert envelope["properties"]["data"]["x-link"] == "{name}"
    assert entry["x-runs-on"] == "{node}"


def test_what_may_come_as_a_text() -> None:
    document = cast(dict[str, Any], openapi(all_operations()))
    texts = {
        path: entry["responses"]["200"]["content"]["text/plain"]
        for path, methods in document["paths"].items()
        for entry in methods.values()
        if "text/plain" in entry["responses"]["200"]["content"]
    }
    assert texts == {"/nodes/{node}/tasks/{upid}/log": {"schema": {"type": "string"}}}  # with 'download'


def test_query_and_open_operations() -> None:
    operation = _operation(
        path="/x", parameters={"type": String(enum=("a", "b"), optional=True)}, permission=WORLD
    )
    entry = cast(dict[str, Any], openapi([operation]))["paths"]["/x"]["get"]
    assert entry["security"] == []
    assert entry["parameters"] == [
        {
            "name": "type",
            "in": "query",
            "required": False,
            "schema": {"type": "string", "enum": ["a", "b"]},
        }
    ]
    assert "requestBody" not in entry


def test_operations_that_would_share_an_id_are_refused() -> None:
    twice = [_operation(path="/a/{b}", parameters={"b": String()}), _operation(path="/a/b")]
    assert operation_id(twice[0]) == operation_id(twice[1])
    with pytest.raises(ValueError, match="is taken"):
        openapi(twice)


@pytest.mark.parametrize(
    ("declared", "schema"),
    [
        (NULL, {"type": "null"}),
        (AnyValue(), {}),
        (Integer(minimum=1, maximum=9), {"type": "integer", "minimum": 1, "maximum": 9}),
        (Integer(enum=(1, 2), nullable=True), {"type": ["integer", "null"], "enum": [1, 2, None]}),
        (Number(minimum=0.5, description="D"), {"type": "number", "minimum": 0.5, "description": "D"}),
        (
            String(pattern="a+", min_length=1, max_length=2),
            {"type": "string", "pattern": "^(?:a+)$", "minLength": 1, "maxLength": 2},
        ),
        (
            String(format="pve-vmid-list"),
            {"type": "string", "format": "pve-vmid-list"},
        ),
        (
            Object(properties={"a": String()}, additional=Integer()),
            {
                "type": "object",
                "properties": {"a": {"type": "string"}},
                "additionalProperties": {"type": "integer"},
                "required": ["a"],
            },
        ),
        (
            Object(additional=AnyValue()),
            {"type": "object", "properties": {}, "additionalProperties": True},
        ),
        (
            PropertyString(default_key="a", keys={"a": String()}, max_length=9),
            {
                "type": "string",
                "format": "property-string",
                "x-keys": {"a": {"type": "string"}},
                "x-default-key": "a",
                "maxLength": 9,
                "x-typetext": "[a=]<string>",
            },
        ),
    ],
)
def test_json_schema(declared: Parameter, schema: dict[str, object]) -> None:
    assert json_schema(declared) == schema


def test_formats_become_patterns_and_dependencies_are_kept() -> None:
    assert json_schema(String(format="pve-vmid"))["pattern"] == "^(?:[1-9][0-9]{2,8})$"
    declared = {"a": String(optional=True, requires="b"), "b": String(optional=True)}
    assert object_schema(declared)["dependentRequired"] == {"a": ["b"]}
