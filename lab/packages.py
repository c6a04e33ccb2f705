"""The Debian packages that the set-up needs, installed by apt where they are missing.

Services that come with them are neither started nor enabled: this machine is somebody's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.alone import alone, require_room
from lab.errors import LabError
from lab.progress import run_step, say

LOGS = Path(__file__).resolve().parent.parent / "artifacts/setup"
LOCK = Path("/run/lock/quorate-setup")
"""Of all clones: what they install, and the file that keeps services from starting, is the machine's."""
POLICY = Path("/usr/sbin/policy-rc.d")
HELD_BACK = """#!/bin/sh
# Made by quorate's ./dev while it installs packages: no service of theirs starts.
exit 101
"""
SERVICES = {
    "corosync": "corosync.service",
    "openssh-server": "ssh.service",
    "rrdcached": "rrdcached.service",
}
"""Packages that bring a service; where we install them it is neither started nor enabled."""
LOCK_SECONDS = 600
"""How long apt waits for another one: a machine that was just switched on may be updating itself."""
ROOM_MIB = {"chromium": 500, "npm": 200, "rrdtool": 50}
ROOM_MIB_ELSE = 15
"""Room for a package with what it depends on, archives included."""
ADVICE = (
    "Check the network (./dev needs Debian's archive), /etc/apt/sources.list and the proxy in "
    "/etc/apt/apt.conf.d; 'apt-get update' must work. Then run this again."
)


def ensure_packages(packages: Sequence[str]) -> None:
    """Install those of them that are missing. Raises LabError, and leaves no service running."""
    missing = missing_of(packages)
    if not missing:
        return
    require_root(f"install Debian packages ({' '.join(missing)})")
    with alone(LOCK, "installs Debian packages"):
        missing = missing_of(packages)
        if missing:
            room = sum(ROOM_MIB.get(package, ROOM_MIB_ELSE) for package in missing)
            require_room(Path("/usr"), room, "Installing Debian packages")
            _install(missing)


def missing_of(packages: Sequence[str]) -> list[str]:
    """Those that are not installed, sorted."""
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\\n", *packages]
    done = subprocess.run(query, capture_output=True, text=True, check=False)  # 1: some are unknown
    rows = [line.split() for line in done.stdout.splitlines()]
    return sorted(set(packages) - {row[0] for row in rows if row[1:] == ["installed"]})


def require_root(purpose: str) -> None:
    if os.geteuid() != 0:
        raise LabError(f"You are not root, and only root can {purpose}. Run this as root (sudo).")


def _install(missing: Sequence[str]) -> None:
    say(f"Debian packages to install: {' '.join(missing)}")
    environment = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    apt = ["apt-get", "-o", f"DPkg::Lock::Timeout={LOCK_SECONDS}"]
    try:
        update = [*apt, "update", "--error-on=any"]  # else it calls a missing network a success
        run_step("Reading the package lists", update, log=LOGS / "apt-update.log", env=environment)
    except LabError:
        # some other repository may be broken, and the packages known all the same
        say(f"Not every package list could be read ({LOGS}/apt-update.log): going on with what is known.")
    with services_held_back(POLICY):
        run_step(
            "Installing Debian packages",
            [*apt, "install", "-y", "--no-install-recommends", *missing],
            log=LOGS / "apt-install.log",
            env=environment,
            advice=ADVICE,
        )
    for package in missing:
        if package in SERVICES and shutil.which("systemctl"):
            subprocess.run(["systemctl", "disable", SERVICES[package]], capture_output=True, check=False)


@contextmanager
def services_held_back(policy: Path) -> Iterator[None]:
    """In the block services of packages that are installed do not start. A policy of the machine's own stays;
    one of ours that a crash left behind goes at the end."""
    ours = not policy.exists() or policy.read_text(errors="replace") == HELD_BACK
    if ours:
        policy.write_text(HELD_BACK)
        policy.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            policy.unlink()
