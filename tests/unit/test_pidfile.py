"""A daemon's PID file and lock."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from quorate.pidfile import AlreadyRunningError, only_one


def test_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    path.write_text("999999\n")  # of one that was killed
    with only_one(path):
        assert path.read_text() == f"{os.getpid()}\n"
        with pytest.raises(AlreadyRunningError, match=f"as process {os.getpid()}"), only_one(path):
            pytest.fail("a second one")
        assert path.exists()
    assert not path.exists()
    with only_one(path):
        assert path.exists()


def test_programs_that_it_starts_do_not_keep_the_lock(tmp_path: Path) -> None:
    with only_one(tmp_path / "x.pid"):
        locks = [fd for fd in Path("/proc/self/fd").iterdir() if _target(fd).name == "x.pid.lock"]
        assert [os.get_inheritable(int(fd.name)) for fd in locks] == [False]


def _target(link: Path) -> Path:
    try:
        return link.readlink()
    except FileNotFoundError:
        return Path()  # of the listing itself


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "x.pid.lock").symlink_to("elsewhere")
    with pytest.raises(OSError, match=r"x\.pid\.lock"), only_one(tmp_path / "x.pid"):
        pytest.fail("it followed the link")
    assert not (tmp_path / "elsewhere").exists()
