"""The API's OpenAPI 3.1 document, made from the declarations alone.

``python -m quorate.api.openapi`` writes it to standard output; the front serves it at /api2/openapi.json.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from typing import Final

from quorate.api.jsonschema import Schema, json_schema, object_schema
from quorate.api.root import API_VERSION
from quorate.rules import WORLD
from quorate.schema import Array, Operation, Parameters

OPENAPI_PATH: Final = "/api2/openapi.json"
_FORM: Final = "application/x-www-form-urlencoded"

_DESCRIPTION: Final = """\
Every path stands below `/api2/json` (or `/api2/extjs`: always status 200, errors in the body).

Parameters come from the path, the query, and for POST and PUT the body, as a form or as JSON. Booleans are
the numbers 0 and 1 in both directions. Errors carry their text in the status line too.

Log in with `POST /access/ticket`: send the ticket as cookie `PVEAuthCookie`, and the token against
cross-site requests as header `CSRFPreventionToken` with every method but GET. Or use an API token:
`Authorization: PVEAPIToken=USER@REALM!NAME=SECRET`.

Beside the operations: `/api2/events` tells what changed (Server-Sent Events), `/metrics` is for
Prometheus."""

_ERROR: Final[Schema] = {
    "type": "object",
    "properties": {
        "data": {"type": "null"},
        "message": {"type": "string", "description": "The whole text, as a person reads it."},
        "errors": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "What is wrong, by the name of the parameter.",
        },
    },
    "required": ["message"],
}
_RESPONSES: Final[Schema] = {
    "Refused": {
        "description": "The parameters are wrong, or the caller may not.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    },
    "Unauthorized": {"description": "No valid credentials, or no valid token against cross-site requests."},
    "Failed": {
        "description": "Any other failure; the status line says which.",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/Error"}},
            "text/plain": {"schema": {"type": "string"}},
        },
    },
}
_SECURITY: Final[Schema] = {
    "ticket": {"type": "apiKey", "in": "cookie", "name": "PVEAuthCookie"},
    "csrf": {"type": "apiKey", "in": "header", "name": "CSRFPreventionToken"},
    "token": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "PVEAPIToken=USER@REALM!NAME=SECRET",
    },
}


def openapi(operations: Iterable[Operation]) -> Schema:
    """The whole document. Raises ValueError when two operations would get the same id."""
    paths: dict[str, dict[str, object]] = {}
    ids: set[str] = set()
    for operation in sorted(operations, key=lambda o: (o.path, o.method)):
        entry = _operation(operation)
        name = str(entry["operationId"])
        if name in ids:
            raise ValueError(f"{operation.method} {operation.path}: operation id '{name}' is taken")
        ids.add(name)
        paths.setdefault(operation.path, {})[operation.method.lower()] = entry
    return {
        "openapi": "3.1.0",
        "info": {"title": "quorate", "version": API_VERSION, "description": _DESCRIPTION},
        "servers": [{"url": "/api2/json"}],
        "paths": paths,
        "components": {
            "schemas": {"Error": _ERROR},
            "responses": _RESPONSES,
            "securitySchemes": _SECURITY,
        },
    }


def operation_id(operation: Operation) -> str:
    """``GET /nodes/{node}/status`` -> ``getNodesNodeStatus``"""
    words = re.findall(r"[A-Za-z0-9]+", operation.path)
    return operation.method.lower() + "".join(word[0].upper() + word[1:] for word in words)


def _operation(operation: Operation) -> Schema:
    in_path = re.findall(r"{([\w-]+)}", operation.path)
    others = {name: p for name, p in operation.parameters.items() if name not in in_path}
    write = operation.method in ("POST", "PUT")
    description = f"{operation.description}\n\nPermission: {operation.permission.text()}"
    if not operation.allow_token:
        description += "\n\nNot with an API token."
    words = [part for part in operation.path.split("/") if part]
    entry: Schema = {
        "operationId": operation_id(operation),
        "summary": operation.description.split(". ")[0].rstrip("."),
        "description": description,
        "tags": [words[0] if words else "root"],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": json_schema(operation.parameters[name])}
            for name in in_path
        ],
        "responses": _responses(operation),
        "security": _security(operation, write or operation.method == "DELETE"),
        "x-permission": operation.permission.describe(),
    }
    if write:
        _add_body(entry, others)
    else:
        entry["parameters"] = [*_listed(entry["parameters"]), *_query(others)]
    if operation.proxyto_node:
        entry["x-runs-on"] = "{node}"
    return entry


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []


def _query(declared: Parameters) -> list[object]:
    return [
        {"name": name, "in": "query", "required": not p.optional, "schema": json_schema(p)}
        for name, p in declared.items()
    ]


def _add_body(entry: Schema, declared: Parameters) -> None:
    if not declared:
        return
    schema = object_schema(declared)
    required = any(not parameter.optional for parameter in declared.values())
    content = {kind: {"schema": schema} for kind in ("application/json", _FORM)}
    entry["requestBody"] = {"required": required, "content": content}


def _responses(operation: Operation) -> Schema:
    result = operation.returns
    properties: Schema = {"data": json_schema(result)}
    if isinstance(result, Array) and result.paged:
        properties["total"] = {"type": "integer", "description": "How many entries there are in all."}
    if isinstance(result, Array) and result.has_changes:
        text = "What waits for being applied, as a unified diff; absent if nothing does."
        properties["changes"] = {"type": "string", "description": text}
    envelope = {"type": "object", "properties": properties, "required": ["data"]}
    content: Schema = {"application/json": {"schema": envelope}}
    if operation.may_be_text:
        content["text/plain"] = {"schema": {"type": "string"}}
    return {
        "200": {"description": "Done.", "content": content},
        "400": {"$ref": "#/components/responses/Refused"},
        "401": {"$ref": "#/components/responses/Unauthorized"},
        "403": {"$ref": "#/components/responses/Refused"},
        "default": {"$ref": "#/components/responses/Failed"},
    }


def _security(operation: Operation, csrf: bool) -> list[dict[str, list[str]]]:
    if operation.permission == WORLD:
        return []
    ticket: dict[str, list[str]] = {"ticket": [], "csrf": []} if csrf else {"ticket": []}
    return [ticket, {"token": []}] if operation.allow_token else [ticket]


def main() -> None:
    from quorate.api.operations import all_operations

    json.dump(openapi(all_operations()), sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
