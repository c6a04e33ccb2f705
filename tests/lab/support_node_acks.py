"""Runs inside a node: writes one file after the other, and tells of each when it was acknowledged.

    support_node_acks.py DIRECTORY NAME

Prints the number of each file whose open, write and close succeeded; failed ones are left out and the next
number is tried. Goes on until it is killed. Standard library only.
"""

from __future__ import annotations

import itertools
import os
import sys
import time

PAUSE_AFTER_ERROR = 0.05
"""Seconds; without a file system every call fails at once."""


def main() -> None:
    directory, name = sys.argv[1:]
    for number in itertools.count():
        try:
            fd = os.open(f"{directory}/{name}-{number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
            try:
                os.write(fd, content(name, number))
            finally:
                os.close(fd)
        except OSError as error:
            print(f"error {error.errno}", flush=True)
            time.sleep(PAUSE_AFTER_ERROR)
        else:
            print(number, flush=True)


def content(name: str, number: int) -> bytes:
    return f"{name} wrote {number}\n".encode()


if __name__ == "__main__":
    main()
