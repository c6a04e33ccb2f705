"""Runs inside a node: looks up names all the time while other nodes create, change and remove them.

    support_node_lookups.py DIRECTORY COUNT

Prints "ready", ends at a line on standard input, and prints one JSON document: how often it looked and found.
Standard library only.
"""

from __future__ import annotations

import json
import os
import select
import sys


def main() -> None:
    directory, count = sys.argv[1], int(sys.argv[2])
    paths = [f"{directory}/{number}" for number in range(count)]
    looked = found = 0
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        for path in paths:
            looked += 1
            try:
                os.stat(path)  # noqa: PTH116
            except FileNotFoundError:
                continue
            found += 1
    print(json.dumps({"looked": looked, "found": found}), flush=True)


if __name__ == "__main__":
    main()
