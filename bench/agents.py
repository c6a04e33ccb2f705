"""Talking to the programs that measure inside a node: one line of JSON out, one line back."""

from __future__ import annotations

import json
import select
from pathlib import Path
from types import TracebackType
from typing import Any

from lab import LabError, Node

HERE = Path(__file__).resolve().parent
NODE_PYTHON = "/usr/bin/python3"
PROJECT_PYTHON = "/opt/quorate/.venv/bin/python"
ANSWER_SECONDS = 300.0
"""For one request: the longest fills a tree with 10,000 files."""

_CHATTER = ("sleep. counter=0\n",)
"""libcpg prints this itself when it waits between the fragments of a long message."""


class Agent:
    """One program in one node, for as long as its ``with`` block lasts.

    Inside the block it runs and waits for requests. Before that it may not have entered the node yet, and who
    arranges the lab's processes would miss it.
    """

    def __init__(self, node: Node, program: str, *, python: str = NODE_PYTHON) -> None:
        self.node = node
        self._program = program
        self._process = node.start_process([python, "-c", (HERE / program).read_text()])

    def ask(self, **request: Any) -> dict[str, Any]:
        """Raises LabError with what the program said when it failed."""
        self.begin(**request)
        return self.answer()

    def begin(self, **request: Any) -> None:
        """Ask, and go on with something else."""
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The answer to what was begun. Raises LabError."""
        line = ""
        while not line or line in _CHATTER:
            if not select.select([self._process.stdout], [], [], ANSWER_SECONDS)[0]:
                raise LabError(
                    f"{self._program} on {self.node.name} gave no answer in {ANSWER_SECONDS:.0f} s"
                )
            line = self._process.stdout.readline()
            if not line:
                break
        try:
            answer = json.loads(line)
        except ValueError:
            rest = "" if self._process.poll() is None else self._process.stdout.read()
            raise LabError(f"{self._program} on {self.node.name} failed:\n{line}{rest}") from None
        if "error" in answer:
            raise LabError(f"{self.node.name}: {answer['error']}")
        assert isinstance(answer, dict)
        return answer

    def __enter__(self) -> Agent:
        try:
            self.answer()
        except LabError:
            self._process.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()


def client(node: Node) -> Agent:
    """Timed file operations, by the node's own python3."""
    return Agent(node, "node_client.py")


def round_trip(node: Node) -> Agent:
    """Messages by the CPG bindings alone."""
    return Agent(node, "node_roundtrip.py", python=PROJECT_PYTHON)
