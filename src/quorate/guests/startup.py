"""Which guests of a node are started at boot and stopped before its end, in which order (guests 8). Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

UNORDERED: Final = (1 << 63) - 1
"""Place of guests without an order: behind all others."""
MACHINE_UP: Final = 3
"""Seconds between the start of a virtual machine and the next guest, where nothing else is said."""
MAX_DEFAULT_WORKERS: Final = 8
MAX_SECONDS: Final = 24 * 3600
"""Longest delay that is taken from a guest's configuration."""

_KINDS: Final = {"qemu": "VM", "lxc": "CT"}
_YES: Final = frozenset({"1", "on", "yes", "true"})
_HA_SECTION: Final = re.compile(r"(?:vm|ct):\s*([1-9][0-9]{2,8})\s*")


class StartupError(ValueError):
    """A guest's ``startup`` is not what it must be."""


class Startup(NamedTuple):
    """What a guest says: its place in the order, seconds to wait after its start, seconds for its end."""

    order: int | None = None
    up: int | None = None
    down: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalGuest:
    """A guest of this node, as far as its start and end are concerned."""

    vmid: int
    kind: str
    onboot: bool = False
    template: bool = False
    startup: Startup = field(default=Startup())

    @property
    def label(self) -> str:
        """As in messages, e.g. ``VM 100``."""
        return f"{_KINDS[self.kind]} {self.vmid}"

    @property
    def place(self) -> int:
        return UNORDERED if self.startup.order is None else self.startup.order


Group = tuple[LocalGuest, ...]
"""Guests of one order: all of them are dealt with before the next group begins."""


def parse_startup(text: str) -> Startup:
    """``order=N``, a bare ``N``, ``up=N``, ``down=N``, separated by commas in any sequence."""
    found: dict[str, int] = {}
    for part in text.split(","):
        if not part.strip():
            continue
        match = re.fullmatch(r"\s*(?:(order|up|down)=)?([0-9]{1,18})\s*", part)
        if match is None:
            raise StartupError("unable to parse startup options")
        found[match[1] or "order"] = int(match[2])
    return Startup(found.get("order"), found.get("up"), found.get("down"))


def is_true(text: str | None) -> bool:
    """A boolean of a guest's configuration."""
    return text is not None and text.strip().lower() in _YES


def parse_managed(text: str) -> set[int]:
    """Guests that the HA stack manages, from its ``resources.cfg``: sections ``vm: ID`` and ``ct: ID``."""
    return {int(match[1]) for line in text.splitlines() if (match := _HA_SECTION.fullmatch(line)) is not None}


def to_start(
    guests: Iterable[LocalGuest], managed: Collection[int], *, force: bool, only: Collection[int] | None
) -> list[Group]:
    """What ``startall`` starts: guests with ``onboot`` (``force``: all), no templates; those that the HA
    stack manages only when they are named. ``only``: None for all."""
    chosen = [
        guest
        for guest in guests
        if not guest.template
        and (guest.onboot or force)
        and (guest.vmid in only if only is not None else guest.vmid not in managed)
    ]
    return _grouped(sorted(chosen, key=lambda guest: (guest.place, guest.vmid)))


def to_stop(guests: Iterable[LocalGuest], *, only: Collection[int] | None) -> list[Group]:
    """What ``stopall`` stops, if it runs, in the opposite order; who is managed by the HA stack as well."""
    chosen = [guest for guest in guests if not guest.template and (only is None or guest.vmid in only)]
    return _grouped(sorted(chosen, key=lambda guest: (guest.place, guest.vmid), reverse=True))


def pause(guest: LocalGuest) -> int:
    """Seconds to wait after a guest's start."""
    default = MACHINE_UP if guest.kind == "qemu" else 0
    return min(default if guest.startup.up is None else guest.startup.up, MAX_SECONDS)


def stop_limit(guest: LocalGuest, timeout: int) -> int:
    """Seconds that a guest has for its end; its own limit goes before that of the call."""
    return timeout if guest.startup.down is None else min(guest.startup.down, MAX_SECONDS)


def worker_count(asked: int | None, configured: int | None, processors: int) -> int:
    """How many guests are dealt with at once."""
    return asked or configured or min(max(processors - 1, 1), MAX_DEFAULT_WORKERS)


def _grouped(guests: Sequence[LocalGuest]) -> list[Group]:
    groups: dict[int, list[LocalGuest]] = {}
    for guest in guests:
        groups.setdefault(guest.place, []).append(guest)
    return [tuple(group) for group in groups.values()]
