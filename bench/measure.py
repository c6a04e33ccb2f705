"""Takes the figures: rounds on any mounted directory, and what needs a lab. Prints nothing but progress."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench import lines
from bench.agents import HERE, NODE_PYTHON, Agent
from bench.cluster import bytes_written, memory, settle
from bench.figures import Basis, Result, Spread, result
from bench.lines import ONCE, REPEATED, Line
from lab import Node
from lab.cluster import wait_writable

R_COUNT = 40
"""Round trips behind each line: enough for a median, few enough to be of the same moment."""
VISIBLE_COUNT = 20
REPLACES = 1000
FILES = 10_000
LARGE = 200
"""Files of 512 KiB: 100 MiB, each in one message that libcpg does not cut."""
JOIN_SECONDS = 180.0
TREE = "/etc/pve/bench"
Report = Callable[[str], None]


@dataclass
class Figures:
    """Per line: the values of all rounds, and R measured just before each."""

    values: dict[str, list[float]] = field(default_factory=dict)
    round_trips: dict[str, list[float]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Lines that could not be measured, and why."""

    def add(self, line: Line, seconds: float, round_trip: float = 0.0) -> None:
        value = seconds * line.scale if line.scale else 1 / seconds
        self.add_value(line, value, round_trip * line.scale)

    def add_value(self, line: Line, value: float, round_trip: float = 0.0) -> None:
        self.values.setdefault(line.name, []).append(value)
        self.round_trips.setdefault(line.name, []).append(round_trip)

    def results(self) -> list[Result]:
        """In the order of ``lines``; what was not measured is left out."""
        found = []
        trips = [
            trip for line in REPEATED for trip in self.round_trips.get(line.name, []) if line.scale == 1e6
        ]
        if trips:
            found.append(Result(lines.ROUND_TRIP, "µs", Spread.of(trips), None, None))
        for line in (*REPEATED, *ONCE):
            if line.name in self.values:
                found.append(
                    result(
                        line.name,
                        line.unit,
                        self.values[line.name],
                        line.goal,
                        round_trips=self.round_trips[line.name],
                        others=self.values,
                    )
                )
        return found


def rounds(
    echo: Agent,
    client: Agent,
    figures: Mapping[str, Figures],
    count: int,
    *,
    only: str,
    calm: Callable[[], None],
    report: Report,
) -> None:
    """All repeated lines, ``count`` times, in turn for each directory: what disturbs one disturbs all.

    ``calm`` waits until the lab has done what the line before left behind.
    """
    directories = list(figures)
    chosen = [line for line in REPEATED if only in line.name]
    for directory in directories:
        client.ask(operation="prepare", directory=directory, count=0)
    for number in range(count):
        report(f"round {number + 1} of {count}")
        for line in REPEATED:
            if line not in chosen and not _needed(line, chosen):
                continue
            for directory in directories:
                calm()
                trip = echo.ask(count=R_COUNT, size=64, pipelined=False)["median"]
                answer = client.ask(
                    operation=line.operation or line.name, directory=directory, count=line.count
                )
                figures[directory].add(line, answer["median"], trip)
    for directory in directories:
        client.ask(operation="clean", directory=directory, count=0)


def _needed(line: Line, chosen: Sequence[Line]) -> bool:
    """Whether others rest on it: create makes what overwrite and unlink work on."""
    names = {each.name for each in chosen}
    bases = {each.goal.line for each in chosen if each.goal and each.goal.basis is Basis.LINE}
    return line.name in bases or (line.name == "create_1k" and bool(names & {"overwrite_1k", "unlink"}))


