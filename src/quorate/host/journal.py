"""The node's system log through journalctl: what to ask, and what its answers say. Runs it within limits."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Self

from quorate.host.services import unit_of

MAX_ENTRIES: Final = 5000
"""Of one answer."""
COUNT_AHEAD: Final = 10_000
"""So many lines are counted besides those of an answer: some hundredths of a second."""
MAX_MESSAGE: Final = 8192
"""Characters of one entry's text; a core dump's entry has megabytes."""
READ_SECONDS: Final = 20.0
"""A large journal on a slow disk takes long to read from the beginning: then the answer ends there."""

_COMMAND: Final = ("journalctl", "--no-pager", "--quiet")


class JournalError(Exception):
    """journalctl is missing or failed; the text holds what it said."""


def range_arguments(
    *,
    since: int | str | None = None,
    until: int | str | None = None,
    service: str | None = None,
    priority: int | None = None,
) -> list[str]:
    """Numbers are epoch seconds, texts the journal's own form of a date."""
    arguments = []
    for name, value in (("since", since), ("until", until)):
        if value is not None:
            arguments.append(f"--{name}={'@' if isinstance(value, int) else ''}{value}")
    if service is not None:
        arguments.append(f"--unit={unit_of(service) if '.' not in service else service}")
    if priority is not None:
        arguments.append(f"--priority={priority}")
    return arguments


def lines(arguments: Sequence[str], start: int | None, limit: int) -> tuple[int, list[dict[str, object]]]:
    """How many lines there are in short form, and ``limit`` of them: after the first ``start``, or the last.

    Lines are numbered from 1. A large journal is not counted to its end, which takes many seconds: at most
    `COUNT_AHEAD` lines besides those that are returned. With ``start`` the numbers are exact, and the count
    says "at least" when it is that much more; without, the numbers begin where the counting began.
    """
    command = [*_COMMAND, "--output=short"]
    if start is None:
        command.append(f"--lines={limit + COUNT_AHEAD}")
    with _Reader([*command, *arguments]) as stream:
        texts = (line.decode("utf-8", "replace") for line in stream)
        if start is None:
            return tail(texts, limit)
        total, found = window(texts, start, limit)
        stream.enough = total >= start + len(found) + COUNT_AHEAD
        return total, found


def window(texts: Iterable[str], start: int, limit: int) -> tuple[int, list[dict[str, object]]]:
    """``limit`` lines after the first ``start``; reads no more than `COUNT_AHEAD` behind them."""
    iterator = iter(texts)
    skipped = sum(1 for _ in islice(iterator, start))
    found = [_numbered(number, text) for number, text in enumerate(islice(iterator, limit), start + 1)]
    return skipped + len(found) + sum(1 for _ in islice(iterator, COUNT_AHEAD)), found


def tail(texts: Iterable[str], limit: int) -> tuple[int, list[dict[str, object]]]:
    """The last ``limit`` lines, read to the end."""
    total = 0
    last: deque[str] = deque(maxlen=limit)
    for text in texts:
        total += 1
        last.append(text)
    return total, [_numbered(number, text) for number, text in enumerate(last, total - len(last) + 1)]


def _numbered(number: int, text: str) -> dict[str, object]:
    return {"n": number, "t": text.rstrip("\n")[:MAX_MESSAGE]}


def entries(
    arguments: Sequence[str], *, last: int | None = None, after: str | None = None, limit: int = MAX_ENTRIES
) -> list[dict[str, object]]:
    """Entries, oldest first: the ``last`` ones, or those after the cursor ``after``."""
    options = [*arguments, "--output=json"]
    if after is not None:
        options.append(f"--after-cursor={after}")
    if last is not None:
        options.append(f"--lines={min(last, limit)}")
    with _Reader([*_COMMAND, *options]) as stream:
        found = list(islice((entry for line in stream if (entry := parse_entry(line)) is not None), limit))
        stream.enough = len(found) == limit
        return found


def parse_entry(line: bytes) -> dict[str, object] | None:
    """One line of journalctl's JSON; None for what is none."""
    try:
        found: Mapping[str, Any] = json.loads(line)
        time = int(found["__REALTIME_TIMESTAMP"])
        cursor = str(found["__CURSOR"])
    except (ValueError, KeyError, TypeError):
        return None
    entry: dict[str, object] = {"cursor": cursor, "time": time // 1_000_000, "usec": time % 1_000_000}
    priority = _text(found.get("PRIORITY"))
    entry["priority"] = int(priority) if priority in tuple("01234567") else 6
    for key, names in _FIELDS.items():
        value = next((text for name in names if (text := _text(found.get(name)))), "")
        if value:
            entry[key] = value
    entry.setdefault("message", "")
    return entry


_FIELDS: Final = {
    "message": ("MESSAGE",),
    "unit": ("_SYSTEMD_UNIT", "UNIT"),
    "identifier": ("SYSLOG_IDENTIFIER", "_COMM"),
    "pid": ("_PID", "SYSLOG_PID"),
}


def _text(value: object) -> str:
    """A field: text, an array of bytes for what is no text, an array of texts when it is there twice."""
    if isinstance(value, list):
        if value and all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
            return bytes(value[:MAX_MESSAGE]).decode("utf-8", "replace")
        return _text(value[0]) if value else ""
    return value[:MAX_MESSAGE] if isinstance(value, str) else ""


class _Reader:
    """journalctl's output, ended when we have enough or after READ_SECONDS."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv
        self.enough = False
        """Set by who stops reading before the end."""

    def __enter__(self) -> Self:
        try:
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
            )
        except OSError as err:
            raise JournalError(f"unable to read the journal: {self._argv[0]}: {err.strerror}") from err
        self._timer = threading.Timer(READ_SECONDS, self._process.kill)
        self._timer.start()
        return self

    def __iter__(self) -> Iterator[bytes]:
        assert self._process.stdout is not None
        return iter(self._process.stdout)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        cut = bool(self._process.stdout.read(1)) if self.enough else False
        if cut or error is not None:
            self._process.kill()
        said = self._process.stderr.read(MAX_MESSAGE).decode("utf-8", "replace").strip()
        status = self._process.wait()
        self._timer.cancel()
        self._process.stdout.close()
        self._process.stderr.close()
        if status > 0 and error is None:
            raise JournalError(f"unable to read the journal: {said or f'exit code {status}'}")
