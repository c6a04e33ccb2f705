"""Guessing passwords gets slower, per client and per user, and wears off."""

from __future__ import annotations

from quorate.api import throttle
from quorate.api.throttle import (
    CLIENT_FAILURES,
    CLIENT_REFILL_SECONDS,
    MAX_ENTRIES,
    USER_FAILURES,
    LoginThrottle,
)


def test_a_client_that_fails_too_often_waits_for_each_attempt() -> None:
    guard = LoginThrottle()
    for _ in range(CLIENT_FAILURES):
        assert guard.wait("c", "bob@pve", 100.0) == 0
        guard.failed("c", "bob@pve", 100.0)
    assert guard.wait("c", "eve@pve", 100.0) == CLIENT_REFILL_SECONDS
    assert guard.wait("other", "bob@pve", 100.0) == 0
    assert guard.wait("c", "bob@pve", 100.0 + CLIENT_REFILL_SECONDS) == 0
    guard.failed("c", "bob@pve", 100.0 + CLIENT_REFILL_SECONDS)
    assert guard.wait("c", "bob@pve", 100.5 + CLIENT_REFILL_SECONDS) == CLIENT_REFILL_SECONDS


def test_a_user_whom_many_clients_try() -> None:
    guard = LoginThrottle()
    guard.succeeded("home", "root@pam")
    for n in range(USER_FAILURES):
        guard.failed(f"c{n}", "root@pam", 5.0)
    assert guard.wait("new", "root@pam", 5.0) > 0
    assert guard.wait("new", "bob@pve", 5.0) == 0
    assert guard.wait("home", "root@pam", 5.0) == 0


def test_a_known_user_is_not_kept_out_by_neighbours_behind_the_same_address() -> None:
    guard = LoginThrottle()
    guard.succeeded("proxy", "bob@pve")
    for _ in range(CLIENT_FAILURES):
        guard.failed("proxy", "eve@pve", 100.0)
    assert guard.wait("proxy", "eve@pve", 100.0) > 0
    assert guard.wait("proxy", "bob@pve", 100.0) == 0
    for _ in range(CLIENT_FAILURES):
        guard.failed("proxy", "bob@pve", 100.0)
        guard.succeeded("proxy", "bob@pve")
    assert guard.wait("proxy", "bob@pve", 100.0) == CLIENT_REFILL_SECONDS


def test_what_is_remembered_is_bounded() -> None:
    guard = LoginThrottle()
    for _ in range(CLIENT_FAILURES):
        guard.failed("worst", "", 1.0)
    for n in range(MAX_ENTRIES + 5):
        guard.failed(f"c{n}", "", 1.0)
        guard.succeeded(f"c{n}", "u")
    assert len(guard._clients) <= MAX_ENTRIES
    assert len(guard._known) <= throttle.MAX_ENTRIES
    assert guard.wait("worst", "", 1.0) > 0
