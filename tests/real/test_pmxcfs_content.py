"""Content on its way: how many messages it takes, who sees it when, and what removed files keep."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.pmxcfs_calls import create, names, read, write
from tests.real.pmxcfs_world import World, a_world

pytestmark = pytest.mark.real


@pytest.fixture
def world() -> Iterator[World]:
    with a_world() as world:
        world.daemon = world.start("-l")  # type: ignore[attr-defined]
        yield world


def versions(world: World) -> dict[str, int]:
    """Stops the daemon: name to version, the root's under ``__version__``."""
    assert world.stop(world.daemon) == 0  # type: ignore[attr-defined]
    return {os.fsdecode(row[6]): row[2] for row in world.rows()}


def test_a_new_file_costs_two_versions(world: World) -> None:
    write(world.mount / "f", b"x")
    assert versions(world) == {"__version__": 3, "f": 3}


def test_touch_costs_two_versions(world: World) -> None:
    path = world.mount / "f"
    create(path)
    os.utime(path, (1, 1))
    assert versions(world)["__version__"] == 3


def test_atomic_replace_costs_three_versions(world: World) -> None:
    write(world.mount / "f.tmp", b"x")
    (world.mount / "f.tmp").rename(world.mount / "f")
    assert versions(world) == {"__version__": 4, "f": 4}


def test_overwriting_costs_one_version(world: World) -> None:
    write(world.mount / "f", b"first")
    write(world.mount / "f", b"second", os.O_WRONLY | os.O_TRUNC)
    assert read(world.mount / "f") == b"second"
    assert versions(world)["__version__"] == 4


def test_many_small_writes_cost_one_version(world: World) -> None:
    path = world.mount / "f"
    with path.open("wb", buffering=0) as file:
        for number in range(256):
            assert file.write(bytes([number]) * 4096) == 4096
    assert path.read_bytes() == b"".join(bytes([number]) * 4096 for number in range(256))
    assert versions(world)["__version__"] == 3


def test_synchronous_writes_are_sent_one_by_one(world: World) -> None:
    path = world.mount / "f"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_SYNC)
    for _ in range(3):
        os.write(fd, b"x")
    os.close(fd)
    assert versions(world)["__version__"] == 5


def test_fsync_sends_what_there_is(world: World) -> None:
    fd = os.open(world.mount / "f", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"x")
    os.fsync(fd)
    os.write(fd, b"y")
    os.close(fd)
    assert read(world.mount / "f") == b"xy"
    assert versions(world)["__version__"] == 4


def test_other_handles_see_content_at_once(world: World) -> None:
    path = world.mount / "f"
    writer = os.open(path, os.O_WRONLY | os.O_CREAT)
    reader = os.open(path, os.O_RDONLY)
    both = os.open(path, os.O_RDWR)
    os.write(writer, b"hello")
    assert os.pread(reader, 10, 0) == b"hello"
    assert os.pread(both, 10, 0) == b"hello"
    assert path.stat().st_size == 5
    os.pwrite(both, b"J", 0)
    assert os.pread(both, 10, 0) == b"Jello"
    world.wait(lambda: os.pread(reader, 10, 0) == b"Jello", "the reader's page to be dropped")
    os.write(writer, b"!")
    assert read(path) == b"Jello!"
    for fd in (writer, reader, both):
        os.close(fd)


def test_appending_from_two_handles(world: World) -> None:
    path = world.mount / "f"
    one = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    two = os.open(path, os.O_WRONLY | os.O_APPEND)
    for number in range(10):
        os.write((one, two)[number % 2], b"%d" % number)
    os.close(one)
    os.close(two)
    assert read(path) == b"0123456789"


def test_a_file_that_stays_open_is_stored_after_a_while(world: World) -> None:
    fd = os.open(world.mount / "storage.cfg", os.O_WRONLY | os.O_CREAT)

    def counter() -> int:
        count = json.loads((world.mount / ".version").read_text())["storage.cfg"]
        assert isinstance(count, int)
        return count

    before = counter()
    os.write(fd, b"x")
    world.wait(lambda: counter() == before + 1, "the content to be sent")
    os.close(fd)
    assert counter() == before + 1


