"""``priv/tfa.cfg``: the second factors of each user, as JSON; parse, change, write. Pure.

Entries that are not understood (keys for hardware, settings of newer nodes) are kept as they came. Whether
somebody is let in is decided in `second_factor`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from quorate.access.totp import TotpError, TotpKey, parse_uri

TOTP: Final = "totp"
RECOVERY: Final = "recovery"
SUPPORTED: Final = (TOTP, RECOVERY)
KINDS: Final = ("totp", "recovery", "u2f", "webauthn", "yubico")
RECOVERY_KEYS: Final = 10
MAX_ENTRIES: Final = 16
"""Entries of one user; nobody has as many devices, and each one gives an attacker more right codes."""


class FactorError(Exception):
    """A change was refused or the file cannot be used; the text holds no secret."""


@dataclass(frozen=True, slots=True)
class Factor:
    """What may be shown of one entry."""

    id: str
    kind: str
    description: str
    created: int
    enable: bool

    def as_data(self) -> dict[str, object]:
        data: dict[str, object] = {
            "id": self.id,
            "type": self.kind,
            "description": self.description,
            "created": self.created,
        }
        return data if self.enable else {**data, "enable": 0}


class Factors:
    """The whole file. Changes are made in place; ``text()`` writes it."""

    def __init__(self, text: str = "") -> None:
        """Raises `FactorError` when this is no such file: nobody may get in because it is broken."""
        try:
            content = json.loads(text) if text.strip() else {}
        except ValueError as err:
            raise FactorError("priv/tfa.cfg is not JSON") from err
        users = content.get("users", {}) if isinstance(content, dict) else None
        if not isinstance(users, dict) or not all(isinstance(user, dict) for user in users.values()):
            raise FactorError("priv/tfa.cfg does not hold users and their factors")
        self._content: dict[str, Any] = content
        self._users: dict[str, dict[str, Any]] = users

    def text(self) -> str:
        users = {user: entry for user, entry in sorted(self._users.items()) if entry}
        return json.dumps({**self._content, "users": users}, separators=(",", ":"))

    def users(self) -> list[str]:
        return sorted(user for user in self._users if self.of(user))

    def of(self, user: str) -> list[Factor]:
        """All factors of a user, also those of kinds that cannot be used here."""
        return [_describe(kind, entry) for kind, entry in self._entries(user)]

    def find(self, user: str, entry_id: str) -> Factor:
        """Raises `FactorError` when there is none."""
        for factor in self.of(user):
            if factor.id == entry_id:
                return factor
        raise FactorError(f"no such TFA entry '{entry_id}' of user '{user}'")

    def totp_keys(self, user: str) -> dict[str, TotpKey]:
        """The enabled TOTP keys by the id of their entry. Unusable ones are left out."""
        keys = {}
        for kind, entry in self._entries(user):
            factor = _describe(kind, entry)
            if kind == TOTP and factor.enable:
                try:
                    keys[factor.id] = parse_uri(str(entry.get("entry", "")))
                except TotpError:
                    continue
        return keys

    def recovery_left(self, user: str) -> list[int]:
        """The numbers of the recovery keys that were not used yet."""
        entry = self._users.get(user, {}).get(RECOVERY)
        if not isinstance(entry, dict) or not entry.get("enable", True):
            return []
        hashes = entry.get("entries")
        return [n for n, value in enumerate(hashes) if value] if isinstance(hashes, list) else []

    def add_totp(self, user: str, key_uri: str, description: str, now: int) -> str:
        """The id of the new entry. The URI must have been checked."""
        if len(self.of(user)) >= MAX_ENTRIES:
            raise FactorError(f"user '{user}' has {MAX_ENTRIES} TFA entries already: delete one first")
        entry_id = secrets.token_hex(16)
        info = {"id": entry_id, "description": description, "created": now}
        self._users.setdefault(user, {}).setdefault(TOTP, []).append({"info": info, "entry": key_uri})
        return entry_id

    def add_recovery(self, user: str, now: int) -> list[str]:
        """New recovery keys; they are not stored and cannot be shown again."""
        if isinstance(self._users.get(user, {}).get(RECOVERY), dict):
            raise FactorError(f"user '{user}' already has recovery keys: delete them first")
        keys = [_recovery_key() for _ in range(RECOVERY_KEYS)]
        secret = secrets.token_hex(8)
        hashes = [_recovery_hash(secret, key) for key in keys]
        self._users.setdefault(user, {})[RECOVERY] = {"secret": secret, "entries": hashes, "created": now}
        return keys

    def use_recovery(self, user: str, key: str) -> bool:
        """Whether this is one of the user's recovery keys; it is struck out then."""
        left = self.recovery_left(user)
        if not left:
            return False
        entry = self._users[user][RECOVERY]
        digest = _recovery_hash(str(entry.get("secret", "")), key.strip().lower())
        found = None
        for number in left:
            if hmac.compare_digest(str(entry["entries"][number]), digest):
                found = number
        if found is None:
            return False
        entry["entries"][found] = None
        return True

    def update(self, user: str, entry_id: str, *, description: str | None, enable: bool | None) -> None:
        self.find(user, entry_id)
        for kind, entry in self._entries(user):
            if _describe(kind, entry).id == entry_id:
                info = entry if kind == RECOVERY else entry["info"]
                if description is not None:
                    info["description"] = description
                if enable is not None:
                    info["enable"] = enable

    def remove(self, user: str, entry_id: str | None = None) -> None:
        """Forget one entry of a user, or all without an id. Raises `FactorError` for an unknown id."""
        if entry_id is None:
            self._users.pop(user, None)
            return
        kind = self.find(user, entry_id).kind
        if kind == RECOVERY:
            del self._users[user][RECOVERY]
        else:
            left = [entry for entry in self._users[user][kind] if entry.get("info", {}).get("id") != entry_id]
            self._users[user][kind] = left
            if not left:
                del self._users[user][kind]

    def _entries(self, user: str) -> Iterator[tuple[str, dict[str, Any]]]:
        stored = self._users.get(user, {})
        for kind in KINDS:
            found = stored.get(kind)
            if kind == RECOVERY:
                if isinstance(found, dict):
                    yield kind, found
            elif isinstance(found, list):
                yield from ((kind, entry) for entry in found if isinstance(entry, dict))


def _describe(kind: str, entry: dict[str, Any]) -> Factor:
    info = entry if kind == RECOVERY else entry.get("info")
    info = info if isinstance(info, dict) else {}
    created = info.get("created", 0)
    return Factor(
        id=RECOVERY if kind == RECOVERY else str(info.get("id", "")),
        kind=kind,
        description=str(info.get("description", "")),
        created=created if isinstance(created, int) else 0,
        enable=bool(info.get("enable", True)),
    )


def _recovery_key() -> str:
    text = secrets.token_hex(8)
    return "-".join(text[n : n + 4] for n in range(0, len(text), 4))


def _recovery_hash(secret: str, key: str) -> str:
    return hmac.new(secret.encode(), key.encode(), hashlib.sha256).hexdigest()
