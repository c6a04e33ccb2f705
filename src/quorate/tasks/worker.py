"""Running a task: in a process of its own behind the API, or in the foreground of a command (pvecm 6.9).

A task writes straight into its log, so that nothing it said is lost whoever else dies; a command that runs a
task in the foreground shows the log as it grows.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import select
import signal
import sys
import syslog
import time
import traceback
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from quorate.clusterlog import record
from quorate.settings import Settings
from quorate.tasks.guarded import open_log
from quorate.tasks.log import STATUS_TAIL_BYTES, task_status
from quorate.tasks.store import TaskStore, TaskStoreError
from quorate.tasks.tasklist import tell_tasks
from quorate.tasks.upid import Upid, check_parts, local_node, process_start_time

STOP_SECONDS = 5.0
"""Between SIGTERM and SIGKILL when a task is stopped."""
STOP_POLL_SECONDS = 0.05
FOLLOW_SECONDS = 0.05
"""How often the foreground looks for new output of its task."""
START_SECONDS = 30.0
"""A child that has not named itself by then is given up (a fork takes milliseconds)."""
FAILED = 255

_PROGRAMMING_ERRORS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError)
"""Faults of ours, not of the operation: the log gets the traceback as well."""

_FINAL_LINE = re.compile(rb"TASK (OK|ERROR: .*|WARNINGS: \d+)\n?$")

_warnings = 0


class TaskError(Exception):
    """A task failed, or could not be started; the text is what the user reads."""


class TaskInterrupted(TaskError):
    """The task was asked to stop (SIGTERM or SIGINT)."""


def warn(text: str) -> None:
    """Print ``WARN: text`` on standard error; inside a task it counts for the task's last line."""
    global _warnings
    _warnings += 1
    print(f"WARN: {text}", file=sys.stderr, flush=True)


def start_worker(
    type: str,  # noqa: A002 - the field's name
    id: str,  # noqa: A002 - the field's name
    user: str,
    func: Callable[[Upid], object],
    settings: Settings,
    *,
    keep: Collection[int] = (),
) -> Upid:
    """Run ``func(upid)`` in a process of its own session, output to the task log; returns at once.

    The worker is nobody's child: it survives the caller, and the caller needs not wait for it. Call it from a
    process with one thread. Of the caller's descriptors it has those in ``keep`` alone. Raises `TaskError`
    when the task cannot be registered; then nothing runs.
    """
    return _launch(type, id, user, func, settings, foreground=False, keep=keep)


def run_foreground(
    type: str,  # noqa: A002 - the field's name
    id: str,  # noqa: A002 - the field's name
    user: str,
    func: Callable[[Upid], object],
    settings: Settings,
) -> int:
    """Run ``func(upid)`` as a task of a command: output to the terminal and the log. Returns the exit status.

    The last line of the log is not shown; an error text goes to standard error, newlines replaced by blanks.
    0 = done (warnings included), 255 = failed. The task has the terminal (input, Ctrl-C) while it runs.
    Raises `TaskError` when the task cannot be registered.
    """
    store = TaskStore(settings)
    upid = _launch(type, id, user, func, settings, foreground=True)
    path = store.log_path(upid)
    with _terminal_for(upid.pid):
        _follow(path, upid.pid)
        os.waitpid(upid.pid, 0)
    status = task_status(path)
    store.active()  # notices the end if the task could not record it itself
    tell_tasks(settings)
    if status == "OK" or status.startswith("WARNINGS: "):
        return 0
    print(status, file=sys.stderr, flush=True)
    return FAILED


def stop_task(upid: Upid, settings: Settings) -> None:
    """Ask the task's process group to end (SIGTERM); kill it after 5 s. Returns when it is gone.

    Only a process that writes the task's log is ended: a log's name alone proves nothing (see `guarded`).
    """
    _wait_until_writing(upid, TaskStore(settings))
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not upid.is_running():
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(os.getpgid(upid.pid), number)
        deadline = time.monotonic() + STOP_SECONDS
        while upid.is_running() and time.monotonic() < deadline:
            time.sleep(STOP_POLL_SECONDS)
    if upid.is_running():
        raise TaskError(f"task '{upid}' did not end after SIGKILL: its process hangs in the kernel")


