"""A node's figures out of recorded texts of the kernel, and what the cluster is told (status 3.3)."""

from __future__ import annotations

from pathlib import Path

from quorate.pmxcfs import rrd
from quorate.settings import Settings
from quorate.statd import figures
from quorate.statd.figures import CpuShare, CpuTimes, Memory, NodeFigures, Pressure, Space, Traffic
from quorate.statd.host import HostReader

STAT = """\
cpu  324951 51393 201441 759179 3670 0 14654 1304 0 0
cpu0 152525 22510 100143 394532 895 0 6783 658 0 0
cpu1 172425 28882 101297 364647 2774 0 7871 646 0 0
intr 28019209 0 0
ctxt 1
"""
STAT_LATER = STAT.replace("324951", "325251").replace("759179", "759779").replace("3670", "3770")
MEMINFO = """\
MemTotal:       24684084 kB
MemFree:        22443048 kB
MemAvailable:   22788948 kB
SwapTotal:       1000000 kB
SwapFree:         900000 kB
HugePages_Total:       0
"""
NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 9616885   28821    0    0    0     0          0         0  9616885   28821    0    0    0     0       0          0
  eth0: 2502474635   73093    0    0    0     0          0         0  3451086   32877    0    0    0     0       0          0
enp3s0:1000 1 0 0 0 0 0 0 2000 1 0 0 0 0 0 0
 eth0.5: 77 1 0 0 0 0 0 0 77 1 0 0 0 0 0 0
 vmbr0: 77 1 0 0 0 0 0 0 77 1 0 0 0 0 0 0
tap100i0: 77 1 0 0 0 0 0 0 77 1 0 0 0 0 0 0
"""  # noqa: E501 (as recorded)
PRESSURE = """\
some avg10=98.13 avg60=95.73 avg300=84.31 total=2058030010
full avg10=1.50 avg60=0.00 avg300=0.00 total=0
"""
FIGURES = NodeFigures(
    uptime=6820,
    load=11.09,
    processors=2,
    cpu=CpuShare(0.3, 0.1),
    memory=Memory(Space(1000, 400), 600, Space(50, 5)),
    root=Space(9_000_000_000, 3),
    traffic=Traffic(7, 8),
    arc=0,
    pressure={"cpu": Pressure(some=98.13, full=1.5), "io": Pressure(some=0.3, full=0.25)},
)


def test_texts_of_the_kernel() -> None:
    assert figures.parse_cpu(STAT) == (2, CpuTimes(1356592, 759179, 3670))
    assert figures.parse_uptime("6820.91 7591.79\n") == 6820
    assert figures.parse_load("11.09 9.26 7.56 12/339 9728\n") == 11.09
    assert figures.parse_memory(MEMINFO) == Memory(
        Space(24684084 << 10, (24684084 - 22788948) << 10), 22788948 << 10, Space(1000000 << 10, 100000 << 10)
    )
    assert figures.parse_traffic(NET_DEV) == Traffic(2502475635, 3453086)
    assert figures.parse_pressure(PRESSURE) == Pressure(some=98.13, full=1.5)
    assert (
        figures.parse_arc("name type data\nc_max 4 1\nsize                            4    123456\n")
        == 123456
    )


def test_processor_share_between_two_readings() -> None:
    before, after = figures.parse_cpu(STAT)[1], figures.parse_cpu(STAT_LATER)[1]
    share = figures.cpu_share(before, after)
    assert share is not None
    assert (round(share.busy, 6), round(share.iowait, 6)) == (0.3, 0.1)
    assert figures.cpu_share(before, before) is None
    assert figures.cpu_share(CpuTimes(100, 50, 20), CpuTimes(200, 90, 10)) == CpuShare(0.6, 0.0)


def test_value_of_a_node() -> None:
    value = figures.node_value(FIGURES, 1700000000)
    assert value == (
        b"6820::1700000000:11.09:2:0.3:0.1:1000:400:50:5:9000000000:3:7:8:600:0:98.13:0.3:0.25:U:U\0"
    )
    assert figures.node_value(FIGURES, 1700000000, old=True) == (
        b"6820::1700000000:11.09:2:0.3:0.1:1000:400:50:5:9000000000:3:7:8\0"
    )
    assert figures.node_value(NodeFigures(), 5) == b"U::5:" + b":".join([b"U"] * 19) + b"\0"


def test_the_file_system_archives_them() -> None:
    for key, value in (
        (b"pve-node-9.0/n1", figures.node_value(FIGURES, 1700000000)),
        (b"pve2-node/n1", figures.node_value(FIGURES, 1700000000, old=True)),
    ):
        assert rrd.plan(key, value)


def test_a_host(tmp_path: Path) -> None:
    for path, text in (
        ("stat", STAT),
        ("meminfo", MEMINFO),
        ("uptime", "nonsense"),
        ("net/dev", NET_DEV),
        ("pressure/cpu", PRESSURE),
    ):
        (tmp_path / "proc" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "proc" / path).write_text(text)
    reader = HostReader(Settings(tmp_path))
    first = reader.read()
    assert (first.uptime, first.load, first.cpu, first.processors, first.arc) == (None, None, None, 2, 0)
    assert first.root is not None
    assert first.root.total >= first.root.used > 0
    assert list(first.pressure) == ["cpu"]
    (tmp_path / "proc/stat").write_text(STAT_LATER)
    assert reader.read().cpu is not None
    assert HostReader(Settings(tmp_path / "nothing")).read() == NodeFigures(arc=0)
