"""What changed in the cluster between two looks at the file system daemon's counters (status 1.8, 4.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from quorate.ipc.shared import Changes
from quorate.rules import ALL, Check, Rule

STATUS: Final = "status"
RESOURCES: Final = "resources"
TASKS: Final = "tasks"
LOG: Final = "log"
ACCESS: Final = "access"
CONFIG: Final = "config"

TOPICS: Final[dict[str, Rule]] = {
    STATUS: Check("/", ("Sys.Audit",)),
    RESOURCES: ALL,
    TASKS: ALL,
    LOG: ALL,
    ACCESS: ALL,
    CONFIG: Check("/", ("Sys.Audit",)),
}
"""What a change is about, and who is told: whoever may ask for what changed. What the answer then holds is
filtered as always."""

_TASK_KEY: Final = "tasklist"
_ACCESS_PATHS: Final = frozenset(
    {"user.cfg", "domains.cfg", "priv/tfa.cfg", "priv/token.cfg", "priv/shadow.cfg"}
)
_RESOURCE_PATHS: Final = frozenset({"storage.cfg", "user.cfg"})
_STATUS_PATHS: Final = frozenset({"corosync.conf"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look. ``counters`` None: the daemon does not answer. ``newest``: identifies the last log entry."""

    counters: Changes | None = None
    quorate: bool = False
    online: frozenset[str] = frozenset()
    newest: object = None


@dataclass(frozen=True, slots=True)
class Change:
    """Topics, and which tracked files changed (their names are told with `CONFIG` only)."""

    topics: frozenset[str] = frozenset()
    paths: frozenset[str] = field(default_factory=frozenset)

    def __bool__(self) -> bool:
        return bool(self.topics)

    def merged(self, others: Iterable[Change]) -> Change:
        topics, paths = set(self.topics), set(self.paths)
        for other in others:
            topics |= other.topics
            paths |= other.paths
        return Change(frozenset(topics), frozenset(paths))

    def only(self, topics: frozenset[str]) -> Change:
        """What of it someone may know."""
        return Change(self.topics & topics, self.paths if CONFIG in topics else frozenset())


EVERYTHING: Final = Change(frozenset(TOPICS))


def compare(before: Snapshot, after: Snapshot) -> Change:
    """What changed. After a restart of the daemon its counters say nothing: everything may have."""
    old, new = before.counters, after.counters
    if old is None and new is None:
        return Change()
    if old is None or new is None:
        return EVERYTHING
    if old.starttime != new.starttime:
        return EVERYTHING
    paths = frozenset(path for path, count in new.paths.items() if old.paths.get(path) != count)
    topics = {CONFIG} if paths else set()
    if (
        old.clinfo != new.clinfo
        or (before.quorate, before.online) != (after.quorate, after.online)
        or paths & _STATUS_PATHS
    ):
        topics |= {STATUS, RESOURCES}
    if old.vmlist != new.vmlist or paths & _RESOURCE_PATHS:
        topics.add(RESOURCES)
    if paths & _ACCESS_PATHS:
        topics.add(ACCESS)
    for node in {*old.status, *new.status}:
        earlier, later = old.status.get(node, {}), new.status.get(node, {})
        if earlier.get(_TASK_KEY) != later.get(_TASK_KEY):
            topics.add(TASKS)
        if any(earlier.get(k) != later.get(k) for k in {*earlier, *later} - {_TASK_KEY}):
            topics.add(RESOURCES)
    if before.newest != after.newest:
        topics.add(LOG)
    return Change(frozenset(topics), paths)
