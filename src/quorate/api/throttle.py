"""Slowing down who guesses passwords: failures per client and per user. Pure: the caller gives the time, and
for a client what its address is counted as (`clients.client_group`).

Every failed login takes its caller three seconds besides (`server`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CLIENT_FAILURES: Final = 20
CLIENT_REFILL_SECONDS: Final = 15.0
"""A client that failed so often waits so long for each further attempt: 240 in an hour."""
USER_FAILURES: Final = 100
USER_REFILL_SECONDS: Final = 6.0
"""For one user from many clients. Wider, since it can also keep the user out."""
MAX_ENTRIES: Final = 10_000
"""Clients and users that are remembered; the ones with the fewest failures are forgotten first."""


@dataclass(slots=True)
class _Failures:
    """How many failures count at a time; they wear off one by one."""

    count: float
    since: float

    def at(self, now: float, refill: float) -> float:
        return max(0.0, self.count - (now - self.since) / refill)


class LoginThrottle:
    """Ask `wait` before a login is tried, tell `failed` or `succeeded` after it."""

    def __init__(self) -> None:
        self._clients: dict[str, _Failures] = {}
        self._users: dict[str, _Failures] = {}
        self._known: dict[tuple[str, str], _Failures | None] = {}

    def wait(self, client: str, user: str, now: float) -> int:
        """Seconds until this client may try again to log in as this user; 0 = now.

        Who logged in from here before is kept out by failures of that pair alone: neither by others who
        guess elsewhere, nor by what else comes from the same address (a proxy, address translation).
        """
        pair = (client, user)
        if pair in self._known:
            seconds = _excess(self._known[pair], now, CLIENT_FAILURES, CLIENT_REFILL_SECONDS)
        else:
            of_client = _excess(self._clients.get(client), now, CLIENT_FAILURES, CLIENT_REFILL_SECONDS)
            of_user = _excess(self._users.get(user), now, USER_FAILURES, USER_REFILL_SECONDS)
            seconds = max(of_client, of_user)
        return -int(-seconds // 1)

    def failed(self, client: str, user: str, now: float) -> None:
        """``user`` may be empty: the request did not say who."""
        _count(self._clients, client, now, CLIENT_REFILL_SECONDS)
        if user:
            _count(self._users, user, now, USER_REFILL_SECONDS)
        if (client, user) in self._known:
            before = self._known[client, user]
            self._known[client, user] = _one_more(before, now, CLIENT_REFILL_SECONDS)

    def succeeded(self, client: str, user: str) -> None:
        # Failures stay: one who knows his own password must not clear what he guesses in between.
        self._known[client, user] = self._known.pop((client, user), None)
        if len(self._known) > MAX_ENTRIES:
            del self._known[next(iter(self._known))]


def _excess(failures: _Failures | None, now: float, allowed: int, refill: float) -> float:
    return 0.0 if failures is None else max(0.0, failures.at(now, refill) - (allowed - 1)) * refill


def _one_more(before: _Failures | None, now: float, refill: float) -> _Failures:
    return _Failures(1.0 + (before.at(now, refill) if before is not None else 0.0), now)


def _count(table: dict[str, _Failures], key: str, now: float, refill: float) -> None:
    table[key] = _one_more(table.get(key), now, refill)
    if len(table) > MAX_ENTRIES:
        ordered = sorted(table, key=lambda name: table[name].at(now, refill))
        for name in ordered[: MAX_ENTRIES // 10]:
            del table[name]
