"""Tasks: long operations with an identifier, a log that outlives them, and a status (pvecm 6.9).

The public surface is what is named here. Nothing in this package imports a web framework or cryptography:
the command line uses it at every start.
"""

from quorate.tasks.log import LogLine, read_log, status_kind, task_status
from quorate.tasks.steps import MAX_LINES, Step, steps_of
from quorate.tasks.store import TaskRecord, TaskStore, TaskStoreError
from quorate.tasks.upid import Upid, UpidError, local_node, process_start_time
from quorate.tasks.worker import TaskError, TaskInterrupted, run_foreground, start_worker, stop_task, warn

__all__ = [
    "MAX_LINES",
    "LogLine",
    "Step",
    "TaskError",
    "TaskInterrupted",
    "TaskRecord",
    "TaskStore",
    "TaskStoreError",
    "Upid",
    "UpidError",
    "local_node",
    "process_start_time",
    "read_log",
    "run_foreground",
    "start_worker",
    "status_kind",
    "steps_of",
    "stop_task",
    "task_status",
    "warn",
]
