"""`./dev check` and `./dev test`: which tools run, in which order, and one summary at the end."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

from lab.progress import Step
from lab.setup import ROOT, VENV

WEB = ("npm", "--silent", "--prefix", "web", "run")
TYPES_SEEN = "node_modules/.cache/types.tsbuildinfo"
"""What the compiler knows of the last time, below web/. The linter's own cache is not used: a file's verdict
depends on the types of others, which that cache does not look at."""
QUICK = (
    ("lint", ("ruff", "check", "--quiet", ".")),
    ("format", ("ruff", "format", "--check", "--quiet", ".")),
    ("types", ("mypy",)),
    (
        "unit, fuzz corpus, simulation",
        ("pytest", "-q", "-n", "2", "-m", "not long", "tests/unit", "tests/fuzz", "tests/simulation"),
    ),
    ("web: API types", (*WEB, "api")),
    ("web: lint", (*WEB, "lint")),
    ("web: types", (*WEB, "types", "--", "--incremental", "--tsBuildInfoFile", TYPES_SEEN)),
    ("web: unit", (*WEB, "test")),
)
SLOW = (
    ("simulation at length", ("pytest", "-q", "-n", "2", "-m", "long", "tests/unit", "tests/simulation")),
    ("on this machine", ("pytest", "-q", "tests/real")),
    ("on several nodes", ("pytest", "-v", "tests/lab")),
)

BESIDE = ("web: API types", "web: lint", "web: types", "web: unit")
"""Parts that run beside the others from the beginning, one after the other: each keeps one processor busy,
as most of the others do. What they print is shown in their place."""

SILENT = ("types",)
"""Parts that print nothing until they have finished: somebody else has to show that they are at work."""
SHOWN_FROM_SECONDS = 2.0
LOGS = ROOT / "artifacts/check"

RETRIED = {"on this machine": "tests/real/", "on several nodes": "tests/lab/"}
"""Parts that depend on the machine's load, and where their tests lie: real-time Corosync and several systems
share its cores."""

MAX_RETRIED = 4
"""More failures than this are no bad luck; then nothing is tried again."""

NEVER_RETRIED = (
    "tests/lab/test_history.py::test_a_history_under_faults_keeps_every_promise",
    "tests/lab/test_fs_replication.py::test_concurrent_writers_converge",
    "tests/lab/test_fs_replication.py::test_private_files_are_never_open_to_the_api_user",
    "tests/lab/test_fs_locks.py::test_exactly_one_of_three_takes_a_lock",
    "tests/lab/test_fs_locks.py::test_what_is_changed_under_a_lock_is_never_lost",
    "tests/lab/test_fs_restart.py::test_a_daemon_killed_while_it_writes_loses_nothing_acknowledged",
    "tests/lab/test_fs_restart.py::test_all_daemons_killed_at_once",
    "tests/real/test_pmxcfs_crashes.py::test_killed_and_powerless_at_any_instant",
    "tests/real/test_pmxcfs_content.py::test_exactly_one_of_many_gets_the_lock",
    "tests/real/test_pmxcfs_content.py::test_a_file_moved_to_a_private_place_is_private",
    "tests/real/test_store_crashes.py::test_killed_at_any_instant",
    "tests/real/test_store_crashes.py::test_power_lost_at_any_moment",
    "tests/real/test_store_crashes.py::test_power_lost_with_the_end_of_the_log_not_on_disk",
)
"""What these find is a broken promise, which shows once in many runs: a second run that shows nothing proves
nothing."""


def write_reference() -> int:
    """Make docs/reference from the declarations; the exit status."""
    command = [str(VENV / "bin/python"), "-m", "quorate.cli.reference", str(ROOT / "docs/reference")]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def check() -> int:
    """The quick part; the exit status."""
    return _run_all(QUICK)


def test(pytest_arguments: Sequence[str]) -> int:
    """All tests, or pytest with these arguments alone; the exit status."""
    if pytest_arguments:
        return _run(("pytest", *pytest_arguments))
    return _run_all((*QUICK, *SLOW))


def _run_all(parts: Sequence[tuple[str, Sequence[str]]]) -> int:
    """Run every part, also after a failure, so that one run tells everything."""
    results = []
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        beside = {title: pool.submit(_run_to_log, title, argv) for title, argv in parts if title in BESIDE}
        for title, argv in parts:
            print(f"\n== {title}: {' '.join(argv)}", flush=True)
            started = time.monotonic()
            if title in beside:
                code, took = _await(title, beside[title])
            else:
                code = _run_silent(title, argv) if title in SILENT else _run(argv)
                if code and title in RETRIED:
                    code = _try_again(title, code)
                took = time.monotonic() - started
            results.append((title, code, took))
    finally:
        pool.shutdown(cancel_futures=True)
    print("\n== summary")
    for title, code, took in results:
        print(f"{'failed' if code else 'passed':8}{took:7.1f} s  {title}")
    return 1 if any(code for _, code, _ in results) else 0


def _try_again(title: str, code: int) -> int:
    """Run the few tests that failed once more; what passes then is named, for somebody to look at."""
    cache = ROOT / ".pytest_cache/v/cache/lastfailed"
    noted = sorted(json.loads(cache.read_text())) if code == 1 and cache.exists() else []
    # The cache keeps what failed in other parts, or long ago
    failed = [test for test in noted if test.startswith(RETRIED[title]) and _file_of(test).is_file()]
    if not 0 < len(failed) <= MAX_RETRIED:
        return code
    final = [test for test in failed if test.partition("[")[0] in NEVER_RETRIED]
    if final:
        print(f"\n== {title}: not tried again, since a promise was broken:")
        print("".join(f"  {test}\n" for test in final), end="", flush=True)
        return code
    print(f"\n== {title}: once more, what failed", flush=True)
    code = _run(("pytest", "-v", *failed))
    if code == 0:
        print("\nUNSTEADY: failed once and passed the second time; find out why:")
        print("".join(f"  {test}\n" for test in failed), end="", flush=True)
    return code


def _file_of(test: str) -> Path:
    return ROOT / test.partition("::")[0]


def _run(argv: Sequence[str], output: IO[bytes] | None = None) -> int:
    program = VENV / "bin" / argv[0]
    found = str(program) if program.exists() else argv[0]  # npm is Debian's
    return subprocess.run([found, *argv[1:]], cwd=ROOT, check=False, stdout=output, stderr=output).returncode


def _run_silent(title: str, argv: Sequence[str]) -> int:
    """Behind a progress line; what it printed follows."""
    with Step(title, quiet_below=SHOWN_FROM_SECONDS):
        code, _ = _run_to_log(title, argv)
    _show_log(title)
    return code


def _await(title: str, running: Future[tuple[int, float]]) -> tuple[int, float]:
    """The same for a part that runs already: exit status, and its own seconds."""
    with Step(title, quiet_below=SHOWN_FROM_SECONDS):
        found = running.result()
    _show_log(title)
    return found


def _run_to_log(title: str, argv: Sequence[str]) -> tuple[int, float]:
    started = time.monotonic()
    log = _log_of(title)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        code = _run(argv, output)
    return code, time.monotonic() - started


def _show_log(title: str) -> None:
    print(_log_of(title).read_text(errors="replace"), end="", flush=True)


def _log_of(title: str) -> Path:
    return LOGS / f"{title.replace(': ', '-').replace(' ', '-')}.log"