def test_writes_behind_a_gap(world: World) -> None:
    path = world.mount / "f"
    write(path, b"0123456789")
    fd = os.open(path, os.O_RDWR)
    os.pwrite(fd, b"A", 2)
    os.pwrite(fd, b"B", 7)
    assert os.pread(fd, 20, 0) == b"01A3456B89"
    os.ftruncate(fd, 5)
    assert os.fstat(fd).st_size == 5
    os.pwrite(fd, b"C", 6)
    os.close(fd)
    assert read(path) == b"01A34\0C"


def test_an_empty_file_is_extended_by_real_zeros(world: World) -> None:
    path = world.mount / "f"
    create(path)
    os.truncate(path, 10)
    assert read(path) == bytes(10)
    assert world.stop(world.daemon) == 0  # type: ignore[attr-defined]
    assert [row[7] for row in world.rows() if row[6] == b"f"] == [bytes(10)]


def test_a_removed_open_file_keeps_its_content(world: World) -> None:
    path = world.mount / "f"
    write(path, b"old")
    fd = os.open(path, os.O_RDWR)
    path.unlink()
    assert os.fstat(fd).st_nlink == 0
    write(path, b"new")
    assert os.pread(fd, 10, 0) == b"old"
    os.pwrite(fd, b"OLD!", 0)
    assert os.pread(fd, 10, 0) == b"OLD!"
    os.close(fd)
    assert read(path) == b"new"


def test_a_replaced_open_file_keeps_its_content(world: World) -> None:
    write(world.mount / "f", b"old")
    write(world.mount / "g", b"new")
    with (world.mount / "f").open("rb") as file:
        (world.mount / "g").rename(world.mount / "f")
        assert file.read() == b"old"
    assert read(world.mount / "f") == b"new"


def test_a_file_moved_to_a_private_place_is_private(world: World) -> None:
    (world.mount / "priv").mkdir()
    path = world.mount / "f"
    write(path, b"x")
    assert path.stat().st_mode & 0o777 == 0o640
    path.rename(world.mount / "priv/f")
    world.wait(lambda: (world.mount / "priv/f").stat().st_mode & 0o777 == 0o600, "the mode to follow")


def test_listings_follow_changes(world: World) -> None:
    directory = world.mount / "d"
    directory.mkdir()
    wanted = {f"file{number}" for number in range(1000)}
    for name in wanted:
        create(directory / name)
    assert set(names(directory)) == wanted
    for name in sorted(wanted)[::2]:
        (directory / name).unlink()
    assert set(names(directory)) == set(sorted(wanted)[1::2])
    assert not (directory / "late").exists()
    create(directory / "late")
    assert (directory / "late").exists()
    assert "late" in names(directory)


def test_many_threads(world: World) -> None:
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(20):
                path = world.mount / f"t{number}-{turn}"
                write(path, bytes([turn]) * 100)
                path.rename(world.mount / f"u{number}")
                assert read(world.mount / f"u{number}", 200) == bytes([turn]) * 100
        except BaseException as error:  # noqa: BLE001 - handed to the main thread
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert sorted(name for name in names(world.mount) if name[0] == "u") == [f"u{n}" for n in range(8)]


def test_exactly_one_of_many_gets_the_lock(world: World) -> None:
    (world.mount / "priv").mkdir()
    (world.mount / "priv/lock").mkdir()
    for turn in range(20):
        path = world.mount / f"priv/lock/l{turn}"
        winners: list[int] = []

        def take(number: int, path: Path = path, winners: list[int] = winners) -> None:
            try:
                path.mkdir()
            except FileExistsError:
                return
            winners.append(number)

        threads = [threading.Thread(target=take, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(winners) == 1


def test_statfs_counts(world: World) -> None:
    before = os.statvfs(world.mount)
    assert (before.f_bsize, before.f_blocks, before.f_files, before.f_namemax) == (4096, 32768, 262144, 256)
    write(world.mount / "f", bytes(5000))
    after = os.statvfs(world.mount)
    assert before.f_bfree - after.f_bfree == 2
    assert before.f_ffree - after.f_ffree == 1
