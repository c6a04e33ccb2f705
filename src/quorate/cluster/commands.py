"""The one place that runs other programs: no shell, always a time limit, errors handed on whole."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

DEFAULT_TIMEOUT: Final = 30.0
"""Seconds; enough for every tool that only works on this node."""
COMMAND_PATH: Final = "/sbin:/bin:/usr/sbin:/usr/bin"


@dataclass(frozen=True, slots=True)
class Result:
    status: int
    stdout: str = ""
    stderr: str = ""


class CommandError(Exception):
    """A program failed, could not be started or took too long; the text holds what it said."""

    def __init__(self, argv: Sequence[str], reason: str, stderr: str = "") -> None:
        self.argv = list(argv)
        self.reason = reason
        self.stderr = stderr
        text = f"command '{shlex.join(argv)}' failed: {reason}"
        super().__init__(f"{text}\n{stderr.rstrip()}" if stderr.strip() else text)


class Runner(Protocol):
    def __call__(
        self,
        argv: Sequence[str],
        *,
        timeout: float = DEFAULT_TIMEOUT,
        check: bool = True,
        echo: bool = False,
        interactive: bool = False,
    ) -> Result:
        """Run ``argv``. ``check``: raise CommandError unless it exits 0; ``echo``: show what it prints;
        ``interactive``: it has our terminal (nothing is captured)."""


def run_command(
    argv: Sequence[str],
    *,
    timeout: float = DEFAULT_TIMEOUT,
    check: bool = True,
    echo: bool = False,
    interactive: bool = False,
) -> Result:
    """Runner for a real node."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        done = subprocess.run(
            argv,
            stdin=None if interactive else subprocess.DEVNULL,
            stdout=None if interactive else subprocess.PIPE,
            stderr=None if interactive else subprocess.PIPE,
            timeout=timeout,
            env={**os.environ, "PATH": COMMAND_PATH, "LC_ALL": "C.UTF-8"},
            check=False,
        )
    except subprocess.TimeoutExpired as e:
        stderr = e.stderr.decode("utf-8", "replace") if isinstance(e.stderr, bytes) else ""
        raise CommandError(argv, f"got timeout ({timeout:g} s)", stderr) from e
    except OSError as e:
        if check:
            raise CommandError(argv, e.strerror or str(e)) from e
        return Result(127, "", f"{argv[0]}: {e.strerror}\n")
    result = Result(
        done.returncode,
        (done.stdout or b"").decode("utf-8", "replace"),
        (done.stderr or b"").decode("utf-8", "replace"),
    )
    if echo:
        sys.stdout.write(result.stdout)
        sys.stdout.flush()
        sys.stderr.write(result.stderr)
        sys.stderr.flush()
    if check and result.status != 0:
        raise CommandError(argv, _reason(result.status), "" if echo else result.stderr or result.stdout)
    return result


def _reason(status: int) -> str:
    return f"got signal {-status}" if status < 0 else f"exit code {status}"
