"""Which of the cluster's storages this node shows figures of, out of ``storage.cfg`` (guests 4.1). Pure.

Directories, mounted shares, volume groups and thin pools of LVM, datasets of ZFS; others are left to their
own programs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from quorate.statd import space
from quorate.statd.figures import Space, columns_text
from quorate.statd.prober import Answer, Question
from quorate.statd.space import SpaceError

MAX_STORAGES: Final = 256
"""Shown of one node: each is asked for its space every half minute."""

_HEAD: Final = re.compile(r"(\S+):\s*([A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9])\s*")
_DIRECTORIES: Final = ("dir", "btrfs")
_MOUNTED: Final = ("nfs", "cifs", "cephfs", "glusterfs")
"""Types that are mounted below /mnt/pve unless they say otherwise."""
_DATASET: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.: /-]*")
"""Never what looks like an option."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    path: str
    mountpoint: str | None = None
    """Must be mounted, or the figures would be those of the file system below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeGroup:
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinPool:
    group: str
    pool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    name: str


Place = Directory | VolumeGroup | ThinPool | Dataset


@dataclass(frozen=True, slots=True)
class Storage:
    name: str
    place: Place


def storages(text: str, node: str) -> list[Storage]:
    """Those that ``node`` may use, that are switched on, and whose space can be asked for."""
    sections: list[tuple[str, str, dict[str, str]]] = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        head = _HEAD.fullmatch(line)
        if head is not None:
            sections.append((head[1], head[2], {}))
        elif line[0] in " \t" and sections:
            key, _, value = line.strip().partition(" ")
            sections[-1][2][key] = value.strip()
    if "local" not in (name for _, name, _ in sections):
        sections.append(("dir", "local", {}))
    found = []
    for kind, name, keys in sections:
        if name == "local":
            found.append(Storage(name, Directory(path="/var/lib/vz")))
            continue
        nodes = keys.get("nodes")
        if keys.get("disable", "0") not in ("0", "no") or (nodes and node not in nodes.split(",")):
            continue
        place = _place(kind, name, keys)
        if place is not None:
            found.append(Storage(name, place))
    return found[:MAX_STORAGES]


def parse_mounts(text: str) -> set[str]:
    """``/proc/mounts``: where something is mounted."""
    places = (line.split(" ")[1] for line in text.splitlines() if line.count(" ") >= 2)
    return {re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), place) for place in places}


def spaces(
    found: Sequence[Storage],
    mounted: Set[str],
    root: Path,
    ask: Callable[[Iterable[Question]], Mapping[str, Answer]],
) -> list[tuple[Storage, Space | SpaceError]]:
    """The space of each, or why it is not known. Paths are below ``root``; ``ask`` asks all at once."""
    questions = {storage.name: _question(storage.place, root) for storage in found}
    missing = {storage.name for storage in found if not _is_there(storage.place, mounted)}
    answers = ask(asked for name, asked in questions.items() if name not in missing)
    result: list[tuple[Storage, Space | SpaceError]] = []
    for storage in found:
        try:
            if storage.name in missing:
                raise SpaceError("it is not mounted", absent=True)
            result.append((storage, _space(storage.place, answers[questions[storage.name].name])))
        except SpaceError as error:
            result.append((storage, error))
    return result


def storage_value(found: Space, now: int) -> bytes:
    """The 3 columns of ``pve-storage-9.0`` and ``pve2-storage``, ended by a NUL (status 3.3)."""
    return columns_text([now, found.total, found.used])


def _is_there(place: Place, mounted: Set[str]) -> bool:
    return not isinstance(place, Directory) or place.mountpoint is None or place.mountpoint in mounted


def _question(place: Place, root: Path) -> Question:
    match place:
        case Directory(path=path):
            return space.directory(root / path.lstrip("/"))
        case VolumeGroup():
            return space.VOLUME_GROUPS
        case ThinPool():
            return space.THIN_POOLS
        case Dataset(name=name):
            return space.dataset(name)


def _space(place: Place, answer: Answer) -> Space:
    """Raises SpaceError."""
    match place:
        case Directory():
            return space.directory_space(answer)
        case VolumeGroup(group=group):
            return space.group_space(answer, group)
        case ThinPool(group=group, pool=pool):
            return space.pool_space(answer, group, pool)
        case Dataset():
            return space.dataset_space(answer)


def _place(kind: str, name: str, keys: Mapping[str, str]) -> Place | None:
    """None: its space cannot be asked for, or the section lacks what it must have."""
    if kind in _DIRECTORIES or kind in _MOUNTED:
        path = keys.get("path", f"/mnt/pve/{name}" if kind in _MOUNTED else "")
        if not path.startswith("/"):
            return None
        mountpoint = _mountpoint(kind, path, keys.get("is_mountpoint", "no"))
        return Directory(path=path, mountpoint=mountpoint)
    if kind == "lvm" and keys.get("vgname"):
        return VolumeGroup(group=keys["vgname"])
    if kind == "lvmthin" and keys.get("vgname") and keys.get("thinpool"):
        return ThinPool(group=keys["vgname"], pool=keys["thinpool"])
    if kind == "zfspool" and _DATASET.fullmatch(keys.get("pool", "")):
        return Dataset(name=keys["pool"])
    return None


def _mountpoint(kind: str, path: str, word: str) -> str | None:
    if kind in _MOUNTED or word in ("1", "yes", "on", "true", ""):
        return path.rstrip("/")
    return word.rstrip("/") if word.startswith("/") else None
