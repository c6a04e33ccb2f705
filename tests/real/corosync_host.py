"""Real Corosync in private namespaces, for tests of the bindings.

A `CorosyncHost` has its own mounts (/etc/corosync, /run, /dev/shm, /var/lib/corosync), network and IPC;
nothing of the machine's is touched. Test bodies run in a forked child inside (`host.run`). All processes
end with the test process, also when that is killed.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

START_LIMIT = 30.0
"""Seconds for Corosync to start or stop; it takes about one on a quiet machine."""
BODY_LIMIT = 100
"""Seconds for one test body inside."""

_MOUNTS = """set -e
for d in /etc/corosync /run /dev/shm /var/lib/corosync /var/log/corosync; do
  mkdir -p $d; mount -t tmpfs -o mode=755 tmpfs $d
done
mkdir -p /run/lock /etc/corosync/uidgid.d
ip link set lo up
echo ready
exec cat
"""


def config(nodes: Sequence[tuple[int, str]], *, version: int = 1, name: str = "test", extra: str = "") -> str:
    """A corosync.conf for ``nodes`` (id, address)."""
    entries = "".join(
        f"  node {{\n    nodeid: {nodeid}\n    name: node{nodeid}\n    quorum_votes: 1\n"
        f"    ring0_addr: {address}\n  }}\n"
        for nodeid, address in nodes
    )
    return (
        f"totem {{\n  version: 2\n  cluster_name: {name}\n  config_version: {version}\n  secauth: off\n"
        "  token: 1000\n  token_coefficient: 0\n  ip_version: ipv4\n"
        "  interface {\n    linknumber: 0\n  }\n}\n"
        f"nodelist {{\n{entries}}}\n"
        "quorum {\n  provider: corosync_votequorum\n}\n"
        "logging {\n  to_stderr: yes\n  to_syslog: no\n  to_logfile: no\n}\n"
        "system {\n  sched_rr: no\n}\n"  # real-time priority would starve the tests beside
        f"{extra}"
    )


class CorosyncHost:
    """One set of namespaces with at most one Corosync in it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._log = directory / "corosync.log"
        # Ends when its standard input closes, which is when we end.
        self._holder = subprocess.Popen(
            ["unshare", "-m", "-n", "-i", "--propagation", "private", "sh", "-c", _MOUNTS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        ready = self._holder.stdout.readline()
        if ready != b"ready\n":
            raise RuntimeError(f"cannot make namespaces (need root): unshare said {ready!r}")
        self._corosync: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._holder.pid

    def command(self, *arguments: str) -> str:
        """Run a command inside; its output, or CalledProcessError."""
        return subprocess.run(
            [*self._inside(), *arguments],
            check=True,
            timeout=START_LIMIT,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    def write_config(self, text: str) -> None:
        Path(f"/proc/{self.pid}/root/etc/corosync/corosync.conf").write_text(text)

    def start(self) -> None:
        """Start Corosync and wait until it answers."""
        with self._log.open("ab") as log:
            self._corosync = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self._inside(), "corosync", "-f"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            if self._corosync.poll() is not None:
                break
            answer = subprocess.run(
                [*self._inside(), "corosync-cfgtool", "-s"],
                capture_output=True,
                timeout=START_LIMIT,
            )
            if answer.returncode == 0:
                return
            time.sleep(0.05)
        raise RuntimeError(f"corosync did not start; its log:\n{self._log.read_text()}")

    def send_signal(self, number: int) -> None:
        assert self._corosync is not None
        self._corosync.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End Corosync by a signal and wait for its end."""
        if self._corosync is not None:
            self._corosync.send_signal(number)
            self._corosync.wait(START_LIMIT)
            self._corosync = None

    def run(self, body: Callable[[], None]) -> None:
        """Run ``body`` in a child inside; what it raises fails the test with its traceback."""
        self.begin(body)()

    def begin(self, body: Callable[[], None]) -> Callable[[], None]:
        """Start ``body`` in a child inside; the result waits for its end and fails the test as ``run``."""
        report, write = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(report)
                signal.alarm(BODY_LIMIT)
                self._enter()
                body()
                code = 0
            except BaseException:  # noqa: BLE001  the child's end: everything is reported
                os.write(write, traceback.format_exc().encode()[-60000:])
            finally:
                os._exit(code)
        os.close(write)

        def wait() -> None:
            with os.fdopen(report, "rb") as stream:
                text = stream.read().decode()
            status = os.waitpid(child, 0)[1]
            if status != 0:
                code = os.waitstatus_to_exitcode(status)
                raise AssertionError(
                    f"inside the host (exit {code}):\n{text}\n{self._log.read_text()[-3000:]}"
                )

        return wait

    def close(self) -> None:
        if self._corosync is not None:
            self.stop(signal.SIGKILL)
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.close()
        self._holder.wait(START_LIMIT)
        self._holder.stdout.close()

    def _inside(self) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "-m", "-n", "-i"]

    def _enter(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        for namespace in ("ipc", "net", "mnt"):
            fd = os.open(f"/proc/{self.pid}/ns/{namespace}", os.O_RDONLY)
            if libc.setns(fd, 0) != 0:
                raise OSError(ctypes.get_errno(), f"setns {namespace}")
            os.close(fd)


def connect(one: CorosyncHost, two: CorosyncHost) -> None:
    """A cable between two hosts: eth0 with 10.99.0.1 and 10.99.0.2."""
    ends = [
        "name",
        "eth0",
        "netns",
        str(one.pid),
        "type",
        "veth",
        "peer",
        "name",
        "eth0",
        "netns",
        str(two.pid),
    ]
    subprocess.run(["ip", "link", "add", *ends], check=True, timeout=START_LIMIT)
    for number, host in enumerate((one, two), 1):
        host.command("ip", "address", "add", f"10.99.0.{number}/24", "dev", "eth0")
        host.command("ip", "link", "set", "eth0", "up")


def set_link(state: str) -> None:
    """Inside a host: pull the cable of eth0 ("down") or plug it in ("up")."""
    subprocess.run(["ip", "link", "set", "eth0", state], check=True, timeout=START_LIMIT)


@contextmanager
def corosync_host(directory: Path) -> Iterator[CorosyncHost]:
    host = CorosyncHost(directory)
    try:
        yield host
    finally:
        host.close()


class Dispatchable(Protocol):
    """What `wait_until` drives."""

    def fileno(self) -> int: ...

    def dispatch(self) -> bool: ...


def wait_until(condition: Callable[[], bool], *services: Dispatchable, limit: float = 40.0) -> None:
    """Dispatch ``services`` as an event loop does until ``condition`` holds."""
    deadline = time.monotonic() + limit
    while not condition():
        left = deadline - time.monotonic()
        assert left > 0, f"not true within {limit} s"
        readable, _, _ = select.select(services, [], [], min(left, 0.2))
        for service in readable:
            service.dispatch()
