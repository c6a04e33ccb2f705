"""Records one request of each kind that this kernel sends into tests/unit/fuse/recorded_requests.json.

Run by hand as root when the set is to be renewed: python -m tests.support.record_fuse_requests MOUNTPOINT
"""

# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108, PTH115, PTH208, PTH211 - plain calls are tested
from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import platform
import select
import signal
import stat
import subprocess
import sys
from pathlib import Path

from quorate.fuse import Opcode, requests, session
from tests.support.memoryfs import MemoryFs
from tests.support.mounted import mounted

OUTPUT = Path(__file__).parent.parent / "unit" / "fuse" / "recorded_requests.json"
recorded: dict[str, list[str]] = {}


def _recording(buffer: requests.Buffer, length: int) -> requests.Request:
    raw = bytes(buffer[:length])
    name = Opcode(int.from_bytes(raw[4:8], sys.byteorder)).name
    kept = recorded.setdefault(name, [])
    if len(kept) < 3 and raw.hex() not in kept:
        kept.append(raw.hex())
    return requests.decode(buffer, length)


def _exercise(path: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with contextlib.suppress(FileNotFoundError):
        (path / "missing").stat()
    (path / "file").write_bytes(b"some content")
    (path / "file").read_bytes()
    fd = os.open(path / "file", os.O_RDWR | os.O_TRUNC)
    os.pwrite(fd, b"more", 7)
    os.fsync(fd)
    os.fstat(fd)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll(0)
    other = os.open(path / "other", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    refusals = (
        lambda: os.lseek(fd, 0, os.SEEK_DATA),
        lambda: os.copy_file_range(fd, other, 4),
        lambda: os.posix_fallocate(fd, 0, 10),
        lambda: libc.fallocate(fd, 1, 0, 10),
        lambda: fcntl.ioctl(fd, 0x80086601, bytearray(8)),
        lambda: os.setxattr(path / "file", "user.name", b"value"),
        lambda: os.getxattr(path / "file", "user.name"),
        lambda: os.listxattr(path / "file"),
        lambda: os.removexattr(path / "file", "user.name"),
        lambda: os.open(path, os.O_TMPFILE | os.O_RDWR),
        lambda: os.symlink("target", path / "new-link"),
        lambda: os.link(path / "file", path / "hard"),
        lambda: os.mkfifo(path / "fifo"),
        lambda: libc.renameat2(-100, bytes(path / "file"), -100, bytes(path / "exchange"), 1),
        lambda: libc.renameat2(-100, bytes(path / "file"), -100, bytes(path / "other"), 2),
        lambda: libc.sync_file_range(fd, 0, 0, 0),
    )
    for call in refusals:
        with contextlib.suppress(OSError):
            call()
    os.close(other)
    os.close(fd)
    os.mknod(path / "made", stat.S_IFREG | 0o600)
    os.truncate(path / "file", 3)
    os.chmod(path / "file", 0o640)
    os.chown(path / "file", 0, 33)
    os.utime(path / "file", (100, 200))
    os.utime(path / "file", ns=(100_000_000_005, 200_000_000_007))
    os.readlink(path / "link")
    os.mkdir(path / "directory")
    os.rename(path / "file", path / "directory" / "renamed")
    os.listdir(path)
    os.listdir(path / "directory")
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)
    subprocess.run(["stat", "-c", "%w", path / "directory"], check=True, stdout=subprocess.DEVNULL)
    os.statvfs(path)
    os.access(path / "directory", os.R_OK)
    os.unlink(path / "directory" / "renamed")
    os.rmdir(path / "directory")
    for number in range(20):
        (path / f"many{number}").write_bytes(b"")
    Path("/proc/sys/vm/drop_caches").write_text("2")


def main(where: str) -> None:
    session.decode = _recording  # type: ignore[attr-defined]
    fs = MemoryFs()
    fs.add_symlink(b"link", b"nodes/n1")
    with mounted(Path(where), fs) as mount:
        _exercise(mount.path)
        child = subprocess.Popen(["mkdir", mount.path / "hold"])
        mount.wait_for(lambda: bool(fs.held))
        child.send_signal(signal.SIGTERM)
        mount.wait_for(lambda: bool(fs.interrupts))
        mount.call(lambda: mount.session.error(fs.held[0].unique, 4))
        child.wait()
    OUTPUT.write_text(json.dumps({"kernel": platform.release(), "requests": recorded}, indent=1) + "\n")
    print(f"{len(recorded)} kinds; missing:", [o.name for o in Opcode if o.name not in recorded])


if __name__ == "__main__":
    main(sys.argv[1])
