"""Makes a fresh Debian 12 ready: packages, the Python environment, commands in .venv/bin, the web interface,
the base root.

Each part looks first whether it is done already, so that the second time costs a fraction of a second.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.base import base_dir, ensure_base
from lab.errors import LabError
from lab.progress import run_step, say
from lab.web import ensure_web, missing_packages

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = Path("/usr/bin/python3")
LOGS = ROOT / "artifacts/setup"
PACKAGES = (
    # Python environment, base root
    "python3",
    "python3-venv",
    "ca-certificates",
    "mmdebstrap",
    # the lab
    "iproute2",
    "nftables",
    "procps",
    "openssh-client",
    # tests on this machine itself: a Corosync, an sshd and FUSE of their own
    "corosync",
    "openssh-server",
    "openssl",
    "fuse3",
)
BROWSER = ("chromium", "fonts-dejavu-core")
"""For the tests of the web interface alone."""
SERVICES = {"corosync": "corosync.service", "openssh-server": "ssh.service"}
"""Packages that bring a service; where we install them it is neither started nor enabled."""
COMMANDS = (
    "create_pmxcfs_db",
    "pmxcfs",
    "pmxcfs-backup",
    "pmxcfs-check",
    "pvecm",
    "pvedaemon",
    "pveproxy",
    "pvesh",
    "pveum",
    "pvestatd",
)


def ensure_setup(*, base: bool = True, browser: bool = False) -> None:
    """Everything; with ``base`` False all but the nodes' root; ``browser``: also one for the
    web interface's tests. Raises LabError and says what is missing.
    """
    ensure_debian()
    ensure_packages([*PACKAGES, *missing_packages(), *(BROWSER if browser else ())])
    ensure_venv()
    ensure_web()
    if base:
        if not base_dir().is_dir():
            _require_root("build the nodes' base root")
        ensure_base()


def ensure_debian() -> None:
    text = Path("/etc/os-release").read_text() if Path("/etc/os-release").exists() else ""
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if fields.get("ID") != "debian" or fields.get("VERSION_CODENAME") != "bookworm":
        raise LabError(
            f"This needs Debian 12 (bookworm); here is {fields.get('PRETTY_NAME', 'something else')}."
        )


def ensure_packages(packages: Sequence[str] = PACKAGES) -> None:
    """The Debian packages, installed by apt where they are missing."""
    missing = sorted(set(packages) - _installed(packages))
    if not missing:
        return
    _require_root(f"install Debian packages ({' '.join(missing)})")
    say(f"Debian packages to install: {' '.join(missing)}")
    environment = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    run_step("Reading the package lists", ["apt-get", "update"], log=LOGS / "apt-update.log", env=environment)
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:  # services of packages that are installed now must not start on this machine
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        run_step("Installing Debian packages", install, log=LOGS / "apt-install.log", env=environment)
    finally:
        if ours:
            policy.unlink()
    for package in missing:
        if package in SERVICES and shutil.which("systemctl"):
            subprocess.run(["systemctl", "disable", SERVICES[package]], capture_output=True, check=False)


def ensure_venv() -> None:
    """.venv with exactly what requirements.lock names, and the project's own commands in it."""
    stamp = VENV / ".complete"
    wanted = _venv_key()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    if VENV.exists() and not _is_ours(VENV):
        say("The .venv is not one of Debian's Python 3: making it anew")
        shutil.rmtree(VENV)
    if not VENV.exists():
        run_step("Making .venv", [str(PYTHON), "-m", "venv", str(VENV)], log=LOGS / "venv.log")
    lock = ROOT / "requirements.lock"
    pip = [str(VENV / "bin/python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    pip += ["--require-hashes", "-r", str(lock)]
    run_step("Installing Python packages", pip, log=LOGS / "pip.log")
    site = next(VENV.glob("lib/python3.*/site-packages"))
    # relative, so that it holds wherever .venv and src lie beside each other: a node sees them elsewhere
    (site / "quorate.pth").write_text("../../../../src\n")
    for name in COMMANDS:
        command = VENV / "bin" / name
        command.write_text(f"#!{VENV}/bin/python\nimport sys\n\n{_import_line(name)}\n\nsys.exit(entry())\n")
        command.chmod(0o755)
    stamp.write_text(wanted)


def _import_line(name: str) -> str:
    return f"from quorate.cli.{name.replace('-', '_')} import entry"


def _venv_key() -> str:
    parts = [(ROOT / "requirements.lock").read_bytes(), str(VENV).encode(), Path(__file__).read_bytes()]
    return hashlib.sha256(b"\0".join([*parts, sys.version.encode()])).hexdigest()


def _is_ours(venv: Path) -> bool:
    """Whether it stands on Debian's Python and still runs."""
    config = venv / "pyvenv.cfg"
    if not config.exists() or "home = /usr/bin\n" not in config.read_text():
        return False
    if not os.access(venv / "bin/python", os.X_OK):
        return False
    test = [str(venv / "bin/python"), "-c", "import pip"]
    return subprocess.run(test, capture_output=True, check=False).returncode == 0


def _installed(packages: Sequence[str]) -> set[str]:
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\\n", *packages]
    done = subprocess.run(query, capture_output=True, text=True, check=False)  # 1: some are unknown
    rows = [line.split() for line in done.stdout.splitlines()]
    return {row[0] for row in rows if row[1:] == ["installed"]}


def _require_root(purpose: str) -> None:
    if os.geteuid() != 0:
        raise LabError(f"You are not root, and only root can {purpose}. Run this as root (sudo).")
