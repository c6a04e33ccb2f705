"""Which processes a lab has, while groups of processes come to their end."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from bench import priorities


@pytest.fixture
def cgroup(tmp_path: Path) -> Path:
    """A node's group with two units, one with a group of its own."""
    for number, name in enumerate((".", "one", "two", "two/inner"), 1):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "cgroup.procs").write_text(f"{number}0\n{number}1\n")
    return tmp_path


def _on_first_read(monkeypatch: pytest.MonkeyPatch, event: str, cgroup: Path) -> None:
    """When the processes of a unit are read, the other one ends. ``event`` says how much of it is gone."""
    read = Path.read_text

    def reads(path: Path) -> str:
        text = read(path)
        if path.parent != cgroup:
            for unit in {"one", "two"} - {path.relative_to(cgroup).parts[0]}:
                if event == "the group":
                    shutil.rmtree(cgroup / unit, ignore_errors=True)
                elif event == "its list":
                    (cgroup / unit / "cgroup.procs").unlink(missing_ok=True)
        return text

    monkeypatch.setattr(Path, "read_text", reads)


def test_processes_of_all_groups(cgroup: Path) -> None:
    assert sorted(priorities._pids(cgroup)) == [10, 11, 20, 21, 30, 31, 40, 41]


@pytest.mark.parametrize("event", ["the group", "its list"])
def test_a_unit_that_ends_meanwhile_is_left_out(
    cgroup: Path, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    shutil.rmtree(cgroup / "two/inner")
    _on_first_read(monkeypatch, event, cgroup)
    assert sorted(priorities._pids(cgroup)) in ([10, 11, 20, 21], [10, 11, 30, 31])


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENODEV])
def test_a_group_that_ends_while_its_processes_are_read_is_left_out(
    cgroup: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    _failing(monkeypatch, cgroup / "one", number)
    assert sorted(priorities._pids(cgroup)) == [10, 11, 30, 31, 40, 41]


def test_other_failures_are_told(cgroup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without priorities the bench would measure something else, and nobody would know."""
    _failing(monkeypatch, cgroup / "one", errno.EACCES)
    with pytest.raises(PermissionError):
        priorities._pids(cgroup)


def _failing(monkeypatch: pytest.MonkeyPatch, group: Path, number: int) -> None:
    """A real list says ENODEV when its group went after it was opened."""
    read = Path.read_text

    def reads(path: Path) -> str:
        if path.parent == group:
            raise OSError(number, os.strerror(number))
        return read(path)

    monkeypatch.setattr(Path, "read_text", reads)
