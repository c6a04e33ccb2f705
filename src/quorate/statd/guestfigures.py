"""A guest's figures out of the kernel's texts, and the value that the cluster is told. Pure (status 3.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

from quorate.statd.figures import OLD_COLUMNS, Pressure, Space, Traffic, columns_text
from quorate.statd.guestconf import GuestConf

_NAME: Final = re.compile(r"[^A-Za-z0-9._ -]")
_STAT: Final = re.compile(r"\d+ \(.*\) (.*)", re.DOTALL)
_EMULATOR: Final = re.compile(r"(?:.*/)?(?:kvm|qemu-system-[a-z0-9_]+|qemu-kvm)")


class Process(NamedTuple):
    """Of ``/proc/PID/stat``: clock ticks."""

    used: int
    started: int
    """After boot."""


class DiskTraffic(NamedTuple):
    """Bytes since the guest's start."""

    read: int
    written: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestUse:
    """What a running guest takes; None is not known."""

    status: str | None = None
    """A VM's state in the monitor's words: running, paused, prelaunch ... (guests 1.9)."""
    uptime: int | None = None
    busy: float | None = None
    """Seconds of processor time since its start."""
    memory: int | None = None
    """Bytes as the guest uses them."""
    host_memory: int | None = None
    """Bytes that it takes of the node."""
    disk: Space | None = None
    """A container's root file system."""
    network: Traffic | None = None
    disks: DiskTraffic | None = None
    pressure: Mapping[str, Pressure] = field(default_factory=dict)
    """``cpu``, ``io``, ``memory``."""


def parse_process(text: str) -> Process:
    """``/proc/PID/stat``; the name may contain anything."""
    match = _STAT.fullmatch(text.strip())
    if match is None:
        raise ValueError("no process")
    words = match[1].split()
    return Process(int(words[11]) + int(words[12]), int(words[19]))


def is_machine(cmdline: bytes, vmid: int) -> bool:
    """Whether ``/proc/PID/cmdline`` is the QEMU of this VM (guests 1.9). A zombie's is empty."""
    words = cmdline.decode("utf-8", "replace").split("\0")
    if _EMULATOR.fullmatch(words[0]) is None:
        return False
    # /var/run is a link to /run, and both spellings are in use.
    named = {f"{directory}/qemu-server/{vmid}.pid" for directory in ("/run", "/var/run")}
    return any(option == "-pidfile" and path in named for option, path in pairwise(words))


def parse_group_traffic(text: str) -> DiskTraffic:
    """A control group's ``io.stat``: all devices together."""
    read = written = 0
    for word in text.split():
        name, equals, value = word.partition("=")
        if equals and name == "rbytes":
            read += int(value)
        elif equals and name == "wbytes":
            written += int(value)
    return DiskTraffic(read, written)


def parse_group_value(text: str, name: str) -> int:
    """A line ``NAME VALUE`` of a control group's ``cpu.stat`` or ``memory.stat``; raises ValueError."""
    for line in text.splitlines():
        found, _, value = line.partition(" ")
        if found == name:
            return int(value)
    raise ValueError(f"no line '{name}'")


def guest_network(net_dev: str) -> dict[int, Traffic]:
    """``/proc/net/dev``: by guest. What a guest's device on the node sends, the guest receives."""
    found: dict[int, Traffic] = {}
    for line in net_dev.splitlines():
        name, colon, counters = line.partition(":")
        match = re.fullmatch(r"(?:tap|veth)([1-9]\d{0,8})i\d{1,3}", name.strip())
        if not colon or match is None:
            continue
        words = counters.split()
        before = found.get(int(match[1]), Traffic(0, 0))
        found[int(match[1])] = Traffic(before.received + int(words[8]), before.sent + int(words[0]))
    return found


def running_containers(net_unix: str) -> set[int]:
    """``/proc/net/unix``: containers whose command socket is there (guests 1.10)."""
    return {
        int(vmid) for vmid in re.findall(r"@/var/lib/lxc/([1-9]\d{0,8})/command$", net_unix, re.MULTILINE)
    }


def cpu_share(
    busy: float | None, before: float | None, seconds: float, processors: float | None
) -> float | None:
    """Of the guest's processors, 0 to 1, in the ``seconds`` between two readings of its processor time."""
    if busy is None or before is None or seconds <= 0 or not processors:
        return None
    return min(1.0, max(0.0, (busy - before) / seconds / processors))


def guest_processors(conf: GuestConf, processors: int | None) -> float | None:
    """How many it can use of the node's ``processors``."""
    if conf.maxcpu is None or processors is None:
        return conf.maxcpu or processors
    return min(conf.maxcpu, processors)


def guest_value(
    conf: GuestConf,
    use: GuestUse | None,
    now: int,
    *,
    cpu: float | None = None,
    processors: int | None = None,
    machine: bool = True,
    old: bool = False,
) -> bytes:
    """The 22 columns of ``pve-vm-9.0``, or the 15 of ``pve2.3-vm``, ended by a NUL. ``use`` None: stopped.

    ``processors``: the node's, which bound the guest's. ``machine``: a VM, whose used disk space is not known
    and told as 0 (guests 7.4).
    """
    status = "stopped" if use is None else use.status or "running"
    found = use or GuestUse(uptime=0)
    disk = found.disk or Space(conf.maxdisk or 0, 0)
    network, disks = found.network, found.disks
    pressures = [found.pressure.get(kind, Pressure()) for kind in ("cpu", "io", "memory")]
    columns: list[object] = [
        found.uptime,
        _NAME.sub("_", conf.name)[:253],
        status,
        int(conf.template),
        now,
        guest_processors(conf, processors),
        cpu if use is not None else None,
        conf.maxmem,
        found.memory,
        disk.total,
        None if use is not None and use.disk is None and not machine else disk.used,
        network and network.received,
        network and network.sent,
        disks and disks.read,
        disks and disks.written,
        found.host_memory,
        *(share for pressure in pressures for share in (pressure.some, pressure.full)),
    ]
    return columns_text(columns[:OLD_COLUMNS] if old else columns)
