"""The status daemon's readers on a real QEMU: its command line, its monitor, a guest that reads from a disk.

QEMU is large and not part of the set-up: these tests run where ``qemu-system-x86_64`` is installed.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRWPair
from pathlib import Path

import pytest

from lab.waiting import wait_for
from quorate.settings import Settings
from quorate.statd.guestfigures import DiskTraffic, GuestUse
from quorate.statd.guestreader import GuestReader
from quorate.statd.monitors import Monitors
from quorate.statd.prober import Prober
from quorate.statd.qmp import POLLING_SECONDS

QEMU = shutil.which("qemu-system-x86_64")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        QEMU is None, reason="qemu-system-x86_64 is not installed (apt-get install qemu-system-x86)"
    ),
]

VMID = 100
SECTOR = 512
OWN_RUN = (
    *("unshare", "--mount", "--propagation", "private", "sh", "-c"),
    *('mount -t tmpfs none /run && mkdir /run/qemu-server && exec "$@"', "sh"),
)
"""QEMU writes its PID file where the product does, without touching this machine's."""
START_SECONDS = 60.0
"""A busy machine needs a while for a BIOS without KVM."""


class Machine:
    """A node's root, with one VM in it as the product starts it (guests 1.8), but for KVM."""

    def __init__(self, root: Path) -> None:
        self.directory = root / "var/run/qemu-server"
        self.directory.mkdir(parents=True)
        (root / "run").symlink_to("var/run")
        (root / "proc").symlink_to("/proc")
        self.settings = Settings(root)
        self.reader = self.make_reader(answer_seconds=START_SECONDS)
        self.disk = root / "disk"
        # A boot sector that does nothing: the BIOS reads it
        self.disk.write_bytes((b"\xeb\xfe" + bytes(SECTOR - 4) + b"\x55\xaa").ljust(1 << 20, b"\0"))

    def make_reader(self, answer_seconds: float) -> GuestReader:
        return GuestReader(self.settings, Prober(), Monitors(self.settings, answer_seconds=answer_seconds))

    def command(self) -> list[str]:
        assert QEMU is not None
        disk = f"driver=raw,node-name=drive0,file.driver=file,file.filename={self.disk}"
        return [
            *(
                QEMU,
                "-nodefaults",
                "-display",
                "none",
                "-machine",
                "pc,accel=tcg",
                "-m",
                "32",
            ),
            *("-chardev", f"socket,id=qmp,path={self.directory}/{VMID}.qmp,server=on,wait=off"),
            *("-mon", "chardev=qmp,mode=control"),
            *("-device", "virtio-balloon-pci,id=balloon0"),
            *("-blockdev", disk, "-device", "virtio-blk-pci,drive=drive0,bootindex=1"),
            *("-pidfile", f"/var/run/qemu-server/{VMID}.pid", "-S"),
        ]

    def figures(self) -> GuestUse:
        self.reader.begin(0, [VMID], [])
        use = self.reader.machine(VMID)
        assert use is not None
        return use

    @contextmanager
    def talk(self) -> Iterator[Talk]:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(START_SECONDS)
            client.connect(f"{self.directory}/{VMID}.qmp")
            with client.makefile("rwb") as stream:
                yield Talk(stream)


class Talk:
    """Somebody else's conversation with the monitor."""

    def __init__(self, stream: BufferedRWPair) -> None:
        self._stream = stream
        self._stream.readline()
        self.do("qmp_capabilities")

    def do(self, command: str, **arguments: object) -> object:
        self._stream.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        self._stream.flush()
        while "return" not in (said := json.loads(self._stream.readline())):
            assert "event" in said
        return said["return"]


@pytest.fixture
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory() as root:
        machine = Machine(Path(root))
        said = Path(root, "said")
        with said.open("w") as file:
            process = subprocess.Popen([*OWN_RUN, *machine.command()], stdout=file, stderr=file)

        def is_up() -> bool:
            assert process.poll() is None, said.read_text()
            return (machine.directory / f"{VMID}.qmp").exists()

        try:
            wait_for(is_up, timeout=START_SECONDS, what="monitor")
            (machine.directory / f"{VMID}.pid").write_text(f"{process.pid}\n")
            yield machine
        finally:
            process.kill()
            process.wait()


def test_figures_of_a_machine(machine: Machine) -> None:
    use = machine.figures()
    assert (use.status, use.disks) == ("prelaunch", DiskTraffic(0, 0))
    assert use.memory == use.host_memory  # nobody in the guest reports
    assert use.uptime is not None
    assert use.uptime >= 0
    with machine.talk() as talk:
        talk.do("cont")
    wait_for(
        lambda: (disks := machine.figures().disks) is not None and disks.read >= SECTOR,
        timeout=START_SECONDS,
        what="the BIOS to read the disk",
    )
    use = machine.figures()
    assert use.status == "running"
    assert use.busy is not None
    assert use.busy > 0
    with machine.talk() as talk:
        balloon = {"path": "/machine/peripheral/balloon0", "property": "guest-stats-polling-interval"}
        assert talk.do("qom-get", **balloon) == POLLING_SECONDS
        talk.do("stop")
    assert machine.figures().status == "paused"


def test_a_monitor_that_talks_to_somebody_else(machine: Machine) -> None:
    machine.reader = machine.make_reader(answer_seconds=0.5)
    with machine.talk():
        use = machine.figures()
        assert (use.status, use.disks) == (None, None)
        assert use.memory == use.host_memory
