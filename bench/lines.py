"""The lines of the bench: what is measured, in which unit, and its goal. Data only."""

from __future__ import annotations

from dataclasses import dataclass

from bench.figures import Basis, Better, Goal


@dataclass(frozen=True)
class Line:
    """``count``: operations per round. ``scale``: from seconds per operation to the unit (0: per second)."""

    name: str
    unit: str
    goal: Goal | None
    count: int = 0
    scale: float = 1e6
    operation: str = ""
    """The client's operation when it is called otherwise."""


def _r(limit: float) -> Goal:
    return Goal(limit, Basis.ROUND_TRIP)


def _rate(limit: float, ceiling: str = "") -> Goal:
    return Goal(limit, better=Better.HIGHER, ceiling=ceiling)


ROUND_TRIP = "round trip R"

REPEATED = (
    Line("create_1k", "µs", _r(1.5), 120),
    Line("overwrite_1k", "µs", _r(1.4), 120),
    Line("atomic_replace_1k", "µs", _r(2.6), 100),
    Line("mkdir + rmdir", "µs", _r(2.3), 80, operation="mkdir_rmdir"),
    Line("unlink", "µs", _r(1.2), 120),
    Line("create_1k one", "1/s", None, 200, scale=0, operation="create_rate"),
    Line(
        "create_1k 8 threads",
        "1/s",
        Goal(4.0, Basis.LINE, Better.HIGHER, line="create_1k one"),
        400,
        scale=0,
        operation="create_threads",
    ),
    Line("read_1k", "1/s", _rate(10_000), 1000, scale=0),
    Line("stat", "1/s", _rate(400_000, "stat on tmpfs"), 5000, scale=0),
    Line("stat on tmpfs", "1/s", None, 5000, scale=0, operation="stat_tmpfs"),
    Line("readdir 300", "1/s", _rate(4_400), 200, scale=0, operation="readdir"),
    Line("ls -l 300", "1/s", _rate(1_300, "ls -l 300 on tmpfs"), 60, scale=0, operation="readdir_stat"),
    Line("ls -l 300 on tmpfs", "1/s", None, 60, scale=0, operation="readdir_stat_tmpfs"),
    Line("read_512k", "1/s", _rate(2_000), 100, scale=0),
    Line("write_512k at once", "ms", None, 8, scale=1e3, operation="write_512k"),
    Line(
        "write_512k by 4 KiB",
        "ms",
        Goal(1.3, Basis.LINE, line="write_512k at once"),
        8,
        scale=1e3,
        operation="write_512k_4k",
    ),
)
"""Measured in every round, in turn, each behind a measurement of R.

Goals that PERFORMANCE.md gives as multiples of the original (stat, readdir, ls -l, read_512k: twice) are set
from its published figures; to compare on one machine, give ``--dir`` of a running original as well."""

VISIBILITY = Line("visible after ack", "µs", _r(1.5))
DISK_REPLACE = Line("disk/byte replace 1k", "B/B", Goal(6))
DISK_BIG = Line("disk/byte 512k by 4k", "B/B", Goal(3))
START = Line("start, 10,000 files", "s", Goal(1.0), scale=1)
RSS = Line("RSS, 10,000 files", "MiB", Goal(80))
PSS = Line("PSS, 10,000 files", "MiB", None)
SEND_100M = Line("send 100 MiB by CPG", "s", None, scale=1)
JOIN_100M = Line("join syncs 100 MiB", "s", Goal(2.0, Basis.LINE, line=SEND_100M.name), scale=1)
STATUS = Line("pvecm status, CPU", "ms", Goal(150), scale=1e3)
STATUS_WALL = Line("pvecm status, wall", "ms", None, scale=1e3)

WRITERS = {
    writers: Line(f"create_1k, writers {writers}", "1/s", None, 60 * writers, scale=0)
    for writers in (1, 2, 4, 8, 16)
}
GROWN = Line("create_1k, 10,000 f.", "µs", None, 120, operation="create_1k")
NODES = {nodes: Line(f"create_1k, {nodes} nodes", "µs", None, 120, operation="create_1k") for nodes in (2, 5)}
"""How it grows: with writers on one node, with files that are there, with nodes."""

GUESTS = 1000
"""Of the lines below; a goal of the API's."""


@dataclass(frozen=True)
class Answered:
    """Lines of one request, in one encoding."""

    median: Line
    slowest: Line
    rate: Line
    size: Line

    @property
    def all(self) -> tuple[Line, ...]:
        return (self.median, self.slowest, self.rate, self.size)


def _resources(encoding: str) -> Answered:
    name = f"resources {encoding}"
    return Answered(
        Line(name, "ms", Goal(50), scale=1e3),
        Line(f"{name} max", "ms", None, scale=1e3),
        Line(f"{name} rate", "1/s", _rate(200), scale=0),
        Line(f"{name} size", "kB", None),
    )


PLAIN, GZIP = _resources("plain"), _resources("gzip")
FIRST_LOAD = Line("first load", "kB", Goal(350))
ALL_PARTS = Line("all parts of the UI", "kB", None)
LOGIN = Line("login to tree", "s", Goal(1.0), scale=1)
LOGIN_GUESTS = Line("login, 1,000 guests", "s", Goal(1.0), scale=1)

ONCE = (
    VISIBILITY,
    DISK_REPLACE,
    DISK_BIG,
    START,
    RSS,
    PSS,
    SEND_100M,
    JOIN_100M,
    STATUS,
    STATUS_WALL,
    *WRITERS.values(),
    GROWN,
    *NODES.values(),
    *PLAIN.all,
    *GZIP.all,
    LOGIN,
    LOGIN_GUESTS,
    FIRST_LOAD,
    ALL_PARTS,
)
"""Measured on the lab only: they restart daemons or need more than one node."""
