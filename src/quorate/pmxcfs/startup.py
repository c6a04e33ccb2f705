"""What the daemon needs of its host before it serves (core 1.2, 1.3): identity, directories, lock, files.

Each failure is a StartupError whose text says what to do.
"""

from __future__ import annotations

import fcntl
import grp
import os
import socket
import time
from pathlib import Path
from typing import Final, NamedTuple

from quorate.settings import GROUP, Settings

LOCK_TRIES: Final = 11
LOCK_PAUSE: Final = 1.0
"""A daemon that is just ending gets 10 s before the start fails."""


class StartupError(Exception):
    """The daemon can't start; the text says why and what to do."""


class Identity(NamedTuple):
    nodename: str
    ip: str
    gid: int
    """Group of everything in the mount."""


def identify() -> Identity:
    """This node's name, its address, and the group www-data. Raises StartupError."""
    nodename = os.uname().nodename.split(".", 1)[0]
    try:
        gid = grp.getgrnam(GROUP).gr_gid
    except KeyError:
        raise StartupError(f"there is no group {GROUP}; create it: groupadd --system {GROUP}") from None
    return Identity(nodename, resolve(nodename), gid)


def resolve(nodename: str) -> str:
    """First address of the node's name that is not a loopback. Raises StartupError."""
    try:
        found = socket.getaddrinfo(nodename, None, flags=socket.AI_V4MAPPED | socket.AI_ALL)
    except OSError as error:
        raise StartupError(
            f"cannot resolve the node's name '{nodename}': {error}; add its address to /etc/hosts"
        ) from error
    for family, _, _, _, address in found:
        ip = str(address[0])
        if family == socket.AF_INET and not ip.startswith("127."):
            return ip
        if family == socket.AF_INET6 and ip != "::1":
            return ip
    raise StartupError(
        f"the node's name '{nodename}' resolves to loopback addresses only; "
        "add its address in the cluster's network to /etc/hosts"
    )


def make_directories(settings: Settings, gid: int) -> None:
    """State and run directory with their modes; to be called after umask 027."""
    try:
        settings.state_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
        settings.run_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
        os.chown(settings.run_dir, 0, gid)
        settings.run_dir.chmod(0o750)
    except OSError as error:
        raise StartupError(
            f"cannot prepare {error.filename}: {error.strerror}; pmxcfs must run as root"
        ) from error


def take_lock(path: Path) -> int:
    """The single instance's lock; the returned descriptor holds it. Raises StartupError."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartupError(f"cannot open the lock file {path}: {error.strerror}") from error
    for attempt in range(LOCK_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt + 1 < LOCK_TRIES:
                time.sleep(LOCK_PAUSE)
        except OSError as error:
            os.close(fd)
            raise StartupError(f"cannot lock {path}: {error.strerror}") from error
        else:
            return fd
    os.close(fd)
    raise StartupError(f"{path} is locked: another pmxcfs is running; stop it first")


def write_pidfile(path: Path, pid: int) -> None:
    """Decimal pid and newline, 0644 whatever the umask."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        with os.fdopen(fd, "w") as file:
            os.fchmod(fd, 0o644)
            file.write(f"{pid}\n")
    except OSError as error:
        raise StartupError(f"cannot write the pid file {path}: {error.strerror}") from error


def set_restart_flag(settings: Settings, gid: int) -> None:
    """Tell other programs that the daemon ended regularly and may be back soon."""
    fd = os.open(settings.restart_flag, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o440)
    try:
        os.fchmod(fd, 0o440)
        os.fchown(fd, 0, gid)
    finally:
        os.close(fd)
