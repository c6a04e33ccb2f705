"""The documents name tests and files: they must exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from quorate.api.operations import all_operations
from tests.generated_page import PAGE, operations_on
from tests.inventory import operations_called
from tests.real.generated_calls import WITHOUT_SUCCESS

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


@pytest.mark.parametrize("page", ["guarantees.md", "weaknesses.md"])
def test_named_tests_exist(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    named = set(re.findall(r"\btest_\w+(?:\.py)?", _in_code(text)))
    assert len(named) > 10
    assert named - _tests() == set()


def _weaknesses() -> list[list[str]]:
    lines = (ROOT / "docs/weaknesses.md").read_text().splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if re.match(r"\| [SW]\d", line)
    ]


def test_every_weakness_has_a_remedy_and_a_test() -> None:
    rows = _weaknesses()
    expected = [*(f"W{number}" for number in range(1, 29)), *(f"S{number}" for number in range(1, 21))]
    assert [row[0] for row in rows] == expected
    assert [row[0] for row in rows if len(row) != 4 or not row[2] or "`test_" not in row[3]] == []


def test_code_named_as_a_remedy_exists() -> None:
    sources = {file.stem: file.read_text() for file in (ROOT / "src/quorate/pmxcfs").glob("*.py")}
    wrong = []
    for row in _weaknesses():
        for module, rest in re.findall(r"`([a-z]+)((?:\.\w+)*)`", row[2]):
            names = rest.split(".")[1:]
            if module not in sources or any(
                not re.search(
                    rf"\b(?:class|def) {name}\b|^\s*(?:self\.)?{name}\b.*[:=]", sources[module], re.M
                )
                for name in names
            ):
                wrong.append(f"{row[0]} {module}{rest}")
    assert wrong == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_linked_files_exist(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text())
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_named_paths_of_the_project_exist(document: Path) -> None:
    named = re.findall(r"`((?:tests|docs|src|lab|debian|bench)/[\w./-]+)`", document.read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_page_of_generated_calls_has_every_operation() -> None:
    page = PAGE.read_text(encoding="utf-8")
    declared = sorted(f"{operation.method} {operation.path}" for operation in all_operations())
    assert sorted(operations_on(page)) == declared, "write it anew: see tests/generated_page.py"
    assert f"| operations called | {len(declared)} of {len(declared)} |" in page
    reasons = dict(re.findall(r"^- `(.+?)`: (.+)$", page, re.MULTILINE))
    assert {name: reason for name, reason in reasons.items() if WITHOUT_SUCCESS[name] != reason} == {}


def test_what_is_left_to_the_lab_is_called_there() -> None:
    called = operations_called(ROOT / "tests/lab")
    left = [name for name, reason in WITHOUT_SUCCESS.items() if "the lab's tests do it" in reason]
    assert len(left) > 10
    assert [name for name in left if name not in called] == []
