"""One round of the status daemon: each step by itself, so that a failing one hinders no other (pvecm 11)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from quorate.access.keys import is_quorate
from quorate.access.rotation import rotate_if_due
from quorate.cfs import CfsError, CfsUnavailableError
from quorate.settings import Settings
from quorate.statd.failures import Failures
from quorate.statd.figures import NodeFigures, Space, node_value
from quorate.statd.guests import Files, Guests
from quorate.statd.guests import Reader as GuestReader
from quorate.statd.prober import Prober
from quorate.statd.storages import Storage, parse_mounts, spaces, storage_value, storages
from quorate.tasks import TaskStore, TaskStoreError
from quorate.tasks.tasklist import KEY as TASK_KEY
from quorate.tasks.tasklist import task_list

_log = logging.getLogger(__name__)

VERSION_KEY: Final = "kv/version-info"

FAILURES: Final = (OSError, CfsError, TaskStoreError, ValueError)
"""What a step may raise; a text of the file system that is no JSON is a ValueError."""


class Status(Files, Protocol):
    """What is needed of the file system; ``quorate.cfs.Cfs`` does it."""

    def status_set(self, key: str, value: bytes) -> None: ...
    def status_set_many(self, values: Sequence[tuple[str, bytes]]) -> None: ...
    def status_get(self, key: str, node: str = "") -> bytes | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """Who looks at the node."""

    node: Callable[[], NodeFigures]
    guests: GuestReader
    prober: Prober
    processors: int | None = None


class Cycle:
    """All steps, and which of them fail at present."""

    def __init__(
        self,
        settings: Settings,
        node: str,
        status: Status,
        readers: Readers,
        version: Mapping[str, str],
    ) -> None:
        self._settings = settings
        self._node = node
        self._status = status
        self._readers = readers
        self._guests = Guests(node, status, readers.guests, readers.processors)
        self._version = json.dumps(dict(version)).encode() + b"\0"
        self._tasks = TaskStore(settings)
        self._failures = Failures()
        self._storage_failures = Failures()

    def run(self, now: float, monotonic: float, stopped: Callable[[], bool] = lambda: False) -> None:
        """``now``: epoch seconds. Never raises for what happens outside. Ends early when ``stopped``."""
        for name, step in (
            ("broadcast the node's figures", lambda: self._tell_node(int(now))),
            ("broadcast the guests' figures", lambda: self._tell_guests(int(now), monotonic)),
            ("broadcast the storages' figures", lambda: self._tell_storages(int(now))),
            ("broadcast the list of tasks", self._tell_tasks),
            ("broadcast the version", self._tell_version),
            ("check the key of the login tickets", self._check_key),
        ):
            if stopped():
                return
            self._try(name, step)

    def _try(self, name: str, step: Callable[[], None]) -> None:
        try:
            step()
        except FAILURES as error:
            # A file system that is not there says so itself, and is often just being restarted.
            self._failures.began(name, error, warn=not isinstance(error, CfsUnavailableError))
        else:
            self._failures.ended(name)

    def _tell_node(self, now: int) -> None:
        figures = self._readers.node()
        if self._has_files("pve-node-9.0"):
            self._status.status_set(f"rrd/pve-node-9.0/{self._node}", node_value(figures, now))
        else:
            self._status.status_set(f"rrd/pve2-node/{self._node}", node_value(figures, now, old=True))

    def _tell_guests(self, now: int, monotonic: float) -> None:
        old = not self._has_files("pve-vm-9.0")
        prefix = "rrd/pve2.3-vm" if old else "rrd/pve-vm-9.0"
        values = self._guests.values(now, monotonic, old=old)
        self._status.status_set_many([(f"{prefix}/{vmid}", value) for vmid, value in values])

    def _tell_storages(self, now: int) -> None:
        prefix = "rrd/pve-storage-9.0" if self._has_files("pve-storage-9.0") else "rrd/pve2-storage"
        text = (self._status.content("storage.cfg") or b"").decode("utf-8", "replace")
        mounts = parse_mounts(self._settings.at("/proc/mounts").read_text("utf-8", "replace"))
        found = spaces(storages(text, self._node), mounts, self._settings.root, self._readers.prober.ask)
        self._storage_failures.forget_others(_asking(storage) for storage, _ in found)
        for storage, space in found:
            if isinstance(space, Space):
                self._storage_failures.ended(_asking(storage))
                self._status.status_set(f"{prefix}/{self._node}/{storage.name}", storage_value(space, now))
            elif not space.late:
                self._storage_failures.began(_asking(storage), space, warn=not space.absent)

    def _tell_tasks(self) -> None:
        self._status.status_set(TASK_KEY, task_list(self._tasks.active()))

    def _tell_version(self) -> None:
        """Only when the file system does not have it: it keeps it as long as it runs."""
        if self._status.status_get(VERSION_KEY) != self._version:
            self._status.status_set(VERSION_KEY, self._version)

    def _check_key(self) -> None:
        # Not mounted, or nothing can be changed: that is not this step's to say.
        if is_quorate(self._settings.mountpoint / "local") and rotate_if_due(self._settings):
            _log.info("made a new key for the login tickets")

    def _has_files(self, kind: str) -> bool:
        """Whether the files of format 9.0 exist: senders choose the format by that (status 3.3)."""
        return (self._settings.rrd_dir / kind).is_dir()


def _asking(storage: Storage) -> str:
    return f"show the space of storage '{storage.name}'"
