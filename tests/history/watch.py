"""Reads the processes' files while they grow: how far a run is, and whether all nodes have recovered."""

from __future__ import annotations

import json
import time
from pathlib import Path

from lab import Lab
from tests.history.records import NO_CHANGES

DIRECTORY = "/var/lib/quorate-history"
"""Inside a node; on its own disk, outside the cluster's file system."""


def directory_of(lab: Lab, node: str) -> Path:
    """The same as the machine sees it."""
    return lab.record.node_dir(node) / "upper" / DIRECTORY.lstrip("/")


class Watch:
    """Counts outcomes, and remembers per node when the last acknowledged change began."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._positions: dict[Path, int] = {}
        self._open: dict[tuple[str, int], tuple[float, str]] = {}
        self.latest: dict[str, float] = dict.fromkeys(lab.record.node_names(), 0.0)
        self.outcomes = {"ok": 0, "fail": 0, "info": 0}

    def look(self) -> None:
        """Read what is new."""
        for node in self.latest:
            for path in directory_of(self._lab, node).glob("*.jsonl"):
                if "supervisor" not in path.name:
                    self._read(node, path)

    def recovered(self, since: float) -> bool:
        """Whether every node has had a change acknowledged that began after ``since``."""
        self.look()
        return all(latest > since for latest in self.latest.values())

    def wait_recovered(self, since: float, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self.recovered(since):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True

    def _read(self, node: str, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(self._positions.get(path, 0))
            data = file.read()
        end = data.rfind(b"\n") + 1
        self._positions[path] = self._positions.get(path, 0) + end
        for line in data[:end].splitlines():
            record = json.loads(line)
            mark = (path.stem, record["i"])
            if record["t"] == "invoke":
                self._open[mark] = (record["at"] / 1e9, record["op"])
                continue
            invoked, kind = self._open.pop(mark)
            self.outcomes[record["t"]] += 1
            if record["t"] == "ok" and kind not in NO_CHANGES:
                self.latest[node] = max(self.latest[node], invoked)
