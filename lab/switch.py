"""The network between the nodes: one bridge per link in a namespace of its own, so nothing leaves the
machine and two labs may use the same addresses. Puts the faults of faults.py into effect.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.errors import LabError
from lab.faults import Faults, port_name, ruleset, tap_name
from lab.processes import cgroup_pids, make_cgroup
from lab.record import Record, node_number, write_atomically

OUTSIDE = 254
"""Last number of the switch's own address on each link: where a browser or a test of ours stands."""
RELAY_SECONDS = 20.0  # to start a Python process on a busy machine


class Switch:
    """One lab's switch. Every method finds the present faults on disk, so several processes may use it."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._netns = record.switch_netns

    def create(self) -> None:
        """Make the namespace and the bridges, with no port yet."""
        ip("netns", "add", self._netns)
        ip("-n", self._netns, "link", "set", "lo", "up")
        for link in range(self._record.links):
            ip("-n", self._netns, "link", "add", f"br{link}", "type", "bridge", "mcast_snooping", "0")
            ip("-n", self._netns, "addr", "add", f"10.77.{link}.{OUTSIDE}/24", "dev", f"br{link}")
            ip("-n", self._netns, "link", "set", f"br{link}", "up")
        self._save(Faults())

    def destroy(self) -> None:
        """Take the namespace away, and the bridges with it. The relays end with the lab's cgroup."""
        delete_netns(self._netns)

    def connect(self, node: str) -> None:
        """Give a node that is about to boot a fresh namespace and its cables, as whole as the faults say."""
        with self._record.locked():
            self._connect(node, self._record.netns(node))

    def _connect(self, node: str, namespace: str) -> None:
        delete_netns(namespace)
        ip("netns", "add", namespace)
        faults = self.faults()
        for link in range(self._record.links):
            port = port_name(node, link)
            self._stop_relay(node, link)
            self._ip("link", "del", port, check=False)  # left over if the node died with its namespace in use
            peer = ["peer", "name", f"eth{link}", "address", hardware_address(node, link), "netns", namespace]
            self._ip("link", "add", port, "type", "veth", *peer)
            self._ip("link", "set", port, "master", f"br{link}")
            self._set_cable(node, link, plugged=(node, link) not in faults.unplugged)
            if (node, link) in faults.delay:
                self._start_relay(node, link, *faults.delay[node, link])

    def pull_all(self, node: str) -> None:
        """No frame leaves the node any more, not even the farewells of a dying kernel. Not recorded."""
        for link in range(self._record.links):
            self._ip("link", "set", port_name(node, link), "down", check=False)

    def faults(self) -> Faults:
        return Faults.from_json((self._record.dir / "faults.json").read_text())

    @contextmanager
    def changing(self) -> Iterator[Faults]:
        """Change the faults in the block; at its end the difference is put into effect and recorded."""
        with self._record.locked():
            faults, before = self.faults(), self.faults()
            yield faults
            self._save(faults)
            self._run(["nft", "-f", "-"], text=ruleset(faults))
            for node in self._record.node_names():
                for link in range(self._record.links):
                    self._put_into_effect(node, link, before, faults)

    def run(self, argv: Sequence[str], *, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a program of the machine in the switch's network (addresses 10.77.LINK.254)."""
        return subprocess.run(
            ["ip", "netns", "exec", self._netns, *argv],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def _put_into_effect(self, node: str, link: int, before: Faults, faults: Faults) -> None:
        port = (node, link)
        if (port in before.unplugged) != (port in faults.unplugged):
            self._set_cable(node, link, plugged=port not in faults.unplugged)
        if before.delay.get(port) != faults.delay.get(port):
            self._stop_relay(node, link)
            if port in faults.delay:
                self._start_relay(node, link, *faults.delay[port])

    def _set_cable(self, node: str, link: int, *, plugged: bool) -> None:
        # a node that is off has no port: connect() will look at the faults
        self._ip("link", "set", port_name(node, link), "up" if plugged else "down", check=False)

    def _relay_cgroup(self, node: str, link: int) -> Path:
        return self._record.cgroup / f"relay-{node}.{link}"

    def _start_relay(self, node: str, link: int, delay: float, jitter: float) -> None:
        cgroup = self._relay_cgroup(node, link)
        make_cgroup(cgroup)
        log = self._record.dir / f"relay-{node}.{link}.log"
        enter = 'echo 0 > "$1/cgroup.procs"; shift; exec "$@"'
        relay = ["setsid", "--fork", "sh", "-c", enter, "sh", str(cgroup)]
        relay += ["ip", "netns", "exec", self._netns]
        relay += [sys.executable, str(Path(__file__).with_name("relay.py"))]
        relay += [port_name(node, link), tap_name(node, link), f"br{link}", str(delay), str(jitter)]
        with log.open("w") as out:
            subprocess.run(
                relay,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                check=True,
            )
        deadline = time.monotonic() + RELAY_SECONDS
        while "ready" not in log.read_text():
            if time.monotonic() > deadline:
                raise LabError(
                    f"The relay that delays {node} on link {link} did not start: {log.read_text()}"
                )
            time.sleep(0.02)

    def _stop_relay(self, node: str, link: int) -> None:
        cgroup = self._relay_cgroup(node, link)
        if not cgroup.is_dir():
            return
        for pid in cgroup_pids(cgroup):
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + RELAY_SECONDS
        while cgroup_pids(cgroup):
            if time.monotonic() > deadline:
                raise LabError(f"The relay of {node} on link {link} does not end.")
            time.sleep(0.01)
        cgroup.rmdir()
        self._ip("link", "set", port_name(node, link), "master", f"br{link}", check=False)

    def _save(self, faults: Faults) -> None:
        write_atomically(self._record.dir / "faults.json", faults.to_json())

    def _ip(self, *argv: str, check: bool = True) -> None:
        ip("-n", self._netns, *argv, check=check)

    def _run(self, argv: Sequence[str], *, text: str) -> None:
        done = subprocess.run(
            ["ip", "netns", "exec", self._netns, *argv],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise LabError(f"The switch refused {' '.join(argv)}: {done.stderr.strip()}\n{text}")


def hardware_address(node: str, link: int) -> str:
    """A network card keeps its address when its host restarts, and the neighbours count on it."""
    return f"02:77:00:00:{link:02x}:{node_number(node):02x}"


def ip(*argv: str, check: bool = True) -> None:
    """The ip program; raises LabError with its words."""
    done = subprocess.run(["ip", *argv], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise LabError(f"ip {' '.join(argv)}: {done.stderr.strip() or f'status {done.returncode}'}")


def delete_netns(name: str) -> None:
    if Path("/run/netns", name).exists():
        ip("netns", "del", name)
