"""Whether this machine can run a lab, and what is missing if not. Checks all at once."""

from __future__ import annotations

import os
import shutil
from functools import lru_cache
from pathlib import Path

from lab.errors import LabError
from lab.processes import cgroup_root

TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "nft": "nftables",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "setsid": "util-linux",
    "ssh-keygen": "openssh-client",
}
"""Program: Debian package."""


def missing_for_lab() -> list[str]:
    """One sentence per thing that is missing; empty if a lab can run."""
    if os.geteuid() != 0:
        return ["You are not root, and nodes need namespaces, mounts and devices. Run this as root (sudo)."]
    faults = []
    packages = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})
    if packages:
        faults.append(f"Debian packages are missing: {' '.join(packages)}. Run ./dev setup.")
    if not Path("/dev/fuse").exists():
        faults.append("There is no /dev/fuse, which /etc/pve needs: load the kernel module fuse, or give the "
                      "container that device.")  # fmt: skip
    filesystems = Path("/proc/filesystems").read_text().split()
    if "overlay" not in filesystems:
        faults.append("The kernel does not know overlay file systems: load the kernel module overlay.")
    if not Path("/dev/net/tun").exists():
        faults.append("There is no /dev/net/tun, which delayed links need: load the kernel module tun.")
    try:
        root = cgroup_root()
        if not os.access(root, os.W_OK):
            faults.append(
                f"{root} is not writable, and each node is a cgroup: run in a privileged container."
            )
    except LabError as error:
        faults.append(str(error))
    return faults


@lru_cache(maxsize=1)
def require_host() -> None:
    """Raises LabError with everything that is missing."""
    faults = missing_for_lab()
    if faults:
        raise LabError("This machine cannot run a lab:\n" + "\n".join(f"- {fault}" for fault in faults))
