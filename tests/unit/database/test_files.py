"""Files that get their name when they are complete, whatever happens to who writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from quorate.database.files import kept_files, new_private

NOW = 1_700_000_000


def test_a_file_has_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    with new_private(tmp_path, "a-", NOW, ".gz") as new:
        new.file.write(b"whole")
        assert not new.path.exists()
        assert kept_files(tmp_path, "a-", ".gz") == []
    assert kept_files(tmp_path, "a-", ".gz") == list(tmp_path.iterdir()) == [new.path]
    assert new.path.read_bytes() == b"whole"


def test_it_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, list[str]]] = []
    fsync = os.fsync

    def noted(fd: int) -> None:
        synced = Path(f"/proc/self/fd/{fd}").readlink()
        done.append((synced.name, [path.name for path in tmp_path.iterdir()]))
        fsync(fd)

    monkeypatch.setattr("quorate.database.files.os.fsync", noted)
    with new_private(tmp_path, "a-", NOW, ".gz") as new:
        new.file.write(b"whole")
    part, name = f"{new.path.name}.part", new.path.name
    assert done == [(part, [part]), (tmp_path.name, [name])]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_private(tmp_path, "a-", NOW, ".gz"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_two_of_one_second_keep_out_of_each_others_way(tmp_path: Path) -> None:
    with new_private(tmp_path, "a-", NOW, ".gz") as first:
        with new_private(tmp_path, "a-", NOW, ".gz") as second:
            second.file.write(b"second")
        with new_private(tmp_path, "a-", NOW, ".gz") as third:
            third.file.write(b"third")
        first.file.write(b"first")
    assert [path.read_bytes() for path in (first.path, second.path, third.path)] == [
        b"first",
        b"second",
        b"third",
    ]
    assert len(list(tmp_path.iterdir())) == 3


def test_only_the_kinds_own_leftovers_go(tmp_path: Path) -> None:
    for name in ("a-17.gz.part", "a-17-2.gz.part", "b-17.gz.part", "a-x.gz.part", "a-17.gz"):
        (tmp_path / name).touch()
    (tmp_path / "a-18.gz.part").symlink_to(tmp_path / "a-17.gz")
    (tmp_path / "a-19.gz.part").mkdir()
    with new_private(tmp_path, "a-", NOW, ".gz") as new:
        pass
    left = {"b-17.gz.part", "a-x.gz.part", "a-17.gz", "a-18.gz.part", "a-19.gz.part", new.path.name}
    assert {path.name for path in tmp_path.iterdir()} == left
