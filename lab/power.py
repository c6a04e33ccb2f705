"""A node's power supply: the process that boots it, boots it again when it reboots, and ends when it is off.

Run as ``python3 -m lab.power LAB NODE LOCK_FD``, detached. It holds the node's power lock as long as it
lives, and tells what is going on in the node's power.json.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.boot import RootPlan, boot_script, start_argv
from lab.disk import MOUNTPOINT, disk_of
from lab.errors import LabError
from lab.processes import (
    cgroup_pids,
    first_child,
    is_alive,
    kill_cgroup,
    make_cgroup,
    move_to_cgroup,
    start_time,
)
from lab.record import Record, write_atomically
from lab.switch import Switch

EXIT_REBOOT = 129
"""unshare's status when its PID 1 called reboot(2) to restart (SIGHUP); 130 is power-off, 137 a kill."""
PID1_SECONDS = 20.0
BINDS_FILE = "binds.json"


@dataclass(frozen=True, slots=True)
class Power:
    """What is known of a node's power. ``init``: machine's pid of its PID 1, with its start time."""

    boots: int = 0
    init: int | None = None
    started: int = 0
    exit: int | None = None

    @classmethod
    def read(cls, node_dir: Path) -> Power:
        try:
            return cls(**json.loads((node_dir / "power.json").read_text()))
        except FileNotFoundError:
            return cls()

    def write(self, node_dir: Path) -> None:
        write_atomically(node_dir / "power.json", json.dumps(asdict(self)))

    def is_on(self) -> bool:
        return self.init is not None and is_alive(self.init, self.started)


def supply(record: Record, node: str) -> None:
    """Boot the node until it stays off."""
    directory = record.node_dir(node)
    supervisors, cgroup = record.cgroup / "power", record.cgroup / node
    make_cgroup(supervisors)
    make_cgroup(cgroup)
    move_to_cgroup(os.getpid(), supervisors)
    boots = Power.read(directory).boots
    while True:
        boots += 1
        Switch(record).connect(node)
        script = directory / "boot.sh"
        script.write_text(boot_script(_plan(record, node)))
        process = subprocess.Popen(
            start_argv(cgroup=cgroup, netns=record.netns(node), script=script), stdin=subprocess.DEVNULL
        )
        init = _wait_for_child(process)
        started = start_time(init) if init else None
        if init and started:
            Power(boots, init, started).write(directory)
            # a process that the node cannot see in its root cgroup breaks its `systemctl status`
            move_to_cgroup(process.pid, supervisors)
        code = process.wait()
        _bury(cgroup)
        Power(boots, exit=code).write(directory)
        if code not in (EXIT_REBOOT, -signal.SIGHUP):
            return


def _plan(record: Record, node: str) -> RootPlan:
    directory = record.node_dir(node)
    binds: Mapping[str, str] = json.loads((record.dir / BINDS_FILE).read_text())
    disk = disk_of(directory)
    return RootPlan(
        hostname=node,
        lower=[record.layer, Path(record.base)],
        upper=directory / "upper",
        work=directory / "work",
        root=directory / "root",
        binds={Path(source): target for source, target in binds.items()},
        disks={disk: MOUNTPOINT} if disk else {},
    )


def _wait_for_child(process: subprocess.Popen[bytes]) -> int | None:
    """The pid of the process that will be PID 1; None if the start failed first."""
    deadline = time.monotonic() + PID1_SECONDS
    while process.poll() is None:
        if child := first_child(process.pid):
            return child
        if time.monotonic() > deadline:
            process.kill()
            raise LabError(f"The node's first process did not appear within {PID1_SECONDS:.0f} s.")
        time.sleep(0.005)
    return None


def _bury(cgroup: Path) -> None:
    """Wait until the node's last processes are gone, so that its root is free for the next boot.

    What is left (a command of ours that had entered) dies here: with its PID 1 the node is gone.
    """
    kill_cgroup(cgroup)
    deadline = time.monotonic() + PID1_SECONDS
    while _populated(cgroup):
        if time.monotonic() > deadline:
            raise LabError(f"{cgroup} still has processes: {cgroup_pids(cgroup)}")
        time.sleep(0.01)


def _populated(cgroup: Path) -> bool:
    try:
        return "populated 1" in (cgroup / "cgroup.events").read_text()
    except FileNotFoundError:
        return False


def main() -> None:
    name, node, lock = sys.argv[1:]
    os.set_inheritable(int(lock), False)  # held by this process alone, until its end
    supply(Record.load(name), node)


if __name__ == "__main__":
    main()
