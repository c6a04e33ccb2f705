"""Runs inside a node: changes files at random for some seconds, in directories where others do the same.

    support_node_writer.py DIRECTORY NAME SEED SECONDS

Prints one JSON document at the end: how often each call succeeded, and how often it failed with which error.
Standard library only.
"""

from __future__ import annotations

import errno
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable

DIRECTORIES = 3
NAMES = 12
SIZES = (0, 1, 17, 300, 4096, 5000, 40000)


class Writer:
    """Calls on a few names, so that every call meets those of the others."""

    def __init__(self, top: str, name: str, seed: str) -> None:
        self.top = top
        self.name = name
        self.random = random.Random(seed)
        self.serial = 0

    def directory(self) -> str:
        return f"{self.top}/d{self.random.randrange(DIRECTORIES)}"

    def path(self) -> str:
        return f"{self.directory()}/f{self.random.randrange(NAMES)}"

    def place(self) -> str:
        return f"{self.directory()}/e{self.random.randrange(4)}"

    def data(self) -> bytes:
        self.serial += 1
        text = f"{self.name} {self.serial}\n".encode()
        size = self.random.choice(SIZES)
        return (text * (size // len(text) + 1))[:size]

    def put(self, path: str, flags: int, data: bytes) -> None:
        fd = os.open(path, flags, 0o640)
        try:
            view = memoryview(data)
            while view:
                step = self.random.choice((len(view), 1000))
                view = view[os.write(fd, view[:step]) :]
        except OSError:
            os.close(fd)
            raise
        os.close(fd)

    # The calls

    def create_exclusive(self) -> None:
        self.put(self.path(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, self.data())

    def create_or_replace(self) -> None:
        self.put(self.path(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, self.data())

    def overwrite(self) -> None:
        self.put(self.path(), os.O_WRONLY, self.data())

    def append(self) -> None:
        self.put(self.path(), os.O_WRONLY | os.O_APPEND, self.data()[:300])

    def truncate(self) -> None:
        os.truncate(self.path(), self.random.choice((0, 10, 5000)))

    def replace(self) -> None:
        path = self.path()
        temporary = f"{path}.{self.name}.tmp"
        self.put(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, self.data())
        os.rename(temporary, path)  # noqa: PTH104

    def rename(self) -> None:
        os.rename(self.path(), self.path())  # noqa: PTH104

    def unlink(self) -> None:
        os.unlink(self.path())  # noqa: PTH108

    def make_directory(self) -> None:
        os.mkdir(self.place())  # noqa: PTH102

    def remove_directory(self) -> None:
        os.rmdir(self.place())  # noqa: PTH106

    def rename_directory(self) -> None:
        os.rename(self.place(), self.place())  # noqa: PTH104

    def fill_directory(self) -> None:
        self.put(f"{self.place()}/x", os.O_WRONLY | os.O_CREAT, self.data())

    def empty_directory(self) -> None:
        os.unlink(f"{self.place()}/x")  # noqa: PTH108

    def set_time(self) -> None:
        os.utime(self.path(), (0, self.random.randrange(1, 1 << 32)))

    def read(self) -> None:
        fd = os.open(self.path(), os.O_RDONLY)
        try:
            os.read(fd, 1 << 16)
        finally:
            os.close(fd)

    def list_names(self) -> None:
        os.listdir(self.directory())  # noqa: PTH208

    def calls(self) -> list[Callable[[], None]]:
        """Each as often as it shall be chosen."""
        often = [self.create_exclusive, self.create_or_replace, self.overwrite, self.replace]
        rest = [self.append, self.truncate, self.rename, self.unlink, self.set_time]
        places = [self.make_directory, self.remove_directory, self.rename_directory]
        places += [self.fill_directory, self.empty_directory]
        return [*often * 3, *rest * 2, *places, self.read, self.list_names]


def main() -> None:
    top, name, seed, seconds = sys.argv[1:]
    writer = Writer(top, name, seed)
    calls = writer.calls()
    done: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    deadline = time.monotonic() + float(seconds)
    while time.monotonic() < deadline:
        call = writer.random.choice(calls)
        try:
            call()
        except OSError as error:
            failed[f"{call.__name__} {errno.errorcode[error.errno or 0]}"] += 1
        else:
            done[call.__name__] += 1
    print(json.dumps({"done": done, "failed": failed}))


if __name__ == "__main__":
    main()
