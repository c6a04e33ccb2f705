"""Every system call of our matrix against a small file system in memory, through a real mount."""

# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108, PTH115, PTH116, PTH208, PTH211 - plain calls are tested
from __future__ import annotations

import ctypes
import errno
import fcntl
import itertools
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorate.fuse import Opcode
from tests.support.memoryfs import LARGEST_FILE, MemoryFs
from tests.support.mounted import WAIT, Mounted, mounted
from tests.support.private_mounts import private_mounts

pytestmark = pytest.mark.real

_libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture(scope="module", autouse=True)
def _namespace() -> Iterator[None]:
    with private_mounts():
        yield


@pytest.fixture(params=["cached", "direct"])
def mount(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mounted]:
    with mounted(tmp_path / "mnt", MemoryFs(keep_cache=request.param == "cached")) as one:
        yield one


def refused(code: int) -> pytest.RaisesContext[OSError]:  # type: ignore[name-defined]
    return pytest.raises(OSError, match=rf"^\[Errno {code}\]")


def test_open_flags(mount: Mounted) -> None:
    """Presence × access × O_CREAT × O_EXCL × O_TRUNC × O_APPEND against what open(2) says."""
    path = mount.path / "file"
    options = (os.O_CREAT, os.O_EXCL, os.O_TRUNC, os.O_APPEND)
    combinations = list(
        itertools.product((False, True), (os.O_WRONLY, os.O_RDWR), *((0, one) for one in options))
    )
    assert len(combinations) == 64
    for present, access, create, exclusive, truncate, append in combinations:
        if exclusive and not create:
            continue  # undefined by POSIX
        if path.exists():
            os.unlink(path)
        if present:
            path.write_bytes(b"before")
        flags = access | create | exclusive | truncate | append
        if not present and not create:
            with refused(errno.ENOENT):
                os.open(path, flags)
            continue
        if present and exclusive:
            with refused(errno.EEXIST):
                os.open(path, flags)
            assert path.read_bytes() == b"before"
            continue
        fd = os.open(path, flags, 0o640)
        os.write(fd, b"new")
        os.close(fd)
        if not present or truncate:
            expected = b"new"
        else:
            expected = b"beforenew" if append else b"newore"
        assert path.read_bytes() == expected, flags
        assert path.stat().st_size == len(expected)


def test_reading_at_and_behind_the_end(mount: Mounted) -> None:
    (mount.path / "f").write_bytes(b"0123456789")
    fd = os.open(mount.path / "f", os.O_RDONLY)
    assert os.read(fd, 4) == b"0123"
    assert os.pread(fd, 100, 8) == b"89"
    assert os.pread(fd, 10, 10) == b""
    assert os.pread(fd, 10, 5000) == b""
    with refused(errno.EBADF):
        os.write(fd, b"x")
    os.close(fd)


def test_pwrite_leaves_zeros_in_holes(mount: Mounted) -> None:
    fd = os.open(mount.path / "f", os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, b"end", 9000)
    assert os.fstat(fd).st_size == 9003
    assert os.pread(fd, 10000, 0) == bytes(9000) + b"end"
    os.pwrite(fd, b"start", 3)
    assert os.pread(fd, 10, 0) == b"\0\0\0start\0\0"
    os.close(fd)


def test_a_partial_page_is_visible_to_another_reader_at_once(mount: Mounted) -> None:
    writer = os.open(mount.path / "f", os.O_WRONLY | os.O_CREAT)
    reader = os.open(mount.path / "f", os.O_RDONLY)
    whole = b""
    for size in (1, 100, 4095, 4096, 4097, 10):
        piece = bytes([size % 251]) * size
        os.write(writer, piece)
        whole += piece
        assert os.pread(reader, 100_000, 0) == whole
    os.close(writer)
    os.close(reader)


def test_a_mebibyte_in_one_request(mount: Mounted) -> None:
    data = os.urandom(LARGEST_FILE)
    before = mount.call(lambda: mount.fs.counts[Opcode.WRITE])
    fd = os.open(mount.path / "f", os.O_WRONLY | os.O_CREAT)
    assert os.write(fd, data) == LARGEST_FILE
    os.close(fd)
    requests = mount.call(lambda: mount.fs.counts[Opcode.WRITE]) - before
    assert requests <= 2, "an unaligned user buffer may take one page more"
    assert (mount.path / "f").read_bytes() == data


