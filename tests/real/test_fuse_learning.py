"""A change is notified while the kernel is only just learning of the file: it must not keep the older state.

The answer to a lookup wakes the process that asked; only when that runs does the kernel know the file. Here
it can't run for a while, because a process of higher priority has its processor.
"""

from __future__ import annotations

import os
import select
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quorate.fuse import Operations, Reply, Request, Session
from quorate.fuse import requests as r
from quorate.fuse.abi import ROOT_ID
from quorate.fuse.replies import DAY, attr_out, entry_out, pack_attr
from tests.support.private_mounts import private_mounts

pytestmark = pytest.mark.real

NODE = 64
BEFORE, AFTER = 10, 99
WAIT = 20.0
READER = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[2])})
print(os.stat(sys.argv[1]).st_size, flush=True)
for line in sys.stdin:
    print(os.stat(sys.argv[1]).st_size, flush=True)
"""
HOG = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
print("here", flush=True)
end = time.monotonic() + 0.2
while time.monotonic() < end:
    pass
"""


class OneFile(Operations):
    """A file whose size changes; lookups wait until the test answers them."""

    def __init__(self) -> None:
        self.size = BEFORE
        self.lookups: list[Request] = []

    def attributes(self) -> bytes:
        return pack_attr(100, stat.S_IFREG | 0o644, size=self.size)

    def lookup(self, request: Request, body: r.LookupIn) -> Reply:
        self.lookups.append(request)
        return None

    def getattr(self, request: Request, body: r.GetattrIn) -> Reply:
        if request.nodeid == ROOT_ID:
            return attr_out(pack_attr(ROOT_ID, stat.S_IFDIR | 0o755, nlink=2), DAY)
        return attr_out(self.attributes(), DAY)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with private_mounts():
        (tmp_path / "mnt").mkdir()
        one = Session.mount(tmp_path / "mnt")
        try:
            yield one
        finally:
            one.close()


def serve(session: Session, operations: OneFile, until: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT
    while not until():
        assert time.monotonic() < deadline, "it never came"
        if select.select([session.fileno()], [], [], 0.02)[0]:
            session.serve(operations)


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_change_notified_too_early_is_notified_again(session: Session) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("one processor: the process of higher priority would stop the file system too")
    operations = OneFile()
    os.sched_setaffinity(0, cpus[:-1])
    try:
        with start(READER, str(session.mountpoint / "f"), str(cpus[-1])) as reader:
            assert reader.stdin
            assert reader.stdout
            told = reader.stdout
            serve(session, operations, lambda: operations.lookups)
            with start(HOG, str(cpus[-1])) as hog:
                assert hog.stdout
                assert hog.stdout.readline() == "here\n"
                unique = operations.lookups[0].unique
                session.reply(unique, entry_out(NODE, operations.attributes(), DAY, DAY))
                operations.size = AFTER
                session.notify_inval_attr(NODE)
            assert told.readline() == f"{BEFORE}\n"  # it asked before the change
            seen = BEFORE
            deadline = time.monotonic() + WAIT
            while seen != AFTER and time.monotonic() < deadline:
                reader.stdin.write("again\n")
                reader.stdin.flush()
                serve(session, operations, lambda: select.select([told], [], [], 0)[0])
                seen = int(told.readline())
            assert seen == AFTER
            reader.stdin.close()
    finally:
        os.sched_setaffinity(0, cpus)
