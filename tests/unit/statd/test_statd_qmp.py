"""A conversation with a VM's monitor: what is asked, what is believed, what a hostile one can do."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.statd import qmp
from quorate.statd.guestfigures import DiskTraffic
from quorate.statd.qmp import Conversation, GuestMemory, MonitorFigures, QmpError

GREETING = b'{"QMP": {"version": {}, "capabilities": ["oob"]}}\r\n'
UNKNOWN = (1 << 64) - 1


def asked(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def answer(name: str, value: object) -> bytes:
    return json.dumps({"return": value, "id": name}).encode() + b"\r\n"


def refuse(name: str) -> bytes:
    error = {"class": "DeviceNotFound", "desc": "Device 'balloon0' not found"}
    return json.dumps({"error": error, "id": name}).encode() + b"\r\n"


def begun() -> Conversation:
    conversation = Conversation()
    conversation.received(GREETING)
    conversation.received(answer("qmp_capabilities", {}))
    return conversation


def stats(read: object, written: object) -> dict[str, object]:
    return {
        "stats": {"rd_bytes": read, "wr_bytes": written},
        "parent": {"stats": {"rd_bytes": 7, "wr_bytes": 7}},
    }


def test_a_whole_conversation() -> None:
    conversation = Conversation()
    assert [message["execute"] for message in asked(conversation.received(GREETING))] == ["qmp_capabilities"]
    questions = asked(conversation.received(answer("qmp_capabilities", {})))
    assert [(message["execute"], message["id"]) for message in questions] == [
        ("query-status", "query-status"),
        ("query-blockstats", "query-blockstats"),
        ("qom-get", "guest-stats"),
        ("qom-get", "guest-stats-polling-interval"),
    ]
    assert questions[2]["arguments"] == {"path": "/machine/peripheral/balloon0", "property": "guest-stats"}
    memory = {"stats": {"stat-total-memory": 1000, "stat-free-memory": 400}, "last-update": 70}
    said = answer("query-status", {"status": "paused", "running": False})
    said += b'{"event": "RTC_CHANGE", "timestamp": {}, "data": {}}\r\n'
    said += answer("query-blockstats", [stats(5, 6), stats(10, 20)])
    said += answer("guest-stats", memory)
    states = [(conversation.received(said), conversation.done)]
    states.append((conversation.received(answer("guest-stats-polling-interval", 2)), conversation.done))
    assert states == [(b"", False), (b"", True)]
    assert conversation.figures() == MonitorFigures(
        status="paused", disks=DiskTraffic(15, 26), memory=GuestMemory(1000, 400, 70)
    )


def test_bytes_may_come_in_any_pieces() -> None:
    conversation = Conversation()
    sent = b"".join(
        conversation.received(bytes([byte])) for byte in GREETING + answer("qmp_capabilities", {})
    )
    assert len(asked(sent)) == 5


def test_a_guest_reports_its_memory_only_if_qemu_asks_it() -> None:
    conversation = begun()
    for name in ("query-status", "query-blockstats", "guest-stats"):
        conversation.received(refuse(name))
    (wish,) = asked(conversation.received(answer("guest-stats-polling-interval", 0)))
    assert (wish["execute"], wish["arguments"]["value"]) == ("qom-set", qmp.POLLING_SECONDS)
    assert not conversation.done
    conversation.received(answer("qom-set", {}))
    assert conversation.done


def test_without_a_balloon_the_rest_is_known() -> None:
    conversation = begun()
    conversation.received(refuse("guest-stats") + refuse("guest-stats-polling-interval"))
    conversation.received(answer("query-status", {"status": "running"}) + answer("query-blockstats", []))
    assert conversation.done
    assert conversation.figures() == MonitorFigures(status="running", disks=DiskTraffic(0, 0))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("query-status", {"status": "run:ning"}),
        ("query-status", {"status": "x" * 99}),
        ("query-status", {"status": 7}),
        ("query-status", "running"),
        ("query-blockstats", {}),
        ("query-blockstats", None),
        (
            "guest-stats",
            {"stats": {"stat-total-memory": UNKNOWN, "stat-free-memory": UNKNOWN}, "last-update": 0},
        ),
        ("guest-stats", {"stats": {"stat-total-memory": 5, "stat-free-memory": 1}, "last-update": 0}),
        ("guest-stats", {"stats": {"stat-total-memory": True, "stat-free-memory": -1}, "last-update": 9}),
        ("guest-stats", {"stats": [], "last-update": 9}),
        ("guest-stats", []),
    ],
)
def test_what_makes_no_sense_is_unknown(name: str, value: object) -> None:
    conversation = begun()
    conversation.received(answer(name, value))
    assert conversation.figures() == MonitorFigures()


@pytest.mark.parametrize("device", [None, 3, {}, {"stats": 1}, stats(-1, "6"), stats(True, UNKNOWN)])
def test_a_device_without_counters_counts_nothing(device: object) -> None:
    conversation = begun()
    conversation.received(answer("query-blockstats", [device, stats(1, 2)]))
    assert conversation.figures().disks == DiskTraffic(1, 2)


@pytest.mark.parametrize(
    ("status", "updated", "used"),
    [("running", 1000, 600), ("running", 900, None), ("running", 1200, None), ("paused", 900, 600)],
)
def test_old_memory_figures_are_no_figures_of_a_running_guest(
    status: str, updated: int, used: int | None
) -> None:
    figures = MonitorFigures(status=status, memory=GuestMemory(1000, 400, updated))
    assert figures.memory_used(1010.0) == used


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"SSH-2.0-x\r\n", "makes no sense"),
        (b"[1]\n", "makes no sense"),
        (b"\xff\xfe\n", "makes no sense"),
        (b"[" * 100_000 + b"\n", "makes no sense"),
        (b'{"a": ' + b"9" * 5000 + b"}\n", "makes no sense"),
        (b'{"event": "x"}\n', "did not greet"),
        (GREETING + refuse("qmp_capabilities"), "refused to begin"),
        (b"x" * (qmp.MAX_BYTES + 1), "more than 1048576 bytes"),
        (GREETING + b"{}\n" * qmp.MAX_LINES, "more than 1000 things"),
    ],
)
def test_a_monitor_that_does_not_keep_to_the_protocol(said: bytes, reason: str) -> None:
    with pytest.raises(QmpError, match=reason):
        Conversation().received(said)


def test_answers_that_nobody_asked_for_count_nothing() -> None:
    conversation = begun()
    conversation.received(answer("query-status", {"status": "running"}))
    conversation.received(answer("query-status", {"status": "paused"}))
    conversation.received(
        b'{"return": {}, "id": 3}\n{"return": {"status": "paused"}}\n{"id": "guest-stats"}\n'
    )
    assert conversation.figures().status == "running"
    assert not conversation.done


@given(st.lists(st.binary(max_size=60) | st.sampled_from([GREETING, answer("qmp_capabilities", {})])))
def test_nothing_that_is_said_does_harm(pieces: list[bytes]) -> None:
    conversation = Conversation()
    with suppress(QmpError):
        for piece in pieces:
            conversation.received(piece)
    assert conversation.figures().disks is None
