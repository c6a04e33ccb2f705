"""Runs inside a node: takes locks in /etc/pve/priv/lock in competition with other nodes.

    support_node_locks.py race DIRECTORY COUNT      tries mkdir on DIRECTORY/0 ... ; prints those it won
    support_node_locks.py count LOCK FILE TIMES     adds 1 to the number in FILE under the lock, so often

Waits for a line on standard input before it begins. Prints one JSON document. Standard library only.
"""

from __future__ import annotations

import json
import os
import sys


def race(directory: str, count: int) -> dict[str, list[int]]:
    """The order of names is everybody's order: who is behind finds them taken, and catches up."""
    won, errors = [], []
    for number in range(count):
        try:
            os.mkdir(f"{directory}/{number}")  # noqa: PTH102
        except FileExistsError:
            continue
        except OSError as error:
            errors.append(error.errno or 0)
        else:
            won.append(number)
    return {"won": won, "errors": errors}


def count(lock: str, file: str, times: int) -> dict[str, int]:
    """Read and write are two steps: without mutual exclusion, or with a stale read, additions are lost."""
    tries = 0
    for _ in range(times):
        while True:
            tries += 1
            try:
                os.mkdir(lock)  # noqa: PTH102
                break
            except FileExistsError:
                continue
        with open(file) as source:  # noqa: PTH123
            number = int(source.read())
        with open(file, "w") as target:  # noqa: PTH123
            target.write(f"{number + 1}\n")
        os.rmdir(lock)  # noqa: PTH106
    return {"tries": tries}


def main() -> None:
    print("ready", flush=True)
    sys.stdin.readline()
    what, *arguments = sys.argv[1:]
    if what == "race":
        result: object = race(arguments[0], int(arguments[1]))
    else:
        result = count(arguments[0], arguments[1], int(arguments[2]))
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
