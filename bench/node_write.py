"""Runs in a node by its own python3: writes a file again and again and tells when each was acknowledged.

Arguments: PATH COUNT. The other half of node_watch.py.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

PAUSE = 0.02


def main() -> None:
    with suppress(OSError):  # before other work on the machine, see priorities.py
        Path("/proc/self/autogroup").write_text("-20")
    path, count = sys.argv[1], int(sys.argv[2])
    for number in range(count):
        time.sleep(PAUSE)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        os.write(fd, b"%d\n" % number)
        os.close(fd)
        print(time.monotonic(), flush=True)


main()
