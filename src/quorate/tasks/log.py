"""Reading task logs: lines for a viewer, and the status that the last line tells (pvecm 6.9)."""

from __future__ import annotations

import os
import re
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from quorate.tasks.guarded import open_log

STATUS_TAIL_BYTES = 4096
"""How much of a log's end is searched for its last line; longer last lines are cut by the worker."""

_LAST_LINE = re.compile(r"TASK (?:(?P<ok>OK)|ERROR: (?P<error>.*)|(?P<warnings>WARNINGS: \d+))")

StatusKind = Literal["ok", "warning", "error", "unknown"]


class LogLine(NamedTuple):
    """A line of a log with its number, counted from 1."""

    n: int
    t: str


def task_status(path: Path) -> str:
    """Status text of a finished task from its log: ``OK``, ``WARNINGS: N``, the error."""
    try:
        with open(open_log(path), "rb") as file:  # noqa: PTH123 - a descriptor
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - STATUS_TAIL_BYTES))
            tail = file.read(STATUS_TAIL_BYTES)
    except OSError as err:
        return f"unable to get last line from task log - {err.strerror}"
    lines = tail.decode("utf-8", "replace").rstrip("\n").rsplit("\n", 1)
    match = _LAST_LINE.fullmatch(lines[-1])
    if match is None:
        return "unexpected status"
    return match["ok"] or match["warnings"] or match["error"] or "unknown error"


def status_kind(status: str) -> StatusKind:
    """How a status text counts in filters and in the interface."""
    if status == "OK":
        return "ok"
    if re.fullmatch(r"WARNINGS: \d+", status):
        return "warning"
    if status == "unexpected status" or status.startswith("unable to get last line"):
        return "unknown"
    return "error"


def read_log(path: Path, start: int = 0, limit: int = 50) -> tuple[int, list[LogLine]]:
    """Number of all lines, and ``limit`` of them from line ``start`` (0 = the first; ``limit`` 0 = all).

    An unreadable log is one line that says so, an empty one the line ``no content``.
    """
    try:
        with open(  # noqa: PTH123 - a descriptor
            open_log(path), encoding="utf-8", errors="replace", newline="\n"
        ) as file:
            skipped = sum(1 for _ in islice(file, start))
            stop = None if limit == 0 else limit
            lines = [LogLine(start + i, text.rstrip("\r\n")) for i, text in enumerate(islice(file, stop), 1)]
            total = skipped + len(lines) + sum(1 for _ in file)
    except OSError as err:
        return 1, [LogLine(1, f"unable to open file - {err.strerror}")]
    if total == 0:
        return 1, [LogLine(1, "no content")]
    return total, lines
