"""What a node's pmxcfs said, from its journal, and the backups that it named there. No I/O."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tests.history.records import History, Kept, Replacement

MEMBERS = re.compile(r"\[dcdb\] members: (.*)")
SYNCED = re.compile(r"\[dcdb\] all data is up to date")
REPLACED = re.compile(
    r"\[dcdb\] changes of this node are replaced by the cluster's state: .*; they are kept in (\S+)"
)
ADOPTED = re.compile(
    r"\[dcdb\] (?:changes of this node are )?replaced by|\[dcdb\] cannot save what the cluster"
)
QUORUM_LOST = re.compile(r"node lost quorum")


class Line(NamedTuple):
    """One message with the time (s, monotonic) at which it was sent."""

    at: float
    text: str


def read_lines(text: str) -> list[Line]:
    """Lines of ``journalctl -o json``, by time. When the journal was told is not when it wrote it down."""
    lines = []
    for line in text.splitlines():
        entry = json.loads(line)
        written, monotonic = int(entry["__REALTIME_TIMESTAMP"]), int(entry["__MONOTONIC_TIMESTAMP"])
        told = int(entry.get("_SOURCE_REALTIME_TIMESTAMP", written))
        lines.append(Line((monotonic - (written - told)) / 1e6, str(entry.get("MESSAGE"))))
    return sorted(lines, key=lambda line: line.at)


def read_backup(data: bytes, nodes: Mapping[str, str]) -> dict[str, Kept]:
    """The entries of an archive by their paths. ``nodes``: names by number, as text."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for member in archive:
            file = None if member.isdir() else archive.extractfile(member)
            writer = nodes.get(member.pax_headers["QUORATE.writer"], "")
            found[member.name] = Kept(writer, None if file is None else file.read())
    return found


@dataclass(slots=True)
class _Configuration:
    """Members of the group from then on, and whether this node was in sync with them."""

    at: float
    members: frozenset[str]
    synced: bool = False


def read_journal(node: str, lines: Iterable[Line], backups: Mapping[str, bytes], history: History) -> None:
    """What one node said, all boots. ``backups``: by the names of their files."""
    numbers = {name.removeprefix("n"): name for name in history.nodes}
    configurations: list[_Configuration] = []
    for at, text in lines:
        if match := MEMBERS.search(text):
            members = frozenset(each.partition("/")[0].strip() for each in match[1].split(","))
            configurations.append(_Configuration(at, members))
        elif SYNCED.search(text) and configurations:
            configurations[-1].synced = True
            if configurations[-1].members >= numbers.keys():
                history.whole.setdefault(node, []).append(at)
        elif QUORUM_LOST.search(text):
            history.quorum_lost.append((node, at))
        if ADOPTED.search(text):
            history.adopted.setdefault(node, []).append(at)
        if match := REPLACED.search(text):
            data = backups.get(match[1].rpartition("/")[2])
            kept = {} if data is None else read_backup(data, numbers)
            history.replaced.append(Replacement(node, at, _apart_since(configurations, at), kept))


def _apart_since(configurations: list[_Configuration], at: float) -> float:
    """When the node was last in sync with all who are members now: the end of that configuration."""
    if not configurations:
        return at
    current = configurations[-1]
    end = current.at
    for earlier in reversed(configurations[:-1]):
        if earlier.synced and earlier.members >= current.members:
            break
        end = earlier.at
    return end
