"""Runs in a node with the project's Python: many guests of this node, and what pvestatd would tell of them.

The guests are configuration files; the status daemon's own round tells of them every 10 s, with a reader that
makes up what a running guest takes, so that all figures change. Prints {} when it is ready, then answers one
request per line on standard input: {"operation": "create", "vmids": [...]}, {"operation": "remove"}.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from quorate.cfs import Cfs
from quorate.ipc.client import Client
from quorate.ipc.shared import SharedClient
from quorate.settings import Settings
from quorate.statd.cycle import Cycle, Readers
from quorate.statd.daemon import keep_time
from quorate.statd.figures import Space, Traffic
from quorate.statd.guestfigures import DiskTraffic, GuestUse
from quorate.statd.host import HostReader
from quorate.statd.prober import Prober
from quorate.tasks import local_node

CONTAINERS = 4
"""Every fourth guest is a container."""
UPTIME = 86_400
MIB = 1 << 20
GIB = 1 << 30


def file_of(vmid: int) -> tuple[str, str]:
    """Directory and content of a guest's configuration."""
    if vmid % CONTAINERS:
        return "qemu-server", (
            f"boot: order=scsi0\ncores: 4\nmemory: 8192\nname: guest-{vmid}\n"
            f"net0: virtio=BC:24:11:00:{vmid >> 8 & 255:02X}:{vmid & 255:02X},bridge=vmbr0\nonboot: 1\n"
            f"ostype: l26\nscsi0: local:{vmid}/vm-{vmid}-disk-0.qcow2,size=32G\nscsihw: virtio-scsi-single\n"
            "tags: prod;web\n"
        )
    return "lxc", (
        f"arch: amd64\ncores: 2\nhostname: guest-{vmid}\nmemory: 2048\n"
        f"net0: name=eth0,bridge=vmbr0,ip=dhcp,type=veth\nostype: debian\n"
        f"rootfs: local:{vmid}/vm-{vmid}-disk-0.raw,size=8G\nswap: 512\ntags: prod;dns\nunprivileged: 1\n"
    )


class MadeUp:
    """What running guests take; all of it grows with the time."""

    def __init__(self) -> None:
        self._begin = time.time()
        self._now = 0.0

    def begin(self, now: float, machines: Collection[int], containers: Collection[int]) -> None:
        self._now = now - self._begin

    def machine(self, vmid: int) -> GuestUse:
        return self._use(vmid, "running", None)

    def container(self, vmid: int) -> GuestUse:
        return self._use(vmid, None, Space(8 * GIB, 2 * GIB + int(self._now) * MIB))

    def _use(self, vmid: int, status: str | None, disk: Space | None) -> GuestUse:
        at = int(self._now)
        traffic = at * 1000 + vmid
        return GuestUse(
            status=status,
            uptime=UPTIME + at,
            busy=self._now * (vmid % 50) / 100,
            memory=GIB + (at + vmid) % 512 * MIB,
            host_memory=GIB + (at + vmid) % 700 * MIB,
            disk=disk,
            network=Traffic(traffic * 3, traffic),
            disks=DiskTraffic(traffic * 5, traffic * 7),
        )


class World:
    """This node's guests, and the thread that tells of them."""

    def __init__(self) -> None:
        settings = Settings()
        self._files: list[Path] = []
        self._directory = settings.mountpoint / "nodes" / local_node()
        self._stop = threading.Event()
        for kind in ("pve-node-9.0", "pve-vm-9.0", "pve-storage-9.0"):  # by these a sender chooses its format
            (settings.rrd_dir / kind).mkdir(parents=True, exist_ok=True)
        self._prober = Prober()
        self._daemon = SharedClient(lambda: Client(settings))
        readers = Readers(
            node=HostReader(settings).read,
            guests=MadeUp(),
            prober=self._prober,
            processors=os.cpu_count(),
        )
        cycle = Cycle(settings, local_node(), Cfs(settings, daemon=self._daemon), readers, {})
        self._teller = threading.Thread(target=keep_time, args=(cycle.run, self._stop), daemon=True)

    def create(self, vmids: Iterable[int]) -> None:
        for vmid in vmids:
            directory, text = file_of(vmid)
            path = self._directory / directory / f"{vmid}.conf"
            path.write_text(text)
            self._files.append(path)
        self._teller.start()

    def remove(self) -> None:
        self._stop.set()
        if self._teller.is_alive():
            self._teller.join()
        self._prober.close()
        self._daemon.close()
        for path in self._files:
            path.unlink(missing_ok=True)
        self._files.clear()


def main() -> None:
    logging.basicConfig(level=logging.CRITICAL)  # standard error is one stream with the answers
    world = World()
    print("{}", flush=True)  # ready
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, str] = {}
        try:
            if request["operation"] == "create":
                world.create(request["vmids"])
            else:
                world.remove()
        except OSError as error:
            answer = {"error": f"{request['operation']} guests: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
