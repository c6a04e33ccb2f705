"""The inventory names every operation with its permission, and tests that there are (pvecm 6)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from quorate.api.operations import make_router
from tests.callers import calls_of
from tests.inventory import (
    BESIDE,
    MAX_SHOWN,
    PAGE,
    ROOT,
    WALK,
    key_of,
    operations_called,
    permissions_beside,
    render,
)

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


def test_every_operation_is_called_by_a_test_of_its_own() -> None:
    called = operations_called(ROOT / "tests")
    assert [key_of(each) for each in make_router().operations if key_of(each) not in called] == []


def test_what_is_beside_the_operations_is_in_it() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## Beside the operations")[2]
    rows = {
        path: rest for path, *rest in re.findall(r"^\| `(.+?)` \| (.+?) \| (.+?) \|$", table, re.MULTILINE)
    }
    assert {path: cells[0] for path, cells in rows.items()} == permissions_beside(), HINT
    sources = [file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py")]
    for path, (_, cell) in rows.items():
        named = re.findall(r"`(\w+)`", cell)
        assert tuple(named) == BESIDE[path], HINT
        for name in named:
            (body,) = [
                text.partition(f"def {name}(")[2].partition("\ndef test_")[0]
                for text in sources
                if f"def {name}(" in text
            ]
            assert path in body, f"{name} asks for no {path}"


SAMPLE = '''
from proxmoxer import ProxmoxAPI
ONE = "/access/users/{userid}"
TABLE = {"PUT /cluster/options": "a reason"}
def _base(name):
    return f"/nodes/x/tasks/{name}"
def helper(world):
    return world.call("GET /access/tfa")
def test_calls(api, host, world, client, unused):
    """PUT /access/acl is a text."""
    assert "GET /cluster/status" in TABLE
    world.call(f"PUT {ONE}", userid="bob")
    helper(world)
    Api(settings)("GET", "/version")
    host.api("DELETE", _base("upid") + "/log")
    host.request("GET", "/")
    host.request("GET", "/api2/extjs/nodes/x/status")
    for path in ("/pools", f"/pools/{name}"):
        api("GET", path)
    node = client.nodes("n1")
    node.tasks(upid).status.get()
    unused.cluster.status.get()
    router.match("GET", "/cluster/log")
@pytest.mark.parametrize(("path", "status"), [("/cluster/tasks", 200)])
def test_more(api, path, status):
    api.raw("GET", path)
def not_called(api):
    api("GET", "/nodes")
'''


def test_what_counts_as_a_call(tmp_path: Path) -> None:
    file = tmp_path / "test_sample.py"
    file.write_text(SAMPLE)
    found = list(calls_of(file))
    assert {(method, path) for name, method, path in found if name == "test_calls"} == {
        ("PUT", "/access/users/userid"),
        ("GET", "/access/tfa"),
        ("GET", "/version"),
        ("DELETE", "/nodes/x/tasks/x/log"),
        ("GET", "/nodes/x/status"),
        ("GET", "/pools"),
        ("GET", "/pools/x"),
        ("GET", "/nodes/n1/tasks/x/status"),
    }
    assert [call for call in found if call[0] != "test_calls"] == [("test_more", "GET", "/cluster/tasks")]


def test_the_page_is_a_table_for_each_reader() -> None:
    assert render().startswith("# Inventory of the API\n")
