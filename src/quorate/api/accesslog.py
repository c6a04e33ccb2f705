"""The front's access log (pvecm 6.1)."""

from __future__ import annotations

import logging
import os
import re
import time
from pathlib import Path
from typing import IO

_log = logging.getLogger(__name__)

_SECRET_IN_QUERY = re.compile(r"([?&;][\w-]*(?:password|ticket|otp|challenge)=)[^&;\s]*", re.IGNORECASE)
"""Parameters may come in the query of any method; what they hold is nothing for a log."""


class AccessLog:
    """``IP - USER [TIME] "REQUEST LINE" STATUS LENGTH``, one line per request. Works without its file."""

    def __init__(self, path: Path) -> None:
        self._file: IO[str] | None = None
        try:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
            self._file = open(fd, "a", encoding="utf-8", buffering=1)  # noqa: PTH123, SIM115 - a descriptor, kept
        except OSError as err:
            _log.warning("no access log: unable to open '%s': %s", path, err.strerror)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None

    def record(self, client: str, user: str, line: str, status: int, length: int) -> None:
        if self._file is None:
            return
        stamp = time.strftime("%d/%m/%Y:%H:%M:%S %z")
        line = _SECRET_IN_QUERY.sub(r"\1...", line)
        shown = "".join(char if char.isprintable() and char != '"' else "?" for char in line)
        try:
            self._file.write(f'{client or "-"} - {user or "-"} [{stamp}] "{shown}" {status} {length}\n')
        except OSError as err:
            _log.warning("unable to write the access log: %s", err.strerror)
