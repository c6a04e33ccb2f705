"""Runs inside a node: tries as user www-data to open files of a private directory, until told to stop.

    support_node_private.py DIRECTORY

Prints "ready", ends at a line on standard input, and prints one JSON document: how often it tried, and what
it could read or list. Standard library only.
"""

from __future__ import annotations

import json
import os
import pwd
import select
import sys

NAMES = [f"{kind}{number}" for kind in ("secret", "moved") for number in range(6)]


def attempt(directory: str, seen: list[str]) -> int:
    """One try on everything; what succeeded is added to ``seen``."""
    tries = 0
    for name in NAMES:
        path = f"{directory}/{name}"
        for flags in (os.O_RDONLY, os.O_WRONLY, os.O_PATH):
            tries += 1
            try:
                fd = os.open(path, flags)
            except (PermissionError, FileNotFoundError):
                continue
            seen.append(f"{path} with flags {flags}")
            os.close(fd)
    try:
        os.listdir(directory)  # noqa: PTH208
        seen.append(f"listing of {directory}")
    except (PermissionError, FileNotFoundError):
        pass
    return tries


def main() -> None:
    user = pwd.getpwnam("www-data")
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    print("ready", flush=True)
    seen: list[str] = []
    tries = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        tries += attempt(sys.argv[1], seen)
    print(json.dumps({"tries": tries, "seen": seen[:20]}), flush=True)


if __name__ == "__main__":
    main()
