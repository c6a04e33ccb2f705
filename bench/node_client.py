"""Runs in a node, by its own python3, with nothing of the project: file operations, timed one by one.

Prints {} when it is ready. Then one request per line on standard input ({"operation": ..., "directory": ...,
"count": ...}, and "writers" for what several threads do), one answer per line: {"median": seconds, "mean":
seconds} per operation, or {"error": text}.
"""

# The plain calls are what is timed:
# ruff: noqa: PTH102, PTH103, PTH104, PTH106, PTH108, PTH116, PTH118, PTH208
from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Callable

KIB = b"k" * 1024
BIG = b"b" * (512 << 10)
BUFFER = bytearray(1 << 20)
PAGE = 4096
ENTRIES = 300
THREADS = 8
clock = time.perf_counter
Answer = dict[str, float]


def write(path: str, data: bytes, step: int = 0) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    try:
        for start in range(0, len(data), step or len(data)):
            os.write(fd, data[start : start + step] if step else data)
    finally:
        os.close(fd)


def read(path: str) -> int:
    """Into memory that is there: a new MiB for each call costs as much as reading a small file."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.readv(fd, [BUFFER])
    finally:
        os.close(fd)


def timed(count: int, call: Callable[[int], object]) -> Answer:
    """Each call by itself: the median is what a quiet machine takes."""
    times = []
    for number in range(count):
        start = clock()
        call(number)
        times.append(clock() - start)
    return {"median": statistics.median(times), "mean": statistics.fmean(times)}


class Client:
    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.round = 0
        self.writers = THREADS

    def path(self, name: str) -> str:
        return f"{self.directory}/{name}"

    def create_1k(self, count: int) -> Answer:
        self.round += 1
        return timed(count, lambda n: write(self.path(f"c{self.round}-{n}"), KIB))

    def overwrite_1k(self, count: int) -> Answer:
        return timed(count, lambda n: write(self.path(f"c{self.round}-{n}"), KIB[::-1]))

    def unlink(self, count: int) -> Answer:
        return timed(count, lambda n: os.unlink(self.path(f"c{self.round}-{n}")))

    def atomic_replace_1k(self, count: int) -> Answer:
        def replace(_: int) -> None:
            write(self.path("replaced.tmp"), KIB)
            os.rename(self.path("replaced.tmp"), self.path("replaced"))

        return timed(count, replace)

    def mkdir_rmdir(self, count: int) -> Answer:
        def both(_: int) -> None:
            os.mkdir(self.path("made"))
            os.rmdir(self.path("made"))

        return timed(count, both)

    def create_rate(self, count: int) -> Answer:
        self.round += 1
        names = [self.path(f"r{self.round}-{n}") for n in range(count)]
        start = clock()
        for name in names:
            write(name, KIB)
        took = (clock() - start) / count
        for name in names:
            os.unlink(name)
        return {"median": took, "mean": took}

    def create_threads(self, count: int) -> Answer:
        self.round += 1
        writers = self.writers
        names = [
            [self.path(f"t{self.round}-{t}-{n}") for n in range(count // writers)] for t in range(writers)
        ]

        def create(mine: list[str]) -> None:
            for name in mine:
                write(name, KIB)

        threads = [threading.Thread(target=create, args=(mine,)) for mine in names]
        start = clock()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = (clock() - start) / (count // writers * writers)
        for mine in names:
            for name in mine:
                os.unlink(name)
        return {"median": took, "mean": took}

    def prepare(self, _: int) -> Answer:
        os.makedirs(self.path("list"), exist_ok=True)
        for n in range(ENTRIES):
            write(self.path(f"list/entry-{n:04d}"), b"x")
        write(self.path("small"), KIB)
        write(self.path("big"), BIG)
        return {}

    def read_1k(self, count: int) -> Answer:
        path = self.path("small")
        return timed(count, lambda _: read(path))

    def read_512k(self, count: int) -> Answer:
        path = self.path("big")
        return timed(count, lambda _: read(path))

    def stat(self, count: int) -> Answer:
        path = self.path("small")
        return timed(count, lambda _: os.stat(path))

    def stat_tmpfs(self, count: int) -> Answer:
        return in_memory(lambda twin: twin.stat(count))

    def readdir(self, count: int) -> Answer:
        path = self.path("list")
        return timed(count, lambda _: os.listdir(path))

    def readdir_stat(self, count: int) -> Answer:
        path = self.path("list")

        def look(_: int) -> None:
            """By the directory's descriptor, as find and ls -l do it: one component to resolve for each."""
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                for entry in os.scandir(fd):
                    entry.stat(follow_symlinks=False)
            finally:
                os.close(fd)

        return timed(count, look)

    def readdir_stat_tmpfs(self, count: int) -> Answer:
        return in_memory(lambda twin: twin.readdir_stat(count))

    def write_512k(self, count: int) -> Answer:
        return timed(count, lambda _: write(self.path("written"), BIG))

    def write_512k_4k(self, count: int) -> Answer:
        return timed(count, lambda _: write(self.path("written"), BIG, PAGE))

    def fill(self, count: int) -> Answer:
        """``count`` files of 1 KiB, 1,000 in a directory; by several threads, to have it done soon."""
        for first in range(0, count, 1000):
            os.makedirs(self.path(f"many/{first // 1000}"), exist_ok=True)

        def some(first: int) -> None:
            for n in range(first, count, THREADS):
                write(self.path(f"many/{n // 1000}/{n}"), os.urandom(1024))

        threads = [threading.Thread(target=some, args=(first,)) for first in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {}

    def fill_big(self, count: int) -> Answer:
        """``count`` files of 512 KiB."""
        os.makedirs(self.path("large"), exist_ok=True)
        for n in range(count):
            write(self.path(f"large/{n}"), os.urandom(512 << 10))
        return {}

    def mark(self, number: int) -> Answer:
        """A file that says which round this is."""
        write(self.path("mark"), str(number).encode())
        return {}

    def clean(self, _: int) -> Answer:
        for directory, _names, files in os.walk(self.directory, topdown=False):
            for name in files:
                os.unlink(os.path.join(directory, name))
            if directory != self.directory:
                os.rmdir(directory)
        return {}


def in_memory(measure: Callable[[Client], Answer]) -> Answer:
    """The same on tmpfs, as deep: what this machine's kernel can do at best."""
    top = f"/dev/shm/quorate-{os.getpid()}"
    twin = Client(f"{top}/bench")
    try:
        twin.prepare(0)
        return measure(twin)
    finally:
        shutil.rmtree(top)


def main() -> None:
    clients: dict[str, Client] = {}
    print("{}", flush=True)  # ready
    for line in sys.stdin:
        request = json.loads(line)
        directory = request["directory"]
        if directory not in clients:
            os.makedirs(directory, exist_ok=True)
            clients[directory] = Client(directory)
        clients[directory].writers = request.get("writers", THREADS)
        try:
            answer = getattr(clients[directory], request["operation"])(request["count"])
        except OSError as error:
            answer = {"error": f"{request['operation']} in {directory}: {error}"}
        print(json.dumps(answer), flush=True)


main()