def test_too_large_is_refused(mount: Mounted) -> None:
    fd = os.open(mount.path / "f", os.O_RDWR | os.O_CREAT)
    with refused(errno.EFBIG):
        os.pwrite(fd, b"x", LARGEST_FILE)
    with refused(errno.EFBIG):
        os.ftruncate(fd, LARGEST_FILE + 1)
    os.close(fd)


def test_truncate(mount: Mounted) -> None:
    path = mount.path / "f"
    path.write_bytes(b"0123456789")
    os.truncate(path, 4)
    assert path.read_bytes() == b"0123"
    os.truncate(path, 6)
    assert path.read_bytes() == b"0123\0\0"
    fd = os.open(path, os.O_RDWR)
    os.ftruncate(fd, 0)
    assert os.fstat(fd).st_size == 0
    os.close(fd)
    assert path.read_bytes() == b""


def test_attributes(mount: Mounted) -> None:
    path = mount.path / "f"
    path.write_bytes(b"abc")
    os.chmod(path, 0o600)
    os.utime(path, (100, 200))
    seen = os.stat(path)
    assert stat.S_IMODE(seen.st_mode) == 0o600
    assert (seen.st_mtime, seen.st_size, seen.st_nlink) == (200, 3, 1)
    os.utime(path, ns=(0, 300_123_456_789))
    assert os.stat(path).st_mtime_ns == 300_000_000_000, "whole seconds, as negotiated"


def test_directories(mount: Mounted) -> None:
    os.mkdir(mount.path / "d")
    with refused(errno.EEXIST):
        os.mkdir(mount.path / "d")
    with refused(errno.ENOENT):
        os.mkdir(mount.path / "missing" / "d")
    (mount.path / "d" / "f").write_bytes(b"")
    with refused(errno.ENOTDIR):
        os.mkdir(mount.path / "d" / "f" / "x")
    with refused(errno.ENOTEMPTY):
        os.rmdir(mount.path / "d")
    with refused(errno.EISDIR):
        os.unlink(mount.path / "d")
    with refused(errno.ENOTDIR):
        os.rmdir(mount.path / "d" / "f")
    os.unlink(mount.path / "d" / "f")
    os.rmdir(mount.path / "d")
    assert os.listdir(mount.path) == []


def test_negative_names_are_remembered_and_replaced(mount: Mounted) -> None:
    path = mount.path / "absent"
    for _ in range(3):
        with refused(errno.ENOENT):
            os.stat(path)
    assert mount.call(lambda: mount.fs.counts[Opcode.LOOKUP]) == 1
    path.write_bytes(b"now")
    assert path.read_bytes() == b"now"
    os.unlink(path)
    assert not path.exists()


def test_rename(mount: Mounted) -> None:
    a, b, d = mount.path / "a", mount.path / "b", mount.path / "d"
    os.mkdir(d)
    a.write_bytes(b"a")
    os.rename(a, b)
    assert (a.exists(), b.read_bytes()) == (False, b"a")
    os.rename(b, d / "c")
    assert (d / "c").read_bytes() == b"a"
    b.write_bytes(b"b")
    os.rename(b, d / "c")
    assert (d / "c").read_bytes() == b"b"
    assert not b.exists()
    with refused(errno.EISDIR):
        a.write_bytes(b"")
        os.rename(a, d)
    with refused(errno.ENOTDIR):
        os.rename(d, a)
    with refused(errno.EINVAL):
        os.rename(d, d / "below")
    with refused(errno.ENOENT):
        os.rename(mount.path / "missing", b)


def test_rename_with_flags(mount: Mounted) -> None:
    a, b = mount.path / "a", mount.path / "b"
    a.write_bytes(b"")
    b.write_bytes(b"")

    def rename2(new: Path, flags: int) -> int:
        result = _libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(new), flags)
        return 0 if result == 0 else ctypes.get_errno()

    no_replace, exchange, whiteout = 1, 2, 4
    assert rename2(b, no_replace) == errno.EEXIST
    assert rename2(mount.path / "new", no_replace) == errno.EINVAL
    assert rename2(b, exchange) == errno.EINVAL
    assert rename2(b, whiteout) == errno.EINVAL
    assert rename2(mount.path / "new", 0) == 0


def test_an_unlinked_open_file_lives_on(mount: Mounted) -> None:
    path = mount.path / "f"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.write(fd, b"still here")
    os.unlink(path)
    assert not path.exists()
    assert os.pread(fd, 100, 0) == b"still here"
    os.pwrite(fd, b"STILL", 0)
    assert os.pread(fd, 100, 0) == b"STILL here"
    assert os.fstat(fd).st_nlink == 0
    os.close(fd)
    # The kernel forgets it: nothing is left behind in the file system.
    mount.wait_for(lambda: len(mount.fs.nodes) == 1 and not mount.fs.handles)


