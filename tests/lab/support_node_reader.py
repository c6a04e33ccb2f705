"""Runs inside a node: reads one file by its name all the time, while other nodes replace it as a whole.

    support_node_reader.py FILE

The file holds one line, repeated. Prints "ready", ends at a line on standard input, and prints one JSON
document: how often it read, how many different contents it saw, and everything that was wrong. Standard
library only.
"""

from __future__ import annotations

import json
import os
import select
import sys


def look(path: str) -> tuple[bytes, str]:
    """The content, and what is wrong with it."""
    try:
        size = os.stat(path).st_size  # noqa: PTH116
        fd = os.open(path, os.O_RDONLY)
    except OSError as error:
        return b"", f"open: {error.strerror}"
    try:
        content = os.read(fd, 1 << 20)
        now = os.fstat(fd).st_size
    except OSError as error:
        return b"", f"read: {error.strerror}"
    finally:
        os.close(fd)
    lines = content.splitlines(keepends=True)
    if not lines or set(lines) != {lines[0]} or not lines[0].endswith(b"\n"):
        return content, f"not one version: {size} bytes, then {now}; read {len(content)}: {content[-40:]!r}"
    return content, ""


def main() -> None:
    path = sys.argv[1]
    print("ready", flush=True)
    wrong: list[str] = []
    contents = set()
    reads = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        content, fault = look(path)
        reads += 1
        if fault:
            wrong.append(fault)
        else:
            contents.add(content)
    print(json.dumps({"reads": reads, "contents": len(contents), "wrong": wrong[:20]}), flush=True)


if __name__ == "__main__":
    main()
