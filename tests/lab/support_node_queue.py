"""Runs inside a node: several processes make and remove directories in one directory, where the kernel lets
one in at a time, and somebody looks how long each of them waits.

    support_node_queue.py DIRECTORY PROCESSES

Prints "ready", ends at a line on standard input when everybody has come back, and prints one JSON document:
calls by result, the longest call, and the longest uninterruptible wait within one call (s). Standard library
only.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import select
import struct
import sys
import time
from pathlib import Path

LOOK_SECONDS = 0.05
GIVE_UP_SECONDS = 400.0
SLOT = struct.Struct("<QdQQ")
"""Per process: number of the call, longest call, calls that succeeded, calls that got EBUSY."""
HEADER = 8


def work(place: mmap.mmap, number: int, directory: str) -> None:
    path = f"{directory}/q{number}"
    offset = HEADER + number * SLOT.size
    calls, longest, done, busy = 0, 0.0, 0, 0
    there = False
    while not place[0]:
        calls += 1
        SLOT.pack_into(place, offset, calls, longest, done, busy)
        begin = time.monotonic()
        try:
            os.rmdir(path) if there else os.mkdir(path)  # noqa: PTH102, PTH106
        except OSError as fault:
            if fault.errno not in (errno.EBUSY, errno.EEXIST, errno.ENOENT, errno.EACCES):
                raise
            busy += fault.errno == errno.EBUSY
            there = os.path.isdir(path)  # noqa: PTH112 - EBUSY leaves it open
        else:
            done += 1
            there = not there
        longest = max(longest, time.monotonic() - begin)
        time.sleep(0.01)
    SLOT.pack_into(place, offset, calls, longest, done, busy)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def main() -> None:
    directory, processes = sys.argv[1], int(sys.argv[2])
    place = mmap.mmap(-1, HEADER + processes * SLOT.size)
    pids = {}
    for number in range(processes):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work(place, number, directory)
                code = 0
            finally:
                os._exit(code)
        pids[number] = pid
    print("ready", flush=True)
    waits: dict[int, tuple[int, float]] = {}
    stuck = 0.0
    codes: list[int] = []
    deadline = float("inf")
    while pids and time.monotonic() < deadline:
        if not place[0] and select.select([sys.stdin], [], [], LOOK_SECONDS)[0]:
            place[0] = 1
            deadline = time.monotonic() + GIVE_UP_SECONDS
        elif place[0]:
            time.sleep(LOOK_SECONDS)
        now = time.monotonic()
        for number, pid in list(pids.items()):
            found, code = os.waitpid(pid, os.WNOHANG)
            if found:
                codes.append(code)
                del pids[number]
                continue
            call = SLOT.unpack_from(place, HEADER + number * SLOT.size)[0]
            if state(pid) != "D" or waits.get(number, (0, 0.0))[0] != call:
                waits[number] = (call, now)
            stuck = max(stuck, now - waits[number][1])
    slots = [SLOT.unpack_from(place, HEADER + number * SLOT.size) for number in range(processes)]
    result = {
        "never came back": len(pids),
        "codes": codes,
        "done": [done for _, _, done, _ in slots],
        "busy": [busy for *_, busy in slots],
        "longest": max(longest for _, longest, _, _ in slots),
        "uninterruptible": stuck,
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
