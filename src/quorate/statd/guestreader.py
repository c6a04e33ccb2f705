"""Reads what this node's guests take: processes, control groups, devices, monitors. What is not there stays
unknown."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, TypeVar

from quorate.settings import Settings
from quorate.statd import figures, guestfigures, space
from quorate.statd.figures import Pressure, Space, Traffic
from quorate.statd.guestfigures import DiskTraffic, GuestUse, Process
from quorate.statd.monitors import Monitors
from quorate.statd.prober import Prober
from quorate.statd.qmp import MonitorFigures
from quorate.statd.space import SpaceError

MAX_TEXT: Final = 1 << 22
"""Bytes of one text of the kernel; /proc/net/dev and /proc/net/unix have a line per device and socket."""

_CONTAINER_GROUPS: Final = ("lxc/{}", "lxc.payload.{}")
"""Where a container's control group is: as the product asks for it, and LXC's own choice."""
_INIT_GROUPS: Final = ("", "ns", "ns/init.scope", "init.scope")
"""Below it, the group of the container's first process: systemd moves itself into a scope."""

T = TypeVar("T")


class GuestReader:
    """One round: what all guests share is read once, and those who may let us wait are asked together."""

    def __init__(self, settings: Settings, prober: Prober, monitors: Monitors) -> None:
        self._settings = settings
        self._prober = prober
        self._monitors = monitors
        self._ticks = os.sysconf("SC_CLK_TCK")
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._now = 0.0
        self._uptime: float | None = None
        self._network: dict[int, Traffic] = {}
        self._machines: dict[int, int] = {}
        self._told: dict[int, MonitorFigures] = {}
        self._containers: dict[int, tuple[str | None, int | None]] = {}
        self._roots: dict[int, Space] = {}

    def begin(self, now: float, machines: Collection[int], containers: Collection[int]) -> None:
        """Find out which of them run, and ask. ``now``: epoch seconds."""
        self._now = now
        self._network = self._parse("/proc/net/dev", guestfigures.guest_network) or {}
        self._uptime = self._parse("/proc/uptime", lambda text: float(text.split()[0]))
        self._machines = {vmid: pid for vmid in machines if (pid := self._machine_process(vmid)) is not None}
        self._told = self._monitors.ask(self._machines)
        running = self._parse("/proc/net/unix", guestfigures.running_containers) or set()
        self._containers = {}
        for vmid in running.intersection(containers):
            group = self._group(vmid)
            self._containers[vmid] = (group, None if group is None else self._first_process(group))
        self._roots = self._root_spaces()

    def machine(self, vmid: int) -> GuestUse | None:
        """A VM; None if it does not run."""
        pid = self._machines.get(vmid)
        if pid is None:
            return None
        process = self._parse(f"/proc/{pid}/stat", guestfigures.parse_process)
        pages = self._parse(f"/proc/{pid}/statm", lambda text: int(text.split()[1]))
        taken = None if pages is None else pages * self._page
        group = self._parse(f"/proc/{pid}/cgroup", lambda text: text.strip().partition("::")[2])
        own = group is not None and group.endswith(f"/{vmid}.scope")
        told = self._told.get(vmid, MonitorFigures())
        used = told.memory_used(self._now)
        return GuestUse(
            status=told.status,
            uptime=self._age(process),
            busy=None if process is None else process.used / self._ticks,
            memory=used if used is not None else taken,
            host_memory=taken,
            network=self._network.get(vmid),
            disks=told.disks,
            pressure=self._pressure(f"/sys/fs/cgroup{group}") if own else {},
        )

    def container(self, vmid: int) -> GuestUse | None:
        """A container; None if it does not run."""
        if vmid not in self._containers:
            return None
        group, pid = self._containers[vmid]
        if group is None:
            return GuestUse(network=self._network.get(vmid))
        process = None if pid is None else self._parse(f"/proc/{pid}/stat", guestfigures.parse_process)
        taken = self._parse(f"{group}/memory.current", int)
        cache = self._parse(
            f"{group}/memory.stat", lambda text: guestfigures.parse_group_value(text, "inactive_file")
        )
        used = self._parse(
            f"{group}/cpu.stat", lambda text: guestfigures.parse_group_value(text, "usage_usec")
        )
        disks: DiskTraffic | None = self._parse(f"{group}/io.stat", guestfigures.parse_group_traffic)
        return GuestUse(
            uptime=self._age(process),
            busy=None if used is None else used / 1_000_000,
            memory=None if taken is None else max(0, taken - (cache or 0)),
            host_memory=taken,
            disk=self._roots.get(vmid),
            network=self._network.get(vmid),
            disks=disks,
            pressure=self._pressure(group),
        )

    def _machine_process(self, vmid: int) -> int | None:
        pid = self._parse(f"/run/qemu-server/{vmid}.pid", int)
        if pid is None:
            return None
        try:
            with self._settings.at(f"/proc/{pid}/cmdline").open("rb") as file:
                # A PID file stays behind after a kill, and its number may be another process's. QEMU was told
                # the file's path as it is on this host, below whatever root this node has.
                return pid if guestfigures.is_machine(file.read(MAX_TEXT), vmid) else None
        except OSError:
            return None

    def _root_spaces(self) -> dict[int, Space]:
        asked = {
            vmid: space.directory(self._settings.at(f"/proc/{pid}/root"))
            for vmid, (_, pid) in self._containers.items()
            if pid is not None
        }
        answers = self._prober.ask(asked.values())
        found = {}
        for vmid, question in asked.items():
            try:
                found[vmid] = space.directory_space(answers[question.name])
            except SpaceError:
                continue  # it ends just now, or its disk hangs: unknown
        return found

    def _age(self, process: Process | None) -> int | None:
        if process is None or self._uptime is None:
            return None
        return max(0, int(self._uptime - process.started / self._ticks))

    def _group(self, vmid: int) -> str | None:
        for name in _CONTAINER_GROUPS:
            group = f"/sys/fs/cgroup/{name.format(vmid)}"
            if self._settings.at(group).is_dir():
                return group
        return None

    def _first_process(self, group: str) -> int | None:
        for below in _INIT_GROUPS:
            path = str(Path(group, below, "cgroup.procs"))
            pid = self._parse(path, lambda text: int(re.split(r"\s", text, maxsplit=1)[0]))
            if pid is not None:
                return pid
        return None

    def _pressure(self, group: str) -> dict[str, Pressure]:
        return {
            kind: found
            for kind in ("cpu", "io", "memory")
            if (found := self._parse(f"{group}/{kind}.pressure", figures.parse_pressure)) is not None
        }

    def _parse(self, path: str, parse: Callable[[str], T]) -> T | None:
        """None: there is no such text, or it makes no sense, as of a guest that ends just now."""
        try:
            with self._settings.at(path).open(encoding="utf-8", errors="replace") as file:
                return parse(file.read(MAX_TEXT))
        except (OSError, ValueError, IndexError, KeyError):
            return None
