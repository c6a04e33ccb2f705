"""RRD values as nodes send them: which file a key belongs to, what is written there, how a file is made.

Pure (status 3). Writing is done by ``rrdwriter``.
"""

from __future__ import annotations

import re
import time
from typing import Final, NamedTuple

STEP: Final = 60
"""Seconds of one row of the finest archive."""
HEARTBEAT: Final = 120

ARCHIVES: Final = tuple(
    f"RRA:{function}:0.5:{steps}:{rows}"
    for function in ("AVERAGE", "MAX")
    for steps, rows in ((1, 1440), (30, 1440), (360, 1440), (10080, 570))
)


class RrdError(ValueError):
    """A value that can't be written to any file; the text says why."""


class Kind(NamedTuple):
    """One kind of RRD files. ``sources`` are the columns archived in version 9.0, in order."""

    name: str
    skipped: int
    """Leading columns that are shown live and not archived; the timestamp follows them."""
    sources: tuple[str, ...]
    old_prefix: bytes
    old_sources: int
    """Columns that the format before 9.0 archived."""

    @property
    def directory(self) -> str:
        return f"{self.name}-9.0"

    def creation_arguments(self) -> list[str]:
        """Data sources and archives, as librrd takes them (status 3.4)."""
        return [
            *(
                f"DS:{source}:{'DERIVE' if source in _COUNTERS else 'GAUGE'}:{HEARTBEAT}:0:U"
                for source in self.sources
            ),
            *ARCHIVES,
        ]


_COUNTERS: Final = frozenset({"netin", "netout", "diskread", "diskwrite"})

NODE: Final = Kind(
    "pve-node",
    2,
    (
        *("loadavg", "maxcpu", "cpu", "iowait", "memtotal", "memused", "swaptotal", "swapused"),
        *("roottotal", "rootused", "netin", "netout", "memavailable", "arcsize"),
        *("pressurecpusome", "pressureiosome", "pressureiofull", "pressurememorysome", "pressurememoryfull"),
    ),
    b"pve2-node/",
    12,
)
GUEST: Final = Kind(
    "pve-vm",
    4,
    (
        *("maxcpu", "cpu", "maxmem", "mem", "maxdisk", "disk", "netin", "netout", "diskread", "diskwrite"),
        *("memhost", "pressurecpusome", "pressurecpufull", "pressureiosome", "pressureiofull"),
        *("pressurememorysome", "pressurememoryfull"),
    ),
    b"pve2.3-vm/",
    10,
)
STORAGE: Final = Kind("pve-storage", 0, ("total", "used"), b"pve2-storage/", 2)
KINDS: Final = (NODE, GUEST, STORAGE)

# What goes into a line for rrdcached and into a file's name: nothing that ends or splits a line.
_COMPONENT: Final = re.compile(rb"[!-.0-\[\]-~]{1,255}")
_VALUES: Final = re.compile(rb"[0-9]+(?::[!-\[\]-~]*)?")


class Update(NamedTuple):
    """One value for one file."""

    kind: Kind
    components: tuple[str, ...]
    """Names below the kind's directory; the last one is the file."""
    text: str

    @property
    def file(self) -> str:
        """Relative to the base directory."""
        return "/".join((self.kind.directory, *self.components))


def plan(key: bytes, value: bytes) -> Update:
    """What to write for ``key`` (without ``rrd/``); ``value`` may end with its NUL. Raises RrdError."""
    kind, old, current = _kind(key)
    parts = key.split(b"/", 1)[1].split(b"/")
    if len(parts) != (2 if kind is STORAGE else 1):
        raise RrdError(f"unknown/wrong key {_shown(key)}")
    for part in parts:
        if part in (b".", b"..") or _COMPONENT.fullmatch(part) is None:
            raise RrdError(f"unknown/wrong key {_shown(key)}")
    columns = value.split(b"\0", 1)[0].split(b":")[kind.skipped :]
    if old:
        columns += [b"U"] * (len(kind.sources) - kind.old_sources)
    elif not current:
        # A newer version: its surplus is cut. Without surplus the original cuts the last character.
        columns = columns[: 1 + len(kind.sources)]
    text = b":".join(columns)
    if _VALUES.fullmatch(text) is None:
        raise RrdError(f"unknown/wrong value for key {_shown(key)}")
    return Update(kind, tuple(part.decode("ascii") for part in parts), text.decode("ascii"))


def local_midnight(now: float) -> int:
    """The last local midnight: when a new file begins."""
    day = time.localtime(now)
    return int(time.mktime((day.tm_year, day.tm_mon, day.tm_mday, 0, 0, 0, 0, 0, -1)))


def _kind(key: bytes) -> tuple[Kind, bool, bool]:
    """The kind of file, whether the key is of the old format, and whether of the present one."""
    for kind in KINDS:
        name = kind.name.encode()
        if key.startswith(kind.old_prefix):
            return kind, True, False
        if key.startswith(name + b"-") and b"/" in key:
            return kind, False, key.startswith(name + b"-9.0/")
    raise RrdError(f"unknown/wrong key {_shown(key)}")


def _shown(key: bytes) -> str:
    return key.decode("ascii", "backslashreplace")
