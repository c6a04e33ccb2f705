"""Changing files of the host: replaced at once, with the mode and owner they have, never through a link.

What is in them is known elsewhere; here are bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from quorate.cluster.host import Host
from quorate.cluster.locks import local_lock
from quorate.durable import sync_directory
from quorate.settings import Settings

MAX_FILE: Final = 256 * 1024
"""Bytes. Files of this kind are written by hand: the largest real ones have some ten thousand."""
DEFAULT_MODE: Final = 0o644
CHANGED: Final = "detected modified configuration - file changed by other user? Try again."


class HostFileError(Exception):
    """A file of the host could not be read or replaced; the text names file and reason."""


@contextlib.contextmanager
def changing(settings: Settings) -> Iterator[None]:
    """Hold what keeps two changes of the host's files apart; raises ClusterError after 10 s."""
    with local_lock(Host(settings=settings), settings.host_files_lock):
        yield


def read_file(path: Path) -> bytes:
    """The content; nothing where there is no file. Raises HostFileError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        return b""
    except OSError as err:
        raise HostFileError(f"unable to read '{path}' - {err.strerror}") from err
    if len(content) > MAX_FILE:
        raise HostFileError(f"unable to read '{path}' - it has more than {MAX_FILE} bytes")
    return content


def replace_file(path: Path, content: bytes, *, like: Path | None = None) -> None:
    """Readers see the old content or the new, also after a power failure. Raises HostFileError.

    Mode and owner stay as they are, or become those of ``like``; a new file is root's, 0644.
    """
    if len(content) > MAX_FILE:
        raise HostFileError(f"unable to write '{path}' - more than {MAX_FILE} bytes")
    if path.is_symlink():
        raise HostFileError(
            f"unable to write '{path}' - it is a link to '{path.readlink()}', which another program writes:"
            " make the change with that program, or put a plain file in place of the link"
        )
    temporary = path.with_name(f".{path.name}.tmp.{os.getpid()}")
    try:
        before = _status(path) or (_status(like) if like is not None else None)
        temporary.unlink(missing_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                if before is not None:
                    os.fchown(fd, before.st_uid, before.st_gid)
                os.fchmod(fd, DEFAULT_MODE if before is None else stat.S_IMODE(before.st_mode))
                file.write(content)
                file.flush()
                os.fsync(fd)
            temporary.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)
    except OSError as err:
        raise HostFileError(f"unable to write '{path}' - {err.strerror}") from err


def replace_link(path: Path, target: str) -> None:
    """Make ``path`` a symbolic link at once, whatever it was. Raises HostFileError."""
    temporary = path.with_name(f".{path.name}.tmp.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as err:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise HostFileError(f"unable to write '{path}' - {err.strerror}") from err


def digest_of(content: bytes) -> str:
    """What a client sends back, so that nobody's change in between gets lost (SHA-1, as the original's)."""
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def check_digest(content: bytes, digest: str | None) -> None:
    """Raises HostFileError when the client saw another content."""
    if digest is not None and digest.lower() != digest_of(content):
        raise HostFileError(CHANGED)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
