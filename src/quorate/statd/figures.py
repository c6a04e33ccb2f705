"""This node's figures out of the kernel's texts. Pure: nothing is read here.

Texts that lack a figure give None for it, which the cluster is told as ``U`` (status 3.3).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

UNKNOWN: Final = "U"
OLD_COLUMNS: Final = 15
"""Columns of a node's value in the format before 9.0, and of a guest's."""

_PHYSICAL: Final = re.compile(r"eth\d+|en[a-z0-9]+|ib\d+|wl[a-z0-9]+")
"""Names of network cards; bridges, bonds, VLANs and guests' devices would count the same traffic again."""
_CPU_LINE: Final = re.compile(r"^cpu\d+ ", re.MULTILINE)
_PRESSURE: Final = re.compile(r"^(some|full) avg10=([0-9.]+) ", re.MULTILINE)


class CpuTimes(NamedTuple):
    """Clock ticks since boot, all processors together."""

    total: int
    idle: int
    iowait: int


class CpuShare(NamedTuple):
    """0 to 1 of all processors."""

    busy: float
    iowait: float


class Traffic(NamedTuple):
    """Bytes since boot."""

    received: int
    sent: int


class Space(NamedTuple):
    """Bytes."""

    total: int
    used: int


class Memory(NamedTuple):
    memory: Space
    available: int
    swap: Space


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """Share of the last 10 s in which some or all work waited, in percent."""

    some: float | None = None
    full: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFigures:
    """Everything that is told about a node."""

    uptime: int | None = None
    level: str = ""
    """Of the subscription: none."""
    load: float | None = None
    processors: int | None = None
    cpu: CpuShare | None = None
    memory: Memory | None = None
    root: Space | None = None
    traffic: Traffic | None = None
    arc: int | None = None
    """Bytes of the ZFS cache."""
    pressure: Mapping[str, Pressure] = field(default_factory=dict)
    """``cpu``, ``io``, ``memory``."""


def parse_uptime(text: str) -> int:
    """``/proc/uptime``, whole seconds."""
    return int(float(text.split()[0]))


def parse_load(text: str) -> float:
    """``/proc/loadavg``: of the last minute."""
    return float(text.split()[0])


def parse_cpu(text: str) -> tuple[int, CpuTimes]:
    """``/proc/stat``: number of processors, times. The guests' share is in the user time already."""
    for line in text.splitlines():
        words = line.split()
        if words and words[0] == "cpu":
            times = [int(word) for word in words[1:9]]
            return len(_CPU_LINE.findall(text)), CpuTimes(sum(times), times[3], times[4])
    raise ValueError("no line 'cpu'")


def cpu_share(before: CpuTimes, now: CpuTimes) -> CpuShare | None:
    """Of the time between; None without any."""
    total = now.total - before.total
    if total <= 0:
        return None
    # The kernel's idle and iowait counters may step back.
    iowait = max(0, now.iowait - before.iowait)
    idle = max(0, now.idle - before.idle)
    return CpuShare(max(0.0, 1 - (idle + iowait) / total), min(1.0, iowait / total))


def parse_memory(text: str) -> Memory:
    """``/proc/meminfo``; used is what is not available."""
    values = {
        line.partition(":")[0]: int(line.split()[1]) * 1024
        for line in text.splitlines()
        if line.endswith("kB")
    }
    total, available = values["MemTotal"], values["MemAvailable"]
    swap = Space(values["SwapTotal"], values["SwapTotal"] - values["SwapFree"])
    return Memory(Space(total, max(0, total - available)), available, swap)


def parse_traffic(text: str) -> Traffic:
    """``/proc/net/dev``: all network cards together."""
    received = sent = 0
    for line in text.splitlines():
        name, colon, counters = line.partition(":")
        if colon and _PHYSICAL.fullmatch(name.strip()):
            words = counters.split()
            received += int(words[0])
            sent += int(words[8])
    return Traffic(received, sent)


def parse_pressure(text: str) -> Pressure:
    """One of ``/proc/pressure/``."""
    found = {kind: float(value) for kind, value in _PRESSURE.findall(text)}
    return Pressure(some=found.get("some"), full=found.get("full"))


def parse_arc(text: str) -> int:
    """``/proc/spl/kstat/zfs/arcstats``."""
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "size":
            return int(words[2])
    raise ValueError("no line 'size'")


def node_value(figures: NodeFigures, now: int, *, old: bool = False) -> bytes:
    """The 22 columns of ``pve-node-9.0``, or the 15 of ``pve2-node``, ended by a NUL (status 3.3)."""
    memory = figures.memory
    cpu, root, traffic = figures.cpu, figures.root, figures.traffic
    pressures = [figures.pressure.get(kind, Pressure()) for kind in ("cpu", "io", "memory")]
    columns: list[object] = [
        figures.uptime,
        figures.level,
        now,
        figures.load,
        figures.processors,
        cpu and cpu.busy,
        cpu and cpu.iowait,
        memory and memory.memory.total,
        memory and memory.memory.used,
        memory and memory.swap.total,
        memory and memory.swap.used,
        root and root.total,
        root and root.used,
        traffic and traffic.received,
        traffic and traffic.sent,
        memory and memory.available,
        figures.arc,
        pressures[0].some,
        pressures[1].some,
        pressures[1].full,
        pressures[2].some,
        pressures[2].full,
    ]
    return columns_text(columns[:OLD_COLUMNS] if old else columns)


def columns_text(columns: Sequence[object]) -> bytes:
    """A value of the store: columns, unknown ones as ``U``, ended by a NUL."""
    return ":".join(map(_column, columns)).encode() + b"\0"


def _column(value: object) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)