def test_refusals(mount: Mounted) -> None:
    path = mount.path / "f"
    path.write_bytes(b"x")
    with refused(errno.ENOSYS):
        os.symlink("x", mount.path / "s")
    with refused(errno.EPERM):
        os.link(path, mount.path / "l")
    with refused(errno.ENOSYS):
        os.mkfifo(mount.path / "p")
    for _ in range(2):  # the second time the kernel decides alone
        with refused(errno.EOPNOTSUPP):
            os.setxattr(path, "user.a", b"b")
        with refused(errno.EOPNOTSUPP):
            os.getxattr(path, "user.a")
        with refused(errno.EOPNOTSUPP):
            os.listxattr(path)
        with refused(errno.EOPNOTSUPP):
            os.removexattr(path, "user.a")
        with refused(errno.EOPNOTSUPP):
            os.open(mount.path, os.O_TMPFILE | os.O_RDWR)
        fd = os.open(path, os.O_RDWR)
        assert _libc.fallocate(fd, 0, ctypes.c_long(0), ctypes.c_long(10)) == -1
        assert ctypes.get_errno() == errno.EOPNOTSUPP
        with refused(errno.ENOTTY):
            fcntl.ioctl(fd, 0x80086601, bytearray(8))
        os.fsync(fd)
        os.close(fd)
    os.mknod(mount.path / "regular", stat.S_IFREG | 0o600)
    assert (mount.path / "regular").is_file()


def test_long_names(mount: Mounted) -> None:
    """Kernels since 6.13 pass names beyond 1024 bytes on; they are refused all the same."""
    longest = os.fsencode(mount.path) + b"/" + b"n" * 1024
    fd = os.open(longest, os.O_WRONLY | os.O_CREAT)
    os.close(fd)
    assert os.stat(longest).st_size == 0
    with refused(errno.ENAMETOOLONG):
        os.stat(longest + b"n")
    with refused(errno.ENAMETOOLONG):
        os.open(longest + b"n", os.O_WRONLY | os.O_CREAT)
    with refused(errno.ENAMETOOLONG):
        os.mkdir(longest + b"n")
    assert mount.call(lambda: mount.session.malformed) == 0


def test_locks_are_local(mount: Mounted) -> None:
    path = mount.path / "f"
    path.write_bytes(b"x")
    with path.open("r+b") as one, path.open("r+b") as two:
        fcntl.flock(one, fcntl.LOCK_EX)
        with refused(errno.EWOULDBLOCK):
            fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(one, fcntl.LOCK_EX)


def test_symlink_is_cached(tmp_path: Path) -> None:
    fs = MemoryFs()
    fs.add_symlink(b"local", b"nodes/n1")
    with mounted(tmp_path / "mnt", fs) as mount:
        for _ in range(3):
            assert os.readlink(mount.path / "local") == "nodes/n1"
        assert mount.call(lambda: fs.counts[Opcode.READLINK]) == 1
        with refused(errno.EINVAL):
            (mount.path / "f").write_bytes(b"")
            os.readlink(mount.path / "f")


@pytest.mark.parametrize("count", [300, 5000])
def test_big_directories(mount: Mounted, count: int) -> None:
    directory = mount.path / "d"
    os.mkdir(directory)

    def fill() -> None:
        nodeid = next(iter(mount.fs.root.children.values())).nodeid  # type: ignore[union-attr]
        for number in range(count):
            mount.fs.write_from_outside(nodeid, b"file-%05d" % number, b"x")
        mount.session.notify_inval_inode(nodeid)

    mount.call(fill)
    assert mount.session.notifications_done(WAIT)
    names = sorted(os.listdir(directory))
    assert names == [f"file-{number:05}" for number in range(count)]
    with os.scandir(directory) as entries:
        sizes = [entry.stat().st_size for entry in entries if entry.is_file()]
    assert sizes == [1] * count


