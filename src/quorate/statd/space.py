"""How much fits into a storage: what is asked of which program, and what its answer means. Pure.

``statvfs`` on a dead network share never returns, and tools of volume managers wait for lost disks and each
other's locks: `prober` asks them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from quorate.statd.figures import Space
from quorate.statd.prober import Answer, Question

_STAT: Final = ("/usr/bin/stat", "--file-system", "--format=%b %f %S", "--")
_LVM: Final = ("--reportformat", "json", "--units", "b", "--nosuffix")
VOLUME_GROUPS: Final = Question("vgs", ("vgs", "--readonly", *_LVM, "--options", "vg_name,vg_size,vg_free"))
THIN_POOLS: Final = Question(
    "lvs",
    ("lvs", *_LVM, "--select", "segtype=thin-pool", "--options", "vg_name,lv_name,lv_size,data_percent"),
)
"""All at once: these tools look at every disk for one volume as well. Readonly: without waiting for locks."""


class SpaceError(Exception):
    """The space is not known; the text says why.

    ``absent``: there is nothing of which it could be known. ``late``: it may be known soon.
    """

    def __init__(self, text: str, *, absent: bool = False, late: bool = False) -> None:
        super().__init__(text)
        self.absent = absent
        self.late = late


def directory(path: Path) -> Question:
    """For the file system that holds ``path``."""
    return Question(str(path), (*_STAT, str(path)))


def dataset(name: str) -> Question:
    """For a pool or file system of ZFS; each by itself, since a suspended pool answers nothing."""
    return Question(f"zfs {name}", ("zfs", "list", "-H", "-p", "-d", "0", "-o", "used,available", name))


def directory_space(answer: Answer) -> Space:
    """Raises SpaceError, as all of these do."""
    words = _text(answer).split()
    if len(words) != 3 or not all(map(_is_number, words)):
        raise SpaceError(f"'stat' answered {answer.text[:60]!r}")
    blocks, free, size = map(int, words)
    return Space(blocks * size, max(0, blocks - free) * size)


def dataset_space(answer: Answer) -> Space:
    words = _text(answer).split()
    if len(words) != 2 or not all(map(_is_number, words)):
        raise SpaceError(f"'zfs' answered {answer.text[:60]!r}")
    used, available = map(int, words)
    return Space(used + available, used)


def group_space(answer: Answer, group: str) -> Space:
    for row in _rows(answer, "vg"):
        if row.get("vg_name") == group:
            size, free = _size(row, "vg_size"), _size(row, "vg_free")
            return Space(size, max(0, size - free))
    raise SpaceError(f"there is no volume group '{group}'", absent=True)


def pool_space(answer: Answer, group: str, pool: str) -> Space:
    for row in _rows(answer, "lv"):
        if (row.get("vg_name"), row.get("lv_name")) == (group, pool):
            size = _size(row, "lv_size")
            try:
                share = float(str(row.get("data_percent")))
            except ValueError:
                raise SpaceError(f"the thin pool '{group}/{pool}' is not active", absent=True) from None
            if not 0 <= share <= 100:
                raise SpaceError(f"'lvs' answered data_percent={row.get('data_percent')!r}")
            return Space(size, round(size * share / 100))
    raise SpaceError(f"there is no thin pool '{group}/{pool}'", absent=True)


def _text(answer: Answer) -> str:
    if answer.failure is not None:
        raise SpaceError(answer.failure, absent=answer.refused, late=answer.late)
    return answer.text


def _rows(answer: Answer, kind: str) -> list[dict[str, object]]:
    """Of LVM's report: ``{"report": [{"vg": [{...}, ...]}]}``."""
    text = _text(answer)
    try:
        rows = [row for report in json.loads(text)["report"] for row in report[kind]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SpaceError(f"LVM's report makes no sense: {text[:60]!r}") from None
    return [row for row in rows if isinstance(row, dict)]


def _size(row: dict[str, object], name: str) -> int:
    text = str(row.get(name))
    if not _is_number(text):
        raise SpaceError(f"LVM's report makes no sense: {name} is {text[:60]!r}")
    return int(text)


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 20