def _wait_until_writing(upid: Upid, store: TaskStore) -> None:
    """A task that has just been started takes a moment to turn to its log."""
    deadline = time.monotonic() + STOP_SECONDS
    while upid.is_running() and not _is_writing(upid, store):
        if time.monotonic() >= deadline:
            raise TaskError(f"process {upid.pid} was not ended: it does not write the log of task '{upid}'")
        time.sleep(STOP_POLL_SECONDS)


def _is_writing(upid: Upid, store: TaskStore) -> bool:
    try:
        log = store.open_log(upid)
    except OSError:
        return False
    try:
        return os.path.samestat(os.fstat(log), os.stat(f"/proc/{upid.pid}/fd/1"))  # noqa: PTH116
    except OSError:
        return False
    finally:
        os.close(log)


def _launch(
    kind: str,
    ident: str,
    user: str,
    func: Callable[[Upid], object],
    settings: Settings,
    *,
    foreground: bool,
    keep: Collection[int] = (),
) -> Upid:
    check_parts(kind, ident, user)
    sys.stdout.flush()
    sys.stderr.flush()
    name_read, name_write = os.pipe()
    go_read, go_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(name_read)
        os.close(go_write)
        _child(name_write, go_read, func, settings, foreground=foreground, keep=keep)
    os.close(name_write)
    os.close(go_read)
    registered = False
    try:
        upid = _register(name_read, kind, ident, user, settings)
        os.write(go_write, str(upid).encode())
        registered = True
    finally:
        # A child that reads the end instead of its UPID goes away without having done anything.
        os.close(go_write)
        os.close(name_read)
        if not (foreground and registered):
            with contextlib.suppress(
                ChildProcessError
            ):  # where SIGCHLD is ignored nothing is left to wait for
                os.waitpid(pid, 0)
    return upid


def _register(name_read: int, kind: str, ident: str, user: str, settings: Settings) -> Upid:
    ready, _, _ = select.select([name_read], [], [], START_SECONDS)
    text = os.read(name_read, 32) if ready else b""
    pid = int(text) if text else 0
    pstart = process_start_time(pid) if pid else None
    if pstart is None:
        raise TaskError(f"unable to start task '{kind}': the worker process did not come up")
    upid = Upid(local_node(), pid, pstart, int(time.time()), kind, ident, user)
    store = TaskStore(settings)
    try:
        os.close(store.create_log(upid))
        store.register(upid)
    except (TaskStoreError, OSError) as err:
        store.remove_log(upid)
        raise TaskError(f"unable to register task '{kind}': {err}") from err
    record(settings, f"starting task {upid}", user=user)
    tell_tasks(settings)
    return upid


def _child(
    name_write: int,
    go_read: int,
    func: Callable[[Upid], object],
    settings: Settings,
    *,
    foreground: bool,
    keep: Collection[int],
) -> NoReturn:
    """The new process up to its end. Never returns and never runs the parent's exit handlers."""
    code = FAILED
    try:
        if foreground:
            os.setpgid(0, 0)
        else:
            if os.fork() != 0:
                os._exit(0)  # the worker becomes a child of init: no zombie, no dependence on the caller
            os.setsid()
        os.write(name_write, str(os.getpid()).encode())
        name = os.read(go_read, 4096).decode()
        if name:
            code = _run(Upid.parse(name), func, settings, foreground=foreground, keep=keep)
    finally:
        os._exit(code)


def _run(
    upid: Upid,
    func: Callable[[Upid], object],
    settings: Settings,
    *,
    foreground: bool,
    keep: Collection[int],
) -> int:
    global _warnings
    _warnings = 0
    store = TaskStore(settings)
    _redirect(store.open_log(upid, os.O_WRONLY | os.O_APPEND), keep_stdin=foreground, keep=keep)
    _reset_signals()
    try:
        func(upid)
        last = f"TASK WARNINGS: {_warnings}" if _warnings else "TASK OK"
    except BaseException as err:  # noqa: BLE001 - the boundary of the task: whatever ends it is its last line
        if isinstance(err, _PROGRAMMING_ERRORS):
            with contextlib.suppress(OSError):
                traceback.print_exc()
        last = f"TASK ERROR: {_error_text(err)}"
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return _close(upid, store, last, settings)


