"""Measured values as Prometheus reads them: the text format 0.0.4. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Kind = Literal["counter", "gauge", "histogram"]

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(slots=True)
class Family:
    """All samples of one name. Raises ValueError for a name that Prometheus would not take."""

    name: str
    kind: Kind
    text: str
    samples: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise ValueError(f"'{self.name}' is no name of a metric")

    def add(self, value: float, suffix: str = "", **labels: object) -> Family:
        """One sample; labels whose name is a word of Python end in an underscore (``type_``)."""
        pairs = ",".join(f'{name.rstrip("_")}="{_escape(str(text))}"' for name, text in labels.items())
        shown = f"{{{pairs}}}" if pairs else ""
        self.samples.append(f"{self.name}{suffix}{shown} {_number(value)}")
        return self


def exposition(families: Iterable[Family]) -> str:
    """The whole text; families without samples are left out."""
    out: list[str] = []
    for family in families:
        if family.samples:
            out.append(f"# HELP {family.name} {family.text}")
            out.append(f"# TYPE {family.name} {family.kind}")
            out += family.samples
    return "".join(f"{line}\n" for line in out)


class Histogram:
    """Durations counted into buckets, for one set of labels."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] | None = None) -> None:
        """``bounds``: upper limits of the buckets in seconds, ascending; those of the API's own requests."""
        self.bounds = BUCKETS if bounds is None else bounds
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.total += seconds
        self.counts[bisect_left(self.bounds, seconds)] += 1

    def add_to(self, family: Family, labels: Mapping[str, object]) -> None:
        running = 0
        for limit, count in zip(self.bounds, self.counts, strict=False):
            running += count
            family.add(running, "_bucket", **labels, le=limit)
        running += self.counts[-1]
        family.add(running, "_bucket", **labels, le="+Inf")
        family.add(self.total, "_sum", **labels)
        family.add(running, "_count", **labels)


BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; failed logins take three, calls of the privileged half at most 120."""


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))
