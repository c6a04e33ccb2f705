"""The machine: processors, kernel, memory, boot mode. Parsers of the kernel's texts, and their reader.

Figures that the whole cluster is told every 10 s are in quorate.statd; their parsers are used here too.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from quorate.settings import Settings
from quorate.statd import figures
from quorate.statd.figures import CpuShare, CpuTimes

MAX_TEXT: Final = 4 << 20
"""/proc/cpuinfo of a host with a thousand processors has some 2 MB."""
SAMPLE_SECONDS: Final = 0.1
"""Between the two readings of the first answer: the processors' load is that of a time."""
FRESH_SECONDS: Final = 1.0
"""Load of a shorter time would be noise: the last answer is given again."""

_SECURE_BOOT: Final = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_VIRTUALISATION: Final = frozenset({"vmx", "svm"})


@dataclass(frozen=True, slots=True)
class CpuInfo:
    model: str
    sockets: int
    cores: int
    cpus: int
    mhz: str
    flags: str
    hvm: bool
    vendor: str
    family: str


def parse_cpuinfo(text: str) -> CpuInfo:
    """``/proc/cpuinfo``. Facts that it lacks on this architecture are empty or 1."""
    first: dict[str, str] = {}
    cpus = 0
    sockets: set[str] = set()
    cores: set[tuple[str, str]] = set()
    socket = "0"
    for line in text.splitlines():
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not colon:
            continue
        first.setdefault(key, value)
        if key == "processor" and value.isdecimal():
            cpus += 1
        elif key == "physical id":
            socket = value
            sockets.add(value)
        elif key == "core id":
            cores.add((socket, value))
    flags = first.get("flags", first.get("Features", ""))
    return CpuInfo(
        model=first.get("model name", first.get("Model", "unknown")),
        sockets=len(sockets) or 1,
        cores=len(cores) or cpus or 1,
        cpus=cpus or 1,
        mhz=first.get("cpu MHz", ""),
        flags=flags,
        hvm=bool(_VIRTUALISATION & set(flags.split())),
        vendor=first.get("vendor_id", first.get("CPU implementer", "")),
        family=first.get("cpu family", first.get("CPU architecture", "")),
    )


def parse_meminfo(text: str) -> dict[str, int]:
    """``/proc/meminfo`` in bytes."""
    values: dict[str, int] = {}
    for line in text.splitlines():
        key, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdecimal():
            values[key] = int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
    return values


def memory_of(values: Mapping[str, int]) -> dict[str, int]:
    """Bytes; used is what is not available to programs."""
    total, available = values.get("MemTotal", 0), values.get("MemAvailable", 0)
    return {
        "total": total,
        "used": max(0, total - available),
        "free": values.get("MemFree", 0),
        "available": available,
    }


def swap_of(values: Mapping[str, int]) -> dict[str, int]:
    total, free = values.get("SwapTotal", 0), values.get("SwapFree", 0)
    return {"total": total, "used": max(0, total - free), "free": free}


class LoadMeter:
    """Load of the processors since it was asked last; safe for threads."""

    def __init__(
        self,
        read: Callable[[], CpuTimes],
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._read, self._monotonic, self._sleep = read, monotonic, sleep
        self._lock = threading.Lock()
        self._times: CpuTimes | None = None
        self._at = 0.0
        self._share = CpuShare(0.0, 0.0)

    def share(self) -> CpuShare:
        """Raises OSError and ValueError of ``read``."""
        with self._lock:
            if self._times is None:
                self._times = self._read()
                self._sleep(SAMPLE_SECONDS)
            elif self._monotonic() - self._at < FRESH_SECONDS:
                return self._share
            now = self._read()
            self._share = figures.cpu_share(self._times, now) or self._share
            self._times, self._at = now, self._monotonic()
            return self._share


class Machine:
    """Reads this node. Texts that are missing raise OSError, malformed ones ValueError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._load = LoadMeter(lambda: figures.parse_cpu(self.text("/proc/stat"))[1])

    def text(self, path: str) -> str:
        with self._settings.at(path).open(encoding="utf-8", errors="replace") as file:
            return file.read(MAX_TEXT)

    def status(self) -> dict[str, object]:
        """``GET /nodes/{node}/status`` without the version (pvecm 6.8). Bytes everywhere."""
        share = self._load.share()
        memory = parse_meminfo(self.text("/proc/meminfo"))
        info = parse_cpuinfo(self.text("/proc/cpuinfo"))
        kernel = os.uname()
        return {
            "uptime": figures.parse_uptime(self.text("/proc/uptime")),
            "idle": 0,
            "loadavg": self.text("/proc/loadavg").split()[:3],
            "kversion": f"{kernel.sysname} {kernel.release} {kernel.version}",
            "current-kernel": {
                "sysname": kernel.sysname,
                "release": kernel.release,
                "version": kernel.version,
                "machine": kernel.machine,
            },
            "boot-info": self.boot_info(),
            "cpuinfo": {
                "model": info.model,
                "sockets": info.sockets,
                "cores": info.cores,
                "cpus": info.cpus,
                "mhz": info.mhz,
                "flags": info.flags,
                "hvm": str(int(info.hvm)),
                "user_hz": os.sysconf("SC_CLK_TCK"),
                "vendor": info.vendor,
                "family": info.family,
            },
            "cpu": round(share.busy, 6),
            "wait": round(share.iowait, 6),
            "memory": memory_of(memory),
            "swap": swap_of(memory),
            "ksm": {"shared": self._shared_by_ksm()},
            "rootfs": self._root(),
        }

    def boot_info(self) -> dict[str, object]:
        if not self._settings.at("/sys/firmware/efi").is_dir():
            return {"mode": "legacy-bios"}
        try:
            with self._settings.at(_SECURE_BOOT).open("rb") as file:
                value = file.read(5)
        except OSError:
            return {"mode": "efi"}
        return {"mode": "efi", "secureboot": int(value[4:5] == b"\1")}

    def _shared_by_ksm(self) -> int:
        try:
            return int(self.text("/sys/kernel/mm/ksm/pages_sharing")) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError):
            return 0

    def _root(self) -> dict[str, int]:
        status = os.statvfs(self._settings.root)
        total, free = status.f_blocks * status.f_frsize, status.f_bfree * status.f_frsize
        available = status.f_bavail * status.f_frsize
        return {"total": total, "used": total - free, "avail": available, "free": free}
