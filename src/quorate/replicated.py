"""What this node knows of the whole cluster: members, guests, storages and their figures (status 1, 3).

Read from the local daemon alone: no other node is asked. Parsed again only when the daemon's counters show a
change, or, for figures, after the 2 s for which the daemon keeps them itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final, Protocol

from quorate.cfs import Cfs, CfsError, Guest, Members
from quorate.ipc.shared import Changes
from quorate.settings import Settings

FIGURES_SECONDS: Final = 2.0
"""As long as the daemon gives the same text for all figures (status 3.6)."""
FAILED_SECONDS: Final = 0.5
"""For so long a daemon that hung is not asked again: each call may have waited 5 s for it."""
GUEST_PROPERTIES: Final = ("name", "hostname", "tags", "lock", "template")
STORAGE_FILE: Final = "storage.cfg"
_LEVEL: Final = 1
"""Column of a node."""

_SHARED_KINDS: Final = frozenset(
    {"cephfs", "cifs", "esxi", "glusterfs", "iscsi", "iscsidirect", "nfs", "pbs", "rbd", "zfs"}
)
"""Types of storage that every node sees with the same content, whatever their section says."""

Figures = Mapping[str, Sequence[str]]
"""Columns by key, e.g. ``pve-node-9.0/n1``."""


@dataclass(frozen=True, slots=True)
class Storage:
    """One section of storage.cfg. ``nodes``: None = all."""

    kind: str
    content: str = ""
    shared: bool = False
    disabled: bool = False
    nodes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything at one moment. Another ``serial`` means that something may differ."""

    serial: int = 0
    members: Members
    guests: Mapping[int, Guest] = field(default_factory=dict)
    properties: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    storages: Mapping[str, Storage] = field(default_factory=dict)
    figures: Figures = field(default_factory=dict)

    def node_columns(self, node: str) -> Sequence[str] | None:
        """What ``node`` says of itself (status 3.3); None: nothing."""
        return _columns(self.figures, ("pve-node-9.0", "pve2-node"), node)

    def guest_columns(self, vmid: int) -> Sequence[str] | None:
        return _columns(self.figures, ("pve-vm-9.0", "pve2.3-vm"), str(vmid))

    def storage_columns(self, node: str, storage: str) -> Sequence[str] | None:
        return _columns(self.figures, ("pve-storage-9.0", "pve2-storage"), f"{node}/{storage}")

    def level(self, node: str) -> str:
        """Letter of the node's subscription, or nothing."""
        columns = self.node_columns(node) or ()
        return columns[_LEVEL] if len(columns) > _LEVEL and columns[_LEVEL] != "U" else ""

    def nodes(self) -> dict[str, bool]:
        """All nodes and whether they are online; a node without a cluster is its only one."""
        known = {name: member.online for name, member in self.members.nodes.items()}
        return known or {self.members.nodename: True}


class Source(Protocol):
    """What is needed of the cluster file system; `Cfs` does it."""

    def changes(self) -> Changes: ...
    def members(self) -> Members: ...
    def guests(self) -> dict[int, Guest]: ...
    def guest_properties(self, names: Sequence[str], vmid: int = 0) -> dict[int, dict[str, str]]: ...
    def rrd_dump(self) -> dict[str, list[str]]: ...
    def read(self, path: str) -> bytes: ...


class Replicated:
    """The present state, for all threads of a process. Asks the daemon one question when nothing changed."""

    def __init__(self, source: Source, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._marks: tuple[object, ...] = (None, None, None)
        self._until = 0.0
        self._state: State | None = None
        self._serial = 0
        self._failure: CfsError | None = None
        self._failed_until = 0.0

    def state(self) -> State:
        """Raises CfsError; for FAILED_SECONDS the same again, so that waiting threads do not queue up."""
        with self._lock:
            if self._failure is not None and self._monotonic() < self._failed_until:
                raise self._failure.with_traceback(None)
            try:
                self._failure = None
                return self._read()
            except CfsError as err:
                self._failure = err
                self._failed_until = self._monotonic() + FAILED_SECONDS
                raise

    def _read(self) -> State:
        changes = self._source.changes()
        parts = self._parts(changes)
        if self._state is None or parts:
            self._serial += 1
            before = self._state or State(members=self._source.members())
            self._state = replace(before, serial=self._serial, **parts)
        return self._state

    def _parts(self, changes: Changes) -> dict[str, Any]:
        """What has changed, read anew."""
        marks = (
            (changes.starttime, changes.clinfo),
            (changes.starttime, changes.vmlist),
            (changes.starttime, changes.paths.get(STORAGE_FILE)),
        )
        parts: dict[str, Any] = {}
        if marks[0] != self._marks[0]:
            parts["members"] = self._source.members()
        if marks[1] != self._marks[1]:
            parts["guests"] = self._source.guests()
            parts["properties"] = self._source.guest_properties(GUEST_PROPERTIES)
        if marks[2] != self._marks[2]:
            parts["storages"] = parse_storages(self._storage_text())
        now = self._monotonic()
        if now >= self._until:
            figures = self._source.rrd_dump()
            if self._state is None or figures != self._state.figures:
                parts["figures"] = figures
            self._until = now + FIGURES_SECONDS
        self._marks = marks
        return parts

    def _storage_text(self) -> str:
        try:
            return self._source.read(STORAGE_FILE).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""


@lru_cache(maxsize=8)
def replicated_of(settings: Settings) -> Replicated:
    """The one of these settings in this process."""
    return Replicated(Cfs(settings))


def parse_storages(text: str) -> dict[str, Storage]:
    """storage.cfg: sections ``TYPE: ID`` with indented properties. What is no such section is left out."""
    result: dict[str, Storage] = {}
    kind, name, values = "", "", dict[str, str]()
    for line in [*text.splitlines(), "end: "]:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0].isspace():
            key, _, value = line.strip().partition(" ")
            values[key] = value.strip()
            continue
        if name:
            result[name] = _storage(kind, values)
        head, colon, rest = line.partition(":")
        kind, name, values = head.strip(), rest.strip() if colon else "", {}
    return result


def number(text: str) -> int | float | None:
    """A column as a number; None for ``U`` and whatever is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    if value != value or value in (float("inf"), float("-inf")):
        return None
    return int(value) if value.is_integer() else value


def _storage(kind: str, values: Mapping[str, str]) -> Storage:
    def flag(key: str) -> bool:
        return key in values and values[key] not in ("0", "no", "off", "false")

    nodes = frozenset(part.strip() for part in values.get("nodes", "").split(",") if part.strip())
    return Storage(
        kind=kind,
        content=values.get("content", ""),
        shared=kind in _SHARED_KINDS or flag("shared"),
        disabled=flag("disable"),
        nodes=nodes or None,
    )


def _columns(figures: Figures, kinds: Sequence[str], name: str) -> Sequence[str] | None:
    for kind in kinds:
        if (found := figures.get(f"{kind}/{name}")) is not None:
            return found
    return None
