"""Files of the history check's processes, the plan of its nemesis, and its figures."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest

from tests.history.evidence import Evidence, load
from tests.history.figures import figures, recoveries, table, too_little
from tests.history.node_values import (
    LARGE,
    content,
    read_log,
    read_slots,
    read_whole,
    record_of,
    slot_of,
    token_of,
    value_in,
)
from tests.history.plan import FIRST, FIRST_SECONDS, HOST, KINDS, NETWORK, moves
from tests.history.records import Fault, History, read_process, read_supervisor
from tests.unit.history.histories import REGISTER, Story

SECOND = 1_000_000_000


def lines(*records: dict[str, object]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def test_a_value_is_recognised_and_nothing_else_is() -> None:
    for token in ("n1-0.1:1", f"n1-0.1:2{LARGE}"):
        assert token_of(content(token)) == token
        assert token_of(content(token)[:-1]) is None
        assert value_in(content(token) + b"x") != token
    assert len(content(f"x{LARGE}")) > 131072
    assert value_in(None) is None
    assert isinstance(value_in(b""), list)
    assert read_whole(b"") == {"value": ""}
    assert "bad" in read_whole(b"n1")


def test_a_content_that_is_torn_between_values() -> None:
    old, new, short = content("n1-0.1:24"), content("n1-0.1:11"), content("n1-0.1:20")
    assert (len(old), len(new), len(short)) == (9225, 9075, 375)
    assert read_whole(new.ljust(len(old), b"\0"))["torn"] == ["n1-0.1:11"]  # the old size
    assert read_whole(old[: len(new)])["torn"] == ["n1-0.1:24"]  # the new size
    assert read_whole(old[:4096] + new[4096:])["torn"] == ["n1-0.1:24", "n1-0.1:11"]
    assert read_whole(new[:8192] + bytes(1033))["torn"] == ["n1-0.1:11"]
    assert read_whole(short.ljust(9225, b"\0"))["torn"] == ["n1-0.1:20"]
    assert read_whole(new[:8200])["torn"] == ["n1-0.1:11"]  # no whole line in its last page
    assert read_whole(bytes(9225))["torn"] == []
    for wrong in (old[1:], old[:100] + new[100:], old[:4000] + bytes(96) + old[4096:], old + b"x", b"\0x"):
        assert "torn" not in read_whole(wrong)
        assert "bad" in read_whole(wrong)


def test_records_and_slots() -> None:
    assert read_log(record_of("n1-0.1:7") + record_of("n1-0.1:9")) == {"value": [7, 9]}
    assert "bad" in read_log(record_of("n1-0.1:7")[:-1])
    assert "bad" in read_log(bytes(32) + record_of("n1-0.1:7"))
    assert read_log(None) == {"value": None}
    assert read_slots(bytes(64) + slot_of("n1-0.1:7")) == {"value": [None, "n1-0.1:7", *[None] * 6]}
    assert "bad" in read_slots(slot_of("n1-0.1:7")[:-1])


def test_a_process_is_read() -> None:
    text = lines(
        {"t": "invoke", "i": 1, "op": "write", "key": "k", "value": "v", "at": SECOND},
        {"t": "ok", "i": 1, "at": 2 * SECOND},
        {"t": "invoke", "i": 2, "op": "read", "key": "k", "at": 3 * SECOND},
    )
    history = History(nodes=("n2",))
    read_process("n2-0.1", text, history)
    first, second = history.operations
    assert (first.node, first.outcome, first.invoked, first.ended) == ("n2", "ok", 1.0, 2.0)
    assert (second.outcome, second.ended) == ("info", float("inf"))
    assert history.damaged == []


@pytest.mark.parametrize(
    ("damage", "off", "count"),
    [
        ('{"t": "o', (), 1),
        ('{"t": "o', ("n1",), 1),
        ('{"t": "o', ("n2",), 0),
        ('{"t": "o\n{"t": "ok", "i": 1, "at": 1}\n', ("n2",), 1),
        ('{"t": "ok", "i": 7, "at": 1}\n', ("n2",), 1),
    ],
)
def test_damaged_lines_are_told(damage: str, off: tuple[str, ...], count: int) -> None:
    """But the last line of a node that lost power: that may be cut."""
    history = History(nodes=("n1", "n2"), faults=[Fault("power", "power", 1, 1, 2, 2, off=off)])
    text = lines({"t": "invoke", "i": 1, "op": "mkdir", "key": "k", "at": SECOND})
    read_process("n2-0.1", text + damage, history)
    assert len(history.damaged) == count
    read_supervisor("n2-supervisor.1", lines({"t": "alive", "at": SECOND}) + '{"t": ', history)
    assert len(history.damaged) == count + (off != ("n2",))


def test_a_supervisor_is_read() -> None:
    history = History(nodes=("n1",))
    text = lines(
        {"t": "daemon", "daemon": "7/1", "seen": 0, "at": SECOND},
        {"t": "alive", "at": 5 * SECOND},
        {"t": "daemon", "daemon": "", "seen": 6 * SECOND, "at": 7 * SECOND},
        {"t": "daemon", "daemon": "8/2", "seen": 7 * SECOND, "at": 8 * SECOND},
        {"t": "stuck", "p": "n1-0.1", "i": 3, "state": "D", "buried": False, "at": 9 * SECOND},
        {"t": "died", "p": "n1-1.1", "at": 10 * SECOND},
    )
    read_supervisor("n1-supervisor.1", text, history)
    assert [(life.first, life.last) for life in history.lives] == [(1.0, 6.0), (8.0, 10.0)]
    assert len(history.stuck) == len(history.died) == 1


def test_the_same_seed_gives_the_same_plan() -> None:
    nodes = ("n1", "n2", "n3")
    one = list(islice(moves(7, nodes, 2), 50))
    assert one == list(islice(moves(7, nodes, 2), 50))
    assert one != list(islice(moves(8, nodes, 2), 50))
    assert {move.faults[0].kind for move in one} == set(KINDS)
    assert {move.faults[0].kind for move in one[: len(NETWORK) + len(HOST)]} == set(KINDS)
    first = one[: len(FIRST)]
    assert {move.faults[0].kind for move in first} == set(FIRST)
    assert all(
        len(move.faults) == 1 and not move.hurry and move.seconds <= FIRST_SECONDS[1] for move in first
    )
    assert all(set(fault.nodes) <= set(nodes) for move in one for fault in move.faults)


def test_faults_that_come_together_do_not_undo_each_other() -> None:
    pairs = [move.faults for move in islice(moves(1, ("n1", "n2"), 1), 400) if len(move.faults) == 2]
    assert pairs
    assert all((a.kind in NETWORK) != (b.kind in NETWORK) for a, b in pairs)
    assert all((a.kind in HOST) != (b.kind in HOST) for a, b in pairs)
    assert not any("links" in fault.kind for pair in pairs for fault in pair)


def test_figures() -> None:
    story = Story()
    for node in story.history.nodes:
        story.call(f"{node}-0.1", "mkdir", f"history/d/{node}", 12.0)
        story.final(f"history/d/{node}", None)
    story.call("n3-0.1", "mkdir", "history/d/late", 13.0, 14.5, outcome="info")
    story.read("n1-0.1", None, 15.0)
    story.fault("cut", 1.0, 10.0)
    story.fault("loss", 20.0, 30.0)
    assert recoveries(story.history) == ([12.01 - 10.0], 1)
    result = figures(story.history, story.check())
    assert (result.tried, result.acknowledged, result.unknown, result.lost) == (5, 4, 1, 0)
    assert (result.changes_acknowledged, result.certain) == (3, 3)
    assert result.by_kind["mkdir"] == [4, 3, 0, 1]
    assert result.faults == {"cut": 1, "loss": 1}
    assert "time to converge: min 2.01 s" in table(result)


def test_a_history_in_which_everything_is_excused_proves_too_little() -> None:
    story = Story()
    for number in range(20):
        process = f"n{number % 3 + 1}-0.1"
        story.call(process, "lock", "l", 10.0 + number)
        story.call(process, "enter", "l", 10.1 + number, found=number)
        story.call(process, "leave", "l", 10.2 + number, value=number + 1)
        story.call(process, "unlock", "l", 10.3 + number)
        story.write(process, f"v{number}", 10.4 + number)
        story.call(process, "mkdir", f"history/d/{number}", 10.5 + number)
        story.read(process, f"v{number}", 10.6 + number)
        story.final(f"history/d/{number}", None)
    story.final(REGISTER, "v19")
    result = figures(story.history, story.check())
    assert too_little(result, ()) == []
    assert len(too_little(result, ("cut",))) == 1
    assert (result.noticed, result.unnoticed) == (21, 0)
    assert result.judged["stale read"] == [20, 20]
    assert result.judged["not monotonic"] == [17, 20]  # not the first of each node
    story.fault("delay", 5.0, 40.0, disturbed=("n1", "n2", "n3"), throughout=True)
    result = figures(story.history, story.check())
    assert (result.certain, result.noticed, result.unnoticed) == (0, 0, 20)
    assert len(too_little(result, ("delay",))) == 4
    assert "noticed: 0 of 20 (0 %)" in table(result)


def test_what_is_kept_of_a_run_is_the_same_history(tmp_path: Path) -> None:
    one = {"__REALTIME_TIMESTAMP": "9", "__MONOTONIC_TIMESTAMP": "5", "MESSAGE": "[dcdb] members: 1/2"}
    text = lines(
        {"t": "invoke", "i": 1, "op": "mkdir", "key": "k", "at": SECOND}, {"t": "ok", "i": 1, "at": 7}
    )
    evidence = Evidence(
        nodes=("n1",),
        faults=[Fault("cut", "cut n1", 1.0, 2.0, 3.0, 4.0, disturbed=("n1",))],
        healed=9.0,
        final={"k": None, "f": b"\xff"},
        processes={"n1-0.1": text, "n1-supervisor.1": lines({"t": "died", "p": "n1-0.1", "at": SECOND})},
        journals={"n1": json.dumps(one)},
        looks={"n1": {"keys": {"n1 history/a": "x"}, "log": ["one"]}},
        backups={"n1": {"replaced-1.tar.gz": b"z"}},
    )
    evidence.save(tmp_path)
    assert load(tmp_path) == evidence
    history = load(tmp_path).history()
    assert history == evidence.history()
    assert [op.kind for op in history.operations] == ["mkdir"]
    assert len(history.died) == 1
    assert (history.known, history.logs) == ({"n1": {"n1 history/a": "x"}}, {"n1": ["one"]})
