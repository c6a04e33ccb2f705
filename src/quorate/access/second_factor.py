"""Whether a second factor lets somebody in: which ones count, replay, failures in a row, lock-out. Pure.

The factors themselves are `factors`; reading, locking and writing is `factor_store`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Final

from quorate.access.factors import RECOVERY, TOTP, Factors

MAX_TOTP_FAILURES: Final = 8
"""Wrong codes in a row after which TOTP is locked until a recovery key or an administrator opens it: an
attacker who knows the password has one chance in some 40,000."""
MAX_FAILURES: Final = 24
"""Wrong answers of any kind in a row after which the second factor is locked for a while."""
LOCK_SECONDS: Final = 3600
MARKER: Final = "x"
"""In the field ``keys`` of user.cfg: the user's factors are in priv/tfa.cfg."""


class SecondFactorError(Exception):
    """The second factor does not let this user in; the text is for the log."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """What is remembered of one user's second factor beside its secrets.

    ``steps``: the TOTP step that was used last, by entry; ``changed``: when, in seconds.
    """

    steps: dict[str, int] = field(default_factory=dict)
    totp_failures: int = 0
    failures: int = 0
    locked_until: int = 0
    changed: int = 0

    @property
    def totp_locked(self) -> bool:
        return self.totp_failures >= MAX_TOTP_FAILURES

    def merged(self, other: Attempts) -> Attempts:
        """What two nodes remember: no step may be used again; counters as the one that knew last."""
        newer = self if self.changed >= other.changed else other
        ids = self.steps.keys() | other.steps.keys()
        steps = {key: max(self.steps.get(key, 0), other.steps.get(key, 0)) for key in ids}
        return replace(newer, steps=steps)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``accepted``, why not (for the log), what to remember; ``spent``: a recovery key was struck out."""

    accepted: bool
    reason: str
    attempts: Attempts
    spent: bool = False


def required(factors: Factors, user: str, keys: str, realm_tfa: str = "") -> dict[str, object] | None:
    """What the user has to be asked for, or None if the password is enough.

    ``keys`` is the field of user.cfg, ``realm_tfa`` the kind of second factor that the realm demands.
    Raises `SecondFactorError` when there is a second factor, but none that can be asked for.
    """
    enabled = [factor for factor in factors.of(user) if factor.enable]
    totp = bool(factors.totp_keys(user))
    left = factors.recovery_left(user)
    if totp or left:
        if realm_tfa and not totp and realm_tfa != "oath":
            raise SecondFactorError(f"the realm demands '{realm_tfa}', which is not supported")
        challenge: dict[str, object] = {}
        if totp:
            challenge[TOTP] = True
        if left:
            challenge[RECOVERY] = left
        return challenge
    if enabled:
        kinds = ", ".join(sorted({factor.kind for factor in enabled}))
        raise SecondFactorError(f"the user's second factors ({kinds}) cannot be used here")
    if keys and not factors.of(user):
        raise SecondFactorError(
            "user.cfg says that the user has a second factor, priv/tfa.cfg knows none that can be used: "
            f"set it up again, or forget it with 'pveum user tfa delete {user}'"
        )
    if realm_tfa:
        raise SecondFactorError(f"the realm demands a second factor ({realm_tfa}), the user has none")
    return None


def judge(factors: Factors, attempts: Attempts, user: str, answer: str, now: float) -> Verdict:
    """Try ``TYPE:VALUE``. Strikes a recovery key out of ``factors`` when it was right."""
    if now < attempts.locked_until:
        return Verdict(False, "the second factor is locked for a while after too many failures", attempts)
    kind, colon, value = answer.partition(":")
    if not colon or kind not in (TOTP, RECOVERY):
        return _failed(attempts, "no answer of a kind that can be checked (totp, recovery)", now)
    if kind == RECOVERY:
        if factors.use_recovery(user, value):
            return Verdict(True, "", Attempts(attempts.steps, changed=int(now)), spent=True)
        return _failed(attempts, "wrong recovery key", now)
    if attempts.totp_locked:
        return _failed(attempts, "TOTP is locked after too many wrong codes", now)
    for entry_id, key in factors.totp_keys(user).items():
        step = key.matching_step(value.strip(), now, attempts.steps.get(entry_id))
        if step is not None:
            return Verdict(True, "", Attempts({**attempts.steps, entry_id: step}, changed=int(now)))
    wrong = replace(attempts, totp_failures=attempts.totp_failures + 1)
    return _failed(wrong, "wrong TOTP code, or one that was used already", now)


def unlocked(attempts: Attempts, now: float) -> Attempts:
    """The same without its failures. Codes that were used stay used."""
    return Attempts(attempts.steps, changed=int(now))


def parse_attempts(text: str) -> dict[str, Attempts]:
    """What was remembered, by user. Content that makes no sense counts as an empty file.

    That forgets failures and used codes of the last minute, and lets nobody in: the factors lie elsewhere.
    """
    try:
        content = json.loads(text) if text.strip() else {}
    except ValueError:
        return {}
    if not isinstance(content, dict):
        return {}
    return {user: _attempts(entry) for user, entry in content.items() if isinstance(entry, dict)}


def format_attempts(known: dict[str, Attempts]) -> str:
    content = {
        user: {
            "steps": entry.steps,
            "totp-failures": entry.totp_failures,
            "failures": entry.failures,
            "locked-until": entry.locked_until,
            "changed": entry.changed,
        }
        for user, entry in sorted(known.items())
    }
    return json.dumps(content, separators=(",", ":"))


def _failed(attempts: Attempts, reason: str, now: float) -> Verdict:
    failures = attempts.failures + 1
    if failures >= MAX_FAILURES:
        after = replace(attempts, failures=0, locked_until=int(now) + LOCK_SECONDS, changed=int(now))
    else:
        after = replace(attempts, failures=failures, changed=int(now))
    return Verdict(False, reason, after)


def _attempts(entry: dict[str, Any]) -> Attempts:
    steps = entry.get("steps")
    return Attempts(
        steps={str(k): _number(v) for k, v in steps.items()} if isinstance(steps, dict) else {},
        totp_failures=_number(entry.get("totp-failures")),
        failures=_number(entry.get("failures")),
        locked_until=_number(entry.get("locked-until")),
        changed=_number(entry.get("changed")),
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
