"""A small disk of a node's own below /var/lib/pve-cluster, which tests fill up and look into from outside.

It is memory of the machine and outlives the node's power cuts, as a disk whose writes are never lost.
"""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path

from lab.errors import LabError

DIRECTORY = "disk"
MOUNTPOINT = "/var/lib/pve-cluster"
FILLER = ".filler"
PIECE = 1 << 16


def add_disk(node_dir: Path, mib: int) -> None:
    """Give a node that is off a disk of this size; it is there from the next boot on. Raises LabError."""
    place = node_dir / DIRECTORY
    place.mkdir()
    options = f"size={mib}m,mode=0750,nosuid,nodev"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "quorate-lab-disk", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LabError(f"Cannot mount {place}: {done.stderr.strip()}. The lab needs to be root.")


def disk_of(node_dir: Path) -> Path | None:
    """Where the machine sees the node's disk, None if it has none of its own."""
    place = node_dir / DIRECTORY
    return place if place.is_mount() else None


def fill_disk(node_dir: Path) -> None:
    """Leave not a byte. Raises LabError if the node has no disk of its own."""
    with (_place(node_dir) / FILLER).open("ab", buffering=0) as file:
        for size in (PIECE, 4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError as fault:
                if fault.errno != errno.ENOSPC:
                    raise


def free_disk(node_dir: Path) -> None:
    """Take back what ``fill_disk`` took."""
    (_place(node_dir) / FILLER).unlink(missing_ok=True)


def remove_disk(node_dir: Path) -> None:
    """Unmount it, if there is one; its content is gone."""
    place = disk_of(node_dir)
    if place is not None:
        # detached: a node's last process may be on its way out of it
        subprocess.run(["umount", "-l", str(place)], check=True)


def _place(node_dir: Path) -> Path:
    place = disk_of(node_dir)
    if place is None:
        raise LabError(f"{node_dir.name} has no disk of its own: call Lab.add_disks() before it boots.")
    return place
