"""Rules that look at a path or a text alone: which paths are private, locks, guest configurations, tracked.

No tree and no I/O here. Paths are bytes in internal form (no leading slash; the root is empty).
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple

LOCK_DIRECTORY = b"priv/lock"
CLUSTER_CONFIG = b"corosync.conf"
MAX_GUEST_ID = 0xFFFFFFFF

TRACKED_PATHS: tuple[bytes, ...] = (
    b"corosync.conf",
    b"corosync.conf.new",
    b"storage.cfg",
    b"user.cfg",
    b"domains.cfg",
    b"notifications.cfg",
    b"priv/notifications.cfg",
    b"priv/shadow.cfg",
    b"priv/acme/plugins.cfg",
    b"priv/tfa.cfg",
    b"priv/token.cfg",
    b"priv/wg-keys.cfg",
    b"datacenter.cfg",
    b"vzdump.cron",
    b"vzdump.conf",
    b"jobs.cfg",
    b"ha/crm_commands",
    b"ha/manager_status",
    b"ha/resources.cfg",
    b"ha/rules.cfg",
    b"ha/groups.cfg",
    b"ha/fence.cfg",
    b"status.cfg",
    b"replication.cfg",
    b"ceph.conf",
    b"sdn/vnets.cfg",
    b"sdn/zones.cfg",
    b"sdn/controllers.cfg",
    b"sdn/subnets.cfg",
    b"sdn/ipams.cfg",
    b"sdn/mac-cache.json",
    b"sdn/pve-ipam-state.json",
    b"sdn/dns.cfg",
    b"sdn/fabrics.cfg",
    b"sdn/route-maps.cfg",
    b"sdn/prefix-lists.cfg",
    b"sdn/.running-config",
    b"virtual-guest/cpu-models.conf",
    b"virtual-guest/profiles.cfg",
    b"firewall/cluster.fw",
    b"mapping/directory.cfg",
    b"mapping/pci.cfg",
    b"mapping/usb.cfg",
)
"""Paths with a change counter, in the order in which ``.version`` lists them (core 1.15)."""


class GuestType(IntEnum):
    """Kind of a guest; the label is what ``.vmlist`` shows."""

    QEMU = 1
    OPENVZ = 2
    LXC = 3

    @property
    def label(self) -> str:
        return self.name.lower()


GUEST_DIRECTORIES: dict[bytes, GuestType] = {
    b"qemu-server": GuestType.QEMU,
    b"openvz": GuestType.OPENVZ,
    b"lxc": GuestType.LXC,
}


class Guest(NamedTuple):
    """The guest whose configuration a path is (core 1.13)."""

    vmid: int
    node: str
    type: GuestType


_NODE_NAME = re.compile(rb"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_GUEST_FILE = re.compile(rb"([1-9][0-9]*)\.conf")
_GUEST_DIRECTORY = re.compile(
    rb"nodes/([A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)/(qemu-server|openvz|lxc)",
)
_PRIVATE = re.compile(rb"/*(?:priv|nodes/[^/]*/priv)(?:/.*)?", re.DOTALL)
_HOOK_NAME = re.compile(rb"(?:vps|[1-9][0-9]*)\.(?:mount|umount|start|stop|premount|postumount)")
_HOOK_ENDS = (b"mount", b"start", b"stop")
_CONFIG_VERSION = re.compile(r"config_version\s*:\s*([0-9]+)", re.ASCII)
_MAX_CONFIG_VERSION = (1 << 64) - 1


def is_private(path: bytes) -> bool:
    """Whether only root may look at ``path`` (core 1.9). Leading slashes are ignored."""
    return b"priv" in path and _PRIVATE.fullmatch(path) is not None


def is_lock_path(path: bytes) -> bool:
    """Whether ``path`` lies below ``priv/lock``, at any depth (core 1.14)."""
    path = path.lstrip(b"/")
    return path.startswith(b"priv/lock/") and len(path) > len(b"priv/lock/")


def is_hook_name(name: bytes) -> bool:
    """Whether a file called ``name`` is a hook script, which is executable (core 1.9)."""
    return name.endswith(_HOOK_ENDS) and _HOOK_NAME.fullmatch(name) is not None


def is_node_name(name: bytes) -> bool:
    """Whether ``name`` can be that of a node below ``nodes/``: letters, digits and inner hyphens."""
    return _NODE_NAME.fullmatch(name) is not None


def split_path(path: bytes) -> tuple[bytes, bytes]:
    """Directory string and base name of ``path`` (core 1.12); ``.`` and ``.`` for the root."""
    path = path.rstrip(b"/")
    if not path:
        return b".", b"."
    directory, slash, base = path.rpartition(b"/")
    if not slash:
        return b".", path
    return directory.rstrip(b"/") or b"/", base


def guest_id(name: bytes) -> int | None:
    """The guest id when ``name`` is that of a guest configuration (``100.conf``), else None."""
    match = _GUEST_FILE.fullmatch(name)
    # More than ten digits cannot fit; checked first, so that no giant number is ever converted.
    if match is None or len(match[1]) > 10:
        return None
    vmid = int(match[1])
    return vmid if vmid <= MAX_GUEST_ID else None


def guest_config(path: bytes) -> Guest | None:
    """The guest whose configuration ``path`` is, or None (core 1.13)."""
    if not path.startswith(b"nodes/"):  # the usual case of the hot path
        return None
    directory, base = split_path(path)
    vmid = guest_id(base)
    if vmid is None:
        return None
    match = _GUEST_DIRECTORY.fullmatch(directory)
    if match is None:
        return None
    return Guest(vmid, match[1].decode("ascii"), GUEST_DIRECTORIES[match[2]])


def config_version(text: bytes) -> int:
    """``config_version`` of a corosync.conf, 0 when there is none or the text is not UTF-8 (core 8.3)."""
    try:
        match = _CONFIG_VERSION.search(text.decode("utf-8"))
    except UnicodeDecodeError:
        return 0
    if match is None:
        return 0
    digits = match[1].lstrip("0")
    # 2^64 - 1 has 20 digits; more are capped unread.
    return _MAX_CONFIG_VERSION if len(digits) > 20 else min(int(digits or "0"), _MAX_CONFIG_VERSION)
