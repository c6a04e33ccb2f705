"""Processes and their cgroups: who is alive, and how to end exactly what the laboratory started."""

from __future__ import annotations

import os
import time
from functools import lru_cache
from pathlib import Path

from lab.errors import LabError

REMOVE_SECONDS = 10.0
"""How long the kernel may take to bury the processes of a cgroup that was killed."""


def start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if it is not there. With the pid it names
    one process for good, which the pid alone does not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def is_alive(pid: int, started: int) -> bool:
    return start_time(pid) == started


def machine_boot_id() -> str:
    """Changes when the machine itself restarts: everything recorded before is gone then."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def first_child(pid: int) -> int | None:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(children[0]) if children else None


@lru_cache(maxsize=1)
def cgroup_root() -> Path:
    """Where the machine has mounted cgroup version 2. Raises LabError if nowhere."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] == "cgroup2":
            return Path(before.split()[4])
    raise LabError(
        "No cgroup2 file system is mounted (expected at /sys/fs/cgroup): nodes cannot be separated."
    )


def make_cgroup(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(
            f"Cannot make the cgroup {path} ({error.strerror}). The lab needs to be root with a writable "
            "cgroup2 file system; in a container, run it privileged."
        ) from error


def move_to_cgroup(pid: int, path: Path) -> None:
    """Put a process there; one that has gone meanwhile is no error."""
    try:
        (path / "cgroup.procs").write_text(str(pid))
    except ProcessLookupError:
        return


def kill_cgroup(path: Path) -> None:
    """SIGKILL to every process in it and below, frozen ones as well."""
    try:
        (path / "cgroup.kill").write_text("1")
    except FileNotFoundError:
        return


def cgroup_pids(path: Path) -> list[int]:
    try:
        return [int(pid) for pid in (path / "cgroup.procs").read_text().split() if pid != "0"]
    except (FileNotFoundError, OSError):
        return []


def remove_cgroup(path: Path, *, seconds: float = REMOVE_SECONDS) -> None:
    """Remove it with everything below, once its processes are buried. Raises LabError if they stay."""
    deadline = time.monotonic() + seconds
    while path.is_dir():
        for directory, _, _ in os.walk(path, topdown=False):
            try:
                Path(directory).rmdir()
            except OSError:
                continue  # busy: a process is still being buried; the deadline below decides
        if not path.is_dir():
            return
        if time.monotonic() > deadline:
            raise LabError(f"The cgroup {path} still has processes {seconds:.0f} s after they were killed.")
        time.sleep(0.02)
