"""The files that know all tasks of this node: ``active``, ``index``, ``index.1``, one log each (pvecm 6.9).

Layout and bookkeeping; what runs the tasks is `worker`, what reads a log is `log`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from quorate.settings import GROUP, Settings
from quorate.tasks.guarded import make_directory, open_below, open_log
from quorate.tasks.log import task_status
from quorate.tasks.upid import Upid, UpidError

ACTIVE_ENTRIES = 25
"""Finished tasks stay in ``active`` while there are fewer entries than this."""
INDEX_BYTES = 50_000
"""The index is rotated when it has grown beyond this."""
LOCK_SECONDS = 10.0
LOCK_POLL_SECONDS = 0.05
LOG_MODE = 0o640
DIRECTORY_MODE = 0o755

_ACTIVE_LINE = re.compile(r"(UPID:\S+) ([01])(?: ([0-9A-F]{8})(?: (.*))?)?")
_INDEX_LINE = re.compile(r"(UPID:\S+) ([0-9A-F]{8})(?: (.*))?")


class TaskStoreError(Exception):
    """The task directory cannot be used; the text says what was tried and why it failed."""


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task. ``endtime`` (epoch) and ``status`` are None while it runs; ``saved``: it is in the index."""

    upid: Upid
    saved: bool = False
    endtime: int | None = None
    status: str | None = None

    @property
    def running(self) -> bool:
        return self.endtime is None


