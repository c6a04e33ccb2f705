"""The life of a real mount: mount table, invalidation, interrupts, forgetting, death and end."""

# ruff: noqa: PTH101, PTH108, PTH116, PTH208 - plain calls are tested
from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorate.fuse import (
    InitOptions,
    MountError,
    Negotiated,
    NegotiationError,
    Opcode,
    ReplyRefusedError,
    Session,
    SessionEnded,
    clear_dead_mount,
    replies,
)
from quorate.fuse import session as session_module
from quorate.fuse.abi import ROOT_ID
from quorate.fuse.mountpoint import mounts_at, unmount_lazily
from quorate.fuse.requests import InitIn
from tests.support.memoryfs import MemoryFs
from tests.support.mounted import WAIT, Mounted, mounted
from tests.support.private_mounts import private_mounts

pytestmark = pytest.mark.real


@pytest.fixture(scope="module", autouse=True)
def _namespace() -> Iterator[None]:
    with private_mounts():
        yield


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mounted]:
    with mounted(tmp_path / "mnt") as one:
        yield one


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A file system served by another process."""
    path = tmp_path / "mnt"
    path.mkdir()
    process = start_daemon(path)
    yield process, path
    process.kill()
    process.wait(WAIT)
    assert process.stdout is not None
    process.stdout.close()
    clear_dead_mount(path)


def start_daemon(path: Path, *mode: str) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.memoryfs_daemon", path, *mode],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


# Mounting


def test_mount_table(mount: Mounted) -> None:
    lines = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    assert [line[:4] for line in lines if line[1] == str(mount.path)] == [
        [
            "/dev/fuse",
            str(mount.path),
            "fuse",
            "rw,nosuid,nodev,relatime,user_id=0,group_id=0,default_permissions,allow_other",
        ]
    ]


def test_others_may_enter_and_bits_are_checked() -> None:
    with tempfile.TemporaryDirectory() as outer:  # pytest's own directories let nobody else in
        os.chmod(outer, 0o755)
        with mounted(Path(outer) / "mnt") as mount:
            (mount.path / "open").write_bytes(b"x")
            (mount.path / "secret").write_bytes(b"x")
            os.chmod(mount.path / "open", 0o644)
            os.chmod(mount.path / "secret", 0o600)
            script = f"cat {mount.path}/open && cat {mount.path}/secret"
            result = subprocess.run(
                ["setpriv", "--reuid=33", "--regid=33", "--clear-groups", "sh", "-c", script],
                check=False,
                capture_output=True,
                text=True,
                timeout=WAIT,
            )
            assert result.stdout == "x"
            assert "Permission denied" in result.stderr


def test_mounting_twice_is_refused(mount: Mounted) -> None:
    with pytest.raises(MountError, match="already is a mount point"):
        Session.mount(mount.path)


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_mounting_in_vain_says_why(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "file":
        path.write_bytes(b"")
    with pytest.raises(MountError, match=r"create the directory|must be a directory"):
        Session.mount(path)


def test_without_readdirplus(tmp_path: Path) -> None:
    with mounted(tmp_path / "mnt", init=InitOptions(readdirplus=False)) as mount:
        (mount.path / "f").write_bytes(b"")
        assert os.listdir(mount.path) == ["f"]
        counts = mount.call(lambda: dict(mount.fs.counts))
        assert Opcode.READDIRPLUS not in counts
        assert counts[Opcode.READDIR] > 0


def test_a_failed_negotiation_leaves_no_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(init: InitIn, options: InitOptions) -> tuple[Negotiated, bytes]:
        raise NegotiationError("too old")

    monkeypatch.setattr(session_module, "negotiate", refuse)
    path = tmp_path / "mnt"
    path.mkdir()
    with pytest.raises(NegotiationError, match="too old"):
        Session.mount(path)
    assert mounts_at(path) == []


# What readers see after a change from outside


def changed(mount: Mounted, name: bytes, data: bytes) -> int:
    """Change a file as another node does; its node id."""
    return mount.call(lambda: mount.fs.write_from_outside(ROOT_ID, name, data).nodeid)


def test_cached_data_is_read_without_asking_until_invalidated(mount: Mounted) -> None:
    path = mount.path / "f"
    path.write_bytes(b"old")
    assert path.read_bytes() == b"old"
    reads = mount.call(lambda: mount.fs.counts[Opcode.READ])
    for _ in range(3):
        assert path.read_bytes() == b"old"
    assert mount.call(lambda: mount.fs.counts[Opcode.READ]) == reads

    nodeid = changed(mount, b"f", b"brand new")
    assert path.read_bytes() == b"old", "nobody told the kernel yet"
    mount.session.notify_inval_inode(nodeid)
    assert mount.session.notifications_done(WAIT)
    assert path.read_bytes() == b"brand new"
    assert path.stat().st_size == 9


def test_an_open_reader_sees_the_change(mount: Mounted) -> None:
    path = mount.path / "f"
    path.write_bytes(b"old content")
    fd = os.open(path, os.O_RDONLY)
    assert os.pread(fd, 100, 0) == b"old content"
    nodeid = changed(mount, b"f", b"new")
    mount.session.notify_inval_inode(nodeid)
    assert mount.session.notifications_done(WAIT)
    assert os.pread(fd, 100, 0) == b"new"
    os.close(fd)


def test_attributes_alone(mount: Mounted) -> None:
    path = mount.path / "f"
    path.write_bytes(b"x")
    path.stat()  # after a write the kernel asks once more

    def chmod() -> int:
        assert mount.fs.root.children is not None
        node = mount.fs.root.children[b"f"]
        node.mode = 0o100400
        node.pack()
        return node.nodeid

    nodeid = mount.call(chmod)
    assert path.stat().st_mode == 0o100640
    mount.session.notify_inval_attr(nodeid)
    assert mount.session.notifications_done(WAIT)
    assert path.stat().st_mode == 0o100400


def test_a_new_name_replaces_a_remembered_absence(mount: Mounted) -> None:
    path = mount.path / "late"
    assert not path.exists()
    assert os.listdir(mount.path) == []
    changed(mount, b"late", b"here")
    assert not path.exists(), "nobody told the kernel yet"
    mount.session.notify_inval_entry(ROOT_ID, b"late")
    mount.session.notify_inval_inode(ROOT_ID)
    assert mount.session.notifications_done(WAIT)
    assert path.read_bytes() == b"here"
    assert os.listdir(mount.path) == ["late"]


def test_a_removed_name_goes(mount: Mounted) -> None:
    path = mount.path / "f"
    path.write_bytes(b"x")
    fd = os.open(path, os.O_RDONLY)

    def remove() -> int:
        assert mount.fs.root.children is not None
        nodeid = mount.fs.root.children[b"f"].nodeid
        mount.fs._remove(mount.fs.root, b"f")
        return nodeid

    nodeid = mount.call(remove)
    assert path.exists(), "nobody told the kernel yet"
    mount.session.notify_delete(ROOT_ID, nodeid, b"f")
    assert mount.session.notifications_done(WAIT)
    assert not path.exists()
    assert os.pread(fd, 1, 0) == b"x", "who has it open keeps it"
    os.close(fd)


def test_what_drops_a_cached_listing(mount: Mounted) -> None:
    """INVAL_INODE of the directory does; INVAL_ENTRY only for a name that the kernel holds."""
    assert os.listdir(mount.path) == []
    changed(mount, b"a", b"")
    mount.session.notify_inval_entry(ROOT_ID, b"a")
    mount.session.notify_inval_attr(ROOT_ID)
    assert mount.session.notifications_done(WAIT)
    assert os.listdir(mount.path) == [], "neither an unknown name nor the attributes concern the listing"
    mount.session.notify_inval_inode(ROOT_ID)
    assert mount.session.notifications_done(WAIT)
    assert os.listdir(mount.path) == ["a"]

    os.stat(mount.path / "a")
    changed(mount, b"b", b"")
    mount.session.notify_inval_entry(ROOT_ID, b"a")
    assert mount.session.notifications_done(WAIT)
    assert os.listdir(mount.path) == ["a", "b"]


def test_epoch_makes_every_name_looked_up_again(mount: Mounted) -> None:
    if not mount.session.negotiated.has_epoch:
        pytest.skip("needs Linux 6.16")
    for number in range(5):
        (mount.path / f"f{number}").write_bytes(b"x")
    before = mount.call(lambda: mount.fs.counts[Opcode.LOOKUP])
    for number in range(5):
        (mount.path / f"f{number}").stat()
    assert mount.call(lambda: mount.fs.counts[Opcode.LOOKUP]) == before
    assert mount.session.notify_epoch()
    assert mount.session.notifications_done(WAIT)
    for number in range(5):
        (mount.path / f"f{number}").stat()
    assert mount.call(lambda: mount.fs.counts[Opcode.LOOKUP]) == before + 5


def test_unknown_nodes_and_names_are_no_error(mount: Mounted, caplog: pytest.LogCaptureFixture) -> None:
    mount.session.notify_inval_inode(4711)
    mount.session.notify_inval_entry(ROOT_ID, b"never seen")
    mount.session.notify_delete(ROOT_ID, 4711, b"never seen")
    assert mount.session.notifications_done(WAIT)
    assert not caplog.records
    assert (mount.path / "f").write_bytes(b"still served") == 12


def test_a_notification_for_a_busy_directory_does_not_stop_the_service(mount: Mounted) -> None:
    """The deadlock that the helper threads exist for.

    mkdir waits for us holding the directory's lock, and the invalidation waits for that lock.
    """
    maker = threading.Thread(target=os.mkdir, args=(mount.path / "hold",))
    maker.start()
    mount.wait_for(lambda: bool(mount.fs.held))
    mount.call(lambda: mount.session.notify_inval_entry(ROOT_ID, b"whatever"))
    assert not mount.session.notifications_done(0.2), "the lock is taken"
    # Meanwhile everything else goes on, and other invalidations arrive.
    assert os.statvfs(mount.path).f_blocks == 32768
    mount.call(lambda: mount.session.notify_inval_inode(ROOT_ID))
    mount.wait_for(lambda: mount.session._notifier.inodes.sent == 1)

    def finish() -> bool:
        request = mount.fs.held[0]
        result = mount.fs.mkdir(request, request.body)  # type: ignore[arg-type]
        assert isinstance(result, bytes)
        return mount.session.reply(request.unique, result)

    assert mount.call(finish)
    maker.join(WAIT)
    assert not maker.is_alive()
    assert mount.session.notifications_done(WAIT)
    assert os.listdir(mount.path) == ["hold"]


def test_a_notification_for_a_page_being_read_does_not_stop_the_service(mount: Mounted) -> None:
    """As above with data: a READ keeps its page locked until we answer, and the invalidation waits for it."""
    path = mount.path / "f"
    path.write_bytes(b"old")
    nodeid = mount.call(lambda: next(iter(mount.fs.root.children.values())).nodeid)  # type: ignore[union-attr]
    mount.session.notify_inval_inode(nodeid)
    assert mount.session.notifications_done(WAIT)
    mount.fs.hold_reads = True
    seen: list[bytes] = []
    reader = threading.Thread(target=lambda: seen.append(path.read_bytes()))
    reader.start()
    mount.wait_for(lambda: bool(mount.fs.held))
    changed(mount, b"f", b"new")
    mount.call(lambda: mount.session.notify_inval_inode(nodeid))
    assert not mount.session.notifications_done(0.2), "the page is locked"
    assert os.statvfs(mount.path).f_blocks == 32768

    def finish() -> None:
        mount.fs.hold_reads = False
        for request in mount.fs.held:
            mount.session.reply(request.unique, b"old")

    mount.call(finish)
    reader.join(WAIT)
    assert seen in ([b"old"], [b"new"]), "the read was under way during the change"
    assert mount.session.notifications_done(WAIT)
    assert path.read_bytes() == b"new", "what the read left in the cache went with the invalidation"


# Interrupts


def waiting_mkdir(mount: Mounted, *, name: str = "hold") -> subprocess.Popen[bytes]:
    before = mount.call(lambda: len(mount.fs.held))
    child = subprocess.Popen(["mkdir", mount.path / name], stderr=subprocess.PIPE)
    mount.wait_for(lambda: len(mount.fs.held) > before)
    return child


def end(child: subprocess.Popen[bytes]) -> int:
    code = child.wait(WAIT)
    assert child.stderr is not None
    child.stderr.close()
    return code


def test_a_killed_process_waits_for_its_answer_by_default(mount: Mounted) -> None:
    child = waiting_mkdir(mount)
    child.send_signal(signal.SIGKILL)
    mount.wait_for(lambda: bool(mount.fs.interrupts))
    assert child.poll() is None
    request = mount.call(lambda: mount.fs.interrupts[0])
    assert request.opcode == Opcode.MKDIR

    def finish() -> bool:
        result = mount.fs.mkdir(request, request.body)  # type: ignore[arg-type]
        assert isinstance(result, bytes)
        return mount.session.reply(request.unique, result)

    assert mount.call(finish), "the kernel still waited, and counts the lookup"
    assert end(child) == -signal.SIGKILL
    assert os.listdir(mount.path) == ["hold"]


def test_an_interrupt_may_be_answered_at_once(mount: Mounted) -> None:
    mount.fs.answer_interrupts = True
    child = waiting_mkdir(mount)
    child.send_signal(signal.SIGKILL)
    assert end(child) == -signal.SIGKILL
    request = mount.call(lambda: mount.fs.interrupts[0])
    assert mount.call(lambda: mount.session.in_flight) == 0
    assert not mount.call(lambda: mount.session.waits(request.unique))
    assert not mount.call(lambda: mount.session.reply(request.unique, b"")), "the late answer is dropped"
    assert (mount.path / "f").write_bytes(b"still served") == 12


def test_too_many_waiting_are_told_busy(mount: Mounted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "MAX_IN_FLIGHT", 1)
    child = waiting_mkdir(mount)
    with pytest.raises(OSError, match=rf"^\[Errno {errno.EBUSY}\]"):
        os.statvfs(mount.path)
    assert mount.call(lambda: mount.session.fail_waiting(errno.EACCES)) == 1
    assert end(child) == 1


def test_answers_that_do_not_fit_are_the_callers_fault(mount: Mounted) -> None:
    child = waiting_mkdir(mount)
    request = mount.call(lambda: mount.fs.held[0])
    with pytest.raises(ReplyRefusedError, match="size or errno"):
        mount.call(lambda: mount.session.reply(request.unique, b"no entry record"))
    assert end(child) == 1
    assert not mount.call(lambda: mount.session.error(request.unique, errno.EIO)), "answered already"


# Forgetting


def test_lookups_are_all_forgotten(mount: Mounted) -> None:
    def all_forgotten() -> bool:
        return all(node.lookups == 0 for node in mount.fs.nodes.values() if node is not mount.fs.root)

    for number in range(50):
        (mount.path / f"f{number}").write_bytes(b"x")
    with os.scandir(mount.path) as entries:
        assert sum(entry.stat().st_size for entry in entries) == 50
    assert not mount.call(all_forgotten)
    for number in range(0, 50, 2):
        os.unlink(mount.path / f"f{number}")
    mount.wait_for(lambda: len(mount.fs.nodes) == 26)
    for number in range(50):
        mount.session.notify_inval_entry(ROOT_ID, b"f%d" % number)
    mount.wait_for(all_forgotten)
    assert len(os.listdir(mount.path)) == 25


# Death and end


def test_a_dead_mount_is_taken_away(daemon: tuple[subprocess.Popen[str], Path]) -> None:
    process, path = daemon
    (path / "f").write_bytes(b"x")
    os.stat(path)
    process.kill()
    process.wait(WAIT)
    with pytest.raises(OSError, match=rf"^\[Errno {errno.ENOTCONN}\]"):
        (path / "f").read_bytes()
    os.stat(path)  # answered from the attribute cache: no way to tell a dead mount
    assert clear_dead_mount(path) == 1
    assert mounts_at(path) == []
    assert clear_dead_mount(path) == 0
    assert os.listdir(path) == []


def test_a_daemon_killed_while_a_notice_waits_for_its_own_client_ends(tmp_path: Path) -> None:
    """Without the guardian neither of them would ever end, and no new daemon could start."""
    path = tmp_path / "mnt"
    path.mkdir()
    daemon = start_daemon(path, "guarded")
    client = subprocess.Popen(["mkdir", path / "hold"], stderr=subprocess.PIPE)
    try:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == "held\n"
        daemon.kill()
        assert end(client) != 0
        daemon.wait(WAIT)
    finally:
        ctypes.CDLL(None).umount2(os.fsencode(path), 1)  # or what failed here would stay for ever
        client.kill()
        daemon.wait(WAIT)
        assert daemon.stdout is not None
        daemon.stdout.close()
        clear_dead_mount(path)


def test_stacked_dead_mounts_are_all_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "mnt"
    path.mkdir()
    for _ in range(3):
        fd = os.open("/dev/fuse", os.O_RDWR)
        assert subprocess.run(
            [
                "mount",
                "-i",
                "-t",
                "fuse",
                "-o",
                f"fd={fd},rootmode=40000,user_id=0,group_id=0",
                "/dev/fuse",
                path,
            ],
            check=True,
            pass_fds=[fd],
            timeout=WAIT,
        )
        os.close(fd)
    assert len(mounts_at(path)) == 3
    assert clear_dead_mount(path) == 3
    assert mounts_at(path) == []


def test_a_live_mount_is_left_alone(daemon: tuple[subprocess.Popen[str], Path]) -> None:
    _, path = daemon
    (path / "f").write_bytes(b"x")
    with pytest.raises(MountError, match="does another instance run"):
        clear_dead_mount(path)
    assert (path / "f").read_bytes() == b"x"


def test_a_hanging_mount_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.fuse.mountpoint.PROBE_SECONDS", 0.2)
    path = tmp_path / "mnt"
    path.mkdir()
    with Session.mount(path):  # nobody serves it
        with pytest.raises(MountError, match="does not answer"):
            clear_dead_mount(path)
        assert len(mounts_at(path)) == 1
    assert mounts_at(path) == []


def test_restart_after_sigkill(daemon: tuple[subprocess.Popen[str], Path]) -> None:
    process, path = daemon
    process.kill()
    process.wait(WAIT)
    again = start_daemon(path)
    (path / "f").write_bytes(b"served anew")
    assert (path / "f").read_bytes() == b"served anew"
    again.send_signal(signal.SIGTERM)
    assert again.wait(WAIT) == 0
    assert again.stdout is not None
    again.stdout.close()
    assert mounts_at(path) == []


def test_unmounted_from_outside(daemon: tuple[subprocess.Popen[str], Path]) -> None:
    process, path = daemon
    (path / "f").write_bytes(b"x")
    subprocess.run(["umount", path], check=True, timeout=WAIT)
    assert process.wait(WAIT) == 3


def test_sigterm_while_busy(daemon: tuple[subprocess.Popen[str], Path]) -> None:
    """An open file and a working directory do not keep the daemon; their holders get errors, not a hang."""
    process, path = daemon
    (path / "f").write_bytes(b"x")
    fd = os.open(path / "f", os.O_RDWR)
    child = subprocess.Popen(["sleep", "60"], cwd=path)
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT) == 0
    assert mounts_at(path) == []
    with pytest.raises(OSError, match=rf"^\[Errno ({errno.ENOTCONN}|{errno.ECONNABORTED})\]"):
        os.write(fd, b"y")
    with pytest.raises(OSError, match=rf"^\[Errno ({errno.ENOTCONN}|{errno.ECONNABORTED})\]"):
        os.close(fd)
    child.kill()
    child.wait(WAIT)


def test_lazy_unmount_serves_on(mount: Mounted) -> None:
    path = mount.path / "f"
    path.write_bytes(b"x")
    fd = os.open(path, os.O_RDWR)
    mount.call(mount.session.unmount)
    mount.call(mount.session.unmount)
    assert mounts_at(mount.path) == []
    os.pwrite(fd, b"y", 0)
    assert os.pread(fd, 1, 0) == b"y"
    os.close(fd)
    # The last user is gone: the kernel ends the session.
    mount.thread.join(WAIT)
    assert isinstance(mount.ended, SessionEnded)
    assert "was unmounted" in str(mount.ended)


def test_unmount_leaves_another_mount_at_the_same_place_alone(tmp_path: Path) -> None:
    path = tmp_path / "mnt"
    path.mkdir()
    with Session.mount(path) as session:
        subprocess.run(["mount", "-t", "tmpfs", "over", path], check=True, timeout=WAIT)
        session.unmount()
        assert [one.fstype for one in mounts_at(path)] == ["fuse", "tmpfs"]
        unmount_lazily(path)
    unmount_lazily(path)


def test_close_with_waiting_requests_and_stuck_notification(mount: Mounted) -> None:
    """A process waits, a notification hangs behind it: the end is bounded all the same."""
    child = waiting_mkdir(mount)
    mount.call(lambda: mount.session.notify_inval_entry(ROOT_ID, b"x"))
    assert not mount.session.notifications_done(0.1)
    mount.stop()
    assert end(child) == 1
    assert mounts_at(mount.path) == []
    assert not any(thread.name.startswith("fuse-notify") for thread in threading.enumerate())


def test_aborted_connection_says_so(tmp_path: Path) -> None:
    path = tmp_path / "mnt"
    path.mkdir()
    with Session.mount(path) as session:
        unmount_lazily(path, force=True)
        with pytest.raises(SessionEnded, match=r"was aborted|was unmounted"):
            session.receive()
        with pytest.raises(SessionEnded):
            session.receive()


def test_requests_by_hand(tmp_path: Path) -> None:
    """receive() and reply() without an Operations object."""
    path = tmp_path / "mnt"
    path.mkdir()
    with Session.mount(path) as session:
        assert session.receive() is None
        seen: list[os.statvfs_result] = []
        client = threading.Thread(target=lambda: seen.append(os.statvfs(path)))
        client.start()
        request = None
        while request is None:
            request = session.receive()
        assert request.opcode == Opcode.STATFS
        assert (request.uid, session.in_flight) == (0, 1)
        answer = replies.statfs_out(blocks=7, free=1, available=1, files=1, files_free=1)
        assert session.reply(request.unique, answer[:8], answer[8:])
        client.join(WAIT)
        assert seen[0].f_blocks == 7
        assert session.in_flight == 0


def test_direct_and_cached_files_in_the_daemon(tmp_path: Path) -> None:
    with mounted(tmp_path / "mnt", MemoryFs(keep_cache=False)) as mount:
        (mount.path / "f").write_bytes(b"x")
        for turn in range(1, 4):
            assert (mount.path / "f").read_bytes() == b"x"
            assert mount.call(lambda: mount.fs.counts[Opcode.READ]) >= turn, "direct: always asked"
