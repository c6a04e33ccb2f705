"""Small histories made by hand, for tests of the history check's rules."""

from __future__ import annotations

from typing import Any

from tests.history.checker import check
from tests.history.findings import Findings
from tests.history.node_values import content, record_of, slot_of
from tests.history.records import Fault, History, Kept, Life, Operation, Replacement

NODES = ("n1", "n2", "n3")
REGISTER = "history/r/0"
LOG = "history/s/n1-0.1.0.log"
END = 1000.0


class Story:
    """A history told call by call. Unless told otherwise every node has one daemon all the time."""

    def __init__(self) -> None:
        self.history = History(nodes=NODES, lives=[Life(node, 0.0, END) for node in NODES], healed=END)
        self._numbers: dict[str, int] = {}

    def call(
        self,
        process: str,
        kind: str,
        key: str,
        at: float,
        until: float | None = None,
        *,
        outcome: str = "ok",
        **more: Any,
    ) -> Operation:
        """One operation, of 10 ms unless ``until`` is given."""
        number = self._numbers[process] = self._numbers.get(process, 0) + 1
        end = at + 0.01 if until is None else until
        op = Operation(process, number, kind, key, at, end, outcome, **more)
        self.history.operations.append(op)
        return op

    def write(
        self, process: str, value: str, at: float, until: float | None = None, **more: Any
    ) -> Operation:
        return self.call(process, "write", REGISTER, at, until, value=value, **more)

    def read(self, process: str, found: object, at: float, until: float | None = None) -> Operation:
        return self.call(process, "read", REGISTER, at, until, found=found)

    def append(self, at: float, **more: Any) -> Operation:
        op = self.call("n1-0.1", "log", LOG, at, **more)
        op.value = f"n1-0.1:{op.number}"
        return op

    def fault(self, kind: str, at: float, until: float, **more: Any) -> None:
        self.history.faults.append(Fault(kind, kind, at, at, until, until, **more))

    def replaced(self, node: str, since: float, at: float, **kept: str | None) -> None:
        """A node lost changes of its own: tokens by path (with ``__`` for the slash); None: a directory."""
        found = {
            path.replace("__", "/"): Kept(node, None if token is None else content(token))
            for path, token in kept.items()
        }
        self.history.replaced.append(Replacement(node, at, since, found))
        self.history.adopted.setdefault(node, []).append(at)

    def final(self, path: str, value: str | None) -> None:
        """At the end a file has this value; None: it is a directory."""
        self.history.final[path] = None if value is None else content(value)

    def final_log(self, *numbers: int) -> None:
        self.history.final[LOG] = b"".join(record_of(f"n1-0.1:{number}") for number in numbers)

    def final_slots(self, key: str, *tokens: str) -> None:
        self.history.final[key] = b"".join(slot_of(token) if token else bytes(64) for token in tokens)

    def check(self) -> Findings:
        return check(self.history)


def kinds(story: Story) -> list[str]:
    """The classes of the violations."""
    return [kind for kind, _ in story.check().violations]