def test_directory_offsets(mount: Mounted) -> None:
    """telldir, seekdir and rewinddir see each entry once."""
    for number in range(500):
        (mount.path / f"f{number:03}").write_bytes(b"")
    _libc.opendir.restype = _libc.readdir.restype = ctypes.c_void_p
    _libc.telldir.restype = ctypes.c_long
    for function in (_libc.readdir, _libc.telldir, _libc.rewinddir, _libc.closedir):
        function.argtypes = (ctypes.c_void_p,)
    _libc.seekdir.argtypes = (ctypes.c_void_p, ctypes.c_long)
    stream = _libc.opendir(os.fsencode(mount.path))

    def name() -> str | None:
        record = _libc.readdir(stream)
        return None if not record else ctypes.string_at(record + 19).decode()

    first = [name() for _ in range(250)]
    place = _libc.telldir(stream)
    rest = list(iter(name, None))
    _libc.seekdir(stream, place)
    assert list(iter(name, None)) == rest
    _libc.rewinddir(stream)
    again = list(iter(name, None))
    _libc.closedir(stream)
    assert again == first + rest
    assert sorted(filter(None, again)) == sorted([".", "..", *(f"f{number:03}" for number in range(500))])


def test_many_threads(mount: Mounted) -> None:
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            directory = mount.path / f"t{number}"
            os.mkdir(directory)
            for turn in range(20):
                path = directory / f"f{turn}"
                path.write_bytes(b"%d-%d" % (number, turn) * 50)
                os.rename(path, directory / f"g{turn}")
                assert (directory / f"g{turn}").read_bytes() == b"%d-%d" % (number, turn) * 50
                assert len(os.listdir(directory)) == turn + 1
                (mount.path / "shared").write_bytes(b"s" * 10)
            for turn in range(20):
                os.unlink(directory / f"g{turn}")
            os.rmdir(directory)
        except (OSError, AssertionError) as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert not any(one.is_alive() for one in threads)
    assert faults == []
    assert os.listdir(mount.path) == ["shared"]
    assert mount.call(lambda: mount.session.in_flight) == 0


def test_mkdir_is_won_by_one(mount: Mounted) -> None:
    won: list[int] = []
    barrier = threading.Barrier(8)

    def race(number: int) -> None:
        for turn in range(20):
            barrier.wait(WAIT)
            try:
                os.mkdir(mount.path / f"lock{turn}")
            except FileExistsError:
                continue
            won.append(turn)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert sorted(won) == list(range(20))


MMAP = """
import mmap, os, sys
path, shared = sys.argv[1], sys.argv[2] == "shared"
fd = os.open(path, os.O_RDWR)
try:
    m = mmap.mmap(fd, 0, flags=mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE)
except OSError as fault:
    print("errno", fault.errno)
    sys.exit(0)
print(m[:5].decode())
if shared:
    m[:5] = b"MMAP!"
    m.flush()
m.close()
os.close(fd)
"""


def run_mmap(path: Path, kind: str) -> str:
    # A process of its own: a page fault in this one would keep the interpreter from answering it.
    result = subprocess.run(
        [sys.executable, "-c", MMAP, path, kind], check=True, capture_output=True, text=True, timeout=WAIT
    )
    return result.stdout.strip()


def test_mmap_through_the_page_cache(tmp_path: Path) -> None:
    with mounted(tmp_path / "mnt", MemoryFs(keep_cache=True)) as mount:
        path = mount.path / "f"
        path.write_bytes(b"bytes of a file")
        assert run_mmap(path, "private") == "bytes"
        assert run_mmap(path, "shared") == "bytes"
        assert path.read_bytes() == b"MMAP! of a file"
        assert mount.call(lambda: bytes(next(iter(mount.fs.root.children.values())).data)) == (  # type: ignore[union-attr]
            b"MMAP! of a file"
        )


def test_mmap_with_direct_io(tmp_path: Path) -> None:
    with mounted(tmp_path / "mnt", MemoryFs(keep_cache=False)) as mount:
        path = mount.path / "f"
        path.write_bytes(b"bytes of a file")
        assert run_mmap(path, "private") == "bytes"
        assert run_mmap(path, "shared") == f"errno {errno.ENODEV}"


def test_copying_and_sparse_files(mount: Mounted) -> None:
    (mount.path / "a").write_bytes(b"0123456789")
    source = os.open(mount.path / "a", os.O_RDONLY)
    target = os.open(mount.path / "b", os.O_RDWR | os.O_CREAT)
    assert os.copy_file_range(source, target, 10) == 10
    assert os.pread(target, 20, 0) == b"0123456789"
    assert os.lseek(target, 3, os.SEEK_DATA) == 3
    assert os.lseek(target, 0, os.SEEK_HOLE) == 10
    os.close(source)
    os.close(target)


def test_statfs(mount: Mounted) -> None:
    seen = os.statvfs(mount.path)
    assert (seen.f_bsize, seen.f_blocks, seen.f_bfree, seen.f_namemax) == (4096, 32768, 32000, 256)
    assert (seen.f_files, seen.f_ffree) == (262144, 262000)
