"""``/nodes/{node}/tasks``: list, status, log and end of a node's tasks (pvecm 6.9)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from quorate.access.directory import directory_of
from quorate.access.users import split_token
from quorate.api.nodes import NODE
from quorate.api.results import Download, Page
from quorate.schema import (
    VERIFICATION_FAILED,
    All,
    ApiError,
    Array,
    Boolean,
    Context,
    Integer,
    Object,
    Operation,
    Parameter,
    String,
)
from quorate.tasks import (
    MAX_LINES,
    TaskError,
    TaskRecord,
    TaskStore,
    TaskStoreError,
    Upid,
    UpidError,
    read_log,
    status_kind,
    steps_of,
    stop_task,
    task_status,
)

DEFAULT_LINES: Final = 50
MAX_DOWNLOAD: Final = 16 << 20
"""Characters of a log that is sent whole; it passes through the memory of both halves."""
STATUS_KINDS: Final = ("ok", "error", "warning", "unknown")

_UPID: Final = String(description="The task's identifier.")


def _list_tasks(
    ctx: Context,
    node: str,
    start: int = 0,
    limit: int = 50,
    userfilter: str | None = None,
    typefilter: str | None = None,
    vmid: str | None = None,
    errors: bool = False,
    source: str = "archive",
    since: int | None = None,
    until: int | None = None,
    statusfilter: list[str] | None = None,
) -> Page:
    sees_all = directory_of(ctx.settings).may(ctx.user, f"/nodes/{node}", "Sys.Audit")
    kinds = set(statusfilter or ())
    if not kinds <= set(STATUS_KINDS):
        problem = f"invalid format - value is not one of: {', '.join(STATUS_KINDS)}\n"
        raise ApiError(400, VERIFICATION_FAILED, {"statusfilter": problem})

    def wanted(record: TaskRecord) -> bool:
        upid = record.upid
        kind = status_kind(record.status or "") if not record.running else None
        return (
            (sees_all or _is_owner(ctx.user, upid))
            and (userfilter is None or userfilter.lower() in upid.user.lower())
            and (typefilter is None or typefilter == upid.type)
            and (vmid is None or vmid == upid.id)
            and (not errors or kind not in ("ok", "warning", None))
            and (since is None or upid.starttime >= since)
            and (until is None or upid.starttime <= until)
            and (not kinds or kind in kinds)
        )

    try:
        found = [record for record in _records(ctx, source) if wanted(record)]
    except TaskStoreError as err:
        raise ApiError(500, str(err)) from err
    found.sort(key=lambda record: record.upid.starttime, reverse=True)
    chosen = found[start:] if limit == 0 else found[start : start + limit]
    return Page([_entry(record) for record in chosen], len(found))


def _records(ctx: Context, source: str) -> Iterator[TaskRecord]:
    store = TaskStore(ctx.settings)
    active = store.active()
    if source in ("active", "all"):
        yield from (record for record in active if record.running)
    if source in ("archive", "all"):
        yield from store.archive()


def _entry(record: TaskRecord) -> dict[str, object]:
    entry = _identity(record.upid)
    if record.running:
        entry["status"] = "RUNNING"
    else:
        entry["endtime"] = record.endtime
        entry["status"] = record.status
    return entry


def _status(ctx: Context, node: str, upid: str) -> dict[str, object]:
    task = _task(ctx, upid, "Sys.Audit")
    entry = _identity(task)
    path = TaskStore(ctx.settings).log_path(task)
    ended: str | None = None
    if task.is_running():
        entry["status"] = "running"
    else:
        ended = task_status(path)
        entry["status"] = "stopped"
        entry["exitstatus"] = ended
    if steps_of(task.type, (), ended):
        lines = (line.t for line in read_log(path, 0, MAX_LINES)[1])
        entry["steps"] = [step._asdict() for step in steps_of(task.type, lines, ended)]
    return entry


def _log(
    ctx: Context,
    node: str,
    upid: str,
    start: int | None = None,
    limit: int | None = None,
    download: bool = False,
) -> Page | Download:
    task = _task(ctx, upid, "Sys.Audit")
    if download:
        if start is not None or limit is not None:
            problem = "parameter 'download' cannot be combined with 'start' or 'limit'"
            raise ApiError(400, VERIFICATION_FAILED, {"download": problem})
        return _whole_log(TaskStore(ctx.settings), task)
    path = TaskStore(ctx.settings).log_path(task)
    total, lines = read_log(path, start or 0, DEFAULT_LINES if limit is None else limit)
    return Page([{"n": line.n, "t": line.t} for line in lines], total)


def _whole_log(store: TaskStore, task: Upid) -> Download:
    try:
        with open(store.open_log(task), encoding="utf-8", errors="replace", newline="") as file:  # noqa: PTH123 - a descriptor
            text = file.read(MAX_DOWNLOAD + 1)
    except OSError as err:
        raise ApiError(500, f"unable to open the log of task '{task}' - {err.strerror}") from err
    if len(text) > MAX_DOWNLOAD:
        raise ApiError(
            500,
            f"the log is longer than {MAX_DOWNLOAD} characters: read it in parts, with 'start' and 'limit'",
        )
    return Download(text)


def _stop(ctx: Context, node: str, upid: str) -> None:
    task = _task(ctx, upid, "Sys.Modify")
    try:
        stop_task(task, ctx.settings)
    except TaskError as err:
        raise ApiError(500, str(err)) from err


def _task(ctx: Context, text: str, privilege: str) -> Upid:
    """The task, if it exists on this node and the caller may deal with it."""
    try:
        upid = Upid.parse(text)
    except UpidError as err:
        raise ApiError(400, VERIFICATION_FAILED, {"upid": "unable to parse worker upid"}) from err
    if upid.node != ctx.node or not TaskStore(ctx.settings).exists(upid):
        raise ApiError(400, VERIFICATION_FAILED, {"upid": "no such task"})
    path = f"/nodes/{ctx.node}"
    if not _is_owner(ctx.user, upid) and not directory_of(ctx.settings).may(ctx.user, path, privilege):
        raise ApiError(403, f"Permission check failed ({path}, {privilege})")
    return upid


def _is_owner(caller: str, upid: Upid) -> bool:
    """A user owns the tasks of all its tokens; a token only its own."""
    return caller == upid.user or caller == split_token(upid.user)[0]


def _identity(upid: Upid) -> dict[str, object]:
    user, token = split_token(upid.user)
    entry: dict[str, object] = {
        "upid": str(upid),
        "node": upid.node,
        "pid": upid.pid,
        "pstart": upid.pstart,
        "starttime": upid.starttime,
        "type": upid.type,
        "id": upid.id,
        "user": user,
    }
    if token is not None:
        entry["tokenid"] = token
    return entry


_OWN: Final = "The task's user; others need Sys.Audit on /nodes/NODE."
_IDENTITY: Final[dict[str, Parameter]] = {
    "upid": String(description="The task's identifier."),
    "node": String(description="Where it runs or ran."),
    "pid": Integer(description="Its process."),
    "pstart": Integer(description="When that began, in clock ticks since boot."),
    "starttime": Integer(description="Epoch seconds.", unit="epoch"),
    "type": String(description="What it does."),
    "id": String(description="What it does it to."),
    "user": String(description="Who started it."),
    "tokenid": String(description="The token with which it was started.", optional=True),
}

OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/nodes/{node}/tasks",
        name="node_tasks",
        description="Tasks of a node, newest first.",
        handler=_list_tasks,
        parameters={
            "node": NODE,
            "start": Integer(description="Leave out so many.", minimum=0, optional=True, default=0),
            "limit": Integer(description="At most so many (0 = all).", minimum=0, optional=True, default=50),
            "userfilter": String(description="Part of the user's name.", optional=True),
            "typefilter": String(description="Only this type.", optional=True),
            "vmid": String(description="Only for this guest.", format="pve-vmid", optional=True),
            "errors": Boolean(description="Only failed ones.", optional=True, default=False),
            "source": String(
                description="Finished, running, or both.",
                enum=("archive", "active", "all"),
                optional=True,
                default="archive",
            ),
            "since": Integer(description="Started at or after (epoch).", minimum=0, optional=True),
            "until": Integer(description="Started at or before (epoch).", minimum=0, optional=True),
            "statusfilter": String(
                description="Only with these kinds of status: ok, error, warning, unknown.",
                format="string-list",
                optional=True,
            ),
        },
        returns=Array(
            items=Object(
                properties={
                    **_IDENTITY,
                    "status": String(description="RUNNING, or how it ended.", optional=True),
                    "endtime": Integer(
                        description="Epoch seconds, when it has ended.", unit="epoch", optional=True
                    ),
                }
            ),
            link="{upid}",
            paged=True,
        ),
        permission=All(note="Without Sys.Audit on /nodes/NODE only the caller's own tasks are shown."),
        proxyto_node=True,
    ),
    Operation(
        method="GET",
        path="/nodes/{node}/tasks/{upid}/status",
        name="read_task_status",
        description="Whether a task runs, and how it ended.",
        handler=_status,
        parameters={"node": NODE, "upid": _UPID},
        returns=Object(
            properties={
                **_IDENTITY,
                "status": String(description="Whether it runs.", enum=("running", "stopped")),
                "exitstatus": String(
                    description="OK, WARNINGS: N, or why it failed; once it has stopped.", optional=True
                ),
                "steps": Array(
                    description="How far it is, of tasks that have steps. Not of the original.",
                    items=Object(
                        properties={
                            "name": String(description="What is done."),
                            "state": String(enum=("pending", "running", "done", "failed")),
                        }
                    ),
                    optional=True,
                ),
            }
        ),
        permission=All(note=_OWN),
        protected=True,
        proxyto_node=True,
    ),
    Operation(
        method="GET",
        path="/nodes/{node}/tasks/{upid}/log",
        name="read_task_log",
        description="Lines of a task's log.",
        handler=_log,
        parameters={
            "node": NODE,
            "upid": _UPID,
            "start": Integer(description="Leave out so many lines.", minimum=0, optional=True, default=0),
            "limit": Integer(description="So many lines (0 = all).", minimum=0, optional=True, default=50),
            "download": Boolean(description="The whole log.", optional=True, default=False),
        },
        returns=Array(
            items=Object(
                properties={
                    "n": Integer(description="Number of the line, from 1."),
                    "t": String(description="The line."),
                }
            ),
            paged=True,
        ),
        permission=All(note=f"{_OWN} With 'download' the answer is the log as plain text."),
        may_be_text=True,
        protected=True,
        proxyto_node=True,
    ),
    Operation(
        method="DELETE",
        path="/nodes/{node}/tasks/{upid}",
        name="stop_task",
        description="Stop a task.",
        handler=_stop,
        parameters={"node": NODE, "upid": _UPID},
        permission=All(note="The task's user; others need Sys.Modify on /nodes/NODE."),
        protected=True,
        proxyto_node=True,
    ),
]
