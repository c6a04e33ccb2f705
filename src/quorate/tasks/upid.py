"""The task identifier (UPID) and the process it names: pvecm 6.9.

Text form and process start time only; files are in `store`, running a task is in `worker`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

_UPID = re.compile(
    r"UPID:(?P<node>[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?):(?P<pid>[0-9A-Fa-f]{8}):(?P<pstart>[0-9A-Fa-f]{8,9}):"
    r"(?P<starttime>[0-9A-Fa-f]{8}):(?P<type>[^:\s/]+):(?P<id>[^:\s/]*):(?P<user>[^:\s/]+):",
)
_FORBIDDEN = re.compile(r"[:\s/]")

_STAT_STATE = 0
_STAT_STARTTIME = 19
"""Indexes in /proc/PID/stat counted after the closing parenthesis of the command (fields 3 and 22)."""


class UpidError(ValueError):
    """A text is no UPID, or the parts do not make one."""


class Upid(NamedTuple):
    """A task: the process (node, pid, its start in clock ticks), its begin (epoch), what it does."""

    node: str
    pid: int
    pstart: int
    starttime: int
    type: str
    id: str
    user: str

    @classmethod
    def parse(cls, text: str) -> Upid:
        """Raises `UpidError` with the reference's text for anything that is not exactly one UPID."""
        match = _UPID.fullmatch(text)
        if match is None:
            raise UpidError(f"unable to parse worker upid '{text}'")
        return cls(
            node=match["node"],
            pid=int(match["pid"], 16),
            pstart=int(match["pstart"], 16),
            starttime=int(match["starttime"], 16),
            type=match["type"],
            id=match["id"],
            user=match["user"],
        )

    def __str__(self) -> str:
        return (
            f"UPID:{self.node}:{self.pid:08X}:{self.pstart:08X}:{self.starttime:08X}:"
            f"{self.type}:{self.id}:{self.user}:"
        )

    def log_name(self) -> str:
        """Path of the log in the task directory: one of 16 subdirectories, by the last digit of its time."""
        return f"{self.starttime & 0xF:X}/{self}"

    def is_running(self) -> bool:
        """Whether exactly this process lives on this host (a zombie does not)."""
        return process_start_time(self.pid) == self.pstart


def check_parts(type_: str, id_: str, user: str) -> None:
    """Refuse parts that would break the UPID's syntax. Raises `UpidError`."""
    for what, value, may_be_empty in (("type", type_, False), ("id", id_, True), ("user", user, False)):
        if _FORBIDDEN.search(value) or (not value and not may_be_empty):
            raise UpidError(f"task {what} '{value}' cannot be part of a UPID: no ':', '/' or blanks allowed")


def process_start_time(pid: int) -> int | None:
    """Start of process ``pid`` in clock ticks since boot; None when there is none or it is a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command may hold blanks and parentheses: count from the last closing one.
    fields = text[text.rindex(")") + 2 :].split()
    if fields[_STAT_STATE] in "ZX":
        return None
    return int(fields[_STAT_STARTTIME])


def local_node() -> str:
    """The kernel's host name, cut at the first dot."""
    return os.uname().nodename.partition(".")[0]
