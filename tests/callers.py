"""Which operations of the API a test calls, read from its source, for the inventory.

What counts is a call of the API: ``api("GET", "/x")`` and the like, ``world.call("GET /x")``, a proxmoxer
chain as ``client.nodes(name).tasks.get()``; in the test itself or in a function of its module that it calls.
Texts in tables, answers of pretended peers and questions to routers are no calls. Values in paths stand for
one part; names get the texts that are assigned to them, loops and parameters those of literal lists.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

Names = dict[str, list[str]]

_METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE"})
_VERBS: Final = {
    "get": "GET",
    "post": "POST",
    "create": "POST",
    "put": "PUT",
    "set": "PUT",
    "delete": "DELETE",
}
_CALLERS: Final = frozenset({"api", "raw", "call", "Api"})
"""Functions that take method and path of the API."""
_REQUESTERS: Final = frozenset({"request"})
"""Functions that take method and path of a URL."""
_WORLD_CALLERS: Final = frozenset({"call", "_refused"})
"""Functions that take ``METHOD /declared/path``, beside the tests' world."""
_CLIENTS: Final = frozenset({"client", "local", "carol", "proxmox", "admin", "node", "remote"})
"""Names that tests give to proxmoxer's objects."""
_FORMAT: Final = re.compile(r"^/api2/\w+(?=/)")
_PLACEHOLDER: Final = "x"


def calls_of(file: Path) -> Iterator[tuple[str, str, str]]:
    """Test, method and path of every call in the tests of a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    proxmoxer = any(
        isinstance(node, ast.ImportFrom) and (node.module or "").startswith("proxmoxer")
        for node in ast.walk(tree)
    )
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    shared = _assigned(tree.body) | _returned(functions.values())
    for name, function in functions.items():
        if name.startswith("test_"):
            for each in _reached(function, functions):
                names = shared | _names_in(each)
                for node in ast.walk(each):
                    if isinstance(node, ast.Call):
                        for method, path in _call(node, names, proxmoxer=proxmoxer):
                            yield name, method, path


def _reached(test: ast.FunctionDef, functions: Mapping[str, ast.FunctionDef]) -> list[ast.FunctionDef]:
    """The test and the functions of its module that it uses, also by others."""
    found = [test]
    for function in found:
        for node in ast.walk(function):
            used = functions.get(node.id) if isinstance(node, ast.Name) else None
            if used is not None and used not in found and not used.name.startswith("test_"):
                found.append(used)
    return found


def _call(node: ast.Call, names: Names, *, proxmoxer: bool) -> Iterator[tuple[str, str]]:
    callee = _name_of(node.func)
    if proxmoxer and isinstance(node.func, ast.Attribute) and node.func.attr in _VERBS:
        path = _chain(node.func.value, names)
        if path is not None:
            yield _VERBS[node.func.attr], path
    if callee in _CALLERS | _REQUESTERS and len(node.args) >= 2:
        for method in _texts(node.args[0], names):
            for path in _texts(node.args[1], names):
                plain = _FORMAT.sub("", path)
                if method in _METHODS and (callee in _CALLERS or plain != path):
                    yield method, plain
    if callee in _WORLD_CALLERS:
        for argument in node.args[:2]:
            for text in _texts(argument, names):
                method, _, path = text.partition(" ")
                if method in _METHODS and path.startswith("/"):
                    yield method, path.replace("{", "").replace("}", "")


def _name_of(callee: ast.expr) -> str:
    if isinstance(callee, ast.Call):  # Api(settings)("GET", ...)
        return _name_of(callee.func)
    if isinstance(callee, ast.Attribute):
        return callee.attr
    return callee.id if isinstance(callee, ast.Name) else ""


def _chain(node: ast.expr, names: Names) -> str | None:
    """The path of ``client.a(b).c``; None for another object's."""
    if isinstance(node, ast.Name):
        if node.id not in _CLIENTS:
            return None
        return names.get(f"{node.id}.", [""])[0]
    if isinstance(node, ast.Attribute):
        before = _chain(node.value, names)
        return None if before is None else f"{before}/{node.attr}"
    if isinstance(node, ast.Call):
        before = _chain(node.func, names)
        if before is None:
            return None
        return before + "".join(f"/{(_texts(each, names) or [_PLACEHOLDER])[0]}" for each in node.args)
    return None


def _names_in(function: ast.FunctionDef) -> Names:
    names = _assigned(ast.walk(function))
    for node in ast.walk(function):
        if isinstance(node, ast.For):
            names |= _bound(node.target, node.iter)
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and _name_of(decorator.func) == "parametrize":
            targets, values = decorator.args[:2]
            if isinstance(targets, ast.Constant):
                elements = [ast.Name(name.strip()) for name in str(targets.value).split(",")]
                names |= _bound(elements[0] if len(elements) == 1 else ast.Tuple(list(elements)), values)
            else:
                texts = [ast.Name(text) for each in getattr(targets, "elts", ()) for text in _texts(each, {})]
                names |= _bound(ast.Tuple(list(texts)), values)
    return names


def _assigned(nodes: Iterable[ast.AST]) -> Names:
    """Names that are assigned a text, and, with a dot behind, those of parts of a client."""
    names: Names = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if texts := _texts(node.value, names):
                names[name] = texts
            elif isinstance(node.value, ast.Call | ast.Attribute) and name in _CLIENTS:
                names[f"{name}."] = [_chain(node.value, names) or ""]
    return names


def _returned(functions: Iterable[ast.FunctionDef]) -> Names:
    """Functions whose only business is to make a text, under their name with parentheses behind."""
    return {
        f"{function.name}()": texts
        for function in functions
        if isinstance(function.body[-1], ast.Return)
        and function.body[-1].value is not None
        and (texts := _texts(function.body[-1].value, {}))
    }


def _bound(target: ast.expr, values: ast.expr) -> Names:
    """What the names of a loop or of parameters stand for, one after the other."""
    names: Names = {}
    for value in values.elts if isinstance(values, ast.Tuple | ast.List) else ():
        if isinstance(target, ast.Name):
            names.setdefault(target.id, []).extend(_texts(value, {}))
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple | ast.List):
            for each, part in zip(target.elts, value.elts, strict=False):
                if isinstance(each, ast.Name):
                    names.setdefault(each.id, []).extend(_texts(part, {}))
    return names


def _texts(node: ast.expr, names: Names) -> list[str]:
    """What a text may be; parts that are not known stand for one part of a path."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.Name):
        return names.get(node.id, [])
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return names.get(f"{node.func.id}()", [])
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [left + right for left in _texts(node.left, names) for right in _texts(node.right, names)]
    if isinstance(node, ast.JoinedStr):
        texts = [""]
        for value in node.values:
            part = value.value if isinstance(value, ast.FormattedValue) else value
            options = _texts(part, names) or [_PLACEHOLDER]
            texts = [text + option for text in texts for option in options]
        return texts
    return []
