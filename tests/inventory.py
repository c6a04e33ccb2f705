"""The inventory of the API: every operation, who may call it, and the tests that call it.

``python -m tests.inventory`` writes docs/reference/inventory.md anew. Operations and permissions come from
the declarations, tests from the calls in their sources (`callers`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from quorate.api.changes import TOPICS
from quorate.api.events import EVENTS_PATH
from quorate.api.front import METRICS_PATH
from quorate.api.openapi import OPENAPI_PATH
from quorate.api.operations import make_router
from quorate.api.router import Router
from quorate.rules import ALL, WORLD
from quorate.schema import ApiError, Operation
from tests.callers import calls_of

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs/reference/inventory.md"
MAX_SHOWN: Final = 3
"""Tests named for one operation; there may be more."""

WALK: Final = "test_permission_walk.py"
"""Calls every operation as every kind of caller."""

BESIDE: Final = {
    METRICS_PATH: ("test_metrics_with_a_token", "test_metrics_with_a_link_down"),
    EVENTS_PATH: ("test_events_greet_and_beat", "test_events_of_a_change_on_another_node"),
    OPENAPI_PATH: ("test_the_document_is_served",),
}
"""What the front answers with GET beside the operations, and tests of it."""

_ORDER: Final = ("DELETE", "GET", "POST", "PUT")

_HEAD: Final = """\
# Inventory of the API

Every operation, who may call it, and tests that call it. Written by `python -m tests.inventory`; the check is
`test_inventory.py`. All of them are also walked as nobody, as every role and through API tokens by
`test_permission_walk.py`, and stand in the OpenAPI document with parameters and results.

| method | path | permission | tests |
|---|---|---|---|
"""

_HEAD_BESIDE: Final = """
## Beside the operations

What the front answers itself, with GET and outside the formats of `/api2/FORMAT`.

| path | permission | tests |
|---|---|---|
"""


def key_of(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def operations_called(root: Path) -> dict[str, list[str]]:
    """Operation -> names of tests that call it, sorted."""
    router = make_router()
    found: dict[str, set[str]] = {}
    for file in sorted(root.rglob("test_*.py")):
        for name, method, path in calls_of(file):
            operation = _operation(router, method, path)
            if operation is not None:
                found.setdefault(key_of(operation), set()).add(name)
    return {key: sorted(names) for key, names in found.items()}


def render() -> str:
    """The page."""
    tests = operations_called(ROOT / "tests")
    operations = sorted(
        make_router().operations,
        key=lambda operation: (operation.path, _ORDER.index(operation.method)),
    )
    rows, beside = [], []
    for operation in operations:
        named = tests.get(key_of(operation), [])[:MAX_SHOWN] or [WALK]
        shown = ", ".join(f"`{name}`" for name in named)
        permission = operation.permission.text().replace("|", "\\|")
        rows.append(f"| {operation.method} | `{operation.path}` | {permission} | {shown} |\n")
    permissions = permissions_beside()
    for path, names in BESIDE.items():
        shown = ", ".join(f"`{name}`" for name in names)
        beside.append(f"| `{path}` | {permissions[path]} | {shown} |\n")
    return "".join([_HEAD, *rows, _HEAD_BESIDE, *beside])


def permissions_beside() -> dict[str, str]:
    """Who gets what `BESIDE` names, by the declarations that the front asks."""
    rules: dict[str, list[str]] = {}
    for topic, rule in TOPICS.items():
        rules.setdefault(rule.text().rstrip("."), []).append(topic)
    topics = "; ".join(f"{', '.join(sorted(names))}: {text}" for text, names in sorted(rules.items()))
    return {
        METRICS_PATH: make_router().find("GET", "/nodes/{node}/metrics").permission.text(),
        EVENTS_PATH: f"{ALL.text()} What is told, by topic: {topics}",
        OPENAPI_PATH: WORLD.text(),
    }


def _operation(router: Router, method: str, path: str) -> Operation | None:
    try:
        return router.match(method, path.partition("?")[0]).operation
    except ApiError:
        return None


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(render(), encoding="utf-8")
