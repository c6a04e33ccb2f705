"""What the kernel's texts say about the machine (pvecm 6.8)."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.host.machine import (
    LoadMeter,
    Machine,
    memory_of,
    parse_cpuinfo,
    parse_meminfo,
    swap_of,
)
from quorate.settings import Settings
from quorate.statd.figures import CpuTimes

CPUINFO = "".join(
    f"processor\t: {cpu}\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel name\t: Xeon\n"
    "cpu MHz\t\t: 2400.000\n"
    f"physical id\t: {cpu // 4}\ncore id\t\t: {cpu % 4 // 2}\nflags\t\t: fpu vmx sse\n\n"
    for cpu in range(8)
)
MEMINFO = (
    "MemTotal: 1000 kB\nMemFree: 300 kB\nMemAvailable: 600 kB\nSwapTotal: 50 kB\nSwapFree: 20 kB\nHuge: 3\n"
)
TEXTS = {
    "/proc/stat": "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 100 0 100 700 100 0 0 0 0 0\n",
    "/proc/meminfo": MEMINFO,
    "/proc/cpuinfo": CPUINFO,
    "/proc/uptime": "4711.5 9000.1\n",
    "/proc/loadavg": "0.10 0.20 0.30 1/100 4711\n",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(root=tmp_path)
    for path, text in TEXTS.items():
        target = settings.at(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return settings


def test_processors_of_two_sockets() -> None:
    info = parse_cpuinfo(CPUINFO)
    assert (info.sockets, info.cores, info.cpus) == (2, 4, 8)
    assert (info.model, info.vendor, info.family, info.mhz) == ("Xeon", "GenuineIntel", "6", "2400.000")
    assert info.hvm


def test_processors_of_another_architecture() -> None:
    info = parse_cpuinfo("processor\t: 0\nprocessor\t: 1\nFeatures\t: fp asimd\nCPU architecture: 8\n")
    assert (info.sockets, info.cores, info.cpus, info.hvm, info.flags) == (1, 2, 2, False, "fp asimd")
    assert parse_cpuinfo("").model == "unknown"


def test_memory_in_bytes() -> None:
    values = parse_meminfo(MEMINFO)
    kib = 1024
    assert values["Huge"] == 3
    assert memory_of(values) == {
        "total": 1000 * kib,
        "used": 400 * kib,
        "free": 300 * kib,
        "available": 600 * kib,
    }
    assert swap_of(values) == {"total": 50 * kib, "used": 30 * kib, "free": 20 * kib}


def test_status_has_every_part(settings: Settings) -> None:
    status = Machine(settings).status()
    assert (status["uptime"], status["idle"], status["loadavg"]) == (4711, 0, ["0.10", "0.20", "0.30"])
    assert status["boot-info"] == {"mode": "legacy-bios"}
    assert status["ksm"] == {"shared": 0}
    assert (status["cpu"], status["wait"]) == (0.0, 0.0)
    root = status["rootfs"]
    assert isinstance(root, dict)
    assert root["total"] == root["used"] + root["free"]


def test_boot_mode(settings: Settings) -> None:
    variables = settings.at("/sys/firmware/efi/efivars")
    variables.mkdir(parents=True)
    machine = Machine(settings)
    assert machine.boot_info() == {"mode": "efi"}
    secure = variables / "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    secure.write_bytes(b"\6\0\0\0\1")
    assert machine.boot_info() == {"mode": "efi", "secureboot": 1}


def test_load_is_that_of_the_time_since_the_last_answer() -> None:
    readings = [CpuTimes(1000, 800, 0), CpuTimes(1100, 850, 10), CpuTimes(1200, 850, 10)]
    now = [0.0]
    slept: list[float] = []
    meter = LoadMeter(lambda: readings.pop(0), lambda: now[0], slept.append)
    first = meter.share()
    assert first.busy == pytest.approx(0.4)
    assert first.iowait == pytest.approx(0.1)
    assert slept == [0.1]
    now[0] = 0.5
    assert meter.share() == first  # too soon to say anything new
    now[0] = 2.0
    assert meter.share().busy == 1.0
    assert readings == []
