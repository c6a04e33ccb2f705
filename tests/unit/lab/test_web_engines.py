"""The web interface's tools run on the Node.js that Debian 12 brings, and on newer ones (decision 44)."""

from __future__ import annotations

import json
import re

import pytest

from lab.web import OLDEST_NODE, WEB

NODES = [(18, 20, 4), (20, 20, 2), (22, 20, 0)]
"""Debian 12's, and those that developers have."""

Version = tuple[int, int, int]


def satisfies(version: Version, ranges: str) -> bool:
    """npm's ranges, as far as package-lock.json uses them: ``^1.2 || >=3``, ``16 || 14 >=14.17``."""
    return any(
        all(_fits(version, *part) for part in re.findall(r"([\^~]|[<>]=?|)\s*v?([\d*][\d.x*]*)", each))
        for each in ranges.split("||")
    )


def _fits(version: Version, operator: str, bound: str) -> bool:
    given = [int(part) for part in bound.split(".") if part.isdigit()]
    lowest: Version = (*given, 0, 0, 0)[:3]  # type: ignore[assignment]
    match operator:
        case ">=":
            return version >= lowest
        case ">":
            return version > lowest
        case "<":
            return version < lowest
        case "<=":
            return version <= lowest
        case "^":
            return version >= lowest and version[0] == lowest[0]
        case "~":
            return version >= lowest and version[:2] == lowest[:2]
    return list(version[: len(given)]) == given


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ("^18.18.0 || ^20.9.0 || >=21.1.0", True),
        ("^22.20 || ^24.12 || >=25", False),
        ("16 || 14 >=14.17 || 18 >=18.20", True),
        (">= 19", False),
        (">=18.17.0 <18.20", False),
        ("*", True),
        ("18.x", True),
        ("~18.19.0", False),
    ],
)
def test_ranges_are_read_as_npm_does(ranges: str, expected: bool) -> None:
    assert satisfies((18, 20, 4), ranges) is expected


@pytest.mark.parametrize("node", NODES, ids=str)
def test_every_pinned_package_runs_on_it(node: Version) -> None:
    packages = json.loads((WEB / "package-lock.json").read_text())["packages"]
    refusing = {
        name: package["engines"]["node"]
        for name, package in packages.items()
        if "node" in package.get("engines", {})
        and not package.get("optional")  # npm leaves out what does not fit
        and not satisfies(node, package["engines"]["node"])
    }
    assert refusing == {}


def test_the_oldest_node_is_the_declared_one() -> None:
    engines = json.loads((WEB / "package.json").read_text())["engines"]
    assert engines["node"] == f">={'.'.join(map(str, OLDEST_NODE))}"
