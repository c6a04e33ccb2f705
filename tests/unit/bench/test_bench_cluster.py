"""Waiting until a lab rests, by a clock and a lab of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from bench import cluster

if TYPE_CHECKING:
    from lab import Lab


@dataclass
class Busy:
    """A lab of three nodes, and its time. ``share``: processors in use at a time."""

    share: Callable[[float], float]
    now: float = 100.0
    used: float = 0.0
    nodes: list[None] = field(default_factory=lambda: [None] * 3)

    def sleep(self, seconds: float) -> None:
        self.used += self.share(self.now - 100.0) * seconds
        self.now += seconds


def _said(monkeypatch: pytest.MonkeyPatch, share: Callable[[float], float]) -> tuple[float, list[str]]:
    """How long it waited, and what it said."""
    lab = Busy(share)
    monkeypatch.setattr(cluster, "time", SimpleNamespace(sleep=lab.sleep, monotonic=lambda: lab.now))
    monkeypatch.setattr(cluster, "used", lambda lab: lab.used)
    said: list[str] = []
    cluster.calm(cast("Lab", lab), said.append)
    return lab.now - 100.0, said


def test_a_lab_that_comes_to_rest_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited, said = _said(monkeypatch, lambda now: 1.5 if now < 2.0 else 0.1)
    assert 2.0 <= waited < 3.0
    assert said == []


def test_a_lab_that_never_rests_is_given_up_with_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    waited, said = _said(monkeypatch, lambda now: 0.25)
    assert cluster.CALM_SECONDS < waited < cluster.CALM_SECONDS + 1
    measured = "0.25 processors in use, at rest below 0.12"
    assert said == [f"no rest within 5 s ({measured}): the figures of the next line may be too high"]
