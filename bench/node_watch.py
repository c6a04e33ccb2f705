"""Runs in a node by its own python3: when do changes of a file become visible here?

Arguments: PATH COUNT. Prints "ready", then for each of the texts "0", "1", ... the moment when the file had
it (seconds of the machine's monotonic clock, which all nodes of a lab share).
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

PAUSE = 0.00005
LIMIT = 30.0


def main() -> None:
    with suppress(OSError):  # before other work on the machine, see priorities.py
        Path("/proc/self/autogroup").write_text("-20")
    path, count = sys.argv[1], int(sys.argv[2])
    print("ready", flush=True)
    end = time.monotonic() + LIMIT
    for number in range(count):
        wanted = b"%d\n" % number
        while time.monotonic() < end:
            try:
                fd = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                time.sleep(PAUSE)
                continue
            text = os.read(fd, 64)
            os.close(fd)
            if text == wanted:
                break
            time.sleep(PAUSE)
        print(time.monotonic(), flush=True)


main()
