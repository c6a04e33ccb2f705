"""The reference page of the API, made from the declarations. Pure; `quorate.cli.reference` writes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from quorate.schema import Array, Null, Object, Operation, Parameter

_HEAD: Final = """\
# The API's operations

Made from the declarations by `./dev docs`; change those, not this page.

Every path stands below `https://NODE:8006/api2/json` and is a path of `pvesh` as well. The same as a
document for programs is at `/api2/openapi.json`. Parameters in **bold** are mandatory; `node` may be
`localhost`. *root*: runs in the privileged half; *forwarded*: runs on the node that the path names.
"""
_MAX_RESULT: Final = 400
"""Characters of a result's description in a table; the OpenAPI document has all of it."""


def reference(operations: Iterable[Operation]) -> str:
    """The whole page."""
    ordered = sorted(operations, key=lambda operation: (operation.path, operation.method))
    out = [_HEAD]
    for part, members in groupby(ordered, key=_part):
        out.append(f"## {part}\n")
        out += [_entry(operation) for operation in members]
    return "\n".join(out)


def _part(operation: Operation) -> str:
    words = [word for word in operation.path.split("/") if word]
    return f"/{words[0]}" if words else "/"


def _entry(operation: Operation) -> str:
    remarks = [
        *(["root"] if operation.protected else []),
        *(["forwarded"] if operation.proxyto_node else []),
        *([] if operation.allow_token else ["not with API tokens"]),
    ]
    lines = [
        f"### {operation.method} {operation.path}\n",
        operation.description,
        "",
        f"- Permission: {operation.permission.text()}",
    ]
    if remarks:
        lines.append(f"- *{', '.join(remarks)}*")
    lines += [_parameter(name, declared) for name, declared in _grouped(operation)]
    if not isinstance(operation.returns, Null):
        lines.append(f"- Returns: {_shortened(_result(operation.returns))}")
    return "\n".join(lines) + "\n"


def _grouped(operation: Operation) -> Sequence[tuple[str, Parameter]]:
    """Parameters by name; numbered ones of one kind (link0 ... link7) once."""
    found: dict[str, Parameter] = {}
    for name, declared in operation.parameters.items():
        match = re.fullmatch(r"(.*\D)\d+", name)
        alike = match is not None and operation.parameters.get(f"{match[1]}0") is declared
        found.setdefault(f"{match[1]}[n]" if match is not None and alike else name, declared)
    return list(found.items())


def _parameter(name: str, declared: Parameter) -> str:
    shown = f"`{name}`" if declared.optional else f"**`{name}`**"
    default = ""
    if declared.default is not None:
        value = int(declared.default) if isinstance(declared.default, bool) else declared.default
        default = f", default `{value}`"
    text = " ".join(declared.description.split())
    return f"- {shown} `{declared.describe_type()}`{default}{f': {text}' if text else ''}"


def _result(declared: Parameter) -> str:
    if isinstance(declared, Array):
        return f"list of {_result(declared.items)}"
    if isinstance(declared, Object):
        names = [f"`{name}{'?' if p.optional else ''}`" for name, p in declared.properties.items()]
        if declared.additional is not None:
            names.append("...")
        return f"{{{', '.join(names)}}}"
    return declared.type_name


def _shortened(text: str) -> str:
    if len(text) <= _MAX_RESULT:
        return text
    return text[:_MAX_RESULT].rpartition(",")[0] + ", ...}"
