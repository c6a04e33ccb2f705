"""Files of the host are replaced whole, with mode and owner, never through a link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from quorate.cluster.host import ClusterError, Host
from quorate.cluster.locks import local_lock
from quorate.host import files
from quorate.host.files import (
    HostFileError,
    changing,
    check_digest,
    digest_of,
    read_file,
    replace_file,
    replace_link,
)
from quorate.settings import Settings


def test_content_is_new_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("old")
    path.chmod(0o640)
    before = path.stat()
    replace_file(path, b"new")
    after = path.stat()
    assert path.read_bytes() == b"new"
    assert after.st_ino != before.st_ino  # another file took its name: nobody ever saw half of it
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_owner_stays_or_is_that_of_the_example(tmp_path: Path) -> None:
    path, other = tmp_path / "interfaces", tmp_path / "interfaces.new"
    path.write_text("x")
    os.chown(path, 7, 8)
    replace_file(path, b"y")
    assert (path.stat().st_uid, path.stat().st_gid) == (7, 8)
    replace_file(other, b"z", like=path)
    assert (other.stat().st_uid, other.stat().st_gid) == (7, 8)


def test_a_new_file_can_be_read_by_all(tmp_path: Path) -> None:
    replace_file(tmp_path / "new", b"x", like=tmp_path / "absent")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o644


def test_links_are_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "stub-resolv.conf"
    target.write_text("theirs")
    link = tmp_path / "resolv.conf"
    link.symlink_to(target)
    with pytest.raises(HostFileError, match=r"it is a link to '.*stub-resolv.conf', which another program"):
        replace_file(link, b"ours")
    assert target.read_text() == "theirs"


def test_what_fails_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hosts"
    path.write_text("old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostFileError, match=r"unable to write '.*hosts' - No space left on device"):
        replace_file(path, b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_size_is_bounded_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    replace_file(path, b"x" * files.MAX_FILE)
    assert len(read_file(path)) == files.MAX_FILE
    with pytest.raises(HostFileError, match="more than 262144 bytes"):
        replace_file(path, b"x" * (files.MAX_FILE + 1))
    path.write_bytes(b"x" * (files.MAX_FILE + 1))
    with pytest.raises(HostFileError, match="more than 262144 bytes"):
        read_file(path)
    assert read_file(tmp_path / "absent") == b""
    with pytest.raises(HostFileError, match="unable to read"):
        read_file(tmp_path)


def test_a_link_replaces_whatever_there_was(tmp_path: Path) -> None:
    path = tmp_path / "localtime"
    path.write_text("a copy")
    replace_link(path, "/usr/share/zoneinfo/UTC")
    replace_link(path, "/usr/share/zoneinfo/Europe/Vienna")
    assert path.readlink() == Path("/usr/share/zoneinfo/Europe/Vienna")
    with pytest.raises(HostFileError, match="unable to write"):
        replace_link(tmp_path / "absent" / "localtime", "x")


def test_digest_of_another_content_is_refused() -> None:
    check_digest(b"x", None)
    check_digest(b"x", digest_of(b"x").upper())
    with pytest.raises(HostFileError, match="detected modified configuration"):
        check_digest(b"x", digest_of(b"y"))


def test_changes_are_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(root=tmp_path)
    with changing(settings), pytest.raises(ClusterError, match="got timeout"):  # noqa: SIM117
        with local_lock(Host(settings=settings), settings.host_files_lock, timeout=0):
            pass
