"""./dev fuzz: installs the fuzzing engine beside .venv, runs targets one after the other, prints a table.

The targets are in tests/fuzz. What an engine finds and did before lies in artifacts/fuzz; inputs worth
keeping go into tests/fuzz/corpus with --keep.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence

from lab.errors import LabError
from lab.progress import run_step
from lab.setup import ROOT, VENV

WORK = ROOT / "artifacts/fuzz"
PACKAGES = WORK / "packages"
REQUIREMENTS = ROOT / "tests/fuzz/requirements-fuzz.txt"
CORPUS = ROOT / "tests/fuzz/corpus"

MAX_INPUT = 4096
"""Bytes of one input: every length field is passed, and a run stays fast."""
MEMORY_MIB = 2000
ONE_RUN_SECONDS = 20
"""An input that takes longer is a finding."""
MAX_KEPT = 100
MAX_KEPT_BYTES = 16 << 10
"""Inputs per target that go into the repository: the shortest ones."""


def fuzz(target: str | None, *, seconds: int, keep: bool) -> int:
    """Exit status 1 when something was found."""
    names = sorted(path.stem for path in CORPUS.glob("*.txt"))
    if target is not None and target not in names:
        raise LabError(f"There is no fuzzing target '{target}'. Targets: {', '.join(names)}.")
    _ensure_engine()
    rows = [_run(name, seconds) for name in ([target] if target else names)]
    print(f"\n{'target':<12}{'executions':>12}{'edges':>8}{'inputs':>8}  result")
    for name, runs, edges, inputs, found in rows:
        print(f"{name:<12}{runs:>12}{edges:>8}{inputs:>8}  {found or 'nothing found'}")
        if keep and not found:
            _keep(name)
    return 1 if any(found for *_, found in rows) else 0


def _ensure_engine() -> None:
    stamp = PACKAGES / ".complete"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    pip = [str(VENV / "bin/python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    pip += ["--no-deps", "--require-hashes", "--upgrade", "--target", str(PACKAGES), "-r", str(REQUIREMENTS)]
    run_step("Installing the fuzzing engine", pip, log=WORK / "pip.log")
    stamp.write_text(wanted)


def _run(name: str, seconds: int) -> tuple[str, int, int, int, str]:
    """Executions, covered edges, inputs in the working corpus, path of what was found."""
    corpus, found = WORK / name / "corpus", WORK / name / "found"
    for directory in (corpus, found):
        directory.mkdir(parents=True, exist_ok=True)
    for line in (CORPUS / f"{name}.txt").read_text().split():
        data = base64.b64decode(line)
        (corpus / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
    before = set(found.iterdir())
    print(f"fuzzing {name} for {seconds} s ...", flush=True)
    log = WORK / name / "log"
    options = (f"-max_total_time={seconds}", f"-max_len={MAX_INPUT}", f"-timeout={ONE_RUN_SECONDS}")
    argv = _engine(name, str(corpus), *options, f"-artifact_prefix={found}/")
    with log.open("wb") as out:
        done = subprocess.run(argv, stdout=out, stderr=out, cwd=ROOT, env=_environment(), check=False)
    text = log.read_text(errors="replace")
    runs = [int(number) for number in re.findall(r"^(?:Done |#)([0-9]+)", text, re.MULTILINE)]
    edges = [int(number) for number in re.findall(r"cov: ([0-9]+)", text)]
    result = ", ".join(str(path.relative_to(ROOT)) for path in sorted(set(found.iterdir()) - before))
    if done.returncode and not result:
        result = f"the engine failed, see {log.relative_to(ROOT)}"
    return name, max(runs, default=0), max(edges, default=0), len(list(corpus.iterdir())), result


def _keep(name: str) -> None:
    """Have the engine pick the inputs that cover all; the shortest of them go into the repository."""
    smaller = WORK / name / "merged"
    smaller.mkdir(exist_ok=True)
    for old in smaller.iterdir():
        old.unlink()
    log = WORK / name / "merge.log"
    argv = _engine(name, "-merge=1", f"-max_len={MAX_INPUT}", str(smaller), str(WORK / name / "corpus"))
    with log.open("wb") as out:
        subprocess.run(argv, stdout=out, stderr=out, cwd=ROOT, env=_environment(), check=False)
    inputs = sorted((path.read_bytes() for path in smaller.iterdir()), key=lambda data: (len(data), data))
    if not inputs:
        raise LabError(f"The engine kept no input of '{name}'; see {log.relative_to(ROOT)}.")
    path = CORPUS / f"{name}.txt"
    lines = set(path.read_text().split())
    room = MAX_KEPT_BYTES
    for data in inputs[:MAX_KEPT]:
        room -= len(data)
        if room < 0:
            break
        lines.add(base64.b64encode(data).decode())
    path.write_text("".join(f"{line}\n" for line in sorted(lines, key=lambda line: (len(line), line))))


def _engine(name: str, *options: str) -> Sequence[str]:
    return (
        str(VENV / "bin/python"),
        "-m",
        "tests.fuzz.engine",
        name,
        f"-rss_limit_mb={MEMORY_MIB}",
        *options,
    )


def _environment() -> dict[str, str]:
    path = os.pathsep.join((str(PACKAGES), str(ROOT), str(ROOT / "src")))
    return {**os.environ, "PYTHONPATH": path}
