"""What ./dev test tries again, and what it never does."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest

from lab import checks
from lab.setup import ROOT

OTHER = "tests/lab/test_statd.py::test_lists_of_tasks_are_told"
PART = ("pytest", "-v", "somewhere")


class Runs:
    """Programs that end as the test wants it; what pytest remembers of its failures."""

    def __init__(self, root: Path, failed: Sequence[str], codes: Sequence[int]) -> None:
        self.calls: list[Sequence[str]] = []
        self._codes = list(codes)
        cache = root / ".pytest_cache/v/cache"
        cache.mkdir(parents=True)
        (cache / "lastfailed").write_text(json.dumps(dict.fromkeys(failed, True)))
        for test in failed:
            if "::" in test:
                file = root / test.partition("::")[0]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()

    def __call__(self, argv: Sequence[str], output: IO[bytes] | None = None) -> int:
        self.calls.append(argv)
        return self._codes[len(self.calls) - 1]


def run(monkeypatch: pytest.MonkeyPatch, root: Path, failed: Sequence[str], *codes: int) -> tuple[int, int]:
    """The exit status, and how often something was run."""
    runs = Runs(root, failed, codes)
    monkeypatch.setattr(checks, "ROOT", root)
    monkeypatch.setattr(checks, "_run", runs)
    part = "on this machine" if failed[-1].startswith("tests/real") else "on several nodes"
    return checks._run_all([(part, PART)]), len(runs.calls)


def test_what_depends_on_load_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, tmp_path, [OTHER], 1, 0) == (0, 2)


def test_and_fails_when_it_fails_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, tmp_path, [OTHER], 1, 1) == (1, 2)


def test_only_what_is_of_this_part_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """pytest also remembers what failed in other parts, and a worker that died."""
    stale = ["gw0", "tests/unit/test_documents.py::test_x"]
    assert run(monkeypatch, tmp_path, [OTHER, *stale], 1, 0) == (0, 2)


def test_without_anything_to_try_again_it_has_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, tmp_path, ["gw0"], 1) == (1, 1)


@pytest.mark.parametrize("test", checks.NEVER_RETRIED)
def test_a_broken_promise_is_final(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, test: str) -> None:
    assert run(monkeypatch, tmp_path, [OTHER, f"{test}[1]"], 1) == (1, 1)


@pytest.mark.parametrize("test", checks.NEVER_RETRIED)
def test_these_tests_exist(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text()


def test_parts_run_beside_each_other_are_shown_in_their_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = threading.Event()

    def run(argv: Sequence[str], output: IO[bytes] | None = None) -> int:
        if output is None:
            assert begun.wait(60), "the part beside did not begin before this one ended"
            print(f"said by {argv[0]}")
            return 0
        begun.set()
        output.write(f"said by {argv[0]}\n".encode())
        return int(argv[0] == "broken")

    monkeypatch.setattr(checks, "LOGS", tmp_path)
    monkeypatch.setattr(checks, "_run", run)
    parts = (("unit", ("pytest",)), ("web: lint", ("broken",)), ("web: types", ("tsc",)))
    assert checks._run_all(parts) == 1
    told = [line for line in capsys.readouterr().out.splitlines() if line]
    assert told[:6] == [
        "== unit: pytest",
        "said by pytest",
        "== web: lint: broken",
        "said by broken",
        "== web: types: tsc",
        "said by tsc",
    ]
    assert [line.split()[0] for line in told[7:]] == ["passed", "failed", "passed"]
