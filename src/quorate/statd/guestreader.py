"""Reads what this node's guests take: processes, control groups, devices. What is not there stays unknown."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from quorate.settings import Settings
from quorate.statd import figures, guestfigures
from quorate.statd.figures import Pressure, Traffic
from quorate.statd.guestfigures import DiskTraffic, GuestUse, Process
from quorate.statd.space import SpaceReader

MAX_TEXT: Final = 1 << 22
"""Bytes of one text of the kernel; /proc/net/dev and /proc/net/unix have a line per device and socket."""

_CONTAINER_GROUPS: Final = ("lxc/{}", "lxc.payload.{}")
"""Where a container's control group is: as the product asks for it, and LXC's own choice."""
_INIT_GROUPS: Final = ("", "ns", "ns/init.scope", "init.scope")
"""Below it, the group of the container's first process: systemd moves itself into a scope."""

T = TypeVar("T")


class GuestReader:
    """One round: what all guests share is read once, by ``begin``."""

    def __init__(self, settings: Settings, space: SpaceReader) -> None:
        self._settings = settings
        self._space = space
        self._ticks = os.sysconf("SC_CLK_TCK")
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._network: dict[int, Traffic] = {}
        self._containers: set[int] = set()
        self._uptime: float | None = None

    def begin(self) -> None:
        self._network = self._parse("/proc/net/dev", guestfigures.guest_network) or {}
        self._containers = self._parse("/proc/net/unix", guestfigures.running_containers) or set()
        self._uptime = self._parse("/proc/uptime", lambda text: float(text.split()[0]))

    def machine(self, vmid: int) -> GuestUse | None:
        """A VM; None if it does not run."""
        pid = self._parse(f"/run/qemu-server/{vmid}.pid", int)
        # A PID file stays behind after a kill, and its number may be another process's.
        if pid is None or not self._is_machine(pid, vmid):
            return None
        process = self._parse(f"/proc/{pid}/stat", guestfigures.parse_process)
        pages = self._parse(f"/proc/{pid}/statm", lambda text: int(text.split()[1]))
        memory = None if pages is None else pages * self._page
        group = self._parse(f"/proc/{pid}/cgroup", lambda text: text.strip().partition("::")[2])
        own = group is not None and group.endswith(f"/{vmid}.scope")
        return GuestUse(
            uptime=self._age(process),
            busy=None if process is None else process.used / self._ticks,
            memory=memory,
            host_memory=memory,
            disk=0,
            network=self._network.get(vmid),
            disks=self._parse(f"/proc/{pid}/io", guestfigures.parse_disk_traffic),
            pressure=self._pressure(f"/sys/fs/cgroup{group}") if own else {},
        )

    def container(self, vmid: int) -> GuestUse | None:
        """A container; None if it does not run."""
        if vmid not in self._containers:
            return None
        group = self._group(vmid)
        if group is None:
            return GuestUse(network=self._network.get(vmid))
        pid = self._first_process(group)
        process = None if pid is None else self._parse(f"/proc/{pid}/stat", guestfigures.parse_process)
        taken = self._parse(f"{group}/memory.current", int)
        cache = self._parse(
            f"{group}/memory.stat", lambda text: guestfigures.parse_group_value(text, "inactive_file")
        )
        used = self._parse(
            f"{group}/cpu.stat", lambda text: guestfigures.parse_group_value(text, "usage_usec")
        )
        root = None if pid is None else self._space.read(self._settings.at(f"/proc/{pid}/root"))
        disks: DiskTraffic | None = self._parse(f"{group}/io.stat", guestfigures.parse_group_traffic)
        return GuestUse(
            uptime=self._age(process),
            busy=None if used is None else used / 1_000_000,
            memory=None if taken is None else max(0, taken - (cache or 0)),
            host_memory=taken,
            disk=None if root is None else root.used,
            network=self._network.get(vmid),
            disks=disks,
            pressure=self._pressure(group),
        )

    def _is_machine(self, pid: int, vmid: int) -> bool:
        try:
            with self._settings.at(f"/proc/{pid}/cmdline").open("rb") as file:
                # QEMU was told the path as it is on this host, below whatever root this node has.
                return guestfigures.is_machine(file.read(MAX_TEXT), vmid)
        except OSError:
            return False

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
