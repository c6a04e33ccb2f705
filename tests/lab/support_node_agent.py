"""Runs inside a node: makes single file system calls on request, so that a test can order them across nodes.

One JSON request per line on standard input, ``[name, argument, ...]``; one JSON answer per line:
``{"value": ...}`` or ``{"errno": number}``. Standard library only. Bytes travel as Latin-1.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any


def read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while part := os.read(fd, 1 << 20):
            parts.append(part)
        return b"".join(parts).decode("latin-1")
    finally:
        os.close(fd)


def _put(path: str, flags: int, data: str) -> int:
    """The close is part of the call: it is what acknowledges content."""
    fd = os.open(path, flags, 0o640)
    try:
        written = os.write(fd, data.encode("latin-1")) if data else 0
    except OSError:
        os.close(fd)
        raise
    os.close(fd)
    return written


def write(path: str, data: str) -> int:
    """Create or replace the content, as a shell's ``>`` does."""
    return _put(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, data)


def overwrite(path: str, data: str) -> int:
    """Write into an existing file without O_TRUNC."""
    return _put(path, os.O_WRONLY, data)


def create(path: str) -> int:
    return _put(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, "")


def open_truncate(path: str) -> int:
    return _put(path, os.O_WRONLY | os.O_TRUNC, "")


def replace(path: str, data: str) -> None:
    """The way programs change a configuration file: write a copy, move it over."""
    temporary = f"{path}.tmp.{os.uname().nodename}.{os.getpid()}"
    write(temporary, data)
    os.rename(temporary, path)  # noqa: PTH104 - the system call is what is tested


def stat(path: str) -> dict[str, int]:
    found = os.lstat(path)
    names = ("mode", "uid", "gid", "size", "nlink", "mtime")
    return {name: int(getattr(found, f"st_{name}")) for name in names}


def statvfs(path: str) -> dict[str, int]:
    found = os.statvfs(path)
    return {name: int(getattr(found, name)) for name in ("f_bsize", "f_blocks", "f_files", "f_ffree")}


def chmod(path: str, mode: int) -> None:
    os.chmod(path, mode)  # noqa: PTH101


def utime(path: str, atime: int, mtime: int) -> None:
    os.utime(path, (atime, mtime))


def walk(top: str) -> dict[str, list[object]]:
    """Everything below: path to [kind, size, mtime, SHA-256 of the content]. Links and generated files of
    the root are left out."""
    found: dict[str, list[object]] = {}
    waiting = [top]
    while waiting:
        directory = waiting.pop()
        with os.scandir(directory) as entries:
            for entry in list(entries):
                status = entry.stat(follow_symlinks=False)
                name = os.path.relpath(entry.path, top)
                if entry.is_dir(follow_symlinks=False):
                    found[name] = ["directory", 0, int(status.st_mtime), ""]
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False) and name not in GENERATED:
                    digest = hashlib.sha256(read(entry.path).encode("latin-1")).hexdigest()
                    found[name] = ["file", status.st_size, int(status.st_mtime), digest]
    return found


GENERATED = (".version", ".members", ".vmlist", ".rrd", ".clusterlog", ".debug")
CALLS: dict[str, Callable[..., Any]] = {
    "read": read,
    "write": write,
    "overwrite": overwrite,
    "create": create,
    "open_truncate": open_truncate,
    "replace": replace,
    "stat": stat,
    "statvfs": statvfs,
    "chmod": chmod,
    "utime": utime,
    "walk": walk,
    "mkdir": os.mkdir,
    "rmdir": os.rmdir,
    "unlink": os.unlink,
    "rename": os.rename,
    "truncate": os.truncate,
    "readlink": os.readlink,
    "listdir": lambda path: sorted(os.listdir(path)),  # noqa: PTH208
    "exists": os.path.lexists,
}


def main() -> None:
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        answer: dict[str, object]
        try:
            answer = {"value": CALLS[name](*arguments)}
        except OSError as error:
            answer = {"errno": error.errno}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