class TaskStore:
    """The task directory of this node. Safe to use from several processes: a lock file guards updates."""

    def __init__(self, settings: Settings) -> None:
        self._dir = settings.task_dir

    def prepare(self) -> None:
        """Make the directory (as root), so that the web user can keep the list in it."""
        self._make_directories()

    def log_path(self, upid: Upid) -> Path:
        return self._dir / upid.log_name()

    def exists(self, upid: Upid) -> bool:
        try:
            os.close(self.open_log(upid))
        except OSError:
            return False
        return True

    def open_log(self, upid: Upid, flags: int = os.O_RDONLY) -> int:
        """A descriptor of the task's log, if there is a plain file. Raises OSError."""
        return open_log(self.log_path(upid), flags)

    def create_log(self, upid: Upid) -> int:
        """Create the log of a new task, readable by the web process only; a descriptor for appending."""
        self._make_directories(self.log_path(upid).parent.name)
        try:
            fd = open_log(self.log_path(upid), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, LOG_MODE)
        except OSError as err:
            raise TaskStoreError(
                f"unable to create task log '{self.log_path(upid)}': {err.strerror}"
            ) from err
        _give_to_web_user(fd)
        return fd

    def remove_log(self, upid: Upid) -> None:
        """Take back a log of a task that never started; whatever hinders that hindered its start too."""
        with contextlib.suppress(OSError):
            self.log_path(upid).unlink()

    def register(self, upid: Upid) -> None:
        """Enter a task that starts now into the active list. Raises `TaskStoreError`."""
        self._update(lambda records: [TaskRecord(upid), *records])

    def finish(self, upid: Upid, status: str) -> None:
        """Record the end of a task, by the task itself just before its process ends."""
        end = int(time.time())

        def close(records: list[TaskRecord]) -> list[TaskRecord]:
            return [
                replace(r, endtime=end, status=status) if r.upid == upid and r.running else r for r in records
            ]

        self._update(close)

    def active(self) -> list[TaskRecord]:
        """All running tasks and the newest finished ones, newest first; notices dead processes."""
        return self._update(lambda records: records)

    def archive(self) -> Iterator[TaskRecord]:
        """Finished tasks of the index files, newest first."""
        for name in ("index", "index.1"):
            try:
                text = self._read(name)
            except FileNotFoundError:
                continue
            for line in reversed(text.splitlines()):
                record = _parse_index_line(line)
                if record is not None:
                    yield record

    def clean(self) -> int:
        """Remove logs of tasks older than the oldest entry of ``index.1``; how many were removed."""
        try:
            first = _parse_index_line(self._read("index.1").partition("\n")[0])
        except FileNotFoundError:
            return 0
        if first is None:
            return 0
        removed = 0
        for path in self._dir.glob("[0-9A-F]/UPID:*"):
            try:
                upid = Upid.parse(path.name)
            except UpidError:
                continue
            if upid.starttime < first.upid.starttime and not upid.is_running():
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _update(self, change: Callable[[list[TaskRecord]], list[TaskRecord]]) -> list[TaskRecord]:
        self._make_directories()
        with self._lock():
            before = self._read_active()
            records = [self._detect_end(record) for record in change(before)]
            self._append_index([r for r in records if not r.running and not r.saved])
            running = [r for r in records if r.running]
            finished = sorted(
                (replace(r, saved=True) for r in records if not r.running),
                key=lambda r: (r.endtime or 0, r.upid.starttime),
                reverse=True,
            )
            kept = running + finished[: max(0, ACTIVE_ENTRIES - len(running))]
            kept.sort(key=lambda r: r.upid.starttime, reverse=True)
            if kept != before:
                self._write_active(kept)
        return kept

    def _detect_end(self, record: TaskRecord) -> TaskRecord:
        if not record.running or record.upid.is_running():
            return record
        return replace(record, endtime=int(time.time()), status=task_status(self.log_path(record.upid)))

    def _read_active(self) -> list[TaskRecord]:
        try:
            text = self._read("active")
        except FileNotFoundError:
            return []
        return [record for line in text.splitlines() if (record := _parse_active_line(line)) is not None]

    def _write_active(self, records: list[TaskRecord]) -> None:
        text = "".join(_active_line(record) for record in records)
        temporary = self._dir / "active.tmp"  # one is enough: the lock is held
        temporary.unlink(missing_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, LOG_MODE)
        with open(fd, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
            file.write(text)
            _give_to_web_user(fd)
        temporary.replace(self._dir / "active")

    def _append_index(self, records: list[TaskRecord]) -> None:
        if not records:
            return
        index = self._dir / "index"
        with contextlib.suppress(FileNotFoundError):
            if index.stat().st_size > INDEX_BYTES:
                index.replace(self._dir / "index.1")
        fd = open_below(self._dir, "index", os.O_WRONLY | os.O_CREAT | os.O_APPEND, LOG_MODE)
        with open(fd, "a", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
            _give_to_web_user(fd)
            for record in sorted(records, key=lambda r: r.endtime or 0):
                file.write(
                    f"{record.upid} {record.endtime or 0:08X} {record.status or 'unexpected status'}\n"
                )

    def _make_directories(self, below: str | None = None) -> None:
        """The task directory, and ``below`` in it, for the web user."""
        missing = self._dir if not self._dir.is_dir() else None
        try:
            if missing is not None:
                self._dir.parent.mkdir(parents=True, exist_ok=True)
                self._give(make_directory(self._dir.parent, self._dir.name, DIRECTORY_MODE))
            if below is not None:
                missing = self._dir / below
                self._give(make_directory(self._dir, below, DIRECTORY_MODE))
        except OSError as err:
            raise TaskStoreError(f"unable to create task directory '{missing}': {err.strerror}") from err

    @staticmethod
    def _give(fd: int) -> None:
        try:
            _give_to_web_user(fd)
        finally:
            os.close(fd)

    def _read(self, name: str) -> str:
        with open(open_below(self._dir, name), encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - a descriptor
            return file.read()

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        path = self._dir / ".active.lock"
        try:
            fd = open_below(self._dir, path.name, os.O_RDWR | os.O_CREAT, LOG_MODE)
        except OSError as err:
            raise TaskStoreError(f"can't open lock file '{path}': {err.strerror}") from err
        try:
            _give_to_web_user(fd)
            deadline = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as err:
                    if time.monotonic() >= deadline:
                        raise TaskStoreError(f"can't lock file '{path}' - got timeout") from err
                    time.sleep(LOCK_POLL_SECONDS)
            yield
        finally:
            os.close(fd)


def _parse_active_line(line: str) -> TaskRecord | None:
    match = _ACTIVE_LINE.fullmatch(line)
    if match is None:
        return None
    try:
        upid = Upid.parse(match[1])
    except UpidError:
        return None
    if match[3] is None:
        return TaskRecord(upid, match[2] == "1")
    return TaskRecord(upid, match[2] == "1", int(match[3], 16), match[4] or "unexpected status")


def _parse_index_line(line: str) -> TaskRecord | None:
    match = _INDEX_LINE.fullmatch(line)
    if match is None:
        return None
    try:
        return TaskRecord(Upid.parse(match[1]), True, int(match[2], 16), match[3] or "unexpected status")
    except UpidError:
        return None


def _active_line(record: TaskRecord) -> str:
    if record.endtime is None:
        return f"{record.upid} {int(record.saved)}\n"
    return f"{record.upid} {int(record.saved)} {record.endtime:08X} {record.status}\n"


def _give_to_web_user(fd: int) -> None:
    """Owner www-data, so that the unprivileged half of the API reads logs and keeps the list; root only."""
    if os.geteuid() != 0:
        return
    try:
        entry = pwd.getpwnam(GROUP)
    except KeyError:
        return
    if os.fstat(fd).st_uid != entry.pw_uid:
        os.fchown(fd, entry.pw_uid, entry.pw_gid)
