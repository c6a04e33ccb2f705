"""Carries out the plan's faults on a lab and writes down when each of them held, for the checker."""

from __future__ import annotations

import shutil
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import Lab, Node
from lab.disk import disk_of
from tests.history.plan import Fault
from tests.history.records import Fault as Recorded

CLOCK_FILE = "var/lib/history-clock"
LARGE = "/etc/pve/large-"
LARGE_FILES = 16
"""Of a megabyte each, at most: more than the database's log keeps allocated."""
LARGE_SECONDS = 40.0
"""For one of them, and after which no other is begun. Without quorum it may take the bound of a call."""
PROBE = "/etc/pve/full-probe"
OLD_SECONDS = 2.0
"""How much older a database is that a node comes back with after power loss, at least."""
START_CLIENT = Callable[[Node], None]


@dataclass(slots=True)
class Running:
    """A fault that holds at present."""

    fault: Fault
    begin: float
    applied: float = 0.0


class Nemesis:
    """Breaks and heals one lab. ``start_client`` is called for a node that has power again."""

    def __init__(self, lab: Lab, start_client: START_CLIENT) -> None:
        self._lab = lab
        self._start_client = start_client
        self.done: list[Recorded] = []

    def apply(self, fault: Fault) -> Running:
        running = Running(fault, time.monotonic())
        getattr(self, f"_apply_{_method(fault.kind)}")(fault)
        running.applied = time.monotonic()
        return running

    def heal(self, running: Running) -> None:
        fault = running.fault
        heal = time.monotonic()
        getattr(self, f"_heal_{_method(fault.kind)}", lambda _: None)(fault)
        self.done.append(self._record(running, heal, time.monotonic()))

    def _record(self, running: Running, heal: float, end: float) -> Recorded:
        fault, everyone = running.fault, tuple(self._lab.record.node_names())
        disturbed, throughout = fault.nodes, False
        stalled: tuple[str, ...] = ()
        isolated: tuple[str, ...] = ()
        off: tuple[str, ...] = ()
        if fault.kind in ("one-way", "kill all pmxcfs"):
            disturbed = everyone
        if fault.kind in ("stop pmxcfs", "kill pmxcfs", "full disk", "clock"):
            disturbed = ()
        if fault.kind in ("one-way", "links in turn", "loss", "delay", "stop corosync", "freeze"):
            throughout = True
        if fault.kind in ("stop pmxcfs", "freeze", "power", "old disk"):
            stalled = fault.nodes
        if fault.kind in ("cut", "kill corosync"):
            isolated = fault.nodes
        if fault.kind in ("power", "old disk"):
            off = fault.nodes
        if fault.kind == "split":
            others = tuple(node for node in everyone if node not in fault.nodes)
            minority = [group for group in (fault.nodes, others) if 2 * len(group) <= len(everyone)]
            isolated = disturbed = tuple(node for group in minority for node in group)
        return Recorded(
            fault.kind,
            str(fault),
            running.begin,
            running.applied,
            heal,
            end,
            disturbed,
            throughout,
            stalled,
            isolated,
            off,
        )

    # The network

    def _apply_cut(self, fault: Fault) -> None:
        self._lab.cut(fault.nodes[0])

    def _heal_cut(self, fault: Fault) -> None:
        self._lab.heal(fault.nodes[0])

    def _apply_split(self, fault: Fault) -> None:
        others = [node for node in self._lab.record.node_names() if node not in fault.nodes]
        self._lab.split([list(fault.nodes), others])

    def _heal_split(self, fault: Fault) -> None:
        self._lab.heal(fault.nodes[0])

    def _apply_one_way(self, fault: Fault) -> None:
        source, destination = fault.nodes
        self._lab.cut_one_way(source, destination)

    def _heal_one_way(self, fault: Fault) -> None:
        self._lab.heal(fault.nodes[0])

    def _apply_links_in_turn(self, fault: Fault) -> None:
        node = fault.nodes[0]
        for link in self._lab.links:
            self._lab.cut(node, link)
            time.sleep(2.0)
            self._lab.heal(node, link)
        self._lab.cut(node, 0)

    def _heal_links_in_turn(self, fault: Fault) -> None:
        self._lab.heal(fault.nodes[0])

    def _apply_loss(self, fault: Fault) -> None:
        self._lab.drop(fault.nodes[0], int(fault.amount))

    def _heal_loss(self, fault: Fault) -> None:
        self._lab.heal(fault.nodes[0])

    def _apply_delay(self, fault: Fault) -> None:
        self._lab.delay(fault.nodes[0], fault.amount, fault.amount / 3)

    def _heal_delay(self, fault: Fault) -> None:
        self._lab.heal(fault.nodes[0])

    # Processes

    def _apply_stop_pmxcfs(self, fault: Fault) -> None:
        self._signal_pmxcfs(fault.nodes[0], "STOP")

    def _heal_stop_pmxcfs(self, fault: Fault) -> None:
        self._signal_pmxcfs(fault.nodes[0], "CONT")

    def _apply_stop_corosync(self, fault: Fault) -> None:
        self._signal_corosync(fault.nodes[0], "STOP")

    def _heal_stop_corosync(self, fault: Fault) -> None:
        self._signal_corosync(fault.nodes[0], "CONT")

    def _apply_kill_pmxcfs(self, fault: Fault) -> None:
        self._signal_pmxcfs(fault.nodes[0], "KILL")

    def _apply_kill_all_pmxcfs(self, fault: Fault) -> None:
        for node in fault.nodes:
            self._signal_pmxcfs(node, "KILL")

    def _apply_kill_corosync(self, fault: Fault) -> None:
        self._signal_corosync(fault.nodes[0], "KILL")

    def _heal_kill_corosync(self, fault: Fault) -> None:
        node = self._lab.node(fault.nodes[0])
        node.systemctl("reset-failed", "corosync", check=False)
        node.systemctl("start", "corosync")

    def _apply_kill_both(self, fault: Fault) -> None:
        self._signal_corosync(fault.nodes[0], "KILL")
        self._signal_pmxcfs(fault.nodes[0], "KILL")

    def _heal_kill_both(self, fault: Fault) -> None:
        self._heal_kill_corosync(fault)

    def _signal_pmxcfs(self, node: str, signal: str) -> None:
        # systemd may be about to start it again after an earlier kill: then there is nobody to signal
        script = f"kill -{signal} $(cat /run/pve-cluster.pid)"
        self._lab.node(node).run(["sh", "-c", script], check=False)

    def _signal_corosync(self, node: str, signal: str) -> None:
        self._lab.node(node).run(["pkill", f"-{signal}", "-x", "corosync"], check=False)

    # The host

    def _apply_power(self, fault: Fault) -> None:
        self._lab.node(fault.nodes[0]).power_cut()

    def _heal_power(self, fault: Fault) -> None:
        node = self._lab.node(fault.nodes[0])
        node.power_on()
        self._start_client(node)

    def _apply_old_disk(self, fault: Fault) -> None:
        """The disk has what it had some moments ago: what came later was not on it yet."""
        node = self._lab.node(fault.nodes[0])
        place = disk_of(self._lab.record.node_dir(node.name))
        assert place, "the nodes have disks of their own"
        earlier = place.with_name("disk-earlier")
        self._signal_pmxcfs(node.name, "STOP")  # for a copy of one moment
        try:
            shutil.copytree(place, earlier, dirs_exist_ok=False)
        finally:
            self._signal_pmxcfs(node.name, "CONT")
        time.sleep(OLD_SECONDS)
        node.power_cut()
        for file in place.glob("config.db*"):
            file.unlink()
        for file in earlier.glob("config.db*"):
            shutil.copy2(file, place / file.name)
        shutil.rmtree(earlier)

    def _heal_old_disk(self, fault: Fault) -> None:
        self._heal_power(fault)

    def _apply_freeze(self, fault: Fault) -> None:
        self._lab.node(fault.nodes[0]).freeze()

    def _heal_freeze(self, fault: Fault) -> None:
        self._lab.node(fault.nodes[0]).thaw()

    def _apply_full_disk(self, fault: Fault) -> None:
        """The database writes into room that it has already, until something large comes."""
        full = self._lab.node(fault.nodes[0])
        full.fill_disk()
        deadline = time.monotonic() + LARGE_SECONDS
        for number in range(LARGE_FILES):
            script = f"head -c 1000000 /dev/urandom > {LARGE}{number}"
            self._other(fault).run(["sh", "-c", script], check=False, timeout=LARGE_SECONDS)
            probe = full.run(["sh", "-c", f"mkdir {PROBE} && rmdir {PROBE}"], check=False)
            if probe.returncode or time.monotonic() > deadline:
                break

    def _heal_full_disk(self, fault: Fault) -> None:
        self._lab.node(fault.nodes[0]).free_disk()
        script = f"rm -rf {LARGE}* {PROBE}"
        self._other(fault).run(["sh", "-c", script], check=False, timeout=LARGE_SECONDS)

    def _other(self, fault: Fault) -> Node:
        return next(node for node in self._lab.nodes if node.name not in fault.nodes)

    def _apply_clock(self, fault: Fault) -> None:
        self.set_clock(fault.nodes[0], fault.amount)

    def _heal_clock(self, fault: Fault) -> None:
        self.set_clock(fault.nodes[0], 0.0)

    def set_clock(self, node: str, seconds: float) -> None:
        """How far the wall clock that a node's pmxcfs reads is from the machine's, from now on."""
        with clock_file(self._lab, node).open("r+b") as file:
            file.write(struct.pack("<d", seconds))


def clock_file(lab: Lab, node: str) -> Path:
    """Read by ``node_clock.py`` inside the node."""
    return lab.record.node_dir(node) / "upper" / CLOCK_FILE


def _method(kind: str) -> str:
    return kind.replace(" ", "_").replace("-", "_")
