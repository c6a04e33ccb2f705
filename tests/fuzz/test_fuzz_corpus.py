"""Every stored input, and some damaged ones, through its target: what a fuzzer knows stays known."""

from __future__ import annotations

from random import Random

import pytest

from quorate.corosync import conf
from quorate.pmxcfs import wire
from quorate.pmxcfs.tree import Tree
from tests.fuzz import seeds
from tests.fuzz.targets import TARGETS

DAMAGED = 150
"""Inputs per target that are made from stored ones: a second or two for all targets."""


def damaged(random: Random, inputs: list[bytes]) -> bytes:
    data = bytearray(random.choice(inputs))
    for _ in range(random.choice((1, 2, 8))):
        at = random.randrange(len(data) + 1)
        kind = random.randrange(4)
        if kind == 0:
            data[at:at] = random.randbytes(random.randint(1, 4))
        elif kind == 1:
            del data[at : at + random.randint(1, 8)]
        elif kind == 2 and at < len(data):
            data[at] = random.choice((0, 1, 0x7F, 0xFF, random.randrange(256)))
        else:
            data[at:] = random.choice(inputs)[at:]
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_stored_inputs(name: str) -> None:
    inputs = seeds.read(name)
    assert inputs, f"tests/fuzz/corpus/{name}.txt is missing"
    for data in inputs:
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_inputs(name: str) -> None:
    random = Random(name)
    inputs = seeds.read(name)
    for _ in range(DAMAGED):
        data = damaged(random, inputs)
        try:
            TARGETS[name](data)
        except Exception as error:
            error.add_note(f"target {name}, input {data!r}")
            raise


def wrong_delete(tree: Tree, path: bytes, writer: int, mtime: int, now: float) -> int:
    """Takes the entry out of its directory only."""
    entry = tree.lookup(path)
    if entry is not None and entry.inode:
        (tree.by_inode[entry.parent] if entry.parent else tree.root).children.pop(entry.name)  # type: ignore[union-attr]
    return 0


def test_targets_notice_a_wrong_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that never complains proves nothing: one broken rule in each of three parsers is seen."""

    def replay(name: str) -> None:
        for data in seeds.read(name):
            TARGETS[name](data)

    with monkeypatch.context() as broken:
        broken.setattr(wire.Update, "pack", lambda self: b"")
        with pytest.raises(AssertionError):
            replay("wire")
    with monkeypatch.context() as broken:
        broken.setattr(conf, "write", lambda parsed: b"totem {\n}\n")
        with pytest.raises(AssertionError):
            replay("conf")
    with monkeypatch.context() as broken:
        broken.setattr(Tree, "delete", wrong_delete)
        with pytest.raises(AssertionError):
            replay("files")
