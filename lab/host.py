"""Whether this machine can run a lab, and what is missing if not. Checks all at once."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
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


KERNEL = (
    # what has to be there, the kernel's module, what for
    ("/dev/fuse", "fuse", "which /etc/pve needs"),
    ("/dev/net/tun", "tun", "which delayed links need"),
)


def missing_of_machine() -> list[str]:
    """One sentence per thing that the set-up cannot bring: root's rights, devices, the kernel's parts."""
    if os.geteuid() != 0:
        return ["You are not root, and nodes need namespaces, mounts and devices. Run this as root (sudo)."]
    faults = []
    for device, module, purpose in KERNEL:
        if not _is_there(module, Path(device).exists):
            faults.append(f"There is no {device}, {purpose}: load the kernel module {module} (modprobe "
                          f"{module}), or give the container that device.")  # fmt: skip
    if not _is_there("overlay", _knows_overlay):
        faults.append("The kernel does not know overlay file systems, which nodes are made of: load the "
                      "kernel module overlay (modprobe overlay).")  # fmt: skip
    try:
        root = cgroup_root()
        if not os.access(root, os.W_OK):
            faults.append(
                f"{root} is not writable, and each node is a cgroup: run in a privileged container."
            )
    except LabError as error:
        faults.append(str(error))
    return faults


def missing_for_lab() -> list[str]:
    """One sentence per thing that is missing; empty if a lab can run."""
    if os.geteuid() != 0:
        return missing_of_machine()  # who is not root does not find root's programs either
    packages = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})
    of_setup = [f"Debian packages are missing: {' '.join(packages)}. Run ./dev setup."] if packages else []
    return [*missing_of_machine(), *of_setup]


@lru_cache(maxsize=1)
def require_host() -> None:
    """Raises LabError with everything that is missing."""
    _refuse(missing_for_lab())


def require_machine() -> None:
    """The same before the set-up, which takes minutes: what it could not bring."""
    _refuse(missing_of_machine())


def _refuse(faults: Sequence[str]) -> None:
    if faults:
        raise LabError("This machine cannot run a lab:\n" + "\n".join(f"- {fault}" for fault in faults))


def _is_there(module: str, look: Callable[[], bool]) -> bool:
    """Debian loads these modules when they are first used, which is later than we look."""
    if not look() and shutil.which("modprobe"):
        subprocess.run(["modprobe", "-q", module], capture_output=True, check=False)
    return look()


def _knows_overlay() -> bool:
    return "overlay" in Path("/proc/filesystems").read_text().split()