def _close(upid: Upid, store: TaskStore, last: str, settings: Settings) -> int:
    failed = last.startswith("TASK ERROR: ")
    status = last.removeprefix("TASK ERROR: " if failed else "TASK ")
    try:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(1, f"{last}\n".encode())
    except OSError as err:
        syslog.syslog(syslog.LOG_ERR, f"<{upid.user}> unable to write the log of task {upid}: {err.strerror}")
    level = syslog.LOG_ERR if failed else syslog.LOG_INFO
    with contextlib.suppress(TaskStoreError, OSError):
        # Whoever looks next records the end otherwise.
        store.finish(upid, status)
    record(settings, f"end task {upid} {status}", user=upid.user, priority=level)
    tell_tasks(settings)
    return FAILED if failed else 0


def _error_text(err: BaseException) -> str:
    if isinstance(err, SystemExit):
        text = f"exit status {err.code}"
    elif isinstance(err, KeyboardInterrupt):
        text = "received interrupt"
    else:
        text = str(err) or err.__class__.__name__
    # One line, and short enough to be found again from the end of the file.
    text = " ".join(text.strip().splitlines())
    return text.encode("utf-8", "replace")[: STATUS_TAIL_BYTES - 256].decode("utf-8", "ignore")


def _redirect(log: int, *, keep_stdin: bool, keep: Collection[int]) -> None:
    if not keep_stdin:
        null = os.open("/dev/null", os.O_RDONLY)
        os.dup2(null, 0)
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "r", closefd=False)))
    os.dup2(log, 1)
    os.dup2(log, 2)
    # The caller's sockets and locks are not the task's: a listening socket kept open here would outlive it.
    lowest = 3
    for fd in sorted(keep):
        os.closerange(lowest, fd)
        lowest = fd + 1
    os.closerange(lowest, min(os.sysconf("SC_OPEN_MAX"), 65536))
    for name, fd in (("stdout", 1), ("stderr", 2)):
        raw = io.FileIO(fd, "w", closefd=False)
        stream = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
        setattr(sys, name, stream)


def _reset_signals() -> None:
    def interrupted(number: int, frame: FrameType | None) -> None:
        raise TaskInterrupted("received interrupt")

    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (
        signal.SIGHUP,
        signal.SIGCHLD,
        signal.SIGTTOU,
        signal.SIGTTIN,
        signal.SIGUSR1,
        signal.SIGUSR2,
    ):
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupted)


@contextlib.contextmanager
def _terminal_for(pid: int) -> Iterator[None]:
    """Give the terminal, if standard input is one, to the task's process group, and take it back."""
    with contextlib.suppress(OSError):  # the child does the same: whoever comes first
        os.setpgid(pid, pid)
    if not (sys.stdin is not None and os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()):
        yield
        return
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(0, pid)
        yield
    finally:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(0, os.getpgrp())
        signal.signal(signal.SIGTTOU, before)


def _follow(path: Path, pid: int) -> None:
    """Copy the growing log to standard output until process ``pid`` has ended, without the last line."""
    with open(open_log(path), "rb") as log, open(os.pidfd_open(pid), "rb", buffering=0) as process:  # noqa: PTH123
        pending = b""
        ended = False
        while True:
            pending += log.read()
            lines = pending.splitlines(keepends=True)
            pending = lines.pop() if lines and _FINAL_LINE.match(lines[-1]) else b""
            if lines:
                _show(b"".join(lines))
            if ended:
                return
            ready, _, _ = select.select([process], [], [], FOLLOW_SECONDS)
            ended = bool(ready)


def _show(data: bytes) -> None:
    sys.stdout.write(data.decode("utf-8", "replace"))
    sys.stdout.flush()
