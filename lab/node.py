"""One node: its power, and commands, files and the journal inside it."""

from __future__ import annotations

import fcntl
import itertools
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from lab.boot import COMMAND_SLICE, enter_argv
from lab.disk import fill_disk, free_disk
from lab.errors import LabError, NodeOffError
from lab.layer import GUESTS
from lab.power import Power
from lab.processes import cgroup_pids, kill_cgroup, make_cgroup
from lab.record import Record, address
from lab.switch import Switch
from lab.waiting import WaitTimeoutError, wait_for

COMMAND_SECONDS = 60.0
BOOT_SECONDS = 90.0  # 1.5 s on a quiet machine
FREEZE_SECONDS = 1.0
"""Milliseconds, unless a process waits for another that is frozen already."""
OFF_SECONDS = 60.0  # a clean shutdown waits for services: their own limits apply inside
QUORUM_AWAITED = "waiting for quorum ..."
ROOT = Path(__file__).resolve().parent.parent
_run_numbers = itertools.count()


class Process:
    """A program running in a node, with everything it started. Leaving its ``with`` block kills it."""

    def __init__(self, popen: subprocess.Popen[str], cgroup: Path) -> None:
        self._popen = popen
        self._cgroup = cgroup

    @property
    def stdin(self) -> IO[str]:
        assert self._popen.stdin
        return self._popen.stdin

    @property
    def stdout(self) -> IO[str]:
        """What it writes, standard error included."""
        assert self._popen.stdout
        return self._popen.stdout

    def poll(self) -> int | None:
        return self._popen.poll()

    def wait(self, timeout: float = COMMAND_SECONDS) -> int:
        """Its exit status. Raises subprocess.TimeoutExpired."""
        return self._popen.wait(timeout)

    def signal(self, number: int) -> None:
        """A signal to every process of it."""
        for pid in cgroup_pids(self._cgroup):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def kill(self) -> None:
        """End it with all its children, at once and for sure."""
        kill_cgroup(self._cgroup)
        self._popen.kill()
        self._popen.wait()
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream:
                stream.close()
        _remove_if_empty(self._cgroup)

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class Node:
    """A Debian 12 host with systemd, sshd and Corosync, called n1, n2, ... on links 10.77.L.0/24."""

    def __init__(self, record: Record, name: str) -> None:
        self._record = record
        self._dir = record.node_dir(name)
        self.name = name

    def __repr__(self) -> str:
        return f"<Node {self.name} of lab {self._record.name}>"

    def address(self, link: int = 0) -> str:
        return address(self.name, link)

    # Power

    @property
    def is_on(self) -> bool:
        return Power.read(self._dir).is_on()

    @property
    def boots(self) -> int:
        """How often it was started so far."""
        return Power.read(self._dir).boots

    @property
    def init(self) -> int:
        """The machine's pid of its PID 1. Raises NodeOffError."""
        power = Power.read(self._dir)
        if power.init is None or not power.is_on():
            raise NodeOffError(
                f"{self.name} is off. Switch it on first: power_on(), or ./dev lab on {self.name}"
            )
        return power.init

    def power_on(self, *, wait: bool = True) -> None:
        """Press the button; with ``wait`` until it has booted. Nothing happens if it is on."""
        if not self.is_on:
            with (self._dir / "power.lock").open("w") as lock:
                self._take_power_lock(lock)
                self._start_supply(lock.fileno())
        if wait:
            self.wait_booted()

    def power_off(self) -> None:
        """Shut it down in good order, and wait until it is off."""
        if self.is_on:
            # SIGRTMIN+4 asks systemd to power off, as `systemctl poweroff` does, without a bus
            os.kill(self.init, 34 + 4)
        self._wait_off()

    def power_cut(self) -> None:
        """Pull the plug: nothing that was not on disk survives, and no farewell leaves on the network."""
        if self.is_on:
            init = self.init
            Switch(self._record).pull_all(self.name)
            os.kill(init, 9)
        self._wait_off()

    def reboot(self, *, wait: bool = True) -> None:
        """Restart it in good order; with ``wait`` until it has booted again."""
        boots = self.boots
        self.run(["systemctl", "reboot"], check=False)
        wait_for(
            lambda: self.boots > boots and self.is_on, timeout=OFF_SECONDS, what=f"the restart of {self.name}"
        )
        if wait:
            self.wait_booted()

    def freeze(self) -> None:
        """Stop the whole host between two instructions: it neither works nor answers. Undone by thaw().

        A call under way in the node's own /etc/pve can't be stopped by the kernel's freezer; it waits for
        a frozen daemon, which is as good.
        """
        self._set_frozen(True)

    def thaw(self) -> None:
        self._set_frozen(False)

    @property
    def is_frozen(self) -> bool:
        switch = self._record.cgroup / self.name / "cgroup.freeze"
        return switch.exists() and switch.read_text().strip() == "1"

    def wait_booted(self, timeout: float = BOOT_SECONDS) -> str:
        """Wait until systemd has finished starting; "running", or "degraded" if a unit failed. A node without
        quorum is "starting" as long as it has none: all but its guests is there then."""

        def finished() -> str:
            if not self.is_on:
                raise LabError(f"{self.name} went off while it booted. Its console:\n{self.console()}")
            state = self.run(["systemctl", "is-system-running"], check=False).stdout.strip()
            if state == "starting" and self._waits_for_quorum():
                return state
            return state if state in ("running", "degraded") else ""

        return wait_for(finished, timeout=timeout, what=f"{self.name} to boot", seen=self.console)

    def _waits_for_quorum(self) -> bool:
        """Whether nothing is being started any more but the guests, and those have to wait."""
        jobs = self.systemctl("list-jobs", "--plain", "--no-legend", check=False).splitlines()
        running = [words[1] for line in jobs if (words := line.split())[-1:] == ["running"]]
        said = self.run(["journalctl", "-b", "-u", GUESTS, "-o", "cat"], check=False).stdout
        return running == [f"{GUESTS}.service"] and QUORUM_AWAITED in said

    def console(self, lines: int = 20) -> str:
        """The end of what the node printed before its journal ran."""
        file = self._dir / "console"
        return "\n".join(file.read_text(errors="replace").splitlines()[-lines:]) if file.exists() else ""

    # Commands

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        input: str | None = None,  # noqa: A002 - named as in subprocess.run
        timeout: float = COMMAND_SECONDS,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as root and wait for it. No terminal, and no standard input unless given.

        Raises LabError with all its output when ``check`` and its status is not 0; WaitTimeoutError, after
        it was killed with its children, when it takes too long; NodeOffError.
        """
        cgroup = self._command_cgroup()
        with subprocess.Popen(
            self._entering(argv, cgroup, env),
            stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
        ) as popen:
            try:
                out, err = popen.communicate(input, timeout=timeout)
            except subprocess.TimeoutExpired as late:
                kill_cgroup(cgroup)
                popen.kill()
                out, err = popen.communicate()
                raise WaitTimeoutError(
                    f"{self.name}: {' '.join(argv)} did not end within {timeout:g} s.\n{out}{err}"
                ) from late
        _remove_if_empty(cgroup)
        if check and popen.returncode:
            raise LabError(f"{self.name}: {' '.join(argv)} ended with {popen.returncode}.\n{out}{err}")
        return subprocess.CompletedProcess(list(argv), popen.returncode, out, err)

    def start_process(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> Process:
        """Start a program and leave it running; its output is one stream."""
        cgroup = self._command_cgroup()
        popen = subprocess.Popen(
            self._entering(argv, cgroup, env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="surrogateescape",
        )
        return Process(popen, cgroup)

    def python(self, source: str, *args: str, check: bool = True, timeout: float = COMMAND_SECONDS) -> str:
        """Run a Python program in the node, with the project importable, and return what it printed."""
        return self.run(
            ["/opt/quorate/.venv/bin/python", "-c", source, *args], check=check, timeout=timeout
        ).stdout

    def shell(self, argv: Sequence[str] = ("bash", "-l")) -> int:
        """Give the caller's terminal to a program in the node; its exit status."""
        cgroup = self._command_cgroup()
        env = {"TERM": os.environ.get("TERM", "dumb")}
        if sys.stdin.isatty():  # a terminal of the node's own: the caller's is not in its /dev
            argv = ["script", "-q", "-e", "-c", shlex.join(argv), "/dev/null"]
        code = subprocess.run(self._entering(argv, cgroup, env), check=False).returncode
        _remove_if_empty(cgroup)
        return code

    # Files

    def write_file(self, path: str, content: str) -> None:
        """Write a file by the node's own way (open, write, close). Raises LabError with the node's words."""
        self.run(["sh", "-c", 'exec cat > "$1"', "sh", path], input=content)

    def read_file(self, path: str) -> str:
        return self.run(["cat", path]).stdout

    def fill_disk(self) -> None:
        """Leave no room for its database (Lab.add_disks made it a disk of its own)."""
        fill_disk(self._dir)

    def free_disk(self) -> None:
        free_disk(self._dir)

    # Services

    def systemctl(self, *argv: str, check: bool = True) -> str:
        return self.run(["systemctl", *argv], check=check).stdout.strip()

    def is_active(self, unit: str) -> bool:
        return self.systemctl("is-active", unit, check=False) == "active"

    def failed_units(self) -> list[str]:
        text = self.systemctl("list-units", "--failed", "--plain", "--no-legend", check=False)
        return [line.split()[0] for line in text.splitlines()]

    def journal(self, unit: str | None = None, *options: str) -> str:
        """The journal of all boots (of one unit), also of a node that is off; options as journalctl's."""
        argv = ["journalctl", "--no-pager", "-q", *(["-u", unit] if unit else []), *options]
        if self.is_on and not self.is_frozen:
            return self.run(argv).stdout
        directory = self._dir / "upper/var/log/journal"
        done = subprocess.run([*argv, "-D", str(directory)], capture_output=True, text=True, check=False)
        return (
            done.stdout
            if done.returncode == 0
            else f"(the journal of {self.name} is unreadable: {done.stderr})"
        )

    # Inside

    def _entering(self, argv: Sequence[str], cgroup: Path, env: Mapping[str, str] | None) -> list[str]:
        inside = f"/{COMMAND_SLICE}/{cgroup.name}"
        return enter_argv(self.init, argv, cgroup=inside, env=env or {})

    def _command_cgroup(self) -> Path:
        if not self.is_on:
            raise NodeOffError(f"{self.name} is off: nothing can be run in it.")
        path = self._record.cgroup / self.name / COMMAND_SLICE / f"run-{os.getpid()}-{next(_run_numbers)}"
        make_cgroup(path)
        return path

    def _set_frozen(self, frozen: bool) -> None:
        cgroup = self._record.cgroup / self.name
        (cgroup / "cgroup.freeze").write_text("1" if frozen else "0")
        word = f"frozen {int(frozen)}"
        deadline = time.monotonic() + (FREEZE_SECONDS if frozen else OFF_SECONDS)
        while word not in (cgroup / "cgroup.events").read_text():
            if time.monotonic() > deadline:
                if frozen:
                    return
                raise WaitTimeoutError(f"Waited {OFF_SECONDS:g} s for {self.name} to thaw, in vain.")
            time.sleep(0.01)

    def _take_power_lock(self, lock: IO[str]) -> None:
        def taken() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        wait_for(taken, timeout=OFF_SECONDS, what=f"{self.name} to be off for good", period=0.02)

    def _start_supply(self, lock: int) -> None:
        boots = self.boots
        (self._record.cgroup / self.name).mkdir(parents=True, exist_ok=True)
        with (self._dir / "console").open("a") as console:
            subprocess.run(
                [
                    "setsid",
                    "--fork",
                    sys.executable,
                    "-m",
                    "lab.power",
                    self._record.name,
                    self.name,
                    str(lock),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                pass_fds=(lock,),
                env=dict(os.environ, PYTHONPATH=str(ROOT)),
                cwd="/",
                check=True,
            )
        wait_for(
            lambda: self.boots > boots,
            timeout=BOOT_SECONDS,
            what=f"{self.name} to start",
            period=0.02,
            seen=self.console,
        )

    def _wait_off(self) -> None:
        with (self._dir / "power.lock").open("w") as lock:
            self._take_power_lock(lock)


def _remove_if_empty(cgroup: Path) -> None:
    """A daemon that a command left behind keeps its cgroup; it goes with the node."""
    try:
        cgroup.rmdir()
    except OSError:
        return
