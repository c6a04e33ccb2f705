"""The inventory of the API: every operation, who may call it, and the tests that call it.

``python -m tests.inventory`` writes docs/reference/inventory.md anew. Operations and permissions come from
the declarations, tests from the calls in their sources: method and path next to each other, or in one text.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from quorate.api.operations import make_router
from quorate.api.router import Router
from quorate.schema import ApiError, Operation

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs/reference/inventory.md"
MAX_SHOWN: Final = 3
"""Tests named for one operation; there may be more."""

WALK: Final = "test_permission_walk.py"
"""Calls every operation as every kind of caller."""

_METHODS: Final = {"GET", "POST", "PUT", "DELETE"}
_VERBS: Final = {"get": "GET", "create": "POST", "set": "PUT", "delete": "DELETE"}
_PLACEHOLDER: Final = "x"

_HEAD: Final = """\
# Inventory of the API

Every operation, who may call it, and tests that call it. Written by `python -m tests.inventory`; the check is
`test_inventory.py`. All of them are also walked as nobody, as every role and through API tokens by
`test_permission_walk.py`, and stand in the OpenAPI document with parameters and results.

| method | path | permission | tests |
|---|---|---|---|
"""


def key_of(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def operations_called(root: Path) -> dict[str, list[str]]:
    """Operation -> names of tests that call it, sorted."""
    router = make_router()
    found: dict[str, set[str]] = {}
    for file in sorted(root.rglob("test_*.py")):
        for name, method, path in _calls(ast.parse(file.read_text(encoding="utf-8"))):
            operation = _operation(router, method, path)
            if operation is not None:
                found.setdefault(key_of(operation), set()).add(name)
    return {key: sorted(names) for key, names in found.items()}


def render() -> str:
    """The page."""
    tests = operations_called(ROOT / "tests")
    operations = sorted(
        make_router().operations,
        key=lambda operation: (operation.path, sorted(_METHODS).index(operation.method)),
    )
    rows = []
    for operation in operations:
        named = tests.get(key_of(operation), [])[:MAX_SHOWN] or [WALK]
        shown = ", ".join(f"`{name}`" for name in named)
        permission = operation.permission.text().replace("|", "\\|")
        rows.append(f"| {operation.method} | `{operation.path}` | {permission} | {shown} |\n")
    return _HEAD + "".join(rows)


def _calls(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """Test, method and path of every call of the API in the tests of a file."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name.startswith("test_"):
            names = _texts_of_names(function)
            for node in [*function.decorator_list, *function.body]:
                for inner in ast.walk(node):
                    for method, path in _pairs(inner, names):
                        yield function.name, method, path


def _texts_of_names(function: ast.AST) -> dict[str, str]:
    """Texts that a test gives names to."""
    return {
        node.targets[0].id: text
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and (text := _text(node.value, {})) is not None
    }


def _pairs(node: ast.AST, names: dict[str, str]) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        method, _, path = node.value.partition(" ")
        if method in _METHODS and path.startswith("/"):
            yield method, path
        return
    if isinstance(node, ast.Call):
        arguments: list[ast.expr] = node.args
    elif isinstance(node, ast.Tuple | ast.List):
        arguments = node.elts
    else:
        return
    texts = [_text(argument, names) for argument in arguments]
    for first, second in itertools.pairwise(texts):
        if first is not None and second is not None and second.startswith("/"):
            verb = first if first in _METHODS else _VERBS.get(first)
            if verb is not None:
                yield verb, second


def _text(node: ast.expr, names: dict[str, str]) -> str | None:
    """A literal, or one with values in it, which stand for one part of a path."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left, names), _text(node.right, names)
        return None if left is None or right is None else left + right
    if isinstance(node, ast.JoinedStr):
        parts = []
        for value in node.values:
            if isinstance(value, ast.FormattedValue):
                parts.append(_text(value.value, names) or _PLACEHOLDER)
            else:
                parts.append(_text(value, names) or "")
        return "".join(parts)
    return None


def _operation(router: Router, method: str, path: str) -> Operation | None:
    plain = re.sub(r"^/api2/\w+", "", path.partition("?")[0])
    plain = plain.replace("{", "").replace("}", "")
    try:
        return router.match(method, plain).operation
    except ApiError:
        return None


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(render(), encoding="utf-8")
