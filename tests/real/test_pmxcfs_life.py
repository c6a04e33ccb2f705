"""Start and end of a real pmxcfs, and what a crash leaves (core 1.1-1.3, 3, G5)."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.pmxcfs_calls import write
from tests.real.pmxcfs_world import NODE, World, a_world

pytestmark = pytest.mark.real


@pytest.fixture
def world() -> Iterator[World]:
    with a_world() as world:
        yield world


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_usage_and_exit_codes(world: World) -> None:
    usage = world.run("--help")
    assert usage.returncode == 0
    assert "-l, --local" in usage.stdout
    assert world.run("-x").returncode == 1
    assert world.run("--nothing").returncode == 1
    assert world.run("word").returncode == 255


def test_no_usable_address() -> None:
    with a_world(hosts=f"127.0.0.1 localhost {NODE}\n") as world:
        world.expected.append("loopback addresses only")
        result = world.run("-f", "-l")
        assert result.returncode == 255
        assert "/etc/hosts" in result.stderr


def test_files_and_modes(world: World) -> None:
    daemon = world.start("-l")
    root = world.root
    assert mode_of(root / "var/lib/pve-cluster") == 0o750
    assert mode_of(root / "var/lib/pve-cluster/config.db") == 0o600
    assert mode_of(root / "var/lib/pve-cluster/.pmxcfs.lockfile") == 0o600
    assert mode_of(root / "run/pve-cluster") == 0o750
    assert (root / "run/pve-cluster").stat().st_gid == 33
    assert mode_of(root / "run/pve-cluster.pid") == 0o644
    assert not (root / "run/pve-cluster/cfs-restart-flag").exists()
    assert world.stop(daemon) == 0
    assert not (root / "run/pve-cluster.pid").exists()
    assert mode_of(root / "run/pve-cluster/cfs-restart-flag") == 0o440
    assert (root / "run/pve-cluster/cfs-restart-flag").stat().st_gid == 33


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it_with_everything_stored(world: World, number: int) -> None:
    daemon = world.start("-l")
    fd = os.open(world.mount / "open", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"not closed yet")
    assert world.stop(daemon, number) == 0
    with pytest.raises(OSError, match=r"not connected|abort"):
        os.write(fd, b"more")
    with contextlib.suppress(OSError):
        os.close(fd)
    assert [row[7] for row in world.rows() if row[6] == b"open"] == [b"not closed yet"]


def test_daemonises_and_unmounting_ends_it(world: World) -> None:
    started = world.run("-l")
    assert started.returncode == 0, started.stderr
    pid = int(world.inside("/run/pve-cluster.pid").read_text())
    assert world.mount.is_mount()
    assert os.getsid(pid) == pid
    assert {str(Path(f"/proc/{pid}/fd/{fd}").readlink()) for fd in (0, 1, 2)} == {"/dev/null"}
    (world.mount / "d").mkdir()
    os.kill(pid, signal.SIGTERM)
    world.wait(lambda: not Path(f"/proc/{pid}/exe").exists(), "the daemon to end")
    assert not world.inside("/run/pve-cluster.pid").exists()


def test_failure_after_the_fork_reaches_the_caller(world: World) -> None:
    (world.root / "var/lib/pve-cluster").mkdir(parents=True)
    (world.root / "var/lib/pve-cluster/config.db").write_bytes(b"this is no database, by far" * 100)
    world.expected.append("config.db")
    for options in (["-l"], ["-f", "-l"]):
        result = world.run(*options)
        assert result.returncode == 255
        assert "config.db" in result.stderr
    assert not world.inside("/run/pve-cluster.pid").exists()
    assert not world.mount.is_mount() if world.mount.exists() else True


def test_second_instance_is_refused(world: World) -> None:
    daemon = world.start("-l")
    world.expected.append("another pmxcfs is running")
    second = world.run("-f", "-l")
    assert second.returncode == 255
    assert "another pmxcfs is running" in second.stderr
    write(world.mount / "f", b"the first one still serves")
    assert world.stop(daemon) == 0


def test_killed_and_started_again(world: World) -> None:
    daemon = world.start("-l")
    acknowledged: list[int] = []

    def writes() -> None:
        for number in range(10_000):
            try:
                write(world.mount / f"f{number}", b"%d" % number)
            except OSError:
                return
            acknowledged.append(number)

    writer = threading.Thread(target=writes)
    writer.start()
    world.wait(lambda: len(acknowledged) > 50, "some files")
    daemon.kill()
    daemon.wait()
    writer.join()
    with pytest.raises(OSError, match="not connected"):
        os.statvfs(world.mount)

    daemon = world.start("-l")
    assert any("dead mount" in text for _, text in world.log())
    for number in acknowledged:
        assert (world.mount / f"f{number}").read_bytes() == b"%d" % number
    write(world.mount / "after", b"x")
    assert world.stop(daemon) == 0


def test_a_live_mount_is_left_alone(world: World) -> None:
    world.root.joinpath("etc/pve").mkdir()
    inner = str(world.root / "etc/pve")
    enter = world.command()[:5]
    subprocess.run([*enter, "mount", "-t", "tmpfs", "tmpfs", inner], check=True)
    world.expected.append("already is a mount point")
    result = world.run("-f", "-l")
    assert result.returncode == 255
    assert "unmount it" in result.stderr
    subprocess.run([*enter, "umount", inner], check=True)


def test_imports_corosync_conf_into_a_new_database(world: World) -> None:
    text = b"totem {\n  version: 2\n  cluster_name: t\n  config_version: 4\n}\n"
    (world.root / "etc/corosync/corosync.conf").write_bytes(text)
    daemon = world.start()
    assert (world.mount / "corosync.conf").read_bytes() == text
    assert world.stop(daemon) == 0
    rows = world.rows()
    assert [(row[0], row[2], row[6]) for row in rows] == [(0, 3, b"__version__"), (2, 3, b"corosync.conf")]
    # Not imported again, and not with -l
    (world.root / "etc/corosync/corosync.conf").unlink()
    daemon = world.start()
    # Corosync is started as soon as this daemon serves: the host's copy is there by then.
    assert (world.root / "etc/corosync/corosync.conf").read_bytes() == text
    assert world.stop(daemon) == 0


def test_debug_switch(world: World) -> None:
    daemon = world.start("-l")
    write(world.mount / ".debug", b"1\n", os.O_WRONLY)
    assert (world.mount / ".debug").read_bytes() == b"1\n"
    assert world.stop(daemon) == 0


def test_a_full_disk_makes_it_read_only_until_there_is_room(world: World) -> None:
    state = str(world.root / "var/lib/pve-cluster")
    enter = world.command()[:5]
    subprocess.run([*enter, "mkdir", "-p", state], check=True)
    subprocess.run([*enter, "mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", state], check=True)
    daemon = world.start("-l")
    world.expected.append("database or disk is full|read-only until|cannot write")
    refused = 0
    for number in range(4):
        try:
            write(world.mount / f"f{number}", os.urandom(1 << 20))
        except OSError as error:
            refused = error.errno or 0
            break
    assert refused == errno.EIO
    assert mode_of(world.mount / "f0") == 0o440
    with pytest.raises(OSError, match="Input/output error"):
        (world.mount / "d").mkdir()
    assert len((world.mount / "f0").read_bytes()) == 1 << 20

    subprocess.run([*enter, "mount", "-o", "remount,size=50m", state], check=True)
    world.wait(lambda: mode_of(world.mount / "f0") == 0o640, "the database to take writes again")
    (world.mount / "d").mkdir()
    assert world.stop(daemon) == 0
    copy = world.directory / "config.db"  # SQLite would resolve a path through /proc to our own root
    copy.write_bytes(world.inside("/var/lib/pve-cluster/config.db").read_bytes())
    connection = sqlite3.connect(copy)
    try:
        names = {name for (name,) in connection.execute("SELECT name FROM tree")}
    finally:
        connection.close()
    assert {"f0", "d"} <= names


def test_a_node_is_separated_by_the_manuals_steps(world: World) -> None:
    text = b"totem {\n  version: 2\n  cluster_name: t\n  config_version: 4\n}\n"
    (world.root / "etc/corosync/corosync.conf").write_bytes(text)
    daemon = world.start()
    with pytest.raises(PermissionError):  # a cluster without Corosync: no quorum
        (world.mount / "d").mkdir()
    assert world.stop(daemon) == 0
    daemon = world.start("-l")
    (world.mount / "corosync.conf").unlink()
    (world.root / "etc/corosync/corosync.conf").unlink()
    assert world.stop(daemon) == 0
    daemon = world.start()
    (world.mount / "d").mkdir()
    assert not (world.mount / "corosync.conf").exists()
    assert not (world.root / "etc/corosync/corosync.conf").exists()
    assert world.stop(daemon) == 0


def test_who_reads_the_database_of_a_detached_daemon_harms_nothing(world: World) -> None:
    assert world.run("-l").returncode == 0
    pid = int(world.inside("/run/pve-cluster.pid").read_text())
    write(world.mount / "first", b"1")
    # Another process, since locks of one process do not exclude each other.
    script = (
        "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1]);"
        "print(connection.execute('SELECT count(*) FROM tree').fetchone()[0])"
    )
    database = str(world.root / "var/lib/pve-cluster/config.db")
    reader = subprocess.run(
        ["python3", "-c", script, database], capture_output=True, text=True, timeout=30, check=True
    )
    assert int(reader.stdout) == 2
    write(world.mount / "second", b"2")
    os.kill(pid, signal.SIGTERM)
    world.wait(lambda: not Path(f"/proc/{pid}/exe").exists(), "the daemon to end")
    assert {row[6] for row in world.rows()} == {b"__version__", b"first", b"second"}


def test_a_first_start_that_fails_is_made_again(world: World) -> None:
    """The database is there then, with nothing in it; the host is still to join."""
    text = b"totem {\n  version: 2\n  cluster_name: t\n  config_version: 4\n}\n"
    (world.root / "etc/corosync/corosync.conf").write_bytes(text)
    world.root.joinpath("etc/pve").mkdir()
    inner = str(world.root / "etc/pve")
    enter = world.command()[:5]
    subprocess.run([*enter, "mount", "-t", "tmpfs", "tmpfs", inner], check=True)
    world.expected.append("already is a mount point")
    assert world.run("-f").returncode == 255
    assert world.inside("/var/lib/pve-cluster/config.db").exists()
    subprocess.run([*enter, "umount", inner], check=True)
    daemon = world.start()
    assert (world.mount / "corosync.conf").read_bytes() == text
    assert world.stop(daemon) == 0
    assert [row[6] for row in world.rows()] == [b"__version__", b"corosync.conf"]
