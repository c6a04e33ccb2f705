"""Threads that change a mounted file system as fast as it goes, and know what must be in it after a crash."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random

Tree = dict[str, bytes | None]
"""Relative path to content; None: a directory."""
FILES = 12
LIMIT = 20.0


class Writer:
    """Works in a directory of its own. ``known`` is what was acknowledged; ``possible`` are the trees that a
    call under way may lead to, ``known`` itself among them."""

    def __init__(self, top: Path, name: str, seed: str) -> None:
        self._top = top / name
        self._name = name
        self._random = Random(seed)
        self._number = 0
        self.acknowledged = 0
        self.known: Tree = {}
        self.possible: list[Tree] = [{}]
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Go on from ``known`` until a call fails because the daemon is gone."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        assert self._thread is not None
        self._thread.join(LIMIT)
        assert not self._thread.is_alive(), f"{self._name} hangs in a call of a dead daemon"

    @property
    def under_way(self) -> int:
        """Number of the call that it is in, for somebody who waits until nobody moves any more."""
        return self._number

    def found(self) -> Tree:
        """What there is now."""
        tree: Tree = {}
        for path in self._top.rglob("*"):
            name = str(path.relative_to(self._top))
            tree[name] = None if path.is_dir() else path.read_bytes()
        return tree

    def adopt(self, tree: Tree) -> None:
        self.known = tree
        self.possible = [tree]

    def make_directory(self) -> None:
        self._top.mkdir()

    def _run(self) -> None:
        while True:
            try:
                self._step()
            except ConnectionAbortedError:
                return
            except OSError as fault:
                if fault.errno in GONE:
                    return
                raise
            self.acknowledged += 1

    def _step(self) -> None:
        self._number += 1
        name = f"f{self._random.randrange(FILES)}"
        data = f"{self._name} {self._number}\n".encode() * self._random.choice((1, 3, 400))
        there = name in self.known
        kind = self._random.random()
        if kind < 0.35:
            self._replace(name, data)
        elif kind < 0.6:
            self._write(name, data, os.O_TRUNC, b"", data)
        elif kind < 0.75 and there:
            old = self.known[name] or b""
            if len(old) + len(data) < 200_000:
                self._write(name, data, os.O_APPEND, old, old + data)
        elif kind < 0.85 and there:
            self._do(lambda: (self._top / name).unlink(), self._without(name))
        elif kind < 0.92:
            other = f"d{self._random.randrange(3)}"
            if other in self.known:
                self._do(lambda: (self._top / other).rmdir(), self._without(other))
            else:
                self._do(lambda: (self._top / other).mkdir(), self._with(other, None))
        elif there:
            target = f"f{self._random.randrange(FILES)}"
            if target != name:
                after = self._without(name) | {target: self.known[name]}
                self._do(lambda: (self._top / name).rename(self._top / target), after)

    def _replace(self, name: str, data: bytes) -> None:
        copy = f"copy-{self._number}"
        self._write(copy, data, os.O_CREAT, b"", data)
        after = self._without(copy) | {name: data}
        self._do(lambda: (self._top / copy).rename(self._top / name), after)

    def _write(self, name: str, data: bytes, flags: int, between: bytes, after: bytes) -> None:
        """Open, write, close; ``between`` is the content after the opening."""
        steps = [self.known, self._with(name, between), self._with(name, after)]

        def write() -> None:
            fd = os.open(self._top / name, os.O_WRONLY | os.O_CREAT | flags, 0o640)
            try:
                os.write(fd, data)
            finally:
                os.close(fd)

        self._do(write, *steps[1:])

    def _do(self, call: Callable[[], object], *after: Tree) -> None:
        self.possible = [self.known, *after]
        call()
        self.adopt(after[-1])

    def _with(self, name: str, data: bytes | None) -> Tree:
        return self.known | {name: data}

    def _without(self, name: str) -> Tree:
        return {key: value for key, value in self.known.items() if key != name}


GONE = frozenset({103, 107})
"""ECONNABORTED and ENOTCONN: what a mount without its daemon says."""


def difference(found: Tree, possible: Iterable[Tree]) -> str:
    """How a tree that is none of the possible ones differs from the nearest of them."""
    texts = []
    for tree in possible:
        names = {name for name in {*found, *tree} if found.get(name, b"-") != tree.get(name, b"-")}
        pairs = [(name, found.get(name, "nothing"), tree.get(name, "nothing")) for name in sorted(names)]
        texts.append(", ".join(f"{name}: {str(a)[:60]} instead of {str(b)[:60]}" for name, a, b in pairs))
    return min(texts, key=len)
