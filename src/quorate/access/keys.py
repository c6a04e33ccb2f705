"""The key files behind tickets and CSRF tokens, read again when they change (pvecm 4.5, 4.6, 7.1).

Reading only, and whether a key needs rotation; generating and storing new keys is `rotation`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from quorate.access import tickets
from quorate.access.tickets import TicketError
from quorate.settings import Settings

HALF_LOGIN: Final = "!tfa!"
CHALLENGE_SECONDS: Final = 300
"""How long a second factor may be shown after the password: long enough to look for the telephone."""
MAX_FILE = 1 << 20
"""No file read here is larger than what the cluster file system lets a file be."""

T = TypeVar("T")


class KeyFileError(Exception):
    """A key file is missing or unusable; the text says which and what makes it."""


class CachedFile(Generic[T]):
    """A file's parsed content, parsed again when the content changed.

    Neither time nor size nor inode tell that: the cluster file system counts time in seconds and numbers
    inodes from one, so a node that joins may find the cluster's file with the very marks of its own.
    """

    def __init__(self, path: Path, parse: Callable[[bytes], T]) -> None:
        self.path = path
        self._parse = parse
        self._content: bytes | None = None
        self._value: T | None = None

    def get(self) -> tuple[T, float]:
        """The content and the file's mtime. Raises OSError, and what the parser raises."""
        with self.path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(MAX_FILE + 1)
        if len(content) > MAX_FILE:
            raise KeyFileError(f"'{self.path}' is larger than {MAX_FILE} bytes: not read")
        if self._value is None or content != self._content:
            self._value = self._parse(content)
            self._content = content
        return self._value, status.st_mtime


class TicketKeys:
    """Makes (as root) and verifies login tickets and CSRF tokens with the cluster's keys."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._local = settings.mountpoint / "local"
        self._public = CachedFile(settings.mountpoint / "authkey.pub", _public_key)
        self._old = CachedFile(settings.mountpoint / "authkey.pub.old", _public_key)
        self._private = CachedFile(settings.mountpoint / "priv/authkey.key", _private_key)
        self._csrf = CachedFile(settings.mountpoint / "pve-www.key", tickets.csrf_secret)

    def require(self) -> None:
        """Raises `KeyFileError` where no ticket can be verified, as without the cluster file system."""
        _usable(self._public)

    def login_ticket(self, data: str) -> str:
        """A new login ticket for a user id. Raises `KeyFileError` when there is no private key."""
        key, _ = _usable(self._private)
        return tickets.assemble(tickets.LOGIN_PREFIX, data, int(self._clock()), key)

    def verify_login_ticket(self, ticket: str) -> str:
        """The ticket's user id; raises `TicketError` (or `KeyFileError`: nothing can be verified)."""
        now = self._clock()
        key, mtime = _usable(self._public)
        age = max(0, int(now - mtime))
        window = tickets.current_key_window(age, quorate=is_quorate(self._local))
        try:
            data = tickets.verify(tickets.LOGIN_PREFIX, ticket, int(now), key, window)
        except TicketError:
            data = self._verify_with_old_key(ticket, now)
        if not data or data.startswith(("!", "u2f!", "tfa!")):
            raise TicketError("ticket is only a half login")
        return data

    def challenge_ticket(self, user: str, challenge: dict[str, object]) -> str:
        """What a user gets who has shown the password, and still has to show a second factor."""
        key, _ = _usable(self._private)
        data = HALF_LOGIN + json.dumps(challenge, separators=(",", ":"))
        return tickets.assemble(tickets.LOGIN_PREFIX, data, int(self._clock()), key, secret=user)

    def verify_challenge_ticket(self, ticket: str, user: str) -> None:
        """Raises `TicketError` unless ``user`` has shown the password, a short time ago."""
        now = self._clock()
        key, mtime = _usable(self._public)
        age = max(0, int(now - mtime))
        window = tickets.current_key_window(age, quorate=is_quorate(self._local))
        window = window._replace(maximum=min(window.maximum, CHALLENGE_SECONDS))
        try:
            data = tickets.verify(tickets.LOGIN_PREFIX, ticket, int(now), key, window, secret=user)
        except TicketError:
            data = self._verify_with_old_key(ticket, now, secret=user, longest=CHALLENGE_SECONDS)
        if not data.startswith(HALF_LOGIN):
            raise TicketError("not a ticket that asks for a second factor")

    def console_ticket(self, user: str, path: str, port: int | None = None, prefix: str = "PVEVNC") -> str:
        """A ticket for one console; ``path`` normalised, ``port`` for VNC. Raises `KeyFileError`."""
        key, _ = _usable(self._private)
        return tickets.assemble(prefix, "", int(self._clock()), key, secret=_console(user, path, port))

    def verify_console_ticket(
        self, ticket: str, user: str, path: str, port: int | None = None, prefix: str = "PVEVNC"
    ) -> None:
        """Raises `TicketError`. Only the current key counts, and only while it is younger than a day."""
        now = self._clock()
        key, mtime = _usable(self._public)
        if now - mtime > tickets.KEY_LIFETIME:
            raise TicketError("the key that signs tickets is older than a day")
        # A viewer may put its password of 8 characters before the ticket.
        bare = ticket[9:] if ticket[8:9] == ":" and ticket[9:].startswith(f"{prefix}:") else ticket
        tickets.verify(
            prefix, bare, int(now), key, tickets.console_window(), secret=_console(user, path, port)
        )

    def csrf_token(self, user: str) -> str:
        secret, _ = _usable(self._csrf)
        return tickets.csrf_token(user, int(self._clock()), secret)

    def check_csrf_token(self, token: str, user: str) -> bool:
        secret, _ = _usable(self._csrf)
        return tickets.check_csrf_token(token, user, int(self._clock()), secret)

    def _verify_with_old_key(
        self, ticket: str, now: float, secret: str | None = None, longest: int = tickets.LIFETIME
    ) -> str:
        try:
            key, mtime = self._old.get()
        except (OSError, ValueError) as err:
            raise TicketError("invalid with the current key, and there is no previous one") from err
        window = tickets.old_key_window(max(0, int(now - mtime)))
        if window is None:
            raise TicketError("invalid with the current key, and the previous one is too old")
        window = window._replace(maximum=min(window.maximum, longest))
        return tickets.verify(tickets.LOGIN_PREFIX, ticket, int(now), key, window, secret=secret)


def is_quorate(local: Path) -> bool:
    """Whether the cluster file system takes changes: it clears the write bits of ``local`` otherwise."""
    try:
        return bool(local.lstat().st_mode & 0o200)
    except OSError:
        return False


def _usable(file: CachedFile[T]) -> tuple[T, float]:
    try:
        return file.get()
    except OSError as err:
        hint = "is the cluster file system running and in sync (systemctl status pve-cluster)?"
        if isinstance(err, FileNotFoundError):
            hint += " If it is and has quorum, run 'pvecm updatecerts'."
        raise KeyFileError(f"unable to read '{file.path}': {err.strerror} - {hint}") from err
    except ValueError as err:
        raise KeyFileError(f"'{file.path}' holds no usable RSA key") from err


def _console(user: str, path: str, port: int | None) -> str:
    return f"{user}:{path}" if port is None else f"{user}:{path}:{port}"


def _public_key(data: bytes) -> RSAPublicKey:
    key = load_pem_public_key(data)
    if not isinstance(key, RSAPublicKey):
        raise ValueError("not an RSA key")
    return key


def _private_key(data: bytes) -> RSAPrivateKey:
    key = load_pem_private_key(data, password=None)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("not an RSA key")
    return key
