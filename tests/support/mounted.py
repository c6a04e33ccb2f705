"""Runs a MemoryFs on a real mount inside the test's process: one serving thread, commands handed to it."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from quorate.fuse import InitOptions, Session, SessionEnded
from tests.support.memoryfs import MemoryFs

T = TypeVar("T")
WAIT = 10.0
"""Bound for everything a test waits for; nothing waits this long unless the test fails."""


class Mounted:
    """The serving thread owns session and file system; tests reach them by ``call``."""

    def __init__(self, session: Session, fs: MemoryFs) -> None:
        self.session = session
        self.fs = fs
        self.path = session.mountpoint
        self.ended: SessionEnded | None = None
        self.fault: BaseException | None = None
        self._commands: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stop = False
        self.thread = threading.Thread(target=self._run, name="serve", daemon=True)
        self.thread.start()

    def call(self, function: Callable[[], T]) -> T:
        """Run ``function`` in the serving thread."""
        done = threading.Event()
        result: list[T] = []
        faults: list[Exception] = []

        def run() -> None:
            try:
                result.append(function())
            except Exception as fault:  # noqa: BLE001 - handed to the test
                faults.append(fault)
            done.set()

        self._commands.put(run)
        os.eventfd_write(self._wake, 1)
        assert done.wait(WAIT), "the serving thread hangs"
        if faults:
            raise faults[0]
        return result[0]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Until ``condition`` holds in the serving thread."""
        deadline = threading.Event()
        for _ in range(int(WAIT / 0.005)):
            if self.call(condition):
                return
            deadline.wait(0.005)
        raise AssertionError("the condition never came true")

    def stop(self) -> None:
        self._stop = True
        os.eventfd_write(self._wake, 1)
        self.thread.join(WAIT)
        assert not self.thread.is_alive()

    def _run(self) -> None:
        poller = select.epoll()
        poller.register(self.session.fileno(), select.EPOLLIN)
        poller.register(self._wake, select.EPOLLIN)
        fuse = self.session.fileno()
        try:
            while not self._stop:
                for fd, _ in poller.poll():
                    if fd == fuse:
                        self.session.serve(self.fs)
                    else:
                        os.eventfd_read(self._wake)
                        while not self._commands.empty():
                            self._commands.get()()
        except SessionEnded as end:
            self.ended = end
        except BaseException as fault:  # noqa: BLE001 - shown by the fixture
            self.fault = fault
        finally:
            self.session.close()
            poller.close()


@contextlib.contextmanager
def mounted(path: Path, fs: MemoryFs | None = None, init: InitOptions | None = None) -> Iterator[Mounted]:
    """A MemoryFs at ``path``, served until the end of the block."""
    path.mkdir(exist_ok=True)
    mount = Mounted(Session.mount(path, init=init), fs or MemoryFs())
    try:
        yield mount
    finally:
        mount.stop()
        os.close(mount._wake)
        if mount.fault is not None:
            raise mount.fault
