"""All that this node knows about users, read from the cluster file system and kept while unchanged.

The one object both halves of the API ask: who is this, may they. Passwords are checked in `login`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import lru_cache

from quorate.access import permissions
from quorate.access.domains import Realm, parse_domains
from quorate.access.keys import CachedFile, TicketKeys
from quorate.access.permissions import AccountError
from quorate.access.secrets import parse_token_secrets, token_matches
from quorate.access.tickets import TicketError
from quorate.access.users import UserConfig, parse_user_config, split_token
from quorate.formats import FormatError, check_format
from quorate.settings import Settings

_log = logging.getLogger(__name__)


class AuthenticationError(Exception):
    """Credentials were refused; the text is for the log only."""


class Directory:
    """Users, realms and keys of the cluster. Reads files: call it off the event loop."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.keys = TicketKeys(settings, clock)
        self._no_users = parse_user_config("")[0]
        self._users = CachedFile(settings.mountpoint / "user.cfg", _parse_users)
        self._domains = CachedFile(settings.mountpoint / "domains.cfg", _parse_domains)
        self._tokens = CachedFile(settings.mountpoint / "priv/token.cfg", _parse_tokens)

    @property
    def users(self) -> UserConfig:
        """user.cfg; without the file root@pam alone. The same object as long as nothing changes.

        Raises OSError when the file system does not answer.
        """
        try:
            return self._users.get()[0]
        except FileNotFoundError:
            return self._no_users

    @property
    def realms(self) -> dict[str, Realm]:
        try:
            return self._domains.get()[0]
        except FileNotFoundError:
            return parse_domains("")

    def check_account(self, auth_id: str) -> None:
        """Raises `AuthenticationError` for who may not act: unknown, disabled, expired."""
        try:
            permissions.check_account(self.users, auth_id, int(self._clock()))
        except AccountError as err:
            raise AuthenticationError(str(err)) from err

    def user_of_ticket(self, ticket: str) -> str:
        """The user of a valid login ticket. Raises `AuthenticationError`, and `KeyFileError` without keys."""
        try:
            user = self.keys.verify_login_ticket(ticket)
        except TicketError as err:
            raise AuthenticationError(str(err)) from err
        self.check_account(user)
        return user

    def user_of_token(self, credential: str) -> str:
        """The full token id of ``ID=SECRET``; needs root, for the secrets' sake."""
        token_id, mark, value = credential.rpartition("=")
        try:
            check_format("pve-tokenid", token_id)
        except FormatError as err:
            raise AuthenticationError("malformed API token") from err
        if not mark or split_token(token_id)[1] is None:
            raise AuthenticationError("malformed API token")
        self.check_account(token_id)
        try:
            secrets = self._tokens.get()[0]
        except FileNotFoundError:
            secrets = {}
        if not token_matches(secrets, token_id, value):
            raise AuthenticationError("invalid token value!")
        return token_id

    def may(self, auth_id: str, path: str, *wanted: str) -> bool:
        """Whether the user or token holds at least one of the privileges on the path."""
        return permissions.has_any(self.users, auth_id, path, wanted)


@lru_cache(maxsize=8)
def directory_of(settings: Settings) -> Directory:
    """The one directory of these settings in this process, so that all handlers share what was parsed."""
    return Directory(settings)


def _parse_users(data: bytes) -> UserConfig:
    config, warnings = parse_user_config(data.decode("utf-8", "replace"))
    for text in warnings:
        _log.warning("%s", text)
    return config


def _parse_domains(data: bytes) -> dict[str, Realm]:
    return parse_domains(data.decode("utf-8", "replace"))


def _parse_tokens(data: bytes) -> dict[str, str]:
    return parse_token_secrets(data.decode("utf-8", "replace"))
