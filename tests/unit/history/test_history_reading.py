"""Files of the history check's processes, the plan of its nemesis, and its figures."""

from __future__ import annotations

import json
from itertools import islice

from tests.history.figures import figures, recoveries, table
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
from tests.history.plan import HOST, KINDS, NETWORK, moves
from tests.history.records import History, read_process, read_supervisor
from tests.unit.history.histories import Story

SECOND = 1_000_000_000


def lines(*records: dict[str, object]) -> list[str]:
    return [json.dumps(record) for record in records]


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
    (first, second), damaged = read_process("n2-0.1", [*text, '{"t": "o'])
    assert (first.node, first.outcome, first.invoked, first.ended) == ("n2", "ok", 1.0, 2.0)
    assert (second.outcome, second.ended) == ("info", float("inf"))
    assert len(damaged) == 1


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
    read_supervisor("n1", text, history)
    assert [(life.first, life.last) for life in history.lives] == [(1.0, 6.0), (8.0, 10.0)]
    assert len(history.stuck) == len(history.died) == 1


def test_the_same_seed_gives_the_same_plan() -> None:
    nodes = ("n1", "n2", "n3")
    one = list(islice(moves(7, nodes, 2), 50))
    assert one == list(islice(moves(7, nodes, 2), 50))
    assert one != list(islice(moves(8, nodes, 2), 50))
    assert {move.faults[0].kind for move in one} == set(KINDS)
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
