"""The inventory names every operation with its permission, and tests that there are (pvecm 6)."""

from __future__ import annotations

import re

import pytest

from quorate.api.operations import make_router
from tests.inventory import MAX_SHOWN, PAGE, ROOT, WALK, key_of, operations_called, render

HINT = "write the page anew: python -m tests.inventory"


@pytest.fixture(scope="module")
def rows() -> dict[str, list[str]]:
    """Operation -> permission and tests, as the page has them."""
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith(("| GET", "| POST", "| PUT", "| DELETE")):
            method, path, *rest = (cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|")))
            found[f"{method} {path.strip('`')}"] = rest
    return found


def test_every_operation_and_no_other_is_in_it(rows: dict[str, list[str]]) -> None:
    assert sorted(rows) == sorted(map(key_of, make_router().operations)), HINT


def test_permissions_are_those_of_the_declarations(rows: dict[str, list[str]]) -> None:
    wrong = [
        key_of(operation)
        for operation in make_router().operations
        if rows[key_of(operation)][0].replace("\\|", "|") != operation.permission.text()
    ]
    assert wrong == [], HINT


def test_named_tests_call_the_operation(rows: dict[str, list[str]]) -> None:
    called = operations_called(ROOT / "tests")
    for key, (_, cell) in rows.items():
        named = set(re.findall(r"`([^`]+)`", cell)) - {WALK}
        assert len(named) <= MAX_SHOWN
        assert named <= set(called.get(key, ())), f"{key}: {HINT}"


def test_nearly_every_operation_is_called_by_a_test_of_its_own() -> None:
    called = operations_called(ROOT / "tests")
    missing = [key_of(each) for each in make_router().operations if key_of(each) not in called]
    assert len(missing) <= 6, missing


def test_the_page_is_a_table_for_each_reader() -> None:
    assert render().startswith("# Inventory of the API\n")
