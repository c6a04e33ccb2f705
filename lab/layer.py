"""The project as a node sees it: an overlay layer made from debian/, and read-only binds of the clone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from lab.errors import LabError

ROOT = Path(__file__).resolve().parent.parent
INSTALLED = "opt/quorate"
DAEMONS = ("pve-cluster", "pvedaemon", "pveproxy", "pvestatd")
GUESTS = "pve-guests"
ENABLED = (*DAEMONS, GUESTS, "corosync")
"""Units that start at boot. Corosync as well: its drop-in of ours waits for a configuration file."""
TIMERS = ("pve-daily-update",)


def binds(root: Path = ROOT) -> dict[str, str]:
    """What of the clone is seen in every node, read-only: {machine's path: node's path}. The web interface
    only where it was built."""
    seen = ["src", ".venv", *(["web/dist"] if (root / "web/dist").is_dir() else [])]
    return {str(root / name): f"/{INSTALLED}/{name}" for name in seen}


def make_layer(target: Path, root: Path = ROOT) -> None:
    """Fill ``target`` with what the package would install. Raises LabError if the clone is not set up."""
    if not (root / ".venv/bin/python").exists():
        raise LabError(f"{root}/.venv is missing: run ./dev setup first.")
    for source, directory in read_install(root / "debian/install"):
        place = target / directory
        place.mkdir(parents=True, exist_ok=True)
        copy = place / source.name
        shutil.copyfile(root / source, copy)
        copy.chmod(0o755 if source.parent.name == "bin" else 0o644)
    for goal, units in (
        ("multi-user.target", [f"{unit}.service" for unit in ENABLED]),
        ("timers.target", [f"{unit}.timer" for unit in TIMERS]),
    ):
        wants = target / f"etc/systemd/system/{goal}.wants"
        wants.mkdir(parents=True)
        for unit in units:
            (wants / unit).symlink_to(f"/lib/systemd/system/{unit}")
    (target / "var/log/journal").mkdir(parents=True)  # so that the journal outlives a power cut
    for mountpoint in binds(root).values():
        (target / mountpoint.lstrip("/")).mkdir(parents=True)


def read_install(file: Path) -> list[tuple[Path, str]]:
    """debhelper's install file: ``SOURCE DIRECTORY`` per line, without patterns."""
    entries = []
    for line in file.read_text().splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2:
            raise LabError(f"{file}: expected 'SOURCE DIRECTORY', got {line!r}")
        entries.append((Path(words[0]), words[1]))
    return entries


def compile_sources(root: Path = ROOT) -> None:
    """Byte-compile once here: the nodes cannot, their view is read-only. A file that does not compile is
    left to the program that imports it, which says so."""
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", str(root / "src")], capture_output=True, check=False
    )
