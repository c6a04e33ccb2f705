"""What a check returns: violations, losses that the guarantees excuse, and how much was judged. No I/O."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Findings:
    """``violations``: (class, text), see ``checker.CLASSES``. ``excused``: (class, text, reason) of what is
    documented as not promised. ``looked`` and ``judged``: by class, how many readings there were, and how
    many of them had to show something for certain."""

    violations: list[tuple[str, str]] = field(default_factory=list)
    excused: list[tuple[str, str, str]] = field(default_factory=list)
    looked: Counter[str] = field(default_factory=Counter)
    judged: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, text: str, *, excused: str = "") -> None:
        """``excused``: the reason, one of those that ``promises`` names; empty: a violation."""
        if excused:
            self.excused.append((kind, text, excused))
        else:
            self.violations.append((kind, text))

    def judge(self, kind: str, *, had_to: bool) -> None:
        """A reading was looked at; ``had_to``: there was something that it had to show."""
        self.looked[kind] += 1
        self.judged[kind] += had_to

    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.violations}
