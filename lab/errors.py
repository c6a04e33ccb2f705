"""What the laboratory raises. Each text says what was tried, why it failed and what to do."""

from __future__ import annotations


class LabError(Exception):
    """Something that the laboratory needs is missing or failed."""


class NodeOffError(LabError):
    """The node has no power: there is nothing to run a command in."""
