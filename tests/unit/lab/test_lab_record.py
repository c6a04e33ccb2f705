"""A lab's record on disk, names and addresses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab import record
from lab.errors import LabError
from lab.processes import start_time
from lab.record import Record, address, node_number


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(record, "STATE", tmp_path)
    return tmp_path


def saved(name: str, *, keep: bool = False) -> Record:
    made = Record.new(name, nodes=2, links=1, base=Path("/base"), keep=keep)
    made.dir.mkdir()
    made.save()
    return made


def test_a_record_survives_its_file() -> None:
    made = saved("one")
    assert Record.load("one") == made
    assert made.owner == (os.getpid(), start_time(os.getpid()))
    assert record.names() == ["one"]


def test_an_unknown_lab_is_refused_with_the_known_ones() -> None:
    saved("one")
    with pytest.raises(LabError, match=r"no lab named 'two' \(there is: one\)"):
        Record.load("two")


def test_a_lab_is_stale_when_its_owner_is_gone_or_the_machine_restarted() -> None:
    mine, kept = saved("mine"), saved("kept", keep=True)
    assert not mine.is_stale()
    assert not kept.is_stale()
    mine.owner = (os.getpid(), 1)  # the pid was given to another process meanwhile
    assert mine.is_stale()
    kept.boot_id = "another"
    assert kept.is_stale()


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "..", "1st", "x" * 25])
def test_names_that_would_break_paths_are_refused(name: str) -> None:
    with pytest.raises(LabError, match="no name for a lab"):
        Record.new(name, nodes=1, links=1, base=Path("/base"), keep=True)


@pytest.mark.parametrize(("nodes", "links"), [(0, 1), (33, 1), (1, 0), (1, 9)])
def test_sizes_have_bounds(nodes: int, links: int) -> None:
    with pytest.raises(LabError, match="out of bounds"):
        Record.new("x", nodes=nodes, links=links, base=Path("/base"), keep=True)


def test_addresses_follow_from_names() -> None:
    assert address("n12", 3) == "10.77.3.12"
    assert node_number("n32") == 32
    for wrong in ("", "n0", "n", "m1", "n1 ", "n123"):
        with pytest.raises(LabError):
            node_number(wrong)
