"""What the IPC service needs of the kernel: credentials, datagram sockets, a client's control file.

Nothing here knows connections or operations.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path
from typing import Final

from quorate.ipc import codec

CREDENTIALS: Final = struct.Struct("iII")
ANCILLARY: Final = socket.CMSG_SPACE(CREDENTIALS.size)
"""Room for the sender's credentials beside a message."""
_SO_SNDBUFFORCE: Final = 32
_CONTROL_NAME: Final = f"qb-control-{codec.SERVICE}"


def credentials(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, int, int] | None:
    """(pid, uid, gid) of the sender, if the kernel attached them."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS and len(data) == CREDENTIALS.size:
            pid, uid, gid = CREDENTIALS.unpack(data)
            return pid, uid, gid
    return None


def datagrams(address: bytes) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def enlarge(sock: socket.socket, needed: int) -> bool:
    """Let ``sock`` send a datagram of so many bytes; False if it could already or may not."""
    # The kernel doubles what is asked for; a third of room is for its own bookkeeping.
    wanted = needed * 2 // 3 + 4096
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) >= 2 * wanted:
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, wanted)
    except OSError:
        return False
    return True


def make_control(directory: Path, uid: int, gid: int) -> Path:
    """The file through which flow control would be told, owned by the client. It is never read here."""
    directory.mkdir(mode=0o700)
    path = directory / _CONTROL_NAME
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(fd, codec.CONTROL_BYTES)
        os.fchmod(fd, 0o600)
        os.fchown(fd, uid, gid)
    finally:
        os.close(fd)
    os.chown(directory, uid, gid, follow_symlinks=False)  # last: from here on it is the client's
    return path


def remove_control(directory: Path) -> None:
    """The client does this itself unless it was killed. What else it put there stays until we start anew."""
    with contextlib.suppress(OSError):
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(_CONTROL_NAME, dir_fd=fd)
        finally:
            os.close(fd)
        directory.rmdir()
