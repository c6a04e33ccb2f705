"""Declarations as JSON Schema (2020-12): parameters as they are sent, results as they arrive.

Pure. The document around them is `openapi`; what the declarations mean is quorate.schema.
"""

from __future__ import annotations

from collections.abc import Mapping

from quorate.formats import PATTERNS, USER_ID_MAX, USER_ID_MIN
from quorate.schema import (
    AnyValue,
    Array,
    Boolean,
    Integer,
    Null,
    Number,
    Object,
    Parameter,
    PropertyString,
    String,
)

Schema = dict[str, object]


def json_schema(declared: Parameter) -> Schema:
    """The schema of one value. Booleans are the numbers 0 and 1 in both directions."""
    schema = _of_kind(declared)
    if declared.description:
        schema["description"] = declared.description
    if declared.default is not None and not isinstance(declared, PropertyString):
        default = declared.default
        schema["default"] = int(default) if isinstance(default, bool) else default
    if declared.nullable and "type" in schema:
        schema["type"] = [schema["type"], "null"]
        if isinstance(enum := schema.get("enum"), list):
            schema["enum"] = [*enum, None]
    return schema


def object_schema(declared: Mapping[str, Parameter]) -> Schema:
    """All parameters as one object, without any others."""
    schema: Schema = {
        "type": "object",
        "properties": {name: json_schema(parameter) for name, parameter in declared.items()},
        "additionalProperties": False,
    }
    required = sorted(name for name, parameter in declared.items() if not parameter.optional)
    if required:
        schema["required"] = required
    dependent = {name: [other.requires] for name, other in declared.items() if other.requires is not None}
    if dependent:
        schema["dependentRequired"] = dependent
    return schema


def _of_kind(declared: Parameter) -> Schema:
    if isinstance(declared, String):
        return _string(declared)
    if isinstance(declared, Integer | Number):
        schema: Schema = {"type": declared.type_name}
        if declared.minimum is not None:
            schema["minimum"] = declared.minimum
        if declared.maximum is not None:
            schema["maximum"] = declared.maximum
        if declared.unit is not None:
            schema["x-unit"] = declared.unit
        if isinstance(declared, Integer) and declared.enum is not None:
            schema["enum"] = list(declared.enum)
        return schema
    if isinstance(declared, Boolean):
        return {"type": "integer", "enum": [0, 1]}
    if isinstance(declared, PropertyString):
        keys = {name: json_schema(key) for name, key in declared.keys.items()}
        schema = {"type": "string", "format": "property-string", "x-keys": keys}
        if declared.default_key is not None:
            schema["x-default-key"] = declared.default_key
        if declared.max_length is not None:
            schema["maxLength"] = declared.max_length
        return {**schema, "x-typetext": declared.describe_type()}
    if isinstance(declared, Array):
        schema = {"type": "array", "items": json_schema(declared.items)}
        return {**schema, "x-link": declared.link} if declared.link is not None else schema
    if isinstance(declared, Object):
        schema = object_schema(declared.properties)
        if declared.additional is not None:
            free = isinstance(declared.additional, AnyValue)
            schema["additionalProperties"] = True if free else json_schema(declared.additional)
        return schema
    return {"type": "null"} if isinstance(declared, Null) else {}


def _string(declared: String) -> Schema:
    schema: Schema = {"type": "string"}
    if declared.enum is not None:
        schema["enum"] = list(declared.enum)
    if declared.format is not None:
        schema["format"] = declared.format
        if (pattern := PATTERNS.get(declared.format)) is not None:
            schema["pattern"] = _whole(pattern)
        if declared.format == "pve-userid":
            schema |= {"minLength": USER_ID_MIN, "maxLength": USER_ID_MAX}
    if declared.pattern is not None:
        schema["pattern"] = _whole(declared.pattern)
    if declared.min_length is not None:
        schema["minLength"] = declared.min_length
    if declared.max_length is not None:
        schema["maxLength"] = declared.max_length
    return schema


def _whole(pattern: str) -> str:
    return f"^(?:{pattern})$"
