"""The list of this node's recent tasks as the cluster is told (pvecm 6.9)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Final

from quorate.access.users import split_token
from quorate.cfs import Cfs, CfsError
from quorate.settings import Settings
from quorate.tasks.store import TaskRecord, TaskStore, TaskStoreError

KEY: Final = "tasklist"
MAX_BYTES: Final = 32 * 1024
"""The text is shorter; one NUL follows it (status 1.5)."""


def tell_tasks(settings: Settings) -> None:
    """Tell the cluster at once. Never raises: the status daemon tells it again within seconds."""
    cfs = Cfs(settings)
    if cfs.mounted():
        with contextlib.suppress(CfsError, TaskStoreError, OSError):
            cfs.status_set(KEY, task_list(TaskStore(settings).active()))


def task_list(records: Sequence[TaskRecord]) -> bytes:
    """JSON, newest first, as many as fit, ended by a NUL."""
    newest = sorted(records, key=lambda record: record.upid.starttime, reverse=True)
    texts: list[str] = []
    length = len("[]")
    for record in newest:
        text = json.dumps(_entry(record), separators=(",", ":"))
        length += len(text) + 1
        if length >= MAX_BYTES:
            break
        texts.append(text)
    return f"[{','.join(texts)}]".encode("ascii") + b"\0"


def _entry(record: TaskRecord) -> dict[str, object]:
    upid = record.upid
    user, token = split_token(upid.user)
    entry: dict[str, object] = {
        "upid": str(upid),
        "node": upid.node,
        "type": upid.type,
        "id": upid.id,
        "user": user,
        "starttime": upid.starttime,
    }
    if token is not None:
        entry["tokenid"] = token
    if record.running:
        entry["pid"] = upid.pid
    else:
        entry["endtime"] = record.endtime
        entry["status"] = record.status
        entry["saved"] = int(record.saved)
    return entry
