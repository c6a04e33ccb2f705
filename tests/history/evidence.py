"""What a run leaves behind, as it lies in the nodes: gathered once, kept in a directory, read as a history.

python -m tests.history.evidence DIRECTORY      check what was kept once more
"""

from __future__ import annotations

import argparse
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.history.checker import check
from tests.history.figures import figures, table
from tests.history.journal import read_journal, read_lines
from tests.history.records import Fault, History, read_process, read_supervisor

FACTS = "run.json"
PROCESSES = "processes"
BACKUPS = "backups"
JOURNAL_FIELDS = ("-o", "json", "--output-fields=MESSAGE,_SOURCE_REALTIME_TIMESTAMP")


@dataclass(slots=True)
class Evidence:
    """Texts and bytes as they were written, and what the run itself knows."""

    nodes: tuple[str, ...]
    faults: list[Fault] = field(default_factory=list)
    healed: float = 0.0
    final: dict[str, bytes | None] = field(default_factory=dict)
    processes: dict[str, str] = field(default_factory=dict)
    """Files of the processes and supervisors by name, without ``.jsonl``."""
    journals: dict[str, str] = field(default_factory=dict)
    """By node: journalctl's answer to ``JOURNAL_FIELDS`` for pmxcfs."""
    looks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By node: what ``node_status.look`` found at the end."""
    backups: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """By node and name: what it put aside before it took over another's state."""

    def history(self) -> History:
        history = History(self.nodes, faults=list(self.faults), final=dict(self.final), healed=self.healed)
        for name, text in sorted(self.processes.items()):
            (read_supervisor if "-supervisor" in name else read_process)(name, text, history)
        for node, look in self.looks.items():
            history.known[node], history.logs[node] = look["keys"], look["log"]
        for node, text in self.journals.items():
            read_journal(node, read_lines(text), self.backups.get(node, {}), history)
        return history

    def save(self, directory: Path) -> None:
        """Below a directory that is there."""
        final = {
            path: None if data is None else b64encode(data).decode() for path, data in self.final.items()
        }
        faults = [asdict(fault) for fault in self.faults]
        facts = {"nodes": self.nodes, "faults": faults, "healed": self.healed, "final": final}
        facts["looks"] = self.looks
        (directory / FACTS).write_text(json.dumps(facts, indent=1))
        (directory / PROCESSES).mkdir()
        for name, text in self.processes.items():
            (directory / PROCESSES / f"{name}.jsonl").write_text(text)
        for node, text in self.journals.items():
            (directory / f"{node}.json").write_text(text)
        for node, backups in self.backups.items():
            (directory / BACKUPS / node).mkdir(parents=True)
            for name, data in backups.items():
                (directory / BACKUPS / node / name).write_bytes(data)


def load(directory: Path) -> Evidence:
    """What ``save`` wrote."""
    facts = json.loads((directory / FACTS).read_text())
    nodes = tuple(facts["nodes"])
    return Evidence(
        nodes,
        [_fault(fault) for fault in facts["faults"]],
        facts["healed"],
        {path: None if data is None else b64decode(data) for path, data in facts["final"].items()},
        {path.stem: path.read_text() for path in (directory / PROCESSES).iterdir()},
        {node: (directory / f"{node}.json").read_text() for node in nodes},
        facts["looks"],
        {node: _files((directory / BACKUPS / node).glob("*")) for node in nodes},
    )


def _files(paths: Iterable[Path]) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in paths}


def _fault(values: dict[str, Any]) -> Fault:
    frozen: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
    return Fault(**frozen)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.history.evidence")
    parser.add_argument("directory", type=Path)
    history = load(parser.parse_args().directory).history()
    findings = check(history)
    print(table(figures(history, findings)))
    for kind, text, reason in findings.excused:
        print(f"(excused: {reason}) {kind}: {text}")
    for kind, text in findings.violations:
        print(f"{kind}: {text}")
    return 1 if findings.violations else 0


if __name__ == "__main__":
    raise SystemExit(main())
