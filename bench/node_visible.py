"""Runs in a node by its own python3: writes a file again and again, or sees when another node does.

Prints {} when it is ready. Then one request per line ({"role": "write" or "watch", "path": ..., "count": n}),
one answer per line: {"begun": [...], "acknowledged": [...]} of a writer, {"seen": [...]} of a watcher, in
seconds of the machine's monotonic clock, which all nodes of a lab share. The contents are "x", "xx", ...
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

BETWEEN_WRITES = 0.02
BETWEEN_LOOKS = 0.00005
LIMIT = 30.0


def write(path: Path, count: int) -> dict[str, list[float] | str]:
    begun, acknowledged = [], []
    for number in range(count):
        time.sleep(BETWEEN_WRITES)
        begun.append(time.monotonic())
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        os.write(fd, b"x" * (number + 1))
        os.close(fd)
        acknowledged.append(time.monotonic())
    return {"begun": begun, "acknowledged": acknowledged}


def watch(path: Path, count: int) -> dict[str, list[float] | str]:
    """When the file was seen to have each length; the contents must be there by then.

    It is asked for its length only, which the kernel knows until the daemon tells it otherwise: to open it
    all the time would keep this node's daemon from the very work that is measured.
    """
    seen = []
    end = time.monotonic() + LIMIT
    for number in range(count):
        wanted = b"x" * (number + 1)
        while time.monotonic() < end:
            with suppress(FileNotFoundError):
                if path.stat().st_size >= len(wanted):  # the next write may be there already
                    break
            time.sleep(BETWEEN_LOOKS)
        seen.append(time.monotonic())
        content = path.read_bytes()
        if len(content) < len(wanted) or content.strip(b"x"):
            return {"error": f"{path} has {content!r} where {wanted!r} was seen by its length"}
    return {"seen": seen}


def main() -> None:
    with suppress(OSError):  # before other work on the machine, see priorities.py
        Path("/proc/self/autogroup").write_text("-20")
    print("{}", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        role = write if request["role"] == "write" else watch
        print(json.dumps(role(Path(request["path"]), request["count"])), flush=True)


main()
