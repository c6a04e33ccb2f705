"""From method and path to the operation that answers. Built once from the declarations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from quorate.schema import ApiError, Operation


class Match(NamedTuple):
    """An operation and the values of the placeholders in its path."""

    operation: Operation
    parameters: dict[str, str]


class Place(NamedTuple):
    """What stands at a path: its operations by method, and the names or the placeholder below it."""

    operations: dict[str, Operation]
    parameters: dict[str, str]
    names: tuple[str, ...]
    placeholder: str | None

    @property
    def has_children(self) -> bool:
        return bool(self.names) or self.placeholder is not None


@dataclass(slots=True)
class _Node:
    children: dict[str, _Node] = field(default_factory=dict)
    placeholder: tuple[str, _Node] | None = None
    operations: dict[str, Operation] = field(default_factory=dict)


class Router:
    """All operations of the tree. A fixed name goes before a placeholder in the same place."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Node()
        self.operations = tuple(operations)
        for operation in self.operations:
            self._add(operation)

    def match(self, method: str, path: str) -> Match:
        """Raises `ApiError` 501 for what is not there."""
        found = self._walk(path)
        operation = found[0].operations.get(method) if found is not None else None
        if found is None or operation is None:
            raise _not_implemented(method, path)
        return Match(operation, found[1])

    def place(self, path: str) -> Place | None:
        """What stands at a path; None where the tree has nothing."""
        found = self._walk(path)
        if found is None:
            return None
        node, parameters = found
        placeholder = node.placeholder[0] if node.placeholder is not None else None
        return Place(node.operations, parameters, tuple(sorted(node.children)), placeholder)

    def find(self, method: str, template: str) -> Operation:
        """The operation declared for exactly this path template; LookupError if there is none."""
        for operation in self.operations:
            if operation.method == method and operation.path == template:
                return operation
        raise LookupError(f"{method} {template}")

    def _walk(self, path: str) -> tuple[_Node, dict[str, str]] | None:
        node, parameters = self._root, {}
        for part in _parts(path):
            if (child := node.children.get(part)) is not None:
                node = child
            elif node.placeholder is not None:
                name, node = node.placeholder
                parameters[name] = part
            else:
                return None
        return node, parameters

    def _add(self, operation: Operation) -> None:
        node = self._root
        for part in _parts(operation.path):
            if part.startswith("{"):
                name = part[1:-1]
                if node.placeholder is None:
                    node.placeholder = (name, _Node())
                elif node.placeholder[0] != name:
                    raise ValueError(f"{operation.path}: placeholder '{name}' has another name elsewhere")
                node = node.placeholder[1]
            else:
                node = node.children.setdefault(part, _Node())
        if operation.method in node.operations:
            raise ValueError(f"{operation.method} {operation.path} is declared twice")
        node.operations[operation.method] = operation


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _not_implemented(method: str, path: str) -> ApiError:
    return ApiError(501, f"Method '{method} {path}' not implemented")
