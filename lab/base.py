"""The root file system that all nodes share read-only: a small Debian 12, built once and kept.

The project's own files are not in it (they come as a layer of each lab), so a change of ours needs no new
base. The directory's name carries a hash of everything that goes into it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from lab import mirrors
from lab.alone import alone, require_room
from lab.errors import LabError
from lab.packages import ADVICE
from lab.progress import run_step

SUITE = "bookworm"
ROOT_PASSWORD = "lab-root-password"  # of nodes that no network reaches
CACHE = Path(os.environ.get("QUORATE_LAB_CACHE", "/var/cache/quorate-lab"))
BASE_MIB = 700
"""The root and, while it is built, the packages."""


def _words(*lines: str) -> list[str]:
    return [word for line in lines for word in line.split()]


PACKAGES = _words(
    # an operating system with services and a way in
    "systemd systemd-sysv dbus libpam-systemd openssh-server openssh-client procps less vim-tiny",
    # network
    "iproute2 iputils-ping nftables ifupdown bridge-utils netcat-openbsd ca-certificates openssl rsync",
    # what the manual's procedures use
    "psmisc curl",
    # the cluster engine and its third vote
    "corosync corosync-qdevice corosync-qnetd libnss3-tools",
    # what our programs run on
    "fuse3 python3 python3-venv librrd8",
    # guests
    "lxc lxc-templates uidmap busybox-static",
)

MASKED = _words(
    # hardware, kernel and time belong to the machine, not to a node
    "console-getty.service getty.target systemd-udevd.service systemd-udev-trigger.service",
    "systemd-modules-load.service systemd-sysctl.service systemd-remount-fs.service",
    "systemd-timesyncd.service modprobe@.service sys-kernel-debug.mount sys-kernel-tracing.mount",
    "sys-kernel-config.mount dev-hugepages.mount sys-fs-fuse-connections.mount",
    # periodic work would disturb tests
    "apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service dpkg-db-backup.timer",
    "fstrim.timer",
    # waits 30 s at boot for a bridge that no node has
    "lxc.service lxc-net.service lxc-monitord.service",
)

CUSTOMIZE = f"""
set -eu
root=$1
rm -f "$root"/etc/hostname "$root"/etc/ssh/ssh_host_* "$root"/etc/corosync/corosync.conf
rm -f "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/* "$root"/etc/apt/apt.conf.d/99mmdebstrap
: > "$root"/etc/machine-id
for unit in {" ".join(MASKED)}; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done
chroot "$root" systemctl disable corosync corosync-qdevice corosync-qnetd >/dev/null 2>&1
chroot "$root" systemctl enable ssh >/dev/null 2>&1
echo 'root:{ROOT_PASSWORD}' | chroot "$root" chpasswd
"""


def base_key() -> str:
    """A hash of what makes the base; another hash means another directory."""
    text = "\n".join([SUITE, *PACKAGES, CUSTOMIZE])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def base_dir() -> Path:
    """Where the base root for this version of the project lies (or will lie)."""
    return CACHE / f"base-{base_key()}"


def ensure_base() -> Path:
    """The base root, built now if need be (half a minute to some minutes). Two builders wait for each other.

    Raises LabError when mmdebstrap is missing or fails.
    """
    target = base_dir()
    if target.is_dir():
        return target
    if not shutil.which("mmdebstrap"):
        raise LabError("The base root cannot be built: mmdebstrap is missing. Run ./dev setup as root.")
    with alone(CACHE / "build.lock", "builds the nodes' base root"):
        if not target.is_dir():
            require_room(CACHE, BASE_MIB, "The nodes' base root")
            _build(target)
    return target


def _build(target: Path) -> None:
    partial = target.with_name(f"{target.name}.partial")
    _remove_tree(partial)
    with tempfile.TemporaryDirectory(prefix="quorate-base-") as scratch:
        hook = Path(scratch, "customize")
        hook.write_text(CUSTOMIZE)
        argv = ["mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
        argv += [f'--customize-hook=sh {hook} "$1"', *_proxy_options(), SUITE, str(partial)]
        sources = mirrors.debian_sources()
        if sources:
            file = Path(scratch, "debian.sources")
            file.write_text(sources)
            argv.append(str(file))
        # TMPDIR etc. as they are; a fixed locale keeps the packages' scripts quiet
        run_step(
            "Building the nodes' base root",
            argv,
            log=CACHE / "build.log",
            env={"LC_ALL": "C.UTF-8"},
            advice=ADVICE,
        )
    partial.rename(target)


def _proxy_options() -> list[str]:
    """The machine's apt proxy, which mmdebstrap's own apt would not know."""
    found = []
    for name in ("Acquire::http::Proxy", "Acquire::https::Proxy"):
        answer = subprocess.run(
            ["apt-config", "shell", "value", name], capture_output=True, text=True, check=False
        ).stdout.strip()
        value = answer.removeprefix("value=").strip("'\"")
        if value:
            found.append(f'--aptopt={name} "{value}"')
    return found


def _remove_tree(path: Path) -> None:
    """Remove a half-built root, but never through something that is still mounted in it."""
    if not path.exists():
        return
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    inside = [mount for mount in mounts if mount == str(path) or mount.startswith(f"{path}/")]
    for mount in sorted(inside, reverse=True):
        subprocess.run(["umount", "-l", mount], check=True)
    shutil.rmtree(path)
