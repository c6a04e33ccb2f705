"""Reads this node's figures: /proc, the root file system. What is not there stays unknown."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from quorate.settings import Settings
from quorate.statd import figures
from quorate.statd.figures import CpuTimes, NodeFigures, Space

MAX_TEXT = 1 << 20
"""Bytes of one text of the kernel; /proc/stat of a large host has some 100 kB."""

T = TypeVar("T")


class HostReader:
    """Keeps the processors' times of the last reading: their load is that of the time since."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._times: CpuTimes | None = None

    def read(self) -> NodeFigures:
        cpu = self._parse("/proc/stat", figures.parse_cpu)
        share = None
        if cpu is not None:
            share = figures.cpu_share(self._times, cpu[1]) if self._times is not None else None
            self._times = cpu[1]
        pressures = {
            kind: found
            for kind in ("cpu", "io", "memory")
            if (found := self._parse(f"/proc/pressure/{kind}", figures.parse_pressure)) is not None
        }
        return NodeFigures(
            uptime=self._parse("/proc/uptime", figures.parse_uptime),
            load=self._parse("/proc/loadavg", figures.parse_load),
            processors=None if cpu is None else cpu[0],
            cpu=share,
            memory=self._parse("/proc/meminfo", figures.parse_memory),
            root=self._root(),
            traffic=self._parse("/proc/net/dev", figures.parse_traffic),
            arc=self._parse("/proc/spl/kstat/zfs/arcstats", figures.parse_arc, missing=0),
            pressure=pressures,
        )

    def _root(self) -> Space | None:
        try:
            status = os.statvfs(self._settings.root)
        except OSError:
            return None
        total = status.f_blocks * status.f_frsize
        return Space(total, total - status.f_bfree * status.f_frsize)

    def _parse(self, path: str, parse: Callable[[str], T], *, missing: T | None = None) -> T | None:
        """``missing``: what it means that there is no such text; one that makes no sense is unknown."""
        try:
            with self._settings.at(path).open(encoding="ascii", errors="replace") as file:
                return parse(file.read(MAX_TEXT))
        except FileNotFoundError:
            return missing
        except (OSError, ValueError, IndexError, KeyError):
            return None
