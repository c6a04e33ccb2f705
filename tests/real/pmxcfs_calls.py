"""The system calls of the recorded section "fuse", by the names used there, in the same order."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.real.pmxcfs_world import World, outcome

WWW_DATA = 33
NOBODY = 65534
MIB = 1 << 20
NS = 1_000_000_000
UTIME_NOW = (1 << 30) - 1
UTIME_OMIT = (1 << 30) - 2

_libc = ctypes.CDLL(None, use_errno=True)

Call = tuple[str, Callable[[], object]]


def names(directory: Path) -> list[str]:
    """What a listing shows."""
    return [path.name for path in directory.iterdir()]


def show(path: Path, *, whole: bool = True) -> str:
    """stat as recorded; times of the last minutes become ``<now>``."""
    status = path.lstat()
    if not whole:
        return f"mode={status.st_mode:o} "
    words = [f"mode={status.st_mode:o}", f"nlink={status.st_nlink}", f"uid={status.st_uid}"]
    words += [f"gid={status.st_gid}", f"size={status.st_size}", f"blocks={status.st_blocks}"]
    for name in ("mtime", "atime", "ctime"):
        value = int(getattr(status, f"st_{name}"))
        words.append(f"{name}={'<now>' if abs(value - time.time()) < 600 else value}")
    words.append(f"blksize={status.st_blksize}")
    return " ".join(words)


def write(path: Path, data: bytes, flags: int = os.O_WRONLY | os.O_CREAT, offset: int | None = None) -> int:
    fd = os.open(path, flags, 0o600)
    try:
        return os.write(fd, data) if offset is None else os.pwrite(fd, data, offset)
    finally:
        os.close(fd)


def read(path: Path, size: int = 100, offset: int = 0) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.pread(fd, size, offset)
    finally:
        os.close(fd)


def create(path: Path, flags: int = 0) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | flags, 0o600))


def utimens(path: Path, atime: tuple[int, int], mtime: tuple[int, int]) -> int:
    times = (ctypes.c_long * 4)(*atime, *mtime)
    return _checked(_libc.utimensat(-100, os.fsencode(path), times, 0x100))


def renameat2(old: Path, new: Path, flags: int) -> None:
    _checked(_libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def local_mode(world: World) -> Iterator[Call]:
    """Every call of ``quorate_local_mode``."""
    m = world.mount
    f1, d1, priv, lock = m / "f1", m / "d1", m / "priv", m / "priv/lock"

    def stat_(path: str) -> Callable[[], str]:
        return lambda: show(m / path if path else m)

    yield "stat /", lambda: show(m)
    yield "mkdir d1", d1.mkdir
    yield "mkdir d1 again", d1.mkdir
    yield "mkdir nope/x", (m / "nope/x").mkdir
    yield "create f1", lambda: create(f1)
    yield "create f1 O_EXCL again", lambda: create(f1, os.O_EXCL)
    yield "mkdir f1/x", (f1 / "x").mkdir
    yield "write f1 hello", lambda: write(f1, b"hello")
    yield "stat f1", stat_("f1")
    yield "read f1", lambda: read(f1)
    yield "read f1 off 10", lambda: read(f1, offset=10)
    yield "pwrite f1 off 8", lambda: write(f1, b"XY", os.O_WRONLY, 8)
    yield "read f1", lambda: read(f1)
    yield "O_APPEND f1", lambda: write(f1, b"Z", os.O_WRONLY | os.O_APPEND)
    yield "read f1", lambda: read(f1)
    yield "O_TRUNC f1", lambda: write(f1, b"new", os.O_WRONLY | os.O_TRUNC)
    yield "read f1", lambda: read(f1)
    yield "truncate f1 2", lambda: os.truncate(f1, 2)
    yield "truncate f1 6", lambda: os.truncate(f1, 6)
    yield "read f1", lambda: read(f1)
    yield "truncate f1 0", lambda: os.truncate(f1, 0)
    yield "truncate f1 1MiB+1", lambda: os.truncate(f1, MIB + 1)
    yield "truncate f1 2^32", lambda: os.truncate(f1, 1 << 32)
    yield "truncate f1 2^32+3", lambda: os.truncate(f1, (1 << 32) + 3)
    yield "stat f1", stat_("f1")
    yield "pwrite f1 off 1MiB", lambda: write(f1, b"x", os.O_WRONLY, MIB)
    yield "pwrite f1 off 1MiB-1", lambda: write(f1, b"x", os.O_WRONLY, MIB - 1)
    yield "stat f1", stat_("f1")
    yield "write 300000 bytes in one write", lambda: write(m / "big", bytes(300000))
    yield "stat big", stat_("big")
    yield "write 1048577 bytes in one write", lambda: write(m / "big2", bytes(MIB + 1))
    yield "stat big2", stat_("big2")
    yield "chmod f1 0640", lambda: f1.chmod(0o640)
    yield "chmod f1 0600", lambda: f1.chmod(0o600)
    yield "chmod f1 0644", lambda: f1.chmod(0o644)
    yield "chmod d1 0755", lambda: d1.chmod(0o755)
    yield "chmod d1 0640", lambda: d1.chmod(0o640)
    yield "mkdir priv", priv.mkdir
    yield "stat priv", stat_("priv")
    yield "chmod priv 0700", lambda: priv.chmod(0o700)
    yield "chmod priv 0600", lambda: priv.chmod(0o600)
    yield "create priv/x", lambda: write(priv / "x", b"x")
    yield "stat priv/x", stat_("priv/x")
    yield "chmod priv/x 0600", lambda: (priv / "x").chmod(0o600)
    yield "chmod priv/x 0640", lambda: (priv / "x").chmod(0o640)
    yield "stat d1", stat_("d1")
    yield "chown f1 0:33", lambda: os.chown(f1, 0, 33)
    yield "chown f1 -1:-1", lambda: os.chown(f1, -1, -1)
    yield "chown f1 0:0", lambda: os.chown(f1, 0, 0)
    yield "chown f1 33:33", lambda: os.chown(f1, 33, 33)
    yield "symlink s", lambda: (m / "s").symlink_to("f1")
    yield "link f1 l", lambda: (m / "l").hardlink_to(f1)
    yield "mkfifo", lambda: os.mkfifo(m / "fifo")
    yield "mknod reg", lambda: os.mknod(m / "mkreg", 0o600 | stat.S_IFREG)
    yield "stat mkreg", stat_("mkreg")
    yield "mknod chr", lambda: os.mknod(m / "chr", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    yield "setxattr", lambda: os.setxattr(f1, "user.a", b"b")
    yield "getxattr", lambda: os.getxattr(f1, "user.a")
    yield "listxattr", lambda: os.listxattr(f1)
    yield "fsync", lambda: _with(f1, os.O_RDWR, os.fsync)
    yield "flock+lockf", lambda: _with(f1, os.O_RDWR, _lock)
    yield "fallocate(2)", lambda: _with(f1, os.O_RDWR, lambda fd: _checked(_libc.fallocate(fd, 0, 0, 10)))
    yield "mmap shared rw", lambda: _with(f1, os.O_RDWR, _map)
    yield "utime f1 (100,200)", lambda: os.utime(f1, (100, 200))
    yield "stat f1", stat_("f1")
    yield "utime f1 ns", lambda: os.utime(f1, ns=(5, 300 * NS + 999))
    yield "stat f1", stat_("f1")
    yield "utime f1 2^32+5", lambda: os.utime(f1, (0, (1 << 32) + 5))
    yield "stat f1", stat_("f1")
    yield "utimensat mtime only (atime OMIT)", lambda: utimens(f1, (0, UTIME_OMIT), (77, 0))
    yield "stat f1", stat_("f1")
    yield "utimensat atime only (mtime OMIT)", lambda: utimens(f1, (77, 0), (0, UTIME_OMIT))
    yield "stat f1", stat_("f1")
    yield "utime f1 now", lambda: os.utime(f1)
    yield "utime root", lambda: os.utime(m)
    yield "utime local (symlink, nofollow)", lambda: os.utime(m / "local", (1, 1), follow_symlinks=False)
    yield "utime .version", lambda: os.utime(m / ".version", (1, 1))
    yield "open .version O_WRONLY", lambda: os.close(os.open(m / ".version", os.O_WRONLY))
    yield "open+trunc .version", lambda: os.close(os.open(m / ".version", os.O_WRONLY | os.O_TRUNC))
    yield "write .version", lambda: write(m / ".version", b"x", os.O_WRONLY)
    yield "unlink .version", (m / ".version").unlink
    yield "unlink local", (m / "local").unlink
    yield "rename .version v", lambda: _rename(m / ".version", m / "v")
    yield "rename f1 .version", lambda: _rename(f1, m / ".version")
    yield "rename f1 local", lambda: _rename(f1, m / "local")
    yield "mkdir local", (m / "local").mkdir
    yield "mkdir .version", (m / ".version").mkdir
    yield "chmod .version 0640", lambda: (m / ".version").chmod(0o640)
    yield "chmod .version 0440", lambda: (m / ".version").chmod(0o440)
    yield "chown .version 0:33", lambda: os.chown(m / ".version", 0, 33)
    debug = m / ".debug"
    yield "read .debug", lambda: read(debug)
    yield "write .debug '1\\n'", lambda: write(debug, b"1\n", os.O_WRONLY)
    yield "read .debug", lambda: read(debug)
    yield "write .debug '0\\nxyz'", lambda: write(debug, b"0\nxyz", os.O_WRONLY)
    yield "write .debug '2\\n'", lambda: write(debug, b"2\n", os.O_WRONLY)
    yield "write .debug '1'", lambda: write(debug, b"1", os.O_WRONLY)
    yield "pwrite .debug off 1", lambda: write(debug, b"1\n", os.O_WRONLY, 1)
    yield "truncate .debug 0", lambda: os.truncate(debug, 0)
    yield "truncate .debug 5", lambda: os.truncate(debug, 5)
    yield "stat .debug", stat_(".debug")
    yield "readlink f1", lambda: str(f1.readlink())
    yield "readlink local", lambda: repr(str((m / "local").readlink()))
    yield "listdir local (dangling)", lambda: names(m / "local")
    yield "unlink d1 (dir)", lambda: _checked(_libc.unlink(os.fsencode(d1)))
    yield "rmdir f1 (file)", f1.rmdir
    yield "mkdir d1/sub", (d1 / "sub").mkdir
    yield "rmdir d1 non-empty", d1.rmdir
    yield "rename d1 -> d2 non-empty", lambda: _rename(d1, m / "d2")
    yield "mkdir e1", (m / "e1").mkdir
    yield "rename d1 -> e1 non-empty over empty", lambda: _rename(d1, m / "e1")
    yield "lstat e1 after that", lambda: _nothing((m / "e1").lstat())
    yield "rename sub dir empty d1/sub -> d3", lambda: _rename(d1 / "sub", m / "d3")
    yield "rename f1 -> nodir/f1", lambda: _rename(f1, m / "nodir/f1")
    yield "rename f1 -> d3 (dir)", lambda: _rename(f1, m / "d3")
    yield "rename d3 -> f1 (file)", lambda: _rename(m / "d3", f1)
    yield "rename d1 -> d1/x", lambda: _rename(d1, d1 / "x")
    yield "rename f1 -> f1", lambda: _rename(f1, f1)
    yield "rename big -> f1 (over)", lambda: _rename(m / "big", f1)
    yield "renameat2 NOREPLACE", lambda: renameat2(f1, m / "mkreg", 1)
    yield "renameat2 NOREPLACE new name", lambda: renameat2(f1, m / "nn", 1)
    yield "renameat2 EXCHANGE", lambda: renameat2(f1, m / "mkreg", 2)
    for length in (255, 256, 1023, 1024, 1025):
        yield f"name {length}", lambda length=length: create(m / ("n" * length))  # type: ignore[misc]
    yield "name with latin1 byte", lambda: create(m / os.fsdecode(b"caf\xe9"))
    yield "name __version__", lambda: create(m / "__version__")
    nodes = m / "nodes"
    for path in (nodes, nodes / "node1", nodes / "node2", nodes / "n.dot", nodes / "n.dot/lxc"):
        path.mkdir()
    for node in ("node1", "node2"):
        for kind in ("qemu-server", "lxc", "openvz", "priv"):
            (nodes / node / kind).mkdir()
    yield "stat nodes/node1/priv", stat_("nodes/node1/priv")
    one, two = nodes / "node1", nodes / "node2"
    conf = b"cores: 1"
    yield "create node1/qemu-server/100.conf", lambda: write(one / "qemu-server/100.conf", conf)
    yield "create node2/qemu-server/100.conf", lambda: write(two / "qemu-server/100.conf", conf)
    yield "create node1/lxc/100.conf", lambda: write(one / "lxc/100.conf", conf)
    yield "create n.dot/lxc/100.conf", lambda: write(nodes / "n.dot/lxc/100.conf", conf)
    yield "create node2/qemu-server/0100.conf", lambda: write(two / "qemu-server/0100.conf", conf)
    yield "create node2/qemu-server/100.conf.tmp", lambda: write(two / "qemu-server/100.conf.tmp", conf)
    yield (
        "rename tmp->100.conf on node2 (exists node1)",
        lambda: _rename(two / "qemu-server/100.conf.tmp", two / "qemu-server/100.conf"),
    )
    yield (
        "rename node1/100.conf -> node2/101.conf",
        lambda: _rename(one / "qemu-server/100.conf", two / "qemu-server/101.conf"),
    )
    yield "create node1/100.conf", lambda: write(one / "qemu-server/100.conf", conf)
    yield (
        "rename node1/100 -> node2/101 (exists same)",
        lambda: _rename(one / "qemu-server/100.conf", two / "qemu-server/101.conf"),
    )
    yield (
        "rename node2/qemu 101 -> node1/lxc/101",
        lambda: _rename(two / "qemu-server/101.conf", one / "lxc/101.conf"),
    )
    write(one / "qemu-server/102.conf", conf)
    yield (
        "create 102 node1, rename 102->node2/qemu/101",
        lambda: _rename(one / "qemu-server/102.conf", two / "qemu-server/101.conf"),
    )
    for name in ("1.conf (low id)", "4294967295.conf", "4294967296.conf"):
        path = one / "qemu-server" / name.split(" ")[0]
        yield f"create {name}", lambda path=path: write(path, b"")  # type: ignore[misc]
    create(one / "openvz/100.mount")
    yield "openvz script mode 100.mount", lambda: show(one / "openvz/100.mount")
    create(m / "vps.postumount")
    yield "vps.postumount at root", lambda: repr(show(m / "vps.postumount"))
    yield "mkdir priv/lock", lock.mkdir
    yield "mkdir priv/lock/a", (lock / "a").mkdir
    yield "mkdir priv/lock/a again", (lock / "a").mkdir
    yield "utime lock 0,0", lambda: os.utime(lock / "a", (0, 0))
    yield "utime lock older", lambda: os.utime(lock / "a", (0, int(time.time()) - 100))
    yield "utime lock 0,now", lambda: os.utime(lock / "a", (0, int(time.time()) + 1))
    yield "rename lock dir", lambda: _rename(lock / "a", m / "x")
    (m / "plain").mkdir()
    yield "rename dir into lock", lambda: _rename(m / "plain", lock / "plain")
    yield "create file in lock", lambda: write(lock / "file", b"")
    yield "rename file in lock", lambda: _rename(lock / "file", lock / "file2")
    yield "mkdir priv/lock/a/b", (lock / "a/b").mkdir
    yield "utime priv/lock/a/b 0", lambda: os.utime(lock / "a/b", (0, 0))
    yield "rename priv/lock/a/b", lambda: _rename(lock / "a/b", m / "x")
    yield "rmdir priv/lock/a (nonempty)", (lock / "a").rmdir
    yield "rmdir priv/lock/a/b", (lock / "a/b").rmdir
    yield "rmdir priv/lock/a", (lock / "a").rmdir
    yield "unlink file kept open", lambda: _unlink_kept_open(m / "kept")
    yield "unlink while open", lambda: _unlink_while_open(m / "d3")
    yield (
        "scandir d_types",
        lambda: [
            (each.name, each.is_dir(follow_symlinks=False), each.is_symlink())
            for each in sorted(os.scandir(one), key=lambda each: each.name)
        ],
    )
    yield "opendir file", lambda: names(f1)
    yield "create trailing slash", lambda: Path(f"{m}/slash/").mkdir()
    yield "rmdir /etc/pve/.", lambda: os.rmdir(f"{m}/.")  # noqa: PTH106 - Path would drop the dot
    yield "access W f1", lambda: os.access(f1, os.W_OK)

    inner = world.root / "etc/pve"

    def www(body: Callable[[], object]) -> Callable[[], object]:
        return lambda: _from_text(world.as_user(WWW_DATA, WWW_DATA, body))

    def nobody(body: Callable[[], object]) -> Callable[[], object]:
        return lambda: _from_text(world.as_user(NOBODY, NOBODY, body))

    yield "www-data read f1", www(lambda: len(read(inner / "f1")))
    yield "www-data write f1", www(lambda: write(inner / "f1", b"x", os.O_WRONLY))
    yield "www-data read priv/x", www(lambda: read(inner / "priv/x"))
    yield "www-data listdir /", www(lambda: "f1" in names(inner))
    yield "www-data listdir priv", www(lambda: names(inner / "priv"))
    yield "www-data read .version", www(lambda: len(read(inner / ".version")) > 0)
    yield "www-data mkdir", www(lambda: (inner / "w").mkdir())
    yield "nobody read f1", nobody(lambda: read(inner / "f1"))
    yield "nobody listdir /", nobody(lambda: "f1" in names(inner))
    yield "nobody stat f1", nobody(lambda: repr("mode=%o " % (inner / "f1").stat().st_mode))  # noqa: UP031
    yield "nobody read .version", nobody(lambda: read(inner / ".version"))
    yield "nobody readlink local", nobody(lambda: repr(str((inner / "local").readlink())))


def without_quorum(world: World) -> Iterator[Call]:
    """Every call of ``not_quorate_cluster_mode``."""
    m = world.mount
    for name in [
        "/",
        "corosync.conf",
        "d",
        "d/f",
        "priv",
        "priv/k",
        ".version",
        ".debug",
        "local",
        "lxc",
        "vps.mount",
    ]:
        yield f"stat {name}", lambda name=name: show(m / name if name != "/" else m)  # type: ignore[misc]
    yield "read corosync.conf", lambda: read(m / "corosync.conf", 30)
    yield "mkdir", (m / "new").mkdir
    yield "create", lambda: create(m / "new")
    yield "write", lambda: write(m / "d/f", b"x", os.O_WRONLY)
    yield "truncate", lambda: os.truncate(m / "d/f", 1)
    yield "unlink", (m / "d/f").unlink
    yield "rmdir", (m / "empty").rmdir
    yield "rename", lambda: _rename(m / "d/f", m / "g")
    yield "utime", lambda: os.utime(m / "d/f", (1, 1))
    yield "chmod ok", lambda: (m / "d/f").chmod(0o640)
    yield "chmod bad", lambda: (m / "d/f").chmod(0o600)
    yield "chown ok", lambda: os.chown(m / "d/f", 0, 33)
    yield "utime lock", lambda: os.utime(m / "priv/lock/l", (0, 0))
    yield "write .debug", lambda: write(m / ".debug", b"1\n", os.O_WRONLY)
    yield "write .debug", lambda: write(m / ".debug", b"0\n", os.O_WRONLY)
    yield "listdir", lambda: _nothing(names(m))
    yield "open O_WRONLY only", lambda: os.close(os.open(m / "d/f", os.O_WRONLY))


def _rename(old: Path, new: Path) -> None:
    os.rename(old, new)  # noqa: PTH104 - a plain call, as recorded


def _nothing(_value: object) -> None:
    return None


def _from_text(text: str) -> object:
    """What another user got, as if it had happened here."""
    if text == "OK":
        return None
    if text.startswith("OK "):
        return text[3:]
    raise OSError(getattr(errno, text), text)


def _with(path: Path, flags: int, body: Callable[[int], object]) -> None:
    fd = os.open(path, flags)
    try:
        body(fd)
    finally:
        os.close(fd)


def _lock(fd: int) -> None:
    fcntl.flock(fd, fcntl.LOCK_EX)
    fcntl.flock(fd, fcntl.LOCK_UN)
    fcntl.lockf(fd, fcntl.LOCK_EX)


def _map(fd: int) -> None:
    mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE).close()


def _unlink_kept_open(path: Path) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.write(fd, b"x")
    path.unlink()
    os.close(fd)


def _unlink_while_open(directory: Path) -> object:
    path = directory / "open"
    write(path, b"x")
    fd = os.open(path, os.O_RDONLY)
    path.unlink()
    left = names(directory)
    data = os.pread(fd, 10, 0)
    os.close(fd)
    return left, data, names(directory)


__all__ = ["local_mode", "outcome", "without_quorum"]
