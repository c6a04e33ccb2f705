"""Who may import whom (architecture): rules without I/O, one client of the file system's service."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src"

_EDGES = """
asyncio ctypes cffi multiprocessing os pathlib select selectors shutil socket sqlite3 subprocess syslog
tempfile threading time
"""
EDGES = frozenset(_EDGES.split())
"""What reaches the world outside, or waits for it."""

_RULES = """
deadlines dcdb guard guests kvstore life locks logring queues replication requests resolve storerecovery sync
synchronisation transitions tree verification wire
"""
PURE = [
    *(f"quorate.pmxcfs.{name}" for name in _RULES.split()),
    "quorate.api.supervision",
    "quorate.rules",
    "quorate.schema",
]


@cache
def imported(module: str) -> frozenset[str]:
    """All that a module imports when it is loaded, not what is for type checkers alone."""
    return frozenset(_names(ast.parse(_file(module).read_text()).body))


@cache
def used(module: str) -> frozenset[str]:
    """All that a module imports at any time."""
    tree = ast.parse(_file(module).read_text())
    return frozenset(_names([each for each in ast.walk(tree) if isinstance(each, ast.stmt)]))


def _names(body: list[ast.stmt]) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            yield statement.module
            yield from (
                f"{statement.module}.{alias.name}"
                for alias in statement.names
                if _exists(f"{statement.module}.{alias.name}")
            )
        elif isinstance(statement, ast.Try):
            yield from _names(statement.body)


def _path(module: str) -> Path:
    return SRC / module.replace(".", "/")


def _exists(module: str) -> bool:
    return _path(module).with_suffix(".py").exists() or (_path(module) / "__init__.py").exists()


def _file(module: str) -> Path:
    package = _path(module) / "__init__.py"
    return package if package.exists() else _path(module).with_suffix(".py")


def _modules() -> list[str]:
    files = (SRC / "quorate").rglob("*.py")
    return [".".join(file.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__") for file in files]


def reached(module: str) -> dict[str, list[str]]:
    """Everything that loading a module loads of ours or of the edges, and the way there."""
    ways = {module: [module]}
    waiting = [module]
    while waiting:
        here = waiting.pop()
        if not here.startswith("quorate"):
            continue
        for name in imported(here):
            if name not in ways and (name.partition(".")[0] in EDGES or _exists(name)):
                ways[name] = [*ways[here], name]
                waiting.append(name)
    return ways


@pytest.mark.parametrize("module", PURE)
def test_rules_do_no_io(module: str) -> None:
    outside = {name: way for name, way in reached(module).items() if name.partition(".")[0] in EDGES}
    assert outside == {}


@pytest.mark.parametrize("module", ["quorate.fuse", "quorate.corosync", "quorate.ipc"])
def test_protocols_know_nothing_of_the_file_system(module: str) -> None:
    for each in _modules():
        if each == module or each.startswith(f"{module}."):
            assert [name for name in used(each) if name.startswith("quorate.pmxcfs")] == [], each


def test_only_the_client_library_talks_to_the_service() -> None:
    """Everything else asks `quorate.cfs`; the status daemon says with how many connections it does so."""
    talkers = {each for each in _modules() if "quorate.ipc.client" in used(each)}
    inside = {each for each in talkers if each.startswith(("quorate.ipc", "quorate.pmxcfs"))}
    assert talkers - inside == {"quorate.cfs", "quorate.statd.daemon"}


def test_who_uses_the_file_systems_own_modules() -> None:
    """Its commands, and readers of RRD files, whose format it shares."""
    users: dict[str, set[str]] = {}
    for each in _modules():
        names = {name for name in used(each) if name.startswith("quorate.pmxcfs.")}
        if names and not each.startswith("quorate.pmxcfs"):
            users[each] = {name.split(".")[2] for name in names}
    commands = {each for each in users if each.startswith("quorate.cli.")}
    assert commands == {
        "quorate.cli.create_pmxcfs_db",
        "quorate.cli.pmxcfs",
        "quorate.cli.pmxcfs_backup",
        "quorate.cli.pmxcfs_check",
    }
    others = set().union(*(users[each] for each in users.keys() - commands))
    assert others == {"librrd", "rrd", "rrdcached"}
