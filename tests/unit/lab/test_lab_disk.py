"""A node's own disk: what is done to it needs one, and a full one is full."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import LabError
from lab.disk import disk_of, fill_disk, free_disk, remove_disk


def test_a_node_without_a_disk(tmp_path: Path) -> None:
    assert disk_of(tmp_path) is None
    (tmp_path / "disk").mkdir()
    assert disk_of(tmp_path) is None  # a directory is none
    for action in (fill_disk, free_disk):
        with pytest.raises(LabError, match="add_disks"):
            action(tmp_path)
    remove_disk(tmp_path)
