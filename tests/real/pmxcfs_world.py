"""A host of its own for a real pmxcfs: own mounts, host name, network, /dev/log, and a root for its files.

Nothing of the machine's is touched. Processes end with the test process, also when that is killed. Every log
line is recorded with its priority; a warning that a test did not announce fails it.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NODE = "node1"
CLONE = Path(__file__).resolve().parents[2]
LIMIT = 20.0
"""Seconds for a start or an end; half a second on a quiet machine."""

_CLONE_NEWNS = 0x00020000
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

_HOLD = """set -e
hostname node1
mount --bind "$1/hosts" /etc/hosts
mkdir -p "$1/dev"
mount -t tmpfs -o mode=755 tmpfs "$1/dev"
for each in null zero full random urandom tty fuse; do cp -a "/dev/$each" "$1/dev/"; done
mkdir "$1/dev/shm"
mount --bind /dev/shm "$1/dev/shm"
mount --move "$1/dev" /dev
echo ready
exec cat
"""

_RUN = """
import sys
from pathlib import Path
from quorate.cli.pmxcfs import main
from quorate.settings import Settings
sys.exit(main(sys.argv[2:], Settings(Path(sys.argv[1]))))
"""


class World:
    """One host. ``mount`` is the file system as the test process reaches it."""

    def __init__(self, directory: Path, *, hosts: str = f"127.0.0.1 localhost\n10.99.0.1 {NODE}\n") -> None:
        self.directory = directory
        self.root = directory / "root"
        (self.root / "etc/corosync").mkdir(parents=True)
        (directory / "hosts").write_text(hosts)
        self.expected: list[str] = []
        """Regular expressions of warnings that the test causes on purpose."""
        self.errors = directory / "stderr"
        self._daemons: list[subprocess.Popen[bytes]] = []
        # Ends when its standard input closes, which is when we end.
        self._holder = subprocess.Popen(
            ["unshare", "-mun", "--propagation", "private", "sh", "-c", _HOLD, "sh", str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n", "cannot make namespaces (needs root)"
        self.view = Path(f"/proc/{self._holder.pid}/root")
        self._syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._syslog.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._syslog.bind(str(self.view / "dev/log"))
        self._lines: list[tuple[int, str]] = []

    @property
    def mount(self) -> Path:
        return self.inside("/etc/pve")

    def inside(self, path: str) -> Path:
        """A path of this host, as the test process reaches it."""
        return self.view / (self.root / path.lstrip("/")).relative_to("/")

    def entering(self) -> list[str]:
        """What runs a command in this host."""
        return ["nsenter", "-t", str(self._holder.pid), "-m", "-u", "-n"]

    def command(self, *options: str) -> list[str]:
        return [*self.entering(), str(CLONE / ".venv/bin/python"), "-c", _RUN, str(self.root), *options]

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run pmxcfs to its end."""
        return subprocess.run(
            self.command(*options), capture_output=True, text=True, timeout=60, cwd=CLONE, check=False
        )

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Start ``pmxcfs -f`` and wait until it serves."""
        with self.errors.open("ab") as errors:
            daemon = subprocess.Popen(
                self.command("-f", *options),
                stdin=subprocess.DEVNULL,
                stderr=errors,
                cwd=CLONE,
                preexec_fn=_die_with_parent,
            )
        self._daemons.append(daemon)
        self.wait(lambda: daemon.poll() is not None or self.serves(daemon.pid), "pmxcfs to serve")
        assert daemon.poll() is None, self.errors.read_text()
        return daemon

    def serves(self, pid: int) -> bool:
        """Whether that daemon wrote its pid and answers."""
        try:
            return self.inside("/run/pve-cluster.pid").read_text() == f"{pid}\n" and self.mount.is_mount()
        except OSError:
            return False

    def stop(self, daemon: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
        """Signal a daemon; its exit status."""
        daemon.send_signal(number)
        return daemon.wait(LIMIT)

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = LIMIT) -> None:
        """Ask again and again, bounded."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
            time.sleep(0.01)

    def log(self) -> list[tuple[int, str]]:
        """All syslog lines so far: priority and text."""
        while self._syslog.fileno() >= 0:
            try:
                line = self._syslog.recv(65536).decode()
            except BlockingIOError:
                break
            match = re.fullmatch(r"<(\d+)>pmxcfs\[\d+\]: (.*)", line, re.DOTALL)
            assert match is not None, line
            self._lines.append((int(match[1]) & 7, match[2]))
        return self._lines

    def complaints(self) -> list[str]:
        """Warnings and worse that were not announced."""
        return [
            text
            for priority, text in self.log()
            if priority <= 4 and not any(re.search(pattern, text) for pattern in self.expected)
        ]

    def rows(self) -> list[tuple[int, int, int, int, int, int, bytes, bytes | None]]:
        """The database's rows; only while no daemon runs."""
        connection = sqlite3.connect(self.root / "var/lib/pve-cluster/config.db")
        try:
            connection.text_factory = bytes
            return connection.execute("SELECT * FROM tree ORDER BY inode").fetchall()
        finally:
            connection.close()

    def enter_network(self) -> None:
        """For a thread: be in this host's network for good."""
        with open(f"/proc/{self._holder.pid}/ns/net", "rb") as namespace:  # noqa: PTH123 - a file of /proc
            if _libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """For a forked child: be inside for good."""
        for name, kind in (("net", _CLONE_NEWNET), ("mnt", _CLONE_NEWNS)):
            fd = os.open(f"/proc/{self._holder.pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
            if _libc.setns(fd, kind) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            os.close(fd)
        yield

    def as_user(self, uid: int, gid: int, body: Callable[[], object]) -> str:
        """The result of ``body`` run inside by another user: ``repr`` of its value, or the errno's name."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                with self.entered():
                    os.setgroups([])
                    os.setgid(gid)
                    os.setuid(uid)
                    os.write(writer, outcome(body).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as file:
            text = file.read()
        os.waitpid(pid, 0)
        return text

    def close(self) -> None:
        for daemon in self._daemons:
            if daemon.poll() is None:
                daemon.kill()
            daemon.wait()
        self.log()
        self._syslog.close()
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.close()
        self._holder.stdout.close()
        self._holder.wait(LIMIT)


@contextmanager
def a_world(**options: str) -> Iterator[World]:
    """A world that is taken away at the end, and complains about unannounced warnings."""
    directory = Path(tempfile.mkdtemp(prefix="quorate-pmxcfs-"))
    directory.chmod(0o755)  # other users look at the mount too
    try:
        world = World(directory, **options)
        try:
            yield world
        finally:
            world.close()
        assert world.complaints() == []
    finally:
        shutil.rmtree(directory)


def outcome(body: Callable[[], object]) -> str:
    """``OK``, ``OK value``, or the name of the errno."""
    import errno

    try:
        value = body()
    except OSError as error:
        return errno.errorcode[error.errno or 0].replace("EOPNOTSUPP", "ENOTSUP")
    return "OK" if value is None else f"OK {value}"


def _die_with_parent() -> None:
    _libc.prctl(1, signal.SIGKILL)
    for number in (signal.SIGHUP, signal.SIGINT):  # as nohup and shells' background jobs leave them to us
        signal.signal(number, signal.SIG_DFL)
