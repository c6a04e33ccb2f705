"""Two minutes of the history check; ``./dev history`` makes it last for a night (docs/guide/history.md)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.history.figures import table
from tests.history.run import ARTIFACTS, run

SECONDS = float(os.environ.get("QUORATE_TEST_HISTORY_SECONDS", "120"))
SEED = int(os.environ.get("QUORATE_TEST_HISTORY_SEED", "4"))
NO_TRACEBACK = r"\A(?!.*Traceback)"
"""Daemons under the nemesis complain all the time; but none of them fails by an error of its own."""


@pytest.mark.timeout(SECONDS + 600)
def test_a_history_under_faults_keeps_every_promise(
    laboratories: Any, allow_warnings: Callable[[str], None]
) -> None:
    allow_warnings(NO_TRACEBACK)
    keep: Path = ARTIFACTS / "test"
    with laboratories.lab(nodes=3, links=2, boot=[]) as lab:
        result = run(lab, seed=SEED, seconds=SECONDS, keep=keep, report=print)
    print(table(result.figures))
    assert result.findings.violations == [], f"everything lies in {keep}"
    figures = result.figures
    assert figures.changes_acknowledged > 10 * SECONDS
    assert sum(figures.faults.values()) > SECONDS / 30
    assert figures.converge
    idle = [kind for kind, (_, acknowledged, *_) in figures.by_kind.items() if not acknowledged]
    assert set(idle) <= {"expire", "renew"}  # the answer to the first is never yes (core 7.5)