def visibility(
    figures: Figures, echo: Agent, writer: Node, reader: Node, count: int, alone: Callable[[Node], None]
) -> None:
    """How long after its acknowledgement a write is seen on another node.

    ``alone`` gives a node the processors that it has in reality. There may not be enough for two, and sharing
    one, writer and reader would wait for each other. So both times are taken from the beginning of the write,
    the acknowledgement with the writer alone and the sight with the reader alone: the difference counts.
    """
    for number in range(count):
        path = f"{TREE}-seen-{number}"
        with Agent(writer, "node_visible.py") as writes, Agent(reader, "node_visible.py") as watches:
            alone(writer)
            trip = echo.ask(count=R_COUNT, size=64, pipelined=False)["median"]
            own = writes.ask(role="write", path=path, count=VISIBLE_COUNT)
            alone(reader)
            watches.begin(role="watch", path=f"{path}-there", count=VISIBLE_COUNT)
            begun = writes.ask(role="write", path=f"{path}-there", count=VISIBLE_COUNT)["begun"]
            seen = watches.answer()["seen"]
        delay = _middle(begun, seen) - _middle(own["begun"], own["acknowledged"])
        figures.add(lines.VISIBILITY, max(0.0, delay), trip)
        writer.run(["rm", path, f"{path}-there"])


def _middle(begun: Sequence[float], ended: Sequence[float]) -> float:
    return statistics.median(end - begin for begin, end in zip(begun, ended, strict=True))


def disk(figures: Figures, client: Agent, node: Node, count: int) -> None:
    """Bytes that the daemon of ``node`` writes per byte of content."""
    for _ in range(count):
        for line, operation, times, size in (
            (lines.DISK_REPLACE, "atomic_replace_1k", REPLACES, 1024),
            (lines.DISK_BIG, "write_512k_4k", 8, 512 << 10),
        ):
            settle(node)
            before = bytes_written(node)
            client.ask(operation=operation, directory=TREE, count=times)
            settle(node)
            figures.add_value(line, (bytes_written(node) - before) / (times * size))


def writers(figures: Figures, client: Agent, count: int) -> None:
    """How many files a second several threads of one node create together."""
    for _ in range(count):
        for number, line in lines.WRITERS.items():
            answer = client.ask(operation="create_threads", directory=TREE, count=line.count, writers=number)
            figures.add(line, answer["median"])


def created(figures: Figures, line: Line, echo: Agent, client: Agent, count: int) -> None:
    """create_1k, as in the rounds, with whatever there is now; what it made is removed again."""
    for _ in range(count):
        trip = echo.ask(count=R_COUNT, size=64, pipelined=False)["median"]
        answer = client.ask(operation="create_1k", directory=TREE, count=line.count)
        client.ask(operation="unlink", directory=TREE, count=line.count)
        figures.add(line, answer["median"], trip)


def size(figures: Figures, echo: Agent, client: Agent, node: Node, count: int) -> None:
    """Start, memory and create_1k with 10,000 files of 1 KiB. Leaves them there."""
    client.ask(operation="fill", directory=TREE, count=FILES)
    created(figures, lines.GROWN, echo, client, count)
    for _ in range(count):
        node.systemctl("stop", "pve-cluster")
        out = node.run([NODE_PYTHON, "-c", (HERE / "node_start.py").read_text()]).stdout
        figures.add(lines.START, float(out))
        wait_writable(node)
        rss, pss = memory(node)
        figures.add_value(lines.RSS, rss)
        figures.add_value(lines.PSS, pss)


def joining(figures: Figures, echo: Agent, client: Agent, node: Node, count: int) -> None:
    """``node`` was away while 100 MiB were written. From serving until it has them all."""
    for number in range(count):
        node.systemctl("stop", "pve-cluster")
        client.ask(operation="fill_big", directory=TREE, count=LARGE)
        client.ask(operation="mark", directory=TREE, count=number)
        sent = echo.ask(count=LARGE, size=512 << 10, pipelined=True)["mean"] * LARGE
        figures.add(lines.SEND_100M, sent)
        start = (HERE / "node_start.py").read_text()
        out = node.run([NODE_PYTHON, "-c", start, f"{TREE}/mark", str(number)], timeout=JOIN_SECONDS).stdout
        figures.add(lines.JOIN_100M, float(out.split()[1]))


def status(figures: Figures, node: Node, count: int) -> None:
    """What `pvecm status` costs: its processor time, and how long the caller waits."""
    for _ in range(count):
        out = node.run([NODE_PYTHON, "-c", (HERE / "node_time.py").read_text(), "pvecm", "status"]).stdout
        used, took = map(float, out.split()[-2:])
        figures.add(lines.STATUS, used)
        figures.add(lines.STATUS_WALL, took)
