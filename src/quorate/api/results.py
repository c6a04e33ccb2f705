"""What a handler may return beside plain data: a page of a longer list."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list, and how many entries there are in all (``total`` in the envelope)."""

    data: object
    total: int
