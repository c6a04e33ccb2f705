"""Who gets the processors while the bench measures: what real nodes have by being machines of their own.

Three nodes on two processors otherwise measure each other. Nothing here touches processes outside of the lab.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from contextlib import suppress
from pathlib import Path

from lab import Lab, Node

FIRST, OTHERS = "-20", "-2"
"""Nice levels of sessions: 87 and 1.6 times the weight of all other work on the machine."""

SHORT_SLICE = 100_000
"""Nanoseconds, the shortest that the kernel takes: who has a shorter slice need not wait for the end of that
of another when it wakes up."""

_DAEMON = b"quorate.cli.pmxcfs"
_SCHED_SETATTR = 314  # the same number on all 64-bit x86 kernels; elsewhere it fails, and nothing is set
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")


def place(lab: Lab, *, apart: bool, measured: Node | None = None) -> None:
    """Put the Corosyncs of all nodes on one processor and everything else of the lab on the others, or not.

    With ``measured``: everything else of this node alone. What the other nodes do besides is where the
    Corosyncs are then: on real nodes nobody else takes the processors of a node.

    On real nodes nothing but a node's own Corosync preempts its daemon. Here the Corosyncs of all nodes turn
    the token without a pause, with real-time priority, on the processors of one machine: left alone they take
    two thirds of two, and what is measured is how long all others wait for the rest (decision 0022). What
    sends much data is measured with all processors for all: three Corosyncs encrypt on one at 2 MB/s.
    """
    everything = os.sched_getaffinity(0)
    corosync = {min(everything)} if apart and len(everything) > 1 else everything
    others = everything - corosync or everything
    for node in lab.nodes:
        elsewhere = measured is not None and node.name != measured.name
        for pid in _pids(lab.record.cgroup / node.name):
            with suppress(OSError):  # it ended meanwhile
                rings = Path(f"/proc/{pid}/comm").read_text().strip() == "corosync"
                mine = corosync if rings or elsewhere else others
                for task in Path(f"/proc/{pid}/task").iterdir():
                    os.sched_setaffinity(int(task.name), mine)


def prefer(lab: Lab, measured: Node | None = None) -> None:
    """Give the lab's processes more of the processors than other work on the machine gets.

    With ``measured``: what runs on this node goes before what runs on the others, and its daemon does not
    wait for theirs. All daemons deliver a message at the same moment; on real nodes they do so side by side.

    Nice levels would not do that: the kernel shares processors between sessions first (sched_autogroup), and
    every daemon is a session of its own. Without that feature there is nothing to set.
    """
    for node in lab.nodes:
        first = measured is not None and measured.name == node.name
        nice = FIRST if first or measured is None else OTHERS
        for pid in _pids(lab.record.cgroup / node.name):
            with suppress(OSError):  # it ended meanwhile, or the kernel does not know autogroups
                Path(f"/proc/{pid}/autogroup").write_text(nice)
                if _DAEMON in Path(f"/proc/{pid}/cmdline").read_bytes():
                    _set_slice(pid, SHORT_SLICE if first else 0)


def _pids(cgroup: Path) -> list[int]:
    """Of a group and all within it. Units end at any moment, and their groups with them: those have none."""
    found: list[int] = []
    for directory, _, _ in os.walk(cgroup):  # leaves out directories that are gone, as Path.rglob does not
        try:
            found += map(int, (Path(directory) / "cgroup.procs").read_text().split())
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):  # the latter: gone after it was opened
                raise
    return found


def _set_slice(pid: int, nanoseconds: int) -> None:
    """For the main thread of a normal process; 0: the usual one. Kernels before 6.12 ignore it."""
    attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, 0, 0, 0, 0, nanoseconds, 0, 0)
    ctypes.CDLL(None).syscall(_SCHED_SETATTR, pid, attributes, 0)
