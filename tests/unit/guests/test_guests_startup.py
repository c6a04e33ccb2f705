"""Which guests are started and ended, in which order (guests 8)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.guests.startup import (
    LocalGuest,
    Startup,
    StartupError,
    is_true,
    parse_managed,
    parse_startup,
    pause,
    stop_limit,
    to_start,
    to_stop,
    worker_count,
)


def _guest(
    vmid: int, startup: str = "", *, kind: str = "qemu", onboot: bool = True, **more: bool
) -> LocalGuest:
    return LocalGuest(vmid=vmid, kind=kind, onboot=onboot, startup=parse_startup(startup), **more)


def _ids(groups: list[tuple[LocalGuest, ...]]) -> list[list[int]]:
    return [[guest.vmid for guest in group] for group in groups]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Startup()),
        ("order=2,up=30,down=60", Startup(2, 30, 60)),
        ("2", Startup(2)),
        ("down=60, up=0 ,,7", Startup(7, 0, 60)),
        (" , ", Startup()),
    ],
)
def test_what_a_guest_says(text: str, expected: Startup) -> None:
    assert parse_startup(text) == expected


@pytest.mark.parametrize("text", ["order=", "order=-1", "up=1.5", "first", "order=1 up=2", "a=1", "²", "١"])
def test_what_is_no_startup(text: str) -> None:
    with pytest.raises(StartupError, match=r"^unable to parse startup options$"):
        parse_startup(text)


def test_only_guests_with_onboot_that_nobody_else_starts() -> None:
    guests = [
        _guest(100),
        _guest(101, onboot=False),
        _guest(102, template=True),
        _guest(103),
        _guest(104, kind="lxc"),
    ]
    assert _ids(to_start(guests, {103}, force=False, only=None)) == [[100, 104]]
    assert _ids(to_start(guests, {103}, force=True, only=None)) == [[100, 101, 104]]
    assert _ids(to_start(guests, {103}, force=False, only={101, 102, 103})) == [[103]]
    assert _ids(to_start(guests, {103}, force=True, only={101, 102, 103})) == [[101, 103]]


def test_groups_in_order_and_those_without_one_last() -> None:
    guests = [
        _guest(300),
        _guest(200, "2"),
        _guest(100),
        _guest(202, "1"),
        _guest(201, "2"),
        _guest(9999, "0"),
    ]
    assert _ids(to_start(guests, (), force=False, only=None)) == [[9999], [202], [200, 201], [100, 300]]
    assert _ids(to_stop(guests, only=None)) == [[300, 100], [201, 200], [202], [9999]]


def test_everything_that_runs_is_ended() -> None:
    guests = [_guest(100, onboot=False), _guest(101), _guest(102, template=True)]
    assert _ids(to_stop(guests, only=None)) == [[101, 100]]
    assert _ids(to_stop(guests, only={100})) == [[100]]


GUESTS = st.lists(
    st.builds(
        LocalGuest,
        vmid=st.integers(100, 120),
        kind=st.sampled_from(["qemu", "lxc"]),
        onboot=st.booleans(),
        template=st.booleans(),
        startup=st.builds(Startup, order=st.none() | st.integers(0, 3)),
    ),
    unique_by=lambda guest: guest.vmid,
)


@given(GUESTS, st.sets(st.integers(100, 120)), st.booleans())
def test_each_guest_once_and_in_its_place(guests: list[LocalGuest], managed: set[int], force: bool) -> None:
    groups = to_start(guests, managed, force=force, only=None)
    started = [guest for group in groups for guest in group]
    assert {guest.vmid for guest in started} == {
        guest.vmid
        for guest in guests
        if (guest.onboot or force) and not guest.template and guest.vmid not in managed
    }
    assert started == sorted(started, key=lambda guest: (guest.place, guest.vmid))
    assert all(len({guest.place for guest in group}) == 1 for group in groups)
    assert len({group[0].place for group in groups}) == len(groups)
    everything = to_start(guests, (), force=True, only=None)
    assert [guest for group in to_stop(guests, only=None) for guest in group] == [
        guest for group in reversed(everything) for guest in reversed(group)
    ]


def test_times() -> None:
    assert (pause(_guest(100)), pause(_guest(100, kind="lxc"))) == (3, 0)
    assert (pause(_guest(100, "up=0")), pause(_guest(100, "up=7", kind="lxc"))) == (0, 7)
    assert (stop_limit(_guest(100), 180), stop_limit(_guest(100, "down=7"), 180)) == (180, 7)
    assert pause(_guest(100, "up=999999999999")) == stop_limit(_guest(100, "down=999999999999"), 0) == 86400


@pytest.mark.parametrize(
    ("asked", "configured", "processors", "workers"),
    [(3, 5, 16, 3), (None, 5, 16, 5), (None, None, 1, 1), (None, None, 4, 3), (None, None, 64, 8)],
)
def test_how_many_at_once(asked: int | None, configured: int | None, processors: int, workers: int) -> None:
    assert worker_count(asked, configured, processors) == workers


def test_who_is_managed() -> None:
    text = "vm: 100\n\tstate started\n\nct: 101\n\tgroup a\n\nfence: 102\nvm:103\nvm: x\n# vm: 104\n"
    assert parse_managed(text) == {100, 101, 103}


def test_booleans_of_the_file() -> None:
    assert [is_true(text) for text in ("1", "yes", "On", "true")] == [True] * 4
    assert [is_true(text) for text in ("0", "no", "", None, "2")] == [False] * 5
