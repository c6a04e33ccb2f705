"""Guests' figures: sizes out of configurations, use out of the kernel's texts, values (status 3.3)."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from quorate.cfs import Guest
from quorate.ipc.shared import Changes
from quorate.pmxcfs import rrd
from quorate.settings import Settings
from quorate.statd import guestconf, guestfigures
from quorate.statd.figures import Pressure, Space, Traffic
from quorate.statd.guestconf import GIB, MIB, GuestConf
from quorate.statd.guestfigures import DiskTraffic, GuestUse, Process
from quorate.statd.guestreader import GuestReader
from quorate.statd.guests import Guests
from quorate.statd.monitors import Monitors
from quorate.statd.prober import Answer, Prober, Question
from quorate.statd.qmp import GuestMemory, MonitorFigures

MACHINE = """\
#name: not this one
boot: order=ide2;scsi1;scsi0
cores: 2
ide2: local:iso/x.iso,media=cdrom,size=3G
memory: 1024
name: web
scsi0: local:100/vm-100-disk-0.qcow2,size=4G
scsi1: local:100/vm-100-disk-1.qcow2,size=1536K
sockets: 2

[PENDING]
memory: 2048
name: later

[before]
cores: 9
"""
WEB = GuestConf(name="web", template=False, maxcpu=4, maxmem=GIB, maxdisk=1536 << 10)


def test_a_machine_as_configured() -> None:
    assert guestconf.virtual_machine(100, MACHINE) == WEB


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"name": "VM 7", "maxcpu": 1, "maxmem": 512 * MIB, "maxdisk": None}),
        ("template: 1\n", {"template": True}),
        ("memory: current=2048,x=1\n", {"maxmem": 2 * GIB}),
        ("memory: many\ncores: -3\nvcpus: 0\n", {"maxmem": 512 * MIB, "maxcpu": 1}),
        ("memory: 99999999999\n", {"maxmem": 512 * MIB}),
        ("sockets: 2\ncores: 4\nvcpus: 3\n", {"maxcpu": 3}),
        ("virtio1: a:b,size=2T\nscsi10: a:b,size=2G\nscsi9: a:b,size=1.5G\n", {"maxdisk": 3 * GIB // 2}),
        ("bootdisk: virtio1\nvirtio1: a:b,size=7\nscsi0: a:b,size=2G\n", {"maxdisk": 7}),
        ("boot: order=net0\nscsi0: /dev/sdx\n", {"maxdisk": None}),
    ],
)
def test_machines_defaults_and_slips(text: str, expected: dict[str, object]) -> None:
    conf = guestconf.virtual_machine(7, text)
    assert {name: getattr(conf, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"name": "CT7", "maxcpu": None, "maxmem": 512 * MIB, "maxdisk": 4 * GIB}),
        ("hostname: box\nmemory: 256\nrootfs: local:7/x.raw,size=8G\n", {"name": "box", "maxdisk": 8 * GIB}),
        ("cores: 4\ncpulimit: 0.5\n", {"maxcpu": 0.5}),
        ("cores: 4\ncpulimit: 0\n", {"maxcpu": 4}),
        ("cores: 2\ncpulimit: 3\n", {"maxcpu": 2}),
    ],
)
def test_containers_as_configured(text: str, expected: dict[str, object]) -> None:
    conf = guestconf.container(7, text)
    assert {name: getattr(conf, name) for name in expected} == expected


def test_values() -> None:
    use = GuestUse(
        uptime=5,
        busy=9.0,
        memory=50,
        host_memory=55,
        disk=Space(90, 1),
        network=Traffic(1, 2),
        disks=DiskTraffic(3, 4),
        pressure={"cpu": Pressure(some=0.1, full=0.2), "io": Pressure(some=0.3, full=0.4)},
    )
    value = guestfigures.guest_value(WEB, replace(use, disk=None), 77, cpu=0.25, processors=2)
    expected = b"5:web:running:0:77:2:0.25:1073741824:50:1572864:0:1:2:3:4:55:0.1:0.2:0.3:0.4:U:U\0"
    assert value == expected
    assert value.count(b":") == 21
    container = guestfigures.guest_value(WEB, use, 77, processors=8, machine=False, old=True)
    assert container == b"5:web:running:0:77:4:U:1073741824:50:90:1:1:2:3:4\0"
    hidden = guestfigures.guest_value(WEB, GuestUse(), 77, processors=8, machine=False, old=True)
    assert hidden == b"U:web:running:0:77:4:U:1073741824:U:1572864:U:U:U:U:U\0"
    paused = guestfigures.guest_value(WEB, GuestUse(status="paused"), 77)
    assert paused.startswith(b"U:web:paused:0:77:4:")
    stopped = guestfigures.guest_value(WEB, None, 77, processors=8)
    assert stopped == b"0:web:stopped:0:77:4:U:1073741824:U:1572864:0:U:U:U:U:U:U:U:U:U:U:U\0"
    for key, text in (("pve-vm-9.0/100", value), ("pve2.3-vm/100", container), ("pve-vm-9.0/1", stopped)):
        assert rrd.plan(key.encode(), text).text.startswith("77:")


def test_a_name_is_one_column() -> None:
    conf = guestconf.virtual_machine(1, "name: a:b\x01c\n")
    assert guestfigures.guest_value(conf, None, 1).split(b":")[1] == b"a_b_c"


def test_texts_of_the_kernel() -> None:
    stat = "42 (a) b (c)) S 1 1 1 0 -1 4194304 1 0 0 0 150 50 0 0 20 0 1 0 3000 1 1"
    assert guestfigures.parse_process(stat) == Process(200, 3000)
    with pytest.raises(ValueError, match="no process"):
        guestfigures.parse_process("")
    io = "8:0 rbytes=5 wbytes=6 rios=1\n8:16 rbytes=1 wbytes=1 rios=1\n"
    assert guestfigures.parse_group_traffic(io) == DiskTraffic(6, 7)
    assert guestfigures.parse_group_value("usage_usec 7\nx 1\n", "usage_usec") == 7
    with pytest.raises(ValueError, match="no line"):
        guestfigures.parse_group_value("x 1\n", "usage_usec")
    net = "tap100i0: 5 0 0 0 0 0 0 0 6 0\ntap100i1: 1 0 0 0 0 0 0 0 1 0\n eth0: 1\n"
    net += "veth101i0: 1 0 0 0 0 0 0 0 2 0\n"
    assert guestfigures.guest_network(net) == {100: Traffic(7, 6), 101: Traffic(2, 1)}
    unix = "0: 2 0 10000 1 1 9 @/var/lib/lxc/101/command\n0: 2 0 0 1 1 9 @/var/lib/lxc/102/commands\n"
    assert guestfigures.running_containers(unix) == {101}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((b"/usr/bin/kvm", b"-id", b"1", b"-pidfile", b"/run/qemu-server/1.pid"), True),
        ((b"qemu-system-x86_64", b"-pidfile", b"/run/qemu-server/1.pid", b""), True),
        ((b"/usr/bin/kvm", b"-pidfile", b"/var/run/qemu-server/1.pid", b"-daemonize"), True),
        ((b"/usr/bin/kvm", b"-pidfile", b"/other/run/qemu-server/1.pid"), False),
        ((b"/usr/bin/kvm", b"-pidfile", b"/run/qemu-server/12.pid"), False),
        ((b"grep", b"-pidfile", b"/run/qemu-server/1.pid"), False),
        ((b"",), False),
    ],
)
def test_a_pid_file_proves_nothing(words: tuple[bytes, ...], expected: bool) -> None:
    assert guestfigures.is_machine(b"\0".join(words), 1) is expected


@pytest.mark.parametrize(
    ("arguments", "share"),
    [
        ((3.0, 1.0, 10.0, 2), 0.1),
        ((90.0, 1.0, 10.0, 2), 1.0),
        ((1.0, 3.0, 10.0, 2), 0.0),
        ((3.0, None, 10.0, 2), None),
        ((3.0, 1.0, 0.0, 2), None),
        ((3.0, 1.0, 10.0, None), None),
    ],
)
def test_share_of_processors(
    arguments: tuple[float | None, float | None, float, float | None], share: float | None
) -> None:
    assert guestfigures.cpu_share(*arguments) == share


class Host:
    """A root with the texts of a kernel."""

    def __init__(self, root: Path) -> None:
        self.settings = Settings(root)

    def write(self, path: str, text: str) -> None:
        file = self.settings.at(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = Host(tmp_path)
    host.write("/proc/uptime", "100.5 3.0\n")
    return host


def stat(used: int, started: int) -> str:
    return f"9 (x) S 1 1 1 0 -1 0 1 0 0 0 {used} 0 0 0 20 0 1 0 {started} 1 1\n"


class Told(Monitors):
    """Monitors that answer."""

    def __init__(self, figures: Mapping[int, MonitorFigures]) -> None:
        self.figures = figures
        self.asked: list[Mapping[int, int]] = []

    def ask(self, machines: Mapping[int, int]) -> dict[int, MonitorFigures]:
        self.asked.append(dict(machines))
        return {vmid: self.figures[vmid] for vmid in machines if vmid in self.figures}


class Answering(Prober):
    """Every file system has the same size."""

    def ask(self, questions: Iterable[Question]) -> dict[str, Answer]:
        return {question.name: Answer(text="10 4 512") for question in questions}


def make_reader(host: Host, figures: Mapping[int, MonitorFigures] | None = None) -> tuple[GuestReader, Told]:
    monitors = Told(figures or {})
    return GuestReader(host.settings, Answering(), monitors), monitors


def test_a_running_machine(host: Host) -> None:
    host.write("/run/qemu-server/100.pid", "55\n")
    host.write("/proc/55/cmdline", "/usr/bin/kvm\0-pidfile\0/run/qemu-server/100.pid\0")
    host.write("/proc/55/stat", stat(250, 5050))
    host.write("/proc/55/statm", "9 2 1 1 0 1 0\n")
    host.write("/proc/55/cgroup", "0::/qemu.slice/100.scope\n")
    host.write("/sys/fs/cgroup/qemu.slice/100.scope/cpu.pressure", "some avg10=1.50 avg60=0 total=1\n")
    host.write("/proc/net/dev", "tap100i0: 5 0 0 0 0 0 0 0 6 0\n")
    told = MonitorFigures(status="paused", disks=DiskTraffic(3, 4), memory=GuestMemory(900, 200, 60))
    reader, monitors = make_reader(host, {100: told})
    reader.begin(61, [100, 101], [])
    use = reader.machine(100)
    assert use is not None
    assert (use.status, use.uptime, use.busy) == ("paused", 50, 2.5)
    assert (use.network, use.disks) == (Traffic(6, 5), DiskTraffic(3, 4))
    assert use.memory == 700
    assert use.host_memory == 2 * os.sysconf("SC_PAGE_SIZE")
    assert use.pressure["cpu"].some == 1.5
    assert reader.machine(101) is None
    assert monitors.asked == [{100: 55}]
    host.write("/proc/55/cmdline", "")  # it has ended, and the PID file stays
    reader.begin(61, [100, 101], [])
    assert reader.machine(100) is None


def test_a_machine_whose_monitor_is_silent(host: Host) -> None:
    host.write("/run/qemu-server/100.pid", "55\n")
    host.write("/proc/55/cmdline", "/usr/bin/kvm\0-pidfile\0/var/run/qemu-server/100.pid\0")
    host.write("/proc/55/statm", "9 2 1 1 0 1 0\n")
    reader, _ = make_reader(host)
    reader.begin(61, [100], [])
    use = reader.machine(100)
    assert use is not None
    assert use.memory == use.host_memory == 2 * os.sysconf("SC_PAGE_SIZE")
    assert (use.status, use.disks) == (None, None)


def test_a_running_container(host: Host) -> None:
    group = "/sys/fs/cgroup/lxc/101"
    host.write("/proc/net/unix", "0: 2 0 10000 1 1 9 @/var/lib/lxc/101/command\n")
    host.write(f"{group}/memory.current", "1000\n")
    host.write(f"{group}/memory.stat", "anon 5\ninactive_file 300\n")
    host.write(f"{group}/cpu.stat", "usage_usec 1500000\n")
    host.write(f"{group}/io.stat", "8:0 rbytes=1 wbytes=2\n")
    host.write(f"{group}/cgroup.procs", "")
    host.write(f"{group}/ns/init.scope/cgroup.procs", "66\n70\n")
    host.write("/proc/66/stat", stat(1, 10))
    reader, _ = make_reader(host)
    reader.begin(0, [], [101, 102])
    assert reader.container(101) == GuestUse(
        uptime=100, busy=1.5, memory=700, host_memory=1000, disk=Space(5120, 3072), disks=DiskTraffic(1, 2)
    )
    assert reader.container(102) is None
    (host.settings.at("/proc/net/unix")).unlink()
    reader.begin(0, [], [101, 102])
    assert reader.container(101) is None


class Cluster:
    """Configurations with counters."""

    def __init__(self) -> None:
        self.vmlist = 1
        self.starttime = 1
        self.files: dict[str, bytes] = {}
        self.ids: dict[int, Guest] = {}
        self.reads: list[str] = []

    def changes(self) -> Changes:
        return Changes(self.starttime, 1, self.vmlist)

    def guest_list(self) -> dict[int, Guest]:
        return self.ids

    def content(self, path: str) -> bytes | None:
        self.reads.append(path)
        return self.files.get(path)

    def put(self, vmid: int, text: str, *, node: str = "n1", kind: str = "qemu") -> None:
        self.vmlist += 1
        self.ids[vmid] = Guest(node, kind, self.vmlist)
        directory = "lxc" if kind == "lxc" else "qemu-server"
        self.files[f"nodes/{node}/{directory}/{vmid}.conf"] = text.encode()


class Running:
    def __init__(self) -> None:
        self.uses: dict[int, GuestUse] = {}
        self.asked: list[object] = []

    def begin(self, now: float, machines: Collection[int], containers: Collection[int]) -> None:
        self.asked = [now, machines, containers]

    def machine(self, vmid: int) -> GuestUse | None:
        return self.uses.get(vmid)

    container = machine


def column(values: Iterator[tuple[int, bytes]], number: int) -> dict[int, bytes]:
    return {vmid: value.split(b":")[number] for vmid, value in values}


def test_guests_of_this_node_only_and_files_are_read_when_they_change() -> None:
    cluster, running = Cluster(), Running()
    cluster.put(100, "name: one\n")
    cluster.put(101, "hostname: two\n", kind="lxc")
    cluster.put(102, "name: other\n", node="n2")
    guests = Guests("n1", cluster, running, 2)
    assert column(guests.values(1, 1.0, old=False), 1) == {100: b"one", 101: b"two"}
    assert list(guests.values(2, 2.0, old=False))
    assert running.asked == [2, [100], [101]]
    assert len(cluster.reads) == 2
    cluster.put(100, "name: new\n")
    assert column(guests.values(3, 3.0, old=False), 1) == {100: b"new", 101: b"two"}
    assert len(cluster.reads) == 3
    cluster.starttime += 1  # another daemon counts anew
    assert list(guests.values(4, 4.0, old=False))
    assert len(cluster.reads) == 5
    del cluster.files["nodes/n1/qemu-server/100.conf"]  # on its way to another node
    cluster.vmlist += 1
    cluster.starttime += 1
    assert column(guests.values(5, 5.0, old=False), 1) == {101: b"two"}
    assert column(guests.values(6, 6.0, old=False), 1) == {101: b"two"}
    assert cluster.reads.count("nodes/n1/qemu-server/100.conf") == 5


def test_the_share_of_the_processors_is_that_between_two_rounds() -> None:
    cluster, running = Cluster(), Running()
    cluster.put(100, "cores: 2\n")
    guests = Guests("n1", cluster, running, 8)
    running.uses[100] = GuestUse(busy=10.0)
    assert column(guests.values(1, 1.0, old=False), 6) == {100: b"U"}
    running.uses[100] = GuestUse(busy=20.0)
    assert column(guests.values(11, 11.0, old=False), 6) == {100: b"0.5"}
    guests = Guests("n1", cluster, running, 1)  # it cannot use more than the node has
    running.uses[100] = GuestUse(busy=10.0)
    assert column(guests.values(1, 1.0, old=False), 6) == {100: b"U"}
    running.uses[100] = GuestUse(busy=15.0)
    assert column(guests.values(11, 11.0, old=False), 6) == {100: b"0.5"}
    running.uses.clear()
    assert column(guests.values(21, 21.0, old=False), 6) == {100: b"U"}
    running.uses[100] = GuestUse(busy=1.0)
    assert column(guests.values(31, 31.0, old=False), 6) == {100: b"U"}
