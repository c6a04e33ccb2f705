"""./dev history: the history check on a lab of its own, then a pmxcfs killed at random instants.

Starts both and adds up their verdicts; what they do is in tests/history and tests/real.
"""

from __future__ import annotations

import os
import subprocess

from lab.errors import LabError
from lab.setup import ROOT, VENV

MIN_NODES = 3
"""With two, every fault takes quorum from all."""
CRASHES = "tests/real/test_pmxcfs_crashes.py"


def history(*, minutes: float, seed: int | None, nodes: int, kills: int) -> int:
    """Exit status 1 when something was violated. ``seed`` None: a new one, which is printed. Raises LabError
    for numbers out of bounds."""
    if nodes < MIN_NODES:
        raise LabError(
            f"The history check needs at least {MIN_NODES} nodes: a majority must survive a fault."
        )
    if minutes <= 0 or kills < 0:
        raise LabError("Give a positive number of minutes, and no negative number of kills.")
    python = str(VENV / "bin/python")
    options = ["--minutes", str(minutes), "--nodes", str(nodes)]
    options += [] if seed is None else ["--seed", str(seed)]
    codes = [_run([python, "-m", "tests.history.run", *options])]
    if kills:
        print(f"\nKilling a pmxcfs on a host of its own {kills} times ...", flush=True)
        codes.append(_run([python, "-m", "pytest", "-q", CRASHES], QUORATE_TEST_KILLS=str(kills)))
    return 1 if any(codes) else 0


def _run(argv: list[str], **environment: str) -> int:
    return subprocess.run(argv, cwd=ROOT, env={**os.environ, **environment}, check=False).returncode
