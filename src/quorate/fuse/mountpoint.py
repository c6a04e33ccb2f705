"""mount(2), umount2(2) and the mount table. The caller's thread never touches files of a live mount."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from pathlib import Path
from typing import Final, NamedTuple

from quorate.fuse.errors import MountError

MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MNT_FORCE: Final = 1
MNT_DETACH: Final = 2
UMOUNT_NOFOLLOW: Final = 8

PROBE_SECONDS: Final = 5.0
"""How long a mount found at start may take to answer before it counts as alive but stuck."""
MAX_STACKED: Final = 16
"""Dead mounts taken away at one place: each crash leaves at most one."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)


class MountEntry(NamedTuple):
    """One line of the mount table."""

    mount_id: int
    device: str
    """major:minor, unique to a FUSE connection while it exists."""
    path: str
    fstype: str
    source: str


def mounts_at(path: Path, table: str | None = None) -> list[MountEntry]:
    """What is mounted exactly at ``path``, the topmost last."""
    text = Path("/proc/self/mountinfo").read_text(errors="surrogateescape") if table is None else table
    found = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        kind = right.split(" ")
        if len(fields) < 6 or len(kind) < 2:
            continue
        where = _unescape(fields[4])
        if where == str(path):
            found.append(MountEntry(int(fields[0]), fields[2], where, kind[0], _unescape(kind[1])))
    return found


def _unescape(text: str) -> str:
    """Octal escapes of the mount table (blank, tab, newline, backslash)."""
    head, *rest = text.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def mount_fuse(fd: int, path: Path, source: str, options: str) -> MountEntry:
    """Mount the open /dev/fuse ``fd`` at ``path``; the new line of the mount table. Raises MountError."""
    if _libc.mount(source.encode(), os.fsencode(path), b"fuse", MS_NOSUID | MS_NODEV, options.encode()) != 0:
        code = ctypes.get_errno()
        hint = {
            errno.EPERM: "run it as root",
            errno.ENOENT: "create the directory first",
            errno.ENOTDIR: "the mount point must be a directory",
            errno.ENODEV: "load the kernel module: modprobe fuse",
        }.get(code, "see the kernel log")
        raise MountError(f"cannot mount the cluster file system at {path}: {os.strerror(code)}; {hint}")
    entries = mounts_at(path)
    if not entries:
        raise MountError(f"mounted {path}, but the mount table does not show it")
    return entries[-1]


def unmount_lazily(path: Path, *, force: bool = False) -> None:
    """Take the topmost mount at ``path`` out of the tree; open files live on. Raises MountError.

    ``force`` also aborts the connection: every waiting request fails.
    """
    flags = MNT_DETACH | UMOUNT_NOFOLLOW | (MNT_FORCE if force else 0)
    if _libc.umount2(os.fsencode(path), flags) != 0:
        code = ctypes.get_errno()
        raise MountError(f"cannot unmount {path}: {os.strerror(code)}; try: umount -l {path}")


def clear_dead_mount(path: Path | str) -> int:
    """Take away what a killed daemon left mounted at ``path``; how many mounts that were.

    A mount that answers, or that is no FUSE mount, is left alone: MountError says what to do.
    """
    where = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would touch the dead mount
    for count in range(MAX_STACKED):
        entries = mounts_at(where)
        if not entries:
            return count
        top = entries[-1]
        if top.fstype != "fuse" and not top.fstype.startswith("fuse."):
            raise MountError(
                f"{where} already is a mount point ({top.fstype} from {top.source}), not ours: unmount it"
            )
        state = _probe(where)
        if state != "dead":
            raise MountError(
                f"{where} is mounted and {state}: does another instance run? Stop it, or: umount -l {where}"
            )
        unmount_lazily(where)
    raise MountError(
        f"more than {MAX_STACKED} dead mounts at {where}: something mounts there again and again"
    )


def _probe(path: Path) -> str:
    """'dead', 'answers', or what else is known.

    statfs, not stat: the kernel answers stat of a dead mount from its attribute cache. In a thread of its
    own, since a mount whose daemon hangs never answers.
    """
    result: list[str] = []

    def ask() -> None:
        try:
            os.statvfs(path)
        except OSError as fault:
            dead = fault.errno in (errno.ENOTCONN, errno.ECONNABORTED)
            result.append("dead" if dead else f"answers ({fault.strerror})")
        else:
            result.append("answers")

    thread = threading.Thread(target=ask, name="fuse-probe", daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return result[0] if result else f"does not answer within {PROBE_SECONDS:.0f} s"
