"""The web interface's tools and its production build in web/dist, made when sources have changed.

The Debian packages (node, npm, a browser for the tests) are asked for by `setup`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lab.alone import alone, require_room
from lab.errors import LabError
from lab.progress import run_step

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
DIST = WEB / "dist"
INDEX = "index.html"
"""The server reads all files again when this one was replaced: it comes last."""
LOGS = ROOT / "artifacts/setup"
SOURCES = ("src", "public", "index.html", "package-lock.json", "tsconfig.json", "vite.config.ts")
STAMP = ".complete"
OLDEST_NODE = (18, 18)
"""As in package.json. Debian 12 has 18.20 (decision 44)."""
MODULES_MIB = 700
"""The packages and npm's cache of them."""
NPM_ADVICE = (
    "Check the network (npm needs its registry) and npm's settings for a proxy or a mirror "
    "('npm config list'). Then run this again."
)


def missing_packages() -> tuple[str, ...]:
    """Debian packages for building, where no other Node.js is installed."""
    return () if shutil.which("node") and shutil.which("npm") else ("nodejs", "npm")


def ensure_web() -> None:
    """web/dist as the sources say. Raises LabError when npm or the build fails."""
    wanted = _digest(*SOURCES)
    if _read(DIST / STAMP) == wanted:
        return
    with alone(LOGS / "web-build.lock", "builds the web interface"):
        if _read(DIST / STAMP) != wanted:
            ensure_node_modules()
            _build()
            (DIST / STAMP).write_text(wanted)


def _build() -> None:
    with tempfile.TemporaryDirectory(prefix="quorate-web-") as scratch:
        build = Path(scratch) / "dist"
        argv = ["npm", "run", "build", "--", "--outDir", str(build), "--emptyOutDir"]
        run_step("Building the web interface", argv, log=LOGS / "web-build.log", cwd=WEB)
        _replace(build, DIST)


def ensure_node_modules() -> None:
    """web/node_modules with exactly what package-lock.json names; also the linters and tests' tools."""
    stamp = WEB / "node_modules" / STAMP
    wanted = _digest("package-lock.json", "package.json", ".npmrc")
    if _read(stamp) == wanted:
        return
    with alone(LOGS / "npm.lock", "installs the web interface's packages"):
        if _read(stamp) != wanted:
            _require_node()
            require_room(WEB, MODULES_MIB, "The web interface's tools")
            argv = ["npm", "ci", "--no-audit", "--no-fund"]
            title = "Installing the web interface's packages"
            run_step(title, argv, log=LOGS / "npm.log", cwd=WEB, advice=NPM_ADVICE)
            stamp.write_text(wanted)


def _require_node() -> None:
    """Raises LabError for a Node.js of the machine's that the tools do not run on."""
    done = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    numbers = re.match(r"v(\d+)\.(\d+)", done.stdout)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST_NODE:
        raise LabError(
            f"{shutil.which('node')} is {done.stdout.strip() or 'no Node.js that runs'}, and the web "
            f"interface's tools need version {'.'.join(map(str, OLDEST_NODE))} or newer. Take it away, then "
            "run this again as root: Debian's package nodejs is installed where there is none."
        )


def _replace(build: Path, target: Path) -> None:
    """New files first, then the page that names them, then away with the old ones: the directory itself
    stays, because nodes of a lab see it through a bind mount."""
    target.mkdir(exist_ok=True)
    fresh = {path.relative_to(build) for path in _files(build)}
    for name in sorted(fresh, key=lambda name: (name.name.startswith(INDEX), str(name))):
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f".{place.name}.new")
        shutil.copyfile(build / name, partial)
        partial.chmod(0o644)
        partial.replace(place)
    for path in list(_files(target)):
        if path.relative_to(target) not in fresh:
            path.unlink()


def _digest(*names: str) -> str:
    """Of the contents of these files and directories below web/."""
    result = hashlib.sha256()
    for name in names:
        path = WEB / name
        for file in sorted(_files(path)) if path.is_dir() else [path]:
            result.update(f"{file.relative_to(WEB)}\0".encode())
            result.update(hashlib.sha256(file.read_bytes()).digest())
    return result.hexdigest()


def _files(directory: Path) -> Iterator[Path]:
    for place, _, names in os.walk(directory):
        yield from (Path(place) / name for name in names)


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
