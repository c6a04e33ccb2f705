"""A process of its own that serves a MemoryFs: python -m tests.support.memoryfs_daemon MOUNTPOINT [MODE]

Prints "ready" when mounted; ends by SIGTERM (unmounts) or when it is unmounted from outside. Mode "direct":
nothing is cached. "guarded": it has a guardian, and when a request is held back it sends a notice about the
same directory and prints "held".
"""

from __future__ import annotations

import gc
import select
import signal
import sys
from types import FrameType

from quorate.fuse import Session, SessionEnded, clear_dead_mount
from quorate.fuse.abi import ROOT_ID
from quorate.fuse.guardian import Guardian
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
        guarded = mode == "guarded"
        if guarded:
            Guardian(session.mountpoint)
        poller = select.epoll()
        poller.register(session.fileno(), select.EPOLLIN)
        print("ready", flush=True)
        try:
            while not stopping:
                # A bound, so that SIGTERM between the test and the wait is noticed.
                if poller.poll(0.5):
                    session.serve(fs)
                if guarded and fs.held:
                    session.notify_inval_entry(ROOT_ID, b"whatever")
                    guarded = session.notifications_done(0.2)  # the kernel waits for the directory's lock
                    print("held", flush=True)
        except SessionEnded:
            return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
