"""Findings of checks: what validators return instead of raising, so that a user sees every fault at once.

Only the type and small helpers; each validator lives with what it checks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Report:
    """One finding: a stable ``code`` for programs, a complete sentence in ``text`` for people."""

    code: str
    severity: Severity
    text: str


def error(code: str, text: str) -> Report:
    return Report(code, Severity.ERROR, text)


def warning(code: str, text: str) -> Report:
    return Report(code, Severity.WARNING, text)


def errors(reports: Iterable[Report]) -> list[str]:
    """The texts of the errors, in order."""
    return [report.text for report in reports if report.severity is Severity.ERROR]


def warnings(reports: Iterable[Report]) -> list[str]:
    """The texts of the warnings, in order."""
    return [report.text for report in reports if report.severity is Severity.WARNING]


def numbered(reports: Iterable[Report]) -> dict[str, str]:
    """``warning0``, ``warning1`` ..., ``error0`` ...: the form in which the API hands reports on."""
    listed = list(reports)
    found = {f"warning{n}": text for n, text in enumerate(warnings(listed))}
    found.update({f"error{n}": text for n, text in enumerate(errors(listed))})
    return found
