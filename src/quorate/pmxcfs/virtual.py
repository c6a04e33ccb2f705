"""The entries of the root that are not in the tree (core 2): what they are called, their modes and texts.

Where the texts' facts come from is behind ``Texts``. Serving them to the kernel is the mount's business.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable
from typing import Final, Protocol

from quorate.pmxcfs import logs

FIRST_NODEID: Final = 2
"""Node ids 2 to 11 are those of the virtual entries, for good; the root is 1."""
FIRST_INO: Final = 1 << 60
"""Inode numbers shown for them; those of the tree never come near."""

LINKS: Final = (b"local", b"qemu-server", b"openvz", b"lxc")


class Texts(Protocol):
    """The generated files. Called when an attribute lookup or an open needs the present text."""

    def version(self) -> bytes: ...
    def members(self) -> bytes: ...
    def vmlist(self) -> bytes: ...
    def rrd(self) -> bytes: ...
    def clusterlog(self) -> bytes: ...


class VirtualEntry:
    """One virtual entry. Exactly one of ``target`` and ``produce`` is set."""

    __slots__ = ("ino", "mode", "name", "nodeid", "produce", "target", "writable")

    def __init__(
        self,
        number: int,
        name: bytes,
        *,
        target: bytes | None = None,
        produce: Callable[[], bytes] | None = None,
        mode: int = 0,
        writable: bool = False,
    ) -> None:
        self.nodeid = FIRST_NODEID + number
        self.ino = FIRST_INO + number
        self.name = name
        self.target = target
        self.produce = produce
        self.mode = mode
        self.writable = writable

    @property
    def is_link(self) -> bool:
        return self.target is not None

    @property
    def type_bits(self) -> int:
        return stat.S_IFLNK if self.is_link else stat.S_IFREG

    def mode_bits(self, quorate: bool) -> int:
        """Type and permission bits (core 1.9). A link's write bit tells clients about the quorum."""
        if self.is_link:
            return stat.S_IFLNK | (0o755 if quorate else 0o555)
        return stat.S_IFREG | self.mode

    def text(self) -> bytes:
        """The content now; a link's target."""
        if self.produce is None:
            return self.target or b""
        return self.produce()


class VirtualEntries:
    """All of them, by name and by node id."""

    def __init__(self, nodename: str, texts: Texts) -> None:
        node = b"nodes/" + nodename.encode()
        entries = [
            VirtualEntry(0, b"local", target=node),
            VirtualEntry(1, b"qemu-server", target=node + b"/qemu-server"),
            VirtualEntry(2, b"openvz", target=node + b"/openvz"),
            VirtualEntry(3, b"lxc", target=node + b"/lxc"),
            VirtualEntry(4, b".version", produce=texts.version, mode=0o440),
            VirtualEntry(5, b".members", produce=texts.members, mode=0o440),
            VirtualEntry(6, b".vmlist", produce=texts.vmlist, mode=0o440),
            VirtualEntry(7, b".rrd", produce=texts.rrd, mode=0o440),
            VirtualEntry(8, b".clusterlog", produce=texts.clusterlog, mode=0o440),
            VirtualEntry(9, b".debug", produce=_debug_text, mode=0o640, writable=True),
        ]
        self.by_name = {entry.name: entry for entry in entries}
        self.by_nodeid = {entry.nodeid: entry for entry in entries}


def _debug_text() -> bytes:
    return b"1\n" if logs.debug_enabled() else b"0\n"


def write_debug(offset: int, data: bytes) -> int:
    """A write to ``.debug``: how many bytes were taken, or a negated errno."""
    if offset != 0 or data[:2] not in (b"0\n", b"1\n"):
        return -errno.EIO
    logs.set_debug(data[:1] == b"1")
    return 2
