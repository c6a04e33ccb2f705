"""Runs inside a node: several processes make random operations below /etc/pve and record each of them.

    python3 -m tests.history.node_client CONFIGURATION     (one JSON object, made by ``run.py``)

Every process appends JSON lines to its own file outside the cluster's file system: one before the call, one
after it, stamped with the monotonic clock, which all nodes of a lab share. This supervisor watches them:
whoever does not come back within a bound is recorded as stuck, killed and replaced. It also records which
pmxcfs runs. Ends when its standard input closes. Standard library, and the project's client for IPC.
"""

from __future__ import annotations

import json
import mmap
import os
import select
import signal
import struct
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tests.history.node_status import StatusWorker
from tests.history.node_worker import Recorder, Stopped, Worker

STUCK_SECONDS = 120.0
"""Above every promised bound, also of calls in several steps: who is later hangs for good."""
BURIAL_SECONDS = 10.0
"""For a process that was killed to be gone; one in an uninterruptible wait stays."""
LOOK_SECONDS = 0.2
ALIVE_NS = 1_000_000_000
"""Between two records that the same daemon still runs."""


class Supervisor:
    """Keeps the workers going and writes down what they cannot say themselves."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._recorder = Recorder(f"{plan['directory']}/{plan['node']}-supervisor.{plan['life']}.jsonl")
        processes = plan["workers"] + 1  # the last one speaks to the daemon by IPC
        self._place = mmap.mmap(-1, 16 + 16 * processes)
        self._lives = dict.fromkeys(range(processes), plan["life"] * 100)
        self._pids: dict[int, int] = {}
        self._daemon = ""
        self._seen = 0
        """When ``_daemon`` was last found running."""
        self._told = 0

    def run(self) -> None:
        for number in self._lives:
            self._start(number)
        print("started", flush=True)
        while not select.select([sys.stdin], [], [], LOOK_SECONDS)[0]:
            self._look()
        self._place[0] = 1
        self._await_end()

    def _start(self, number: int) -> None:
        self._lives[number] += 1
        struct.pack_into("<QQ", self._place, 16 + 16 * number, 0, 0)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                files = number < self._plan["workers"]
                kind = Worker if files else StatusWorker
                kind(self._plan, number, self._lives[number], self._place).run()
            except Stopped:
                code = 0
            finally:
                if code:
                    traceback.print_exc()
                    sys.stdout.flush()
                os._exit(code)
        self._pids[number] = pid

    def _look(self) -> None:
        self._look_at_daemon()
        now = time.monotonic_ns()
        for number, pid in list(self._pids.items()):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self._recorder.write(t="died", p=self._process(number))
                self._start(number)
                continue
            operation, since = struct.unpack_from("<QQ", self._place, 16 + 16 * number)
            if since and now - since > STUCK_SECONDS * 1e9:
                self._give_up(number, pid, operation)
                self._start(number)

    def _give_up(self, number: int, pid: int, operation: int) -> None:
        state = _state(pid)
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + BURIAL_SECONDS
        buried = False
        while not buried and time.monotonic() < deadline:
            buried = os.waitpid(pid, os.WNOHANG)[0] != 0
            time.sleep(0.02)
        process = self._process(number)
        self._recorder.write(t="stuck", p=process, i=operation, state=state, buried=buried)

    def _await_end(self) -> None:
        """Everybody ends after the call that he is in; who does not within the bound is stuck."""
        deadline = time.monotonic() + STUCK_SECONDS
        for number, pid in self._pids.items():
            while not os.waitpid(pid, os.WNOHANG)[0]:
                if time.monotonic() > deadline:
                    self._give_up(number, pid, struct.unpack_from("<Q", self._place, 16 + 16 * number)[0])
                    break
                time.sleep(0.02)
        self._recorder.write(t="ended")

    def _look_at_daemon(self) -> None:
        """One record whenever another pmxcfs runs than before, or none."""
        try:
            pid = int(Path("/run/pve-cluster.pid").read_text())
            status = _status(pid)
            found = "" if status[0] in "ZX" else f"{pid}/{status[19]}"
        except (OSError, ValueError):
            found = ""
        now = time.monotonic_ns()
        if found != self._daemon:
            self._recorder.write(t="daemon", daemon=found, seen=self._seen)
            self._daemon = found
        elif now - self._told > ALIVE_NS:
            self._recorder.write(t="alive")
            self._told = now
        self._seen = now

    def _process(self, number: int) -> str:
        return f"{self._plan['node']}-{number}.{self._lives[number]}"


def _state(pid: int) -> str:
    try:
        return _status(pid)[0]
    except OSError:
        return "gone"


def _status(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Supervisor(json.loads(sys.argv[1])).run()


if __name__ == "__main__":
    main()
