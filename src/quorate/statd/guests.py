"""The guests that this node owns, and what the cluster is told of each (guests 1.1, 7.4; status 3.3)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol

from quorate.cfs import Guest
from quorate.ipc.shared import Changes
from quorate.statd import guestconf, guestfigures
from quorate.statd.guestconf import GuestConf
from quorate.statd.guestfigures import GuestUse

_DIRECTORIES = {"qemu": "qemu-server", "lxc": "lxc"}


class Files(Protocol):
    """What is needed of the cluster file system; `quorate.cfs.Cfs` does it."""

    def changes(self) -> Changes: ...
    def guest_list(self) -> dict[int, Guest]: ...
    def content(self, path: str) -> bytes | None: ...


class Reader(Protocol):
    """Who knows what runs; `guestreader.GuestReader`."""

    def begin(self, now: float, machines: Collection[int], containers: Collection[int]) -> None: ...
    def machine(self, vmid: int) -> GuestUse | None: ...
    def container(self, vmid: int) -> GuestUse | None: ...


class Guests:
    """Keeps configurations until their counters change, and processor times from round to round."""

    def __init__(self, node: str, files: Files, reader: Reader, processors: int | None) -> None:
        """``processors``: the node's, of which the guests' shares are told."""
        self._node = node
        self._files = files
        self._reader = reader
        self._processors = processors
        self._mark: tuple[int, int] | None = None
        self._confs: dict[int, tuple[tuple[int, int], Guest, GuestConf]] = {}
        self._busy: dict[int, tuple[float, float]] = {}

    def values(self, now: int, monotonic: float, *, old: bool) -> Iterator[tuple[int, bytes]]:
        """Number and value of each, lowest first; ``old``: in the format before 9.0. Raises CfsError."""
        self._refresh()
        if self._confs:
            kinds = {vmid: guest.kind for vmid, (_, guest, _) in self._confs.items()}
            machines = [vmid for vmid, kind in kinds.items() if kind == "qemu"]
            self._reader.begin(now, machines, [vmid for vmid in kinds if kinds[vmid] == "lxc"])
        busy: dict[int, tuple[float, float]] = {}
        for vmid, (_, guest, conf) in sorted(self._confs.items()):
            machine = guest.kind == "qemu"
            use = self._reader.machine(vmid) if machine else self._reader.container(vmid)
            share = None
            if use is not None and use.busy is not None:
                before = self._busy.get(vmid)
                if before is not None:
                    available = guestfigures.guest_processors(conf, self._processors)
                    share = guestfigures.cpu_share(use.busy, before[0], monotonic - before[1], available)
                busy[vmid] = (use.busy, monotonic)
            yield (
                vmid,
                guestfigures.guest_value(
                    conf, use, now, cpu=share, processors=self._processors, machine=machine, old=old
                ),
            )
        self._busy = busy

    def _refresh(self) -> None:
        changes = self._files.changes()
        mark = (changes.starttime, changes.vmlist)
        if mark == self._mark:
            return
        confs: dict[int, tuple[tuple[int, int], Guest, GuestConf]] = {}
        whole = True
        for vmid, guest in self._files.guest_list().items():
            directory = _DIRECTORIES.get(guest.kind)
            if guest.node != self._node or directory is None:
                continue
            version = (changes.starttime, guest.version)
            known = self._confs.get(vmid)
            if known is not None and known[0] == version:
                confs[vmid] = known
                continue
            content = self._files.content(f"nodes/{self._node}/{directory}/{vmid}.conf")
            if content is None:
                whole = False  # it goes to another node in this moment
                continue
            text = content.decode("utf-8", "replace")
            parse = guestconf.virtual_machine if guest.kind == "qemu" else guestconf.container
            confs[vmid] = (version, guest, parse(vmid, text))
        self._confs = confs
        self._mark = mark if whole else None
