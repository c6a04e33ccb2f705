"""Starting and ending single guests: what is asked of whoever can do it, and who does it today: nobody.

This version manages the cluster and no guests. Programs that run guests on the node beside it are seen, so
that what runs is told as running.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

from quorate.guests.startup import LocalGuest
from quorate.settings import Settings
from quorate.statd import guestfigures

MAX_TEXT: Final = 1 << 22
"""Bytes of one text of the kernel."""


class GuestError(Exception):
    """A guest was not started or ended; the text says why."""


class Job(Protocol):
    """One guest's start or end, under way in a task of its own."""

    def status(self) -> str | None:
        """None while it goes on; then ``OK``, ``WARNINGS: N`` or what went wrong."""


class GuestPower(Protocol):
    def begin(self) -> None:
        """Look anew at what runs, before each group."""

    def is_running(self, guest: LocalGuest) -> bool: ...

    def start(self, guest: LocalGuest) -> Job:
        """Begin to start it. Raises GuestError."""

    def shut_down(self, guest: LocalGuest, seconds: int, *, force: bool) -> Job:
        """Ask it to end within so many seconds; ``force``: end it then. Raises GuestError."""


class NoGuests:
    """Sees what runs, and refuses to start or end it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._containers: set[int] = set()

    def begin(self) -> None:
        self._containers = guestfigures.running_containers(self._text("/proc/net/unix"))

    def is_running(self, guest: LocalGuest) -> bool:
        if guest.kind == "lxc":
            return guest.vmid in self._containers
        pid = self._text(f"/run/qemu-server/{guest.vmid}.pid").strip()
        # A PID file stays behind after a kill, and its number may be another process's.
        return pid.isdecimal() and guestfigures.is_machine(
            self._text(f"/proc/{pid}/cmdline").encode("utf-8", "surrogateescape"), guest.vmid
        )

    def start(self, guest: LocalGuest) -> Job:
        raise GuestError("this version manages the cluster and cannot start guests")

    def shut_down(self, guest: LocalGuest, seconds: int, *, force: bool) -> Job:
        raise GuestError("this version manages the cluster and cannot stop guests")

    def _text(self, path: str) -> str:
        """Nothing where there is no such file, or its process has just ended."""
        place: Path = self._settings.at(path)
        try:
            with place.open(encoding="utf-8", errors="surrogateescape") as file:
                return file.read(MAX_TEXT)
        except OSError:
            return ""
