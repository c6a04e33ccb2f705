"""What a guest's configuration says about its size (guests 1.2, 1.5, 1.10). Pure; only what figures need."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20
GIB: Final = 1 << 30
DEFAULT_MEMORY: Final = 512 * MIB
DEFAULT_ROOTFS: Final = 4 * GIB
"""Of a container whose root file system's size is not known (guests 7.4)."""
LARGEST_NUMBER: Final = 1 << 26
"""MiB of memory, 64 TiB: more is a slip of the pen."""

_KEY: Final = re.compile(r"([a-z][a-z_-]*\d*):\s*(.+?)\s*")
_DISK: Final = re.compile(r"(?:ide[0-3]|scsi(?:[12]?\d|30)|virtio(?:\d|1[0-5])|sata[0-5])")
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)")
_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_DISK_ORDER: Final = ("ide", "scsi", "virtio", "sata")


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestConf:
    """A guest as it is configured. ``maxcpu`` None: as many processors as the node has."""

    name: str
    template: bool
    maxcpu: float | None
    maxmem: int
    maxdisk: int | None


def current_section(text: str) -> dict[str, str]:
    """Keys of the current section, the last one of each; pending changes and snapshots come after it."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("["):
            break
        match = _KEY.fullmatch(line)
        if match is not None:
            found[match[1]] = match[2]
    return found


def virtual_machine(vmid: int, text: str) -> GuestConf:
    """A VM's file. Values that make no sense count as missing."""
    conf = current_section(text)
    sockets, cores = _number(conf.get("sockets")) or 1, _number(conf.get("cores")) or 1
    memory = _number(conf.get("memory", "").removeprefix("current=").split(",")[0])
    return GuestConf(
        name=conf.get("name", f"VM {vmid}"),
        template=conf.get("template") == "1",
        maxcpu=_number(conf.get("vcpus")) or sockets * cores,
        maxmem=memory * MIB if memory else DEFAULT_MEMORY,
        maxdisk=_drive_size(conf, _boot_disk(conf)),
    )


def container(vmid: int, text: str) -> GuestConf:
    """A container's file."""
    conf = current_section(text)
    memory = _number(conf.get("memory"))
    limit = re.fullmatch(r"\d{1,5}(\.\d+)?", conf.get("cpulimit", ""))
    cores = _number(conf.get("cores"))
    processors = float(limit[0]) if limit and float(limit[0]) else cores
    return GuestConf(
        name=conf.get("hostname", f"CT{vmid}").replace(" ", ""),
        template=conf.get("template") == "1",
        maxcpu=min(processors, cores) if processors and cores else processors,
        maxmem=memory * MIB if memory else DEFAULT_MEMORY,
        maxdisk=_drive_size(conf, "rootfs") or DEFAULT_ROOTFS,
    )


def _boot_disk(conf: Mapping[str, str]) -> str | None:
    """The first disk that the VM boots from; without an order the first disk."""
    order = conf.get("boot", "").partition("order=")[2].split(",")[0].split(";")
    listed = [key for key in order if _is_disk(conf, key)]
    if listed:
        return listed[0]
    if _is_disk(conf, conf.get("bootdisk", "")):
        return conf["bootdisk"]
    disks = sorted((key for key in conf if _is_disk(conf, key)), key=_disk_key)
    return disks[0] if disks else None


def _is_disk(conf: Mapping[str, str], key: str) -> bool:
    return key in conf and _DISK.fullmatch(key) is not None and "media=cdrom" not in conf[key].split(",")


def _disk_key(key: str) -> tuple[int, int]:
    kind = key.rstrip("0123456789")
    return _DISK_ORDER.index(kind), int(key[len(kind) :])


def _drive_size(conf: Mapping[str, str], key: str | None) -> int | None:
    for part in conf.get(key or "", "").split(","):
        match = _SIZE.fullmatch(part.removeprefix("size=")) if part.startswith("size=") else None
        if match is not None:
            return int(float(match[1]) * _UNITS[match[2]])
    return None


def _number(text: str | None) -> int | None:
    """A whole number from 1 up; None for anything else."""
    if text is None or re.fullmatch(r"\d{1,9}", text) is None:
        return None
    return number if 0 < (number := int(text)) <= LARGEST_NUMBER else None
