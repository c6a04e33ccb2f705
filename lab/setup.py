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
from pathlib import Path

from lab.alone import alone, require_room
from lab.base import base_dir, ensure_base
from lab.errors import LabError
from lab.packages import ensure_packages, require_root
from lab.progress import run_step, say
from lab.web import ensure_web, missing_packages

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = Path("/usr/bin/python3")
STAMP = VENV / ".complete"
LOGS = ROOT / "artifacts/setup"
VENV_MIB = 600
PIP_ADVICE = (
    "Check the network (pip needs its package index) and pip's settings for a proxy or a mirror "
    "('pip config list', the environment's PIP_* and https_proxy). Then run this again."
)
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
    # tests on this machine itself: a Corosync, an sshd and FUSE of their own; RRD files
    "corosync",
    "openssh-server",
    "openssl",
    "fuse3",
    "sqlite3",
    "librrd8",
)
TESTS = (
    # a browser; what its driver, a Node.js of its own, is linked with
    "chromium",
    "fonts-dejavu-core",
    "libatomic1",
    # figures over time, as the original's hosts keep them
    "rrdtool",
    "rrdcached",
)
"""For ./dev test alone."""
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
    "pveupdate",
)


def ensure_setup(*, base: bool = True, tests: bool = False) -> None:
    """Everything; with ``base`` False all but the nodes' root; ``tests``: also what the slow tests need.
    Raises LabError and says what is missing.
    """
    ensure_debian()
    ensure_packages([*PACKAGES, *missing_packages(), *(TESTS if tests else ())])
    ensure_venv()
    ensure_web()
    if base:
        if not base_dir().is_dir():
            require_root("build the nodes' base root")
        ensure_base()


def ensure_debian() -> None:
    text = Path("/etc/os-release").read_text() if Path("/etc/os-release").exists() else ""
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if fields.get("ID") != "debian" or fields.get("VERSION_CODENAME") != "bookworm":
        raise LabError(
            f"This needs Debian 12 (bookworm); here is {fields.get('PRETTY_NAME', 'something else')}."
        )


def ensure_venv() -> None:
    """.venv with exactly what requirements.lock names, and the project's own commands in it."""
    wanted = _venv_key()
    if _is_complete(wanted):
        return
    with alone(LOGS / "venv.lock", "makes .venv"):
        if not _is_complete(wanted):
            _make_venv()
            STAMP.write_text(wanted)


def _is_complete(wanted: str) -> bool:
    return STAMP.exists() and STAMP.read_text() == wanted


def _make_venv() -> None:
    if VENV.exists() and not _is_ours(VENV):
        say("The .venv is not one of Debian's Python 3: making it anew")
        shutil.rmtree(VENV)
    if not VENV.exists():
        require_room(VENV, VENV_MIB, "The Python environment")
        run_step("Making .venv", [str(PYTHON), "-m", "venv", str(VENV)], log=LOGS / "venv.log")
    lock = ROOT / "requirements.lock"
    pip = [str(VENV / "bin/python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    pip += ["--require-hashes", "-r", str(lock)]
    run_step("Installing Python packages", pip, log=LOGS / "pip.log", advice=PIP_ADVICE)
    site = next(VENV.glob("lib/python3.*/site-packages"))
    # relative, so that it holds wherever .venv and src lie beside each other: a node sees them elsewhere
    (site / "quorate.pth").write_text("../../../../src\n")
    for name in COMMANDS:
        command = VENV / "bin" / name
        command.write_text(f"#!{VENV}/bin/python\nimport sys\n\n{_import_line(name)}\n\nsys.exit(entry())\n")
        command.chmod(0o755)


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
