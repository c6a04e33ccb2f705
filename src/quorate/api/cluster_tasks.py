"""``/cluster/tasks`` and ``/cluster/log``: what happened lately in the whole cluster (pvecm 6.6).

From what the nodes told the cluster; none is asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from quorate.access.directory import directory_of
from quorate.access.users import split_token
from quorate.cfs import Cfs, CfsError
from quorate.schema import All, ApiError, Array, Context, Integer, Object, Operation, String
from quorate.tasks.tasklist import KEY

DEFAULT_ENTRIES: Final = 50
MAX_ENTRIES: Final = 10_000
"""More than the log's ring holds."""


def _tasks(ctx: Context) -> list[dict[str, Any]]:
    try:
        values = Cfs(ctx.settings).status_of_all(KEY)
    except CfsError as err:
        raise ApiError(500, str(err)) from err
    sees_all = directory_of(ctx.settings).may(ctx.user, "/", "Sys.Audit")
    return [task for task in all_tasks(values) if sees_all or _owns(ctx.user, task)]


def all_tasks(values: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """The nodes' lists as one, newest first. A list that is malformed is left out."""
    tasks: list[dict[str, Any]] = []
    for value in values.values():
        try:
            found = json.loads(value.rstrip(b"\0"))
        except ValueError:
            continue
        if isinstance(found, list):
            tasks += [task for task in found if isinstance(task, dict) and isinstance(task.get("upid"), str)]
    return sorted(tasks, key=_start, reverse=True)


def _start(task: Mapping[str, Any]) -> int:
    start = task.get("starttime")
    return start if isinstance(start, int) else 0


def _owns(caller: str, task: Mapping[str, Any]) -> bool:
    """A user owns the tasks of all its tokens; a token only its own."""
    user, token = split_token(caller)
    return task.get("user") == user and (token is None or task.get("tokenid") == token)


def _log(ctx: Context, max: int = DEFAULT_ENTRIES) -> list[dict[str, Any]]:  # noqa: A002 - the parameter's name
    sees_all = directory_of(ctx.settings).may(ctx.user, "/", "Sys.Syslog")
    try:
        entries = Cfs(ctx.settings).cluster_log(max, "" if sees_all else ctx.user)
    except CfsError as err:
        raise ApiError(500, str(err)) from err
    return [{**entry, "id": f"{entry['uid']}:{entry['node']}"} for entry in entries]


OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/cluster/tasks",
        name="tasks",
        description="The recent tasks of all nodes, newest first.",
        handler=_tasks,
        returns=Array(
            items=Object(
                properties={
                    "upid": String(description="The task's identifier."),
                    "node": String(description="Where it runs or ran."),
                    "type": String(description="What it does."),
                    "id": String(description="What it does it to.", optional=True),
                    "user": String(description="Who started it."),
                    "tokenid": String(description="The token with which it was started.", optional=True),
                    "starttime": Integer(description="Epoch seconds.", unit="epoch"),
                    "pid": Integer(description="Its process, while it runs.", optional=True),
                    "endtime": Integer(
                        description="Epoch seconds, when it has ended.", unit="epoch", optional=True
                    ),
                    "status": String(description="How it ended: OK, WARNINGS: N, or why not.", optional=True),
                    "saved": Integer(
                        description="Whether it is in the node's index.", enum=(0, 1), optional=True
                    ),
                }
            )
        ),
        permission=All(note="Without Sys.Audit on / only the caller's own tasks are shown."),
    ),
    Operation(
        method="GET",
        path="/cluster/log",
        name="log",
        description="The cluster's log, newest entry first.",
        handler=_log,
        parameters={
            "max": Integer(
                description="At most so many entries.",
                minimum=1,
                maximum=MAX_ENTRIES,
                default=DEFAULT_ENTRIES,
                optional=True,
            )
        },
        returns=Array(
            items=Object(
                properties={
                    "id": String(description="Identifier in the cluster: UID:NODE."),
                    "uid": Integer(description="Identifier on its node."),
                    "time": Integer(description="Epoch seconds.", unit="epoch"),
                    "pri": Integer(description="Severity as of syslog.", minimum=0, maximum=7),
                    "tag": String(description="The program."),
                    "pid": Integer(description="Its process."),
                    "node": String(description="The node."),
                    "user": String(description="On whose behalf."),
                    "msg": String(description="What happened."),
                }
            )
        ),
        permission=All(note="Without Sys.Syslog on / only the caller's own entries are shown."),
    ),
]
