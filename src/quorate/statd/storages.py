"""Which of the cluster's storages this node shows figures of, out of ``storage.cfg`` (guests 4.1). Pure.

Those that are directories; others are left to their own programs.
"""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Final, NamedTuple

from quorate.statd.figures import Space, columns_text

MAX_STORAGES: Final = 256
"""Shown of one node: each is asked for its space every half minute."""

_HEAD: Final = re.compile(r"(\S+):\s*([A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9])\s*")
_MOUNTED: Final = ("nfs", "cifs", "cephfs", "glusterfs")
"""Types that are mounted below /mnt/pve unless they say otherwise."""


class Storage(NamedTuple):
    name: str
    path: str
    mountpoint: str | None
    """Must be mounted, or the figures would be those of the file system below it."""


def storages(text: str, node: str) -> list[Storage]:
    """The directories that ``node`` may use and that are switched on."""
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
            found.append(Storage(name, "/var/lib/vz", None))
            continue
        nodes = keys.get("nodes")
        if keys.get("disable", "0") not in ("0", "no") or (nodes and node not in nodes.split(",")):
            continue
        path = keys.get("path", f"/mnt/pve/{name}" if kind in _MOUNTED else "")
        if path.startswith("/") and (kind == "dir" or kind in _MOUNTED):
            found.append(Storage(name, path, _mountpoint(kind, path, keys.get("is_mountpoint", "no"))))
    return found[:MAX_STORAGES]


def parse_mounts(text: str) -> set[str]:
    """``/proc/mounts``: where something is mounted."""
    places = (line.split(" ")[1] for line in text.splitlines() if line.count(" ") >= 2)
    return {re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), place) for place in places}


def is_there(storage: Storage, mounted: Set[str]) -> bool:
    return storage.mountpoint is None or storage.mountpoint in mounted


def storage_value(space: Space, now: int) -> bytes:
    """The 3 columns of ``pve-storage-9.0`` and ``pve2-storage``, ended by a NUL (status 3.3)."""
    return columns_text([now, space.total, space.used])


def _mountpoint(kind: str, path: str, word: str) -> str | None:
    if kind in _MOUNTED or word in ("1", "yes", "on", "true", ""):
        return path.rstrip("/")
    return word.rstrip("/") if word.startswith("/") else None
