"""Waiting for a task that a command started: its log is shown as it grows."""

from __future__ import annotations

import os
import sys
import time
from typing import Final, TextIO

from quorate.settings import Settings
from quorate.tasks import TaskStore, Upid, stop_task, task_status

POLL_SECONDS: Final = 0.1
CHUNK: Final = 65536
FAILED: Final = 255


def follow(upid: Upid, settings: Settings, stream: TextIO) -> int:
    """Copy the log to ``stream`` until the task has ended; 0, or 255 with the error on standard error.

    The last line of the log says how the task ended and is not copied. Ctrl-C stops the task.
    """
    store = TaskStore(settings)
    log = store.open_log(upid)
    held = b""
    try:
        while True:
            running = upid.is_running()
            while data := os.read(log, CHUNK):
                *lines, held = (held + data).splitlines(keepends=True) or [b""]
                if held.endswith(b"\n") and not held.startswith(b"TASK "):
                    lines, held = [*lines, held], b""
                stream.write(b"".join(lines).decode("utf-8", "replace"))
                stream.flush()
            if not running:
                break
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        stop_task(upid, settings)
    finally:
        os.close(log)
    status = task_status(store.log_path(upid))
    if held and not held.startswith(b"TASK "):
        stream.write(held.decode("utf-8", "replace"))
        stream.flush()
    if status == "OK" or status.startswith("WARNINGS: "):
        return 0
    print(status, file=sys.stderr, flush=True)
    return FAILED
