"""Reading the mount table."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.fuse import MountError, Session, clear_dead_mount, mountpoint
from quorate.fuse.mountpoint import MountEntry, mounts_at

TABLE = r"""22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 22 0:35 / /etc/pve rw,nosuid,nodev,relatime shared:20 - fuse /dev/fuse rw,user_id=0,group_id=0
41 40 0:36 / /etc/pve rw,nosuid,nodev,relatime - fuse.sshfs host:/x rw
42 22 0:37 / /mnt/with\040blank\134 rw - tmpfs none rw
broken line
"""


def test_topmost_is_last() -> None:
    assert mounts_at(Path("/etc/pve"), TABLE) == [
        MountEntry(40, "0:35", "/etc/pve", "fuse", "/dev/fuse"),
        MountEntry(41, "0:36", "/etc/pve", "fuse.sshfs", "host:/x"),
    ]


def test_escapes() -> None:
    assert [one.fstype for one in mounts_at(Path("/mnt/with blank\\"), TABLE)] == ["tmpfs"]


def test_only_exactly_there() -> None:
    assert mounts_at(Path("/etc"), TABLE) == []


def test_nothing_mounted_is_nothing_to_clear(tmp_path: Path) -> None:
    assert clear_dead_mount(tmp_path) == 0


def test_other_mounts_are_never_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Path] = []
    monkeypatch.setattr(mountpoint, "unmount_lazily", taken.append)
    with pytest.raises(MountError, match=r"already is a mount point \(proc"):
        clear_dead_mount("/proc")
    assert taken == []


def test_mounting_over_a_mount_is_refused() -> None:
    with pytest.raises(MountError, match="already is a mount point"):
        Session.mount("/proc")
