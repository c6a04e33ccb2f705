"""The documents name tests and files: they must exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def _tests() -> set[str]:
    names: set[str] = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        names.add(file.name)
        names.update(re.findall(r"^\s*(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE))
    return names


def _in_code(text: str) -> str:
    return " ".join(re.findall(r"`([^`\n]+)`", text))


def test_named_tests_exist() -> None:
    text = (ROOT / "docs/guarantees.md").read_text()
    named = set(re.findall(r"\btest_\w+(?:\.py)?", _in_code(text)))
    assert len(named) > 10
    assert named - _tests() == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_linked_files_exist(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text())
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_named_paths_of_the_project_exist(document: Path) -> None:
    named = re.findall(r"`((?:tests|docs|src|lab|debian|bench)/[\w./-]+)`", document.read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []
