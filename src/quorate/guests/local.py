"""This node's guests out of the cluster file system, and locks that a backup left on them (guests 1, 8)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from quorate.cfs import Cfs, CfsError
from quorate.cluster.host import ClusterError, Host
from quorate.cluster.locks import local_lock
from quorate.guests.startup import LocalGuest, Startup, StartupError, is_true, parse_managed, parse_startup
from quorate.settings import Settings
from quorate.statd.guestconf import current_section

HA_RESOURCES: Final = "ha/resources.cfg"
BACKUP_LOCK: Final = "/var/run/vzdump.lock"
"""Held by a backup of guests as long as it runs."""
LOCK_SECONDS: Final = 10.0

DIRECTORIES: Final = {"qemu": "qemu-server", "lxc": "lxc"}
_CONFIG_LOCKS: Final = {
    "qemu": "/var/lock/qemu-server/lock-{}.conf",
    "lxc": "/run/lock/lxc/pve-config-{}.lock",
}
_LEFT_OVER: Final = re.compile(r"lock:\s*backup\s*")

Warn = Callable[[str], None]


def local_guests(cfs: Cfs, node: str, warn: Warn) -> list[LocalGuest]:
    """The node's guests; one that leaves it in this moment is left out. Raises CfsError."""
    found = []
    for vmid, guest in sorted(cfs.guests().items()):
        if guest.node != node or guest.kind not in DIRECTORIES:
            continue
        try:
            text = cfs.read(path_of(node, guest.kind, vmid)).decode("utf-8", "replace")
        except FileNotFoundError:
            continue
        conf = current_section(text)
        startup = Startup()
        try:
            startup = parse_startup(conf.get("startup", ""))
        except StartupError as err:
            warn(f"guest {vmid}: {err}: '{conf.get('startup')}'")
        found.append(
            LocalGuest(
                vmid=vmid,
                kind=guest.kind,
                onboot=is_true(conf.get("onboot")),
                template=is_true(conf.get("template")),
                startup=startup,
            )
        )
    return found


def managed_guests(cfs: Cfs) -> set[int]:
    """Guests that the HA stack starts and stops. Raises CfsError."""
    try:
        return parse_managed(cfs.read(HA_RESOURCES).decode("utf-8", "replace"))
    except FileNotFoundError:
        return set()


def remove_backup_locks(settings: Settings, cfs: Cfs, node: str, warn: Warn) -> None:
    """Take away the locks of backups that the node's last end interrupted: such guests could not be started.

    While a backup runs, its locks are its own. What cannot be done is told; the guests' start will fail then.
    """
    host = Host(settings=settings, node=node)
    locked = [
        (vmid, guest.kind)
        for vmid, guest in sorted(cfs.guests().items())
        if guest.node == node and guest.kind in DIRECTORIES and _is_locked(cfs, node, guest.kind, vmid)
    ]
    if not locked:
        return
    try:
        with local_lock(host, settings.at(BACKUP_LOCK), timeout=LOCK_SECONDS):
            for vmid, kind in locked:
                config_lock = settings.at(_CONFIG_LOCKS[kind].format(vmid))
                with local_lock(host, config_lock, timeout=LOCK_SECONDS):
                    _unlock(cfs, node, kind, vmid)
                warn(f"removed left over backup lock from '{vmid}'!")
    except (ClusterError, CfsError, OSError) as err:
        warn(f"left over backup locks were not removed: {err}")


def without_backup_lock(text: str) -> str:
    """A guest's file without ``lock: backup`` in its current section; all else as it is."""
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if line.startswith("["):
            break
        if _LEFT_OVER.fullmatch(line.rstrip("\r\n")) is not None:
            return "".join([*lines[:number], *lines[number + 1 :]])
    return text


def path_of(node: str, kind: str, vmid: int) -> str:
    """A guest's file in the cluster file system."""
    return f"nodes/{node}/{DIRECTORIES[kind]}/{vmid}.conf"


def _is_locked(cfs: Cfs, node: str, kind: str, vmid: int) -> bool:
    text = _text(cfs, node, kind, vmid)
    return without_backup_lock(text) != text


def _unlock(cfs: Cfs, node: str, kind: str, vmid: int) -> None:
    text = _text(cfs, node, kind, vmid)
    changed = without_backup_lock(text)
    if changed != text:
        cfs.write(path_of(node, kind, vmid), changed.encode("utf-8", "surrogateescape"))


def _text(cfs: Cfs, node: str, kind: str, vmid: int) -> str:
    try:
        return cfs.read(path_of(node, kind, vmid)).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""
