"""Figures over time as an image, drawn by librrd (pvecm 6.8).

The image is also kept as a file of the node, for who asks there and is told a file's name.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from quorate.host.files import HostFileError, replace_file
from quorate.host.history import HistoryError, Subject, span, written
from quorate.pmxcfs import librrd
from quorate.pmxcfs.librrd import LibrrdError
from quorate.settings import Settings

WIDTH: Final = 800
HEIGHT: Final = 200
"""Pixels of the plot; legend and axes come on top."""
MAX_KEPT: Final = 32
"""Files of images; the oldest go. They lie in memory, some 20 kB each."""

_COLOURS: Final = (
    *("1f77b4", "ff7f0e", "2ca02c", "d62728", "9467bd", "8c564b", "e377c2", "7f7f7f", "bcbd22", "17becf"),
)


class Graph(NamedTuple):
    path: Path
    content: bytes


def unknown_sources(subject: Subject, sources: Sequence[str]) -> list[str]:
    """Which of these the subject has no figures of."""
    return [source for source in sources if source not in subject.kind.sources]


def draw(
    settings: Settings, subject: Subject, sources: Sequence[str], timeframe: str, function: str, now: float
) -> Graph:
    """The image of known sources, and where it is kept. Raises HistoryError."""
    file = written(settings, subject)
    start, end = span(timeframe, now)
    try:
        content = librrd.graph(graph_arguments(file, sources, start, end, function))
    except LibrrdError as err:
        raise HistoryError(str(err)) from err
    what = "\0".join([subject.kind.name, subject.name, timeframe, function, *sources])
    name = hashlib.sha1(what.encode(), usedforsecurity=False).hexdigest()[:16]
    path = settings.graph_dir / f"{subject.name.replace('/', '-')}-{timeframe}-{name}.png"
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        replace_file(path, content)
        _forget_old(path.parent)
    except (HostFileError, OSError) as err:
        raise HistoryError(f"unable to keep the image - {err}") from err
    return Graph(path, content)


def graph_arguments(file: Path, sources: Sequence[str], start: int, end: int, function: str) -> list[str]:
    """What librrd is told: one line per source, each with its name below."""
    arguments = ["--imgformat", "PNG", "--width", str(WIDTH), "--height", str(HEIGHT)]
    arguments += ["--start", str(start), "--end", str(end)]
    escaped = str(file).replace("\\", "\\\\").replace(":", "\\:")
    for number, source in enumerate(sources):
        arguments.append(f"DEF:v{number}={escaped}:{source}:{function}")
        arguments.append(f"LINE2:v{number}#{_COLOURS[number % len(_COLOURS)]}:{source}")
    return arguments


def _forget_old(directory: Path) -> None:
    """Other processes do the same: what is gone already is no trouble."""
    ages: list[tuple[float, Path]] = []
    for path in directory.glob("*.png"):
        with contextlib.suppress(FileNotFoundError):
            ages.append((path.stat().st_mtime, path))
    for _, path in sorted(ages)[:-MAX_KEPT]:
        path.unlink(missing_ok=True)
