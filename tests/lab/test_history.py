"""Two minutes of the history check; ``./dev history`` makes it last for a night (docs/guide/history.md).

Every run has a seed of its own; QUORATE_TEST_HISTORY_SEED gives it one, as it is printed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.history.figures import table
from tests.history.run import ARTIFACTS, new_seed, run

SECONDS = float(os.environ.get("QUORATE_TEST_HISTORY_SECONDS", "120"))
SEED = int(os.environ.get("QUORATE_TEST_HISTORY_SEED") or new_seed())
NO_TRACEBACK = r"\A(?!.*Traceback)"
"""Daemons under the nemesis complain all the time; but none of them fails by an error of its own."""


@pytest.mark.timeout(SECONDS + 600)
def test_a_history_under_faults_keeps_every_promise(
    laboratories: Any, allow_warnings: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    allow_warnings(NO_TRACEBACK)
    keep: Path = ARTIFACTS / "test"
    replay = f"QUORATE_TEST_HISTORY_SEED={SEED} (or: ./dev history --minutes {SECONDS / 60:g} --seed {SEED})"
    with capsys.disabled():
        print(f"\nhistory check: {replay}")
    with laboratories.lab(nodes=3, links=2, boot=[]) as lab:
        result = run(lab, seed=SEED, seconds=SECONDS, keep=keep, report=print)
    print(table(result.figures))
    assert result.findings.violations == [], f"{replay}; everything lies in {keep}"
    figures = result.figures
    assert figures.changes_acknowledged > 10 * SECONDS
    assert figures.converge
    idle = [kind for kind, (_, acknowledged, *_) in figures.by_kind.items() if not acknowledged]
    assert set(idle) <= {"expire", "renew"}  # the answer to the first is never yes (core 7.5)
