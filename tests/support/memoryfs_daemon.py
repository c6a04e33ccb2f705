"""A process of its own that serves a MemoryFs: python -m tests.support.memoryfs_daemon MOUNTPOINT [direct]

Prints "ready" when mounted; ends by SIGTERM (unmounts) or when it is unmounted from outside.
"""

from __future__ import annotations

import gc
import select
import signal
import sys
from types import FrameType

from quorate.fuse import Session, SessionEnded, clear_dead_mount
from tests.support.memoryfs import MemoryFs


def main(path: str, mode: str = "cached") -> int:
    clear_dead_mount(path)
    fs = MemoryFs(keep_cache=mode != "direct")
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    with Session.mount(path) as session:
        signal.signal(signal.SIGTERM, stop)
        gc.freeze()
        poller = select.epoll()
        poller.register(session.fileno(), select.EPOLLIN)
        print("ready", flush=True)
        try:
            while not stopping:
                # A bound, so that SIGTERM between the test and the wait is noticed.
                if poller.poll(0.5):
                    session.serve(fs)
        except SessionEnded:
            return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
