"""Long steps shown to a person: one line each, within 80 columns, on standard error.

On a terminal the line is alive (seconds, last line of output); elsewhere a step is announced, reminds of
itself now and then, and reports its time. Nothing here knows what the steps do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, Thread
from types import TracebackType

from lab.errors import LabError

COLUMNS = 79
REMINDER_SECONDS = 15.0
"""How often a step that runs without a terminal says that it is still at work."""
TAIL_LINES = 10
"""How much of a failed command's output is shown; the whole lies in the log file."""


class Step:
    """``with Step("Building the base root")``: shows that something is going on, and how long it took."""

    def __init__(self, title: str, *, log: Path | None = None, quiet_below: float = 0.0) -> None:
        self.title = title
        self._log = log
        self._quiet_below = quiet_below
        self._done = Event()
        self._live = sys.stderr.isatty()
        self._started = time.monotonic()
        self._thread = Thread(target=self._show, name="progress", daemon=True)

    def __enter__(self) -> Step:
        self._started = time.monotonic()
        if not self._live and not self._quiet_below:
            _line(f"{self.title} ...")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        took = time.monotonic() - self._started
        if kind is None and took < self._quiet_below:
            if self._live:
                sys.stderr.write("\r\x1b[K")
            return
        verdict = "failed after" if kind else "done in"
        if self._live:
            sys.stderr.write("\r\x1b[K")
        _line(f"{self.title}: {verdict} {took:.1f} s")

    def _show(self) -> None:
        period = 0.25 if self._live else REMINDER_SECONDS
        while not self._done.wait(period):
            took = time.monotonic() - self._started
            text = f"{self.title} ... {took:.0f} s"
            last = _last_line(self._log)
            if last:
                text = f"{text}  {last}"
            if self._live:
                sys.stderr.write(f"\r\x1b[K{text[:COLUMNS]}")
                sys.stderr.flush()
            else:
                _line(text)


def run_step(
    title: str,
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    advice: str = "",
) -> None:
    """Run a long command behind a progress line; its output goes to ``log``.

    Raises LabError with the end of the output, and the ``advice``, when the command fails or is missing.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out, Step(title, log=log):
        try:
            code = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=None if env is None else dict(os.environ, **env),
                check=False,
            ).returncode
        except FileNotFoundError as error:
            raise LabError(f"{title}: the program {argv[0]} is missing ({error})") from error
        if code:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
            text = f"{argv[0]} ended with status {code}. Its last lines:\n{tail}\nAll of it: {log}"
            raise LabError(f"{text}\n{advice}" if advice else text)


def say(text: str) -> None:
    """A sentence for the person, on standard error. What can be copied from it (paths, URLs) stays whole."""
    for line in textwrap.wrap(text, COLUMNS, break_long_words=False, break_on_hyphens=False):
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _line(text: str) -> None:
    sys.stderr.write(text if len(text) <= COLUMNS else text[: COLUMNS - 3] + "...")
    sys.stderr.write("\n")
    sys.stderr.flush()


def _last_line(log: Path | None) -> str:
    """The last line of a growing log: cheap, since only its end is read."""
    if log is None:
        return ""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 400))
            lines = file.read().decode(errors="replace").replace("\r", "\n").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
