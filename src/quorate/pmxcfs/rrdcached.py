"""A client of rrdcached's line protocol, as far as it is needed here. Blocks; for worker threads only."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

ANSWER_SECONDS: Final = 3.0
"""For the whole of one update. rrdcached answers from memory; one that does not is stopped or broken."""
MAX_LINE: Final = 4096
MAX_LINES: Final = 256
"""In one answer; to an update there is one line."""


class RrdcachedError(Exception):
    """rrdcached is not there, or refused; the text says what."""


class Rrdcached:
    """One connection. After any error but a refusal it is to be closed and made anew."""

    def __init__(self, path: Path, timeout: float = ANSWER_SECONDS) -> None:
        """Connect; raises RrdcachedError."""
        self._timeout = timeout
        self._rest = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(timeout)
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise RrdcachedError(f"cannot connect to rrdcached at {path}: {error}") from error

    def update(self, path: str, text: str) -> None:
        """Hand over one value of the file ``path`` (absolute); raises RrdcachedError."""
        self._command(f"update {path} {text}")

    def flush(self, path: str) -> None:
        """Have it write what it holds for the file; raises RrdcachedError, also when it holds nothing."""
        self._command(f"flush {path}")

    def _command(self, line: str) -> None:
        deadline = time.monotonic() + self._timeout
        try:
            self._socket.settimeout(self._timeout)
            self._socket.sendall(f"{line}\n".encode())
            answer = self._line(deadline)
            status = int(answer.split(b" ", 1)[0])
            for _ in range(min(max(status, 0), MAX_LINES)):  # that many lines explain it
                answer = self._line(deadline)
        except ValueError:
            raise RrdcachedError("rrdcached answered without a status") from None
        except OSError as error:
            raise RrdcachedError(f"rrdcached: {error}") from error
        if status != 0:
            raise RrdcachedError(f"rrdcached refused: {answer.decode('utf-8', 'replace')}")

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _line(self, deadline: float) -> bytes:
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer in time")
            if len(self._rest) > MAX_LINE:
                raise OSError(f"a line of more than {MAX_LINE} bytes")
            self._socket.settimeout(left)
            data = self._socket.recv(MAX_LINE)
            if not data:
                raise ConnectionResetError("it closed the connection")
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        return line
