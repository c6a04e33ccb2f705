"""A lab for measuring: nodes with Corosync and the file system, without the API beside them."""

from __future__ import annotations

import compileall
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import Lab, Node, wait_for
from lab.cluster import wait_mounted, wait_writable
from lab.handmade import corosync_conf, wait_quorate

TOKEN = 3000
"""ms, as pvecm's default for small clusters: the bench loads the machine, and membership must not flap."""
RESTING = 0.04
"""Processors per node in use by a lab in which nothing happens: its Corosyncs pass the token now and then."""
CALM_PERIOD, CALM_SECONDS = 0.1, 5.0
SOURCE = Path(__file__).resolve().parent.parent / "src"
QUIET_UNITS = ("pvedaemon", "pveproxy", "pvestatd")
PID_FILE = "/run/pve-cluster.pid"


@contextmanager
def measured_cluster(nodes: int) -> Iterator[Lab]:
    """Formed by the time it is given out; gone afterwards."""
    with Lab(f"bench-{os.getpid()}", nodes=nodes, links=1, boot=[]) as lab:
        text = corosync_conf(lab.record.node_names(), 1, token=TOKEN)
        key = os.urandom(256)
        for name in lab.record.node_names():
            etc = lab.record.node_dir(name) / "upper/etc"
            (etc / "corosync").mkdir(parents=True)
            (etc / "corosync/corosync.conf").write_text(text)
            authkey = etc / "corosync/authkey"
            authkey.touch(mode=0o400)
            authkey.write_bytes(key)
            (etc / "systemd/system").mkdir(parents=True, exist_ok=True)
            for unit in QUIET_UNITS:
                (etc / f"systemd/system/{unit}.service").symlink_to("/dev/null")
        # As a package has it: the nodes see the source read-only and would compile it at every start.
        compileall.compile_dir(SOURCE, quiet=2)
        lab.power_on()
        wait_quorate(lab.nodes)
        for node in lab.nodes:
            wait_mounted(node)
            wait_writable(node)
        yield lab


def daemon_pid(node: Node) -> int:
    """The file system daemon's pid as the node sees it."""
    return int(node.read_file(PID_FILE))


def bytes_written(node: Node) -> int:
    """What the daemon had written to disk so far (core 9 counts this), less what was cancelled."""
    text = node.read_file(f"/proc/{daemon_pid(node)}/io")
    fields = dict(line.split(": ") for line in text.splitlines())
    return int(fields["write_bytes"]) - int(fields["cancelled_write_bytes"])


def settle(node: Node, *, quiet: float = 1.0) -> None:
    """Wait until the daemon has written what it had to: no new bytes for ``quiet`` seconds."""
    last = [-1, time.monotonic()]

    def still() -> bool:
        now = bytes_written(node)
        if now != last[0]:
            last[:] = [now, time.monotonic()]
        return time.monotonic() - last[1] >= quiet

    wait_for(still, timeout=60, what=f"the daemon of {node.name} to be done with its database")


def calm(lab: Lab, report: Callable[[str], None]) -> None:
    """Wait until the lab's processes rest: daemons write to their databases for a while after the last
    answer, on all nodes and on the processor of the next measurement. Given up after CALM_SECONDS, which
    ``report`` is told: what is measured then is not the next line alone."""
    limit = RESTING * len(lab.nodes)
    last = [used(lab), time.monotonic()]
    end = last[1] + CALM_SECONDS
    while True:
        time.sleep(CALM_PERIOD)
        now = [used(lab), time.monotonic()]
        share = (now[0] - last[0]) / (now[1] - last[1])
        last = now
        if share < limit:
            return
        if now[1] > end:
            report(
                f"no rest within {CALM_SECONDS:.0f} s ({share:.2f} processors in use, at rest below"
                f" {limit:.2f}): the figures of the next line may be too high"
            )
            return


def used(lab: Lab) -> float:
    """Seconds of processor time of all processes of the lab so far."""
    text = (lab.record.cgroup / "cpu.stat").read_text()
    return int(dict(line.split() for line in text.splitlines())["usage_usec"]) / 1e6


def memory(node: Node) -> tuple[float, float]:
    """RSS and PSS of the daemon in MiB."""
    text = node.read_file(f"/proc/{daemon_pid(node)}/smaps_rollup")
    fields = {line.split(":")[0]: line.split()[1] for line in text.splitlines()[1:]}
    return int(fields["Rss"]) / 1024, int(fields["Pss"]) / 1024
