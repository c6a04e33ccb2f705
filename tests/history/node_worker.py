"""One process of the history check: makes random operations below /etc/pve and records each of them.

Runs inside a node: standard library only. What the records mean is in ``records.py``.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import random
import struct
import time
from collections.abc import Callable
from typing import Any

from tests.history.node_calls import (
    NOTHING_HAPPENED,
    NotMounted,
    Partial,
    call,
    create,
    error_name,
    get,
    open_mount,
    put,
)
from tests.history.node_values import (
    LARGE,
    READERS,
    SLOT,
    SLOTS,
    Result,
    content,
    number_in,
    record_of,
    slot_of,
    value_in,
)

TOP = "history"
LOCKS = "priv/lock"
LOG_RECORDS = 40
"""Then a new log file is begun, so that reading stays cheap."""
RECENT = 12
"""Contested names stay interesting for so many periods."""
PERIOD = 500_000_000
"""Nanoseconds for which one contested name is the current one."""


class Stopped(Exception):
    """The supervisor asked the process to end."""


class Recorder:
    """Appends to one file; a line is written by one call and so never cut by another's."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, **record: object) -> None:
        record["at"] = time.monotonic_ns()
        os.write(self._fd, json.dumps(record, separators=(",", ":")).encode() + b"\n")


class Worker:
    """One process. What it does next depends on the seed and on what it found, on nothing else."""

    def __init__(self, plan: dict[str, Any], number: int, life: int, place: mmap.mmap) -> None:
        self.node: str = plan["node"]
        self.name = f"{self.node}-{number}.{life}"
        self.everyone: int = plan["everyone"]
        self.index: int = plan["index"] + number
        self.started: int = plan["started"]
        self.pause: float = plan["pause"]
        self.random = random.Random(f"{plan['seed']}/{self.name}")
        self.recorder = Recorder(f"{plan['directory']}/{self.name}.jsonl")
        self.number = 0
        self.generation = 0
        self.records = 0
        self._place, self._offset = place, number * 16
        self._tried: dict[str, int] = {}
        self._registers = [f"{TOP}/r/{each}" for each in range(plan["registers"])]
        self._locks = [f"history-{each}" for each in range(plan["locks"])]
        choices: list[tuple[int, Callable[[], None]]] = [
            (26, self._read),
            (18, self._replace),
            (3, self._remove),
            (10, self._contest),
            (10, self._take),
            (9, self._append),
            (8, self._slot),
            (5, self._whole),
            (5, self._read_own_kind),
            (6, self._section),
        ]
        self._weights = [weight for weight, _ in choices]
        self._choices = [choice for _, choice in choices]

    def run(self) -> None:
        while True:
            self.random.choices(self._choices, self._weights)[0]()
            time.sleep(self.random.random() * 2 * self.pause)
            if self._place[0]:
                raise Stopped

    # Recording

    def _do(self, kind: str, key: str, body: Callable[[int], Result], **more: object) -> tuple[str, Result]:
        """Record the invocation, call with the mount's descriptor, record the outcome.

        A body whose later steps fail says how much is certain by raising ``Partial``.
        """
        self.number += 1
        self.recorder.write(t="invoke", i=self.number, op=kind, key=key, **more)
        self._enter(time.monotonic_ns())
        outcome, result = "ok", {}
        try:
            mount = open_mount()
            try:
                result = body(mount)
            finally:
                os.close(mount)
        except NotMounted:
            outcome, result = "fail", {"error": "not mounted"}
        except Partial as fault:
            outcome, result = "info", {"error": error_name(fault.errno), "step": fault.step}
        except OSError as fault:
            outcome = "fail" if fault.errno in NOTHING_HAPPENED else "info"
            result = {"error": error_name(fault.errno)}
        self._enter(0)
        self.recorder.write(t=outcome, i=self.number, **result)
        if outcome != "ok":
            time.sleep(0.02)  # without a file system every call fails at once
        return outcome, result

    def _enter(self, since: int) -> None:
        struct.pack_into("<QQ", self._place, 16 + self._offset, self.number, since)

    def _token(self) -> str:
        return f"{self.name}:{self.number + 1}"

    # Registers: replaced in one step by anybody, read by everybody

    def _replace(self) -> None:
        key, token = self.random.choice(self._registers), self._token()
        if self.random.random() < 0.01:
            token += LARGE
        self._do("write", key, lambda mount: self._put_over(mount, key, content(token)), value=token)

    def _put_over(self, mount: int, key: str, data: bytes) -> Result:
        temporary = f"{TOP}/t/{self.name}.{self.number}"  # used once: what is late must not hit another
        try:
            put(mount, temporary, os.O_CREAT | os.O_TRUNC, data)
        except OSError as fault:  # whatever happened to the copy, the register is untouched
            raise OSError(errno.EACCES, f"copy: {fault}") from fault
        os.rename(temporary, key, src_dir_fd=mount, dst_dir_fd=mount)
        return {}

    def _remove(self) -> None:
        key = self.random.choice(self._registers)
        self._do("remove", key, lambda mount: call(os.unlink, key, dir_fd=mount))

    def _read(self) -> None:
        key = self.random.choice(self._registers)
        self._do("read", key, lambda mount: {"value": value_in(get(mount, key))})

    # Names that one process alone can get, and never gives back

    def _period(self) -> int:
        return (time.monotonic_ns() - self.started) // PERIOD

    def _contest(self) -> None:
        name = str(self._period() - self.random.randrange(2))
        if name in self._tried:
            return self._read()
        self._tried[name] = 1
        token = self._token()
        if int(name) % 2:
            key = f"{TOP}/d/{name}"
            self._do("mkdir", key, lambda mount: call(os.mkdir, key, dir_fd=mount))
        else:
            key = f"{TOP}/x/{name}"
            self._do("create", key, lambda mount: create(mount, key, content(token)), value=token)
        return None

    def _take(self) -> None:
        """One puts a file there, all others try to have it: by renaming it or by removing it."""
        period = self._period()
        key = f"{TOP}/m/{period}"
        if period % self.everyone == self.index and key not in self._tried:
            self._tried[key] = 1
            token = self._token()
            self._do("give", key, lambda mount: create(mount, key, content(token)), value=token)
            return
        key = f"{TOP}/m/{period - self.random.randrange(RECENT)}"
        mine = f"{key}.{self.name}"
        if key in self._tried:
            return
        self._tried[key] = 1

        def rename(mount: int) -> Result:
            os.rename(key, mine, src_dir_fd=mount, dst_dir_fd=mount)
            return {}

        if self.random.random() < 0.7:
            self._do("take", key, rename, value=mine)
        else:
            self._do("take", key, lambda mount: call(os.unlink, key, dir_fd=mount))

    # Files with one writer: appended to, written in parts, written anew in place

    def _own(self, kind: str) -> str:
        return f"{TOP}/s/{self.name}.{self.generation}.{kind}"

    def _writes(self, kind: str, body: Callable[[int, str], Result], **more: object) -> None:
        """After an unknown outcome the files are left as they are: what follows would be ambiguous."""
        key = self._own(kind)
        outcome, _ = self._do(kind, key, lambda mount: body(mount, key), **more)
        if outcome == "info" or self.records >= LOG_RECORDS:
            self.generation += 1
            self.records = 0

    def _append(self) -> None:
        token = self._token()
        self.records += 1
        flags = os.O_CREAT | os.O_APPEND
        self._writes("log", lambda mount, key: put(mount, key, flags, record_of(token)), value=token)

    def _slot(self) -> None:
        token, slot = self._token(), self.random.randrange(SLOTS)

        def body(mount: int, key: str) -> Result:
            return put(mount, key, os.O_CREAT, slot_of(token), slot * SLOT)

        self._writes("slots", body, value=token, slot=slot)

    def _whole(self) -> None:
        token = self._token()
        flags = os.O_CREAT | os.O_TRUNC
        self._writes("whole", lambda mount, key: put(mount, key, flags, content(token)), value=token)

    def _read_own_kind(self) -> None:
        """Any file with one writer."""
        try:
            mount = open_mount()
            try:
                directory = os.open(f"{TOP}/s", os.O_RDONLY | os.O_DIRECTORY, dir_fd=mount)
                try:
                    names = sorted(os.listdir(directory))  # noqa: PTH208 - of a descriptor
                finally:
                    os.close(directory)
            finally:
                os.close(mount)
        except OSError:
            return
        if not names:
            return
        key = f"{TOP}/s/{self.random.choice(names[-60:])}"
        kind = key.rsplit(".", 1)[1]
        self._do(f"read-{kind}", key, lambda mount: READERS[kind](get(mount, key)))

    # Locks: what is done under one must never meet

    def _section(self) -> None:
        lock = self.random.choice(self._locks)
        path, counter = f"{LOCKS}/{lock}", f"{TOP}/c/{lock}"
        outcome, result = self._do("lock", lock, lambda mount: call(os.mkdir, path, dir_fd=mount))
        if outcome != "ok":
            if result["error"] == "EEXIST":
                self._do("expire", lock, lambda mount: call(os.utime, path, (0, 0), dir_fd=mount))
            return
        if self.random.random() < 0.02:
            return  # whoever took it is never heard of again: 120 s later it is free
        outcome, result = self._do("enter", lock, lambda mount: {"value": number_in(get(mount, counter))})
        if outcome == "ok":
            number, token = result["value"] + 1, self._token()
            time.sleep(self.random.random() * 0.05)
            if self.random.random() < 0.2:
                later = int(time.time()) + 86400  # than any clock said when it was taken
                self._do("renew", lock, lambda mount: call(os.utime, path, (later, later), dir_fd=mount))
            data = f"{number} {token}\n".encode()
            self._do("leave", lock, lambda mount: self._put_over(mount, counter, data), value=number)
        self._do("unlock", lock, lambda mount: call(os.rmdir, path, dir_fd=mount))
