"""What a synchronisation takes away is kept, privately and not for ever (W24)."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from quorate.database import files
from quorate.pmxcfs.backup import KEEP, PREFIX, SMALL, SUFFIX, save_lost, summary
from quorate.pmxcfs.effects import LostEntries
from quorate.pmxcfs.sync import LostEntry

LOST = (
    LostEntry(b"d", 4, 5, 1, 1_700_000_000, None, True),
    LostEntry(b"priv/f\xff", 8, 7, 2, 1_700_000_001, b"secret", False),
)


def test_archive(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = save_lost(tmp_path / "backup", LOST, 1_700_000_100)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        assert [os.fsencode(member.name) for member in members] == [b"d", b"priv/f\xff"]
        assert members[1].mtime == 1_700_000_001
        content = archive.extractfile(members[1])
        assert content is not None
        assert content.read() == b"secret"


@pytest.mark.parametrize(("size", "compressed"), [(SMALL, True), (SMALL + 1, False)])
def test_a_large_archive_is_not_compressed(tmp_path: Path, size: int, compressed: bool) -> None:
    lost = (LostEntry(b"big", 8, 5, 1, 1_700_000_000, bytes(size), True),)
    path = save_lost(tmp_path, lost, 1_700_000_100)
    assert (path.stat().st_size < size // 10) is compressed
    with tarfile.open(path) as archive:
        [member] = archive.getmembers()
        content = archive.extractfile(member)
        assert content is not None
        assert content.read() == bytes(size)


def test_half_an_archive_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("quorate.pmxcfs.backup.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_lost(tmp_path, LOST, 1_700_000_100)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys, tarfile
from pathlib import Path
from quorate.pmxcfs.backup import save_lost
from quorate.pmxcfs.sync import LostEntry

original, added = tarfile.TarFile.addfile, []

def addfile(archive, *entry):
    if added:
        archive.fileobj.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    original(archive, *entry)
    added.append(entry)

tarfile.TarFile.addfile = addfile
save_lost(Path(sys.argv[1]), [LostEntry(b"f", 8, 5, 1, 0, os.urandom(1 << 20), False)] * 2, 1_700_000_100)
"""
"""A daemon that is killed when half of an archive is written."""


def test_a_half_archive_of_a_killed_daemon_counts_for_nothing_and_goes(tmp_path: Path) -> None:
    kept = [save_lost(tmp_path, LOST, 1_700_000_000 + number) for number in range(KEEP)]
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    [half] = set(tmp_path.iterdir()) - set(kept)
    assert half.stat().st_size > 0
    assert files.kept_files(tmp_path, PREFIX, SUFFIX) == kept

    path = save_lost(tmp_path, LOST, 1_700_000_100)
    assert set(tmp_path.iterdir()) == {*kept[1:], path}


def test_the_newest_are_kept(tmp_path: Path) -> None:
    paths = [save_lost(tmp_path, LOST, 1_700_000_100 + number // 2) for number in range(KEEP + 3)]
    assert len(set(paths)) == KEEP + 3
    assert len(list(tmp_path.iterdir())) == KEEP
    assert paths[-1].exists()


def test_what_was_just_written_stays_when_the_clock_went_back(tmp_path: Path) -> None:
    for number in range(KEEP):
        save_lost(tmp_path, LOST, 1_700_000_100 + number)
    path = save_lost(tmp_path, LOST, 1_600_000_000)
    assert path.exists()
    assert len(list(tmp_path.iterdir())) == KEEP


def test_summary() -> None:
    assert summary(LostEntries(LOST * 4, diverged=True)).endswith("and 3 more")
