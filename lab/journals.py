"""What our daemons complained about in the nodes' journals since the last look."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lab.laboratory import Lab
from lab.layer import DAEMONS, GUESTS
from lab.node import Node

WARNING = 4
"""syslog's priority: this and everything more severe is a complaint."""
SPOKEN = re.compile(r"(WARNING|ERROR|CRITICAL): ")
"""How the API's processes name a severity on standard error, where the journal knows none."""
TRACEBACK = "Traceback (most recent call last)"
TRACEBACK_LINES = 40


@dataclass(frozen=True, slots=True)
class Complaint:
    """One line (or one traceback) that should not have been logged."""

    node: str
    source: str
    text: str

    def __str__(self) -> str:
        return f"{self.node} {self.source}: {self.text}"


class JournalWatch:
    """Reads each node's journal from where it stopped the last time."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._cursors: dict[str, str] = {}

    def complaints(self) -> list[Complaint]:
        """What is new since the last call, of all nodes, also of those that are off."""
        if not self.lab.is_started:  # a test may end its lab itself
            return []
        return [complaint for node in self.lab.nodes for complaint in self._of(node)]

    def _of(self, node: Node) -> Iterator[Complaint]:
        if not node.boots:
            return
        options = ["-o", "json", "--output-fields=MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_SYSTEMD_UNIT,UNIT"]
        if node.name in self._cursors:
            options.append(f"--after-cursor={self._cursors[node.name]}")
        text = node.journal(None, *options, *_matches())
        entries = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        if entries:
            self._cursors[node.name] = entries[-1]["__CURSOR"]
        yield from find_complaints(node.name, entries)


def find_complaints(node: str, entries: Iterable[Mapping[str, object]]) -> Iterator[Complaint]:
    """Warnings and worse; and tracebacks, which come line by line without a severity."""
    traceback: list[str] = []
    source = ""
    for entry in entries:
        message = _message(entry)
        now = str(entry.get("_SYSTEMD_UNIT") or entry.get("UNIT") or entry.get("SYSLOG_IDENTIFIER") or "?")
        if traceback:
            if now == source and len(traceback) < TRACEBACK_LINES:
                traceback.append(message)
            if now == source and not message.startswith(" "):
                yield Complaint(node, source, "\n".join(traceback))
                traceback = []
            continue
        if message.startswith(TRACEBACK):
            traceback, source = [message], now
        elif int(str(entry.get("PRIORITY", 6))) <= WARNING or SPOKEN.match(message):
            yield Complaint(node, now, message)
    if traceback:
        yield Complaint(node, source, "\n".join(traceback))


def _message(entry: Mapping[str, object]) -> str:
    message = entry.get("MESSAGE")
    if isinstance(message, list):  # not UTF-8: journald hands over the bytes
        return bytes(message).decode(errors="replace")
    return str(message)


def _matches() -> list[str]:
    """journalctl's matches: what our units write, what systemd writes about them, and pmxcfs by hand."""
    fields = [f"{field}={unit}.service" for unit in (*DAEMONS, GUESTS) for field in ("_SYSTEMD_UNIT", "UNIT")]
    fields += [f"SYSLOG_IDENTIFIER={name}" for name in ("pmxcfs", "pvecm", "pvedaemon", "pveproxy")]
    words = []
    for field in fields:
        words += ["+", field]
    return words[1:]
