"""Figures over time, out of the RRD files of nodes, guests and storages (status 3.4, pvecm 6.8)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final, NamedTuple

from quorate.pmxcfs import librrd
from quorate.pmxcfs.librrd import LibrrdError, Rows
from quorate.pmxcfs.rrd import GUEST, NODE, STORAGE, Kind
from quorate.pmxcfs.rrdcached import Rrdcached, RrdcachedError
from quorate.settings import Settings


class HistoryError(Exception):
    """There is no history, or it cannot be read; the text says why."""


class Timeframe(NamedTuple):
    """``step`` seconds per point, ``points`` of them; both as the files hold them."""

    step: int
    points: int


TIMEFRAMES: Final = {
    "hour": Timeframe(60, 70),
    "day": Timeframe(60, 1440),
    "week": Timeframe(30 * 60, 7 * 48),
    "month": Timeframe(30 * 60, 30 * 48),
    "year": Timeframe(360 * 60, 1440),
    "decade": Timeframe(10080 * 60, 570),
}
FUNCTIONS: Final = ("AVERAGE", "MAX")


class Subject(NamedTuple):
    """Whose figures: the kind of file, its name below the kind's directory, and what an error calls it."""

    kind: Kind
    name: str
    shown: str

    def path(self, settings: Settings) -> Path:
        return settings.rrd_dir / self.kind.directory / self.name


def of_node(node: str) -> Subject:
    return Subject(NODE, node, f"node '{node}'")


def of_guest(vmid: int) -> Subject:
    return Subject(GUEST, str(vmid), f"guest {vmid}")


def of_storage(node: str, storage: str) -> Subject:
    return Subject(STORAGE, f"{node}/{storage}", f"storage '{storage}' on node '{node}'")


def history(
    settings: Settings, subject: Subject, timeframe: str, function: str, now: float
) -> list[dict[str, object]]:
    """One object per point, oldest first: ``time`` and what is known then. Raises HistoryError."""
    path = written(settings, subject)
    start, end = span(timeframe, now)
    try:
        return points(librrd.fetch(str(path), function, start, end, TIMEFRAMES[timeframe].step))
    except LibrrdError as err:
        raise HistoryError(str(err)) from err


def written(settings: Settings, subject: Subject) -> Path:
    """The file, with everything in it that is known. Raises HistoryError."""
    path = subject.path(settings)
    if not path.exists():
        raise HistoryError(
            f"there are no figures of {subject.shown} yet: no file '{path}'; is pvestatd running?"
        )
    _flush(settings.rrdcached_socket, path)
    return path


def span(timeframe: str, now: float) -> tuple[int, int]:
    """Begin and end of a timeframe, in epoch seconds: the end is the last full step."""
    frame = TIMEFRAMES[timeframe]
    end = int(now) // frame.step * frame.step
    return end - frame.step * frame.points, end


def points(rows: Rows) -> list[dict[str, object]]:
    """Without what is not known; every point has its time."""
    result = []
    for number, values in enumerate(rows.rows, 1):
        point: dict[str, object] = {"time": rows.start + number * rows.step}
        for source, value in zip(rows.sources, values, strict=True):
            if not math.isnan(value):
                point[source] = value
        result.append(point)
    return result


def _flush(socket: Path, path: Path) -> None:
    """rrdcached may hold the newest values for minutes; without it they are in the file."""
    if not socket.exists():
        return
    try:
        with Rrdcached(socket) as cached:
            cached.flush(str(path))
    except RrdcachedError:
        return
