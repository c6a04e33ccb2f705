"""Changing user.cfg and the private files beside it: lock, read, change, write (pvecm 3.6, 7.3 to 7.5).

Needs root and quorum. What a change does is `changes`; several locks are taken in the order: second factors,
users, one of the others.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from quorate.access.crypt import hash_password
from quorate.access.domains import Realm, format_domains, parse_domains
from quorate.access.secrets import format_shadow, format_token_secrets, parse_shadow, parse_token_secrets
from quorate.access.users import UserConfig, format_user_config, parse_user_config
from quorate.cfs import Cfs, HeldLock, file_lock_id
from quorate.settings import Settings

USERS: Final = "user.cfg"
DOMAINS: Final = "domains.cfg"
SHADOW: Final = "priv/shadow.cfg"
TOKENS: Final = "priv/token.cfg"
PRIVATE: Final = 0o600
CHPASSWD_SECONDS: Final = 20.0
_HOST_USER: Final = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,31}\$?")


class PasswordError(Exception):
    """A password could not be set; the text holds neither it nor its hash."""


@contextmanager
def change_users(settings: Settings, *, write: bool = True) -> Iterator[tuple[UserConfig, HeldLock]]:
    """user.cfg as it is now, written when the block ends without an error. Raises `CfsError`.

    Without ``write`` it is only kept from changing.
    """
    cfs = Cfs(settings)
    with cfs.lock(file_lock_id(USERS)) as held:
        config = parse_user_config(_text(cfs, USERS))[0]
        yield config, held
        held.remaining()
        if not write:
            return
        cfs.write(USERS, format_user_config(config).encode())


@contextmanager
def change_domains(settings: Settings) -> Iterator[tuple[dict[str, Realm], str]]:
    """domains.cfg and its text as it is now; written when the block ends without an error."""
    cfs = Cfs(settings)
    with cfs.lock(file_lock_id(DOMAINS)) as held:
        text = _text(cfs, DOMAINS)
        realms = parse_domains(text)
        yield realms, text
        held.remaining()
        cfs.write(DOMAINS, format_domains(realms).encode())


def set_token_secret(settings: Settings, token_id: str, secret: str | None) -> None:
    """Store an API token's secret; None forgets it."""
    set_token_secrets(settings, {token_id: secret})


def set_token_secrets(settings: Settings, changed: dict[str, str | None]) -> None:
    if not changed:
        return
    cfs = Cfs(settings)
    with cfs.lock(file_lock_id(TOKENS)) as held:
        stored = parse_token_secrets(_text(cfs, TOKENS))
        for token_id, secret in changed.items():
            if secret is None:
                stored.pop(token_id, None)
            else:
                stored[token_id] = secret
        held.remaining()
        cfs.write(TOKENS, format_token_secrets(stored).encode(), mode=PRIVATE)


def set_password(settings: Settings, realm: Realm | None, name: str, password: str) -> None:
    """The password of a user of realm type ``pve`` (for the cluster) or ``pam`` (on this node alone)."""
    kind = realm.type if realm is not None else "unknown"
    if kind == "pve":
        _set_shadow(settings, name, hash_password(password))
    elif kind == "pam":
        _set_host_password(name, hash_password(password))
    else:
        raise PasswordError(f"passwords of a realm of type '{kind}' cannot be set here")


def forget_password(settings: Settings, name: str) -> None:
    """For a user of realm ``pve`` that is gone."""
    _set_shadow(settings, name, None)


def _set_shadow(settings: Settings, name: str, value: str | None) -> None:
    cfs = Cfs(settings)
    with cfs.lock(file_lock_id(SHADOW)) as held:
        hashes = parse_shadow(_text(cfs, SHADOW))
        if value is None:
            if hashes.pop(name, None) is None:
                return
        else:
            hashes[name] = value
        held.remaining()
        cfs.write(SHADOW, format_shadow(hashes).encode(), mode=PRIVATE)


def _set_host_password(name: str, value: str) -> None:
    """Through standard input: everybody on the host can read a command's arguments."""
    if not _HOST_USER.fullmatch(name):
        raise PasswordError(f"'{name}' cannot be a user of this host")
    try:
        done = subprocess.run(
            ["/usr/sbin/chpasswd", "-e"],
            input=f"{name}:{value}\n",
            capture_output=True,
            text=True,
            timeout=CHPASSWD_SECONDS,
            check=False,
        )
    except OSError as err:
        raise PasswordError(f"unable to run chpasswd - {err.strerror}: install the package passwd") from err
    except subprocess.TimeoutExpired as err:
        raise PasswordError("chpasswd: got timeout") from err
    if done.returncode != 0:
        reason = done.stderr.replace(value, "...").strip().splitlines()
        raise PasswordError(
            f"chpasswd failed for user '{name}': {reason[0] if reason else 'no reason given'}"
        )


def _text(cfs: Cfs, path: str) -> str:
    try:
        return cfs.read(path).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
