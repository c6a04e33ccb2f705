"""One conversation with a VM's monitor: bytes in, bytes out, figures at the end. Pure (guests 1.8, 7.4).

The other side may be stuck or hostile: everything that it says is bounded and checked.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from quorate.statd.guestfigures import DiskTraffic

MAX_BYTES: Final = 1 << 20
"""All that a monitor may say in one conversation; 70 disks with their images are some 300 kB."""
MAX_LINES: Final = 1000
"""Answers and events: of those a busy VM sends a few a second."""
MAX_NUMBER: Final = (1 << 63) - 1
"""Counters are below it; QEMU says 2^64 - 1 for what it does not know."""
POLLING_SECONDS: Final = 10
"""How often the guest's driver is asked for its memory figures: once a round of the status daemon."""
STALE_SECONDS: Final = 60
"""Memory figures of a running guest that are older are no longer true: its driver has gone."""

_BALLOON: Final = {"path": "/machine/peripheral/balloon0"}
_POLLING: Final = "guest-stats-polling-interval"
_STATUS: Final = re.compile(r"[a-z][a-z-]{0,31}")


class QmpError(Exception):
    """The monitor does not keep to the protocol; the text says what it did."""


@dataclass(frozen=True, slots=True)
class GuestMemory:
    """As the guest's own driver reports it. Bytes; ``updated``: epoch seconds."""

    total: int
    free: int
    updated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorFigures:
    """What a monitor said; None is not known."""

    status: str | None = None
    """QMP's word: running, paused, prelaunch ..."""
    disks: DiskTraffic | None = None
    memory: GuestMemory | None = None

    def memory_used(self, now: float) -> int | None:
        """Bytes that the guest does not call free; ``now``: epoch seconds."""
        if self.memory is None:
            return None
        if self.status == "running" and abs(now - self.memory.updated) > STALE_SECONDS:
            return None
        return max(0, self.memory.total - self.memory.free)


class Conversation:
    """Greeting, capabilities, all questions at once, and where it is needed the wish for memory figures."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._bytes = 0
        self._lines = 0
        self._greeted = False
        self._open: set[str] = set()
        self._answers: dict[str, Any] = {}
        self._done = False

    @property
    def done(self) -> bool:
        """Everything was answered."""
        return self._done

    def received(self, data: bytes) -> bytes:
        """What is to be sent now; nothing means that more has to come, or that it is ``done``.

        Raises QmpError.
        """
        self._bytes += len(data)
        if self._bytes > MAX_BYTES:
            raise QmpError(f"it said more than {MAX_BYTES} bytes")
        self._buffer += data
        send = b""
        while not self._done and (end := self._buffer.find(b"\n", self._searched)) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._searched = 0
            self._lines += 1
            if self._lines > MAX_LINES:
                raise QmpError(f"it said more than {MAX_LINES} things")
            send += self._heard(_parse(line))
        self._searched = len(self._buffer)
        return send

    def figures(self) -> MonitorFigures:
        """What was learnt so far."""
        return MonitorFigures(
            status=_status(self._answers.get("query-status")),
            disks=_disks(self._answers.get("query-blockstats")),
            memory=_memory(self._answers.get("guest-stats")),
        )

    def _heard(self, said: dict[str, Any]) -> bytes:
        if not self._greeted:
            if "QMP" not in said:
                raise QmpError("it did not greet as a QEMU monitor does")
            self._greeted = True
            return self._ask("qmp_capabilities")
        name = said.get("id")
        if not isinstance(name, str) or name not in self._open or not ("return" in said or "error" in said):
            return b""  # an event, or nothing that we asked
        self._open.remove(name)
        self._answers[name] = said.get("return")
        if name == "qmp_capabilities":
            if "error" in said:
                raise QmpError("it refused to begin")
            return (
                self._ask("query-status")
                + self._ask("query-blockstats")
                + self._ask("qom-get", "guest-stats", **_BALLOON, property="guest-stats")
                + self._ask("qom-get", _POLLING, **_BALLOON, property=_POLLING)
            )
        # A guest reports its memory only if QEMU is told to ask it; 0 is QEMU's default.
        if name == _POLLING and type(said.get("return")) is int and said["return"] == 0:
            return self._ask("qom-set", **_BALLOON, property=_POLLING, value=POLLING_SECONDS)
        self._done = not self._open
        return b""

    def _ask(self, command: str, name: str | None = None, **arguments: object) -> bytes:
        name = name or command
        self._open.add(name)
        message: dict[str, object] = {"execute": command, "id": name}
        if arguments:
            message["arguments"] = arguments
        return json.dumps(message).encode() + b"\r\n"


def _parse(line: bytes) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise QmpError(f"it said what makes no sense: {line[:60]!r}")
    return said


def _status(answer: object) -> str | None:
    status = answer.get("status") if isinstance(answer, dict) else None
    return status if isinstance(status, str) and _STATUS.fullmatch(status) else None


def _disks(answer: object) -> DiskTraffic | None:
    """All devices together; the images below them are counted with them."""
    if not isinstance(answer, list):
        return None
    read = written = 0
    for device in answer:
        stats = device.get("stats") if isinstance(device, dict) else None
        if isinstance(stats, dict):
            read += _number(stats.get("rd_bytes")) or 0
            written += _number(stats.get("wr_bytes")) or 0
    return DiskTraffic(read, written)


def _memory(answer: object) -> GuestMemory | None:
    stats = answer.get("stats") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(stats, dict):
        return None
    total, free = _number(stats.get("stat-total-memory")), _number(stats.get("stat-free-memory"))
    updated = _number(answer.get("last-update"))
    if not total or free is None or not updated:
        return None
    return GuestMemory(total, free, updated)


def _number(value: object) -> int | None:
    """``True`` is an int to Python, and none here."""
    return value if type(value) is int and 0 <= value <= MAX_NUMBER else None
