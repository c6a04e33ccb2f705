"""Who counts as one client, and that nobody takes all places of the front."""

from __future__ import annotations

import contextlib
from collections import Counter
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.api import clients
from quorate.api.clients import MAX_CONNECTIONS, MAX_PER_CLIENT, Held, NoRoomError, admit, client_group


@pytest.mark.parametrize(
    ("client", "group"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:DB8:1:3::9", "2001:db8:1:3::/64"),
        ("64:ff9b::192.0.2.7", "64:ff9b::c000:207"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::1", "::/64"),
        ("", ""),
        ("unknown", "unknown"),
    ],
)
def test_ipv6_clients_are_counted_by_their_network(client: str, group: str) -> None:
    assert client_group(client) == group


def _held(*clients: tuple[str, int, int]) -> list[Held]:
    """Connections of (client, how many idle, how many busy), in order of arrival."""
    made: list[Held] = []
    for client, idle, busy in clients:
        made += [Held(len(made) + at, client, at < idle) for at in range(idle + busy)]
    return made


def test_a_place_is_free() -> None:
    assert admit([], "a") is None
    assert admit(_held(("a", MAX_PER_CLIENT - 1, 0)), "a") is None


def test_one_client_gets_so_many_and_ten_cannot_fill_the_front() -> None:
    with pytest.raises(NoRoomError):
        admit(_held(("a", 0, MAX_PER_CLIENT)), "a")
    assert 10 * MAX_PER_CLIENT < MAX_CONNECTIONS


def test_the_newest_idle_one_of_who_has_most_of_them_goes() -> None:
    held = _held(*((f"c{n}", 40, 1) for n in range(11)), ("b", 41, 6), ("z", 2, 0))
    assert len(held) == MAX_CONNECTIONS
    gone = admit(held, "newcomer")
    assert gone is not None
    assert gone.client == "b"
    assert gone.number == max(each.number for each in held if each.client == "b" and each.idle)


def test_what_is_being_answered_stays() -> None:
    with pytest.raises(NoRoomError):
        admit(_held(*((f"c{n}", 0, 50) for n in range(10))), "newcomer")


def test_who_has_more_takes_nothing_from_who_has_less() -> None:
    held = _held(("greedy", 0, 20), *((f"c{n}", 20, 0) for n in range(24)))
    with pytest.raises(NoRoomError):
        admit(held, "greedy")
    gone = admit(held, "newcomer")
    assert gone is not None
    assert gone.client == "c23"


ARRIVALS = st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=25, max_size=80)


@given(ARRIVALS)
def test_whatever_comes_the_limits_hold_and_a_new_client_finds_a_place(
    arrivals: list[tuple[int, bool]],
) -> None:
    held: dict[int, Held] = {}
    with patch.object(clients, "MAX_CONNECTIONS", 20), patch.object(clients, "MAX_PER_CLIENT", 4):
        for number, (client, idle) in enumerate(arrivals):
            with contextlib.suppress(NoRoomError):
                gone = admit(held.values(), str(client))
                if gone is not None:
                    assert held.pop(gone.number).idle
                held[number] = Held(number, str(client), idle)
            assert len(held) <= 20
            assert max(Counter(each.client for each in held.values()).values()) <= 4
        if len(held) < 20 or any(each.idle for each in held.values()):
            admit(held.values(), "newcomer")
        else:
            with pytest.raises(NoRoomError):
                admit(held.values(), "newcomer")
