"""What a check returns: violations, and losses that the guarantees excuse. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Findings:
    """``violations``: (class, text), see ``checker.CLASSES``. ``excused``: the same for what is documented as
    not promised."""

    violations: list[tuple[str, str]] = field(default_factory=list)
    excused: list[tuple[str, str]] = field(default_factory=list)

    def add(self, kind: str, text: str, *, excused: bool = False) -> None:
        (self.excused if excused else self.violations).append((kind, text))

    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.violations}
