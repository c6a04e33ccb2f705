"""Renewing the key that signs login tickets (pvecm 4.6): at most once a day, under a cluster-wide lock.

Needs root and quorum. Making the first key is part of setting up a node, in `quorate.cluster`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from quorate.access.tickets import GRACE, KEY_LIFETIME, LIFETIME
from quorate.cfs import Cfs, CfsError, HeldLock
from quorate.settings import Settings

LOCK: Final = "authkey"
PUBLIC: Final = "authkey.pub"
OLD_PUBLIC: Final = "authkey.pub.old"
PRIVATE: Final = "priv/authkey.key"
KEY_BITS: Final = 2048


def needs_rotation(public_mtime: float | None, old_mtime: float | None, now: float) -> bool:
    """Whether a new key is due; file times in seconds, None for a missing file."""
    if public_mtime is None:
        return True
    due = now - public_mtime >= KEY_LIFETIME or public_mtime - now > GRACE
    just_rotated = old_mtime is not None and 0 <= public_mtime - old_mtime < LIFETIME
    return due and not just_rotated


def rotate_if_due(settings: Settings, clock: Callable[[], float] = time.time) -> bool:
    """Make a new key when one is due; whether it did. Does nothing without quorum. Raises `CfsError`."""
    cfs = Cfs(settings)
    if not _is_due(cfs, clock()) or not cfs.quorate():
        return False
    with cfs.lock(LOCK) as held:
        if not _is_due(cfs, clock()):
            return False
        _rotate(cfs, held)
    return True


def _is_due(cfs: Cfs, now: float) -> bool:
    return needs_rotation(_mtime(cfs, PUBLIC), _mtime(cfs, OLD_PUBLIC), now)


def _mtime(cfs: Cfs, path: str) -> float | None:
    try:
        return (cfs.root / path).stat().st_mtime
    except FileNotFoundError:
        return None
    except OSError as err:
        raise CfsError(f"unable to look at '{cfs.root / path}' - {err.strerror}") from err


def _rotate(cfs: Cfs, held: HeldLock) -> None:
    """The order keeps every ticket verifiable: the old public key is in place before anything changes."""
    key = rsa.generate_private_key(65537, KEY_BITS)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        before: bytes | None = cfs.read(PUBLIC)
    except FileNotFoundError:
        before = None
    held.remaining()
    if before is not None:
        cfs.write(OLD_PUBLIC, before)
    try:
        cfs.write(PUBLIC, public)
    except CfsError:
        if before is not None:
            cfs.write(PUBLIC, before)
        raise
    try:
        cfs.write(PRIVATE, private, mode=0o600)
    except CfsError:
        # Without its private half the new key is useless: the next attempt starts from nothing.
        cfs.remove(PUBLIC)
        cfs.remove(OLD_PUBLIC)
        raise
