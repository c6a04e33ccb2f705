"""The history check sees lost, doubled and disordered operations, broken locks, hangs and missing quorum."""

from __future__ import annotations

import math

import pytest

from tests.history.checker import CLASSES
from tests.history.records import Life
from tests.unit.history.histories import END, LOG, Story, kinds

X, D, M = "history/x/2", "history/d/3", "history/m/4"


@pytest.fixture
def story() -> Story:
    return Story()


# Names


def test_the_second_knows_what_was_before_it_was_cut_off(story: Story) -> None:
    story.call("n1-0.1", "mkdir", D, 1.0)
    story.call("n2-0.1", "mkdir", D, 6.0)
    story.fault("cut", 6.1, 9.0, disturbed=("n2",))
    story.final(D, None)
    assert kinds(story) == ["made twice"]


def test_one_of_many_makes_a_name(story: Story) -> None:
    story.call("n1-0.1", "create", X, 1.0, value="a")
    story.call("n2-0.1", "create", X, 1.0, value="b", outcome="fail")
    story.call("n3-0.1", "create", X, 1.0, value="c", outcome="info")
    story.call("n1-0.1", "mkdir", D, 2.0)
    story.final(X, "a")
    story.final(D, None)
    assert kinds(story) == []


def test_two_make_the_same_name(story: Story) -> None:
    story.call("n1-0.1", "mkdir", D, 1.0)
    story.call("n2-0.1", "mkdir", D, 1.0)
    story.final(D, None)
    assert kinds(story) == ["made twice"]


def test_the_second_may_be_told_so_when_the_first_was_cut_off(story: Story) -> None:
    story.call("n1-0.1", "mkdir", D, 1.0)
    story.call("n2-0.1", "mkdir", D, 6.0)
    story.fault("cut", 1.1, 9.0, disturbed=("n1",))
    story.final(D, None)
    assert kinds(story) == []


def test_a_name_that_is_lost(story: Story) -> None:
    story.call("n1-0.1", "create", X, 1.0, value="a")
    assert kinds(story) == ["lost"]


def test_a_name_with_the_content_of_another(story: Story) -> None:
    story.call("n1-0.1", "create", X, 1.0, value="a")
    story.call("n2-0.1", "create", X, 1.0, value="b", outcome="info")
    story.final(X, "b")
    assert kinds(story) == ["lost"]


def test_a_name_that_all_were_refused(story: Story) -> None:
    story.call("n1-0.1", "mkdir", D, 1.0, outcome="fail")
    story.final(D, None)
    assert kinds(story) == ["refused write seen"]


def test_a_file_is_taken_by_one(story: Story) -> None:
    story.call("n1-0.1", "give", M, 1.0, value="a")
    story.call("n2-0.1", "take", M, 2.0, value=f"{M}.n2-0.1")
    story.call("n3-0.1", "take", M, 2.0, outcome="fail")
    story.final(f"{M}.n2-0.1", "a")
    assert kinds(story) == []


def test_a_file_is_taken_twice(story: Story) -> None:
    story.call("n1-0.1", "give", M, 1.0, value="a")
    story.call("n2-0.1", "take", M, 2.0, value=f"{M}.n2-0.1")
    story.call("n3-0.1", "take", M, 2.0)
    story.final(f"{M}.n2-0.1", "a")
    assert kinds(story) == ["taken twice"]


def test_a_file_in_two_places(story: Story) -> None:
    story.call("n1-0.1", "give", M, 1.0, value="a")
    story.call("n2-0.1", "take", M, 2.0, value=f"{M}.n2-0.1", outcome="info")
    story.final(f"{M}.n2-0.1", "a")
    story.final(M, "a")
    assert kinds(story) == ["applied twice"]


def test_a_file_that_is_back_after_it_was_taken(story: Story) -> None:
    story.call("n1-0.1", "give", M, 1.0, value="a")
    story.call("n2-0.1", "take", M, 2.0)
    story.final(M, "a")
    assert kinds(story) == ["lost"]


def test_a_gift_that_is_lost(story: Story) -> None:
    story.call("n1-0.1", "give", M, 1.0, value="a")
    assert kinds(story) == ["lost"]


# Logs


def test_records_are_there_once_and_in_order(story: Story) -> None:
    for number in range(1, 4):
        story.append(float(number))
    story.append(4.0, outcome="info")
    story.call("n2-0.1", "read-log", LOG, 2.5, found=[1])  # a little behind
    story.call("n2-0.1", "read-log", LOG, 3.5, found=[1, 2, 3])
    story.final_log(1, 2, 3, 4)
    assert kinds(story) == []


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((1, 2), "lost"),
        ((1, 3), "lost"),
        ((1, 2, 2, 3), "applied twice"),
        ((1, 3, 2), "out of order"),
        ((1, 2, 3, 9), "never written"),
    ],
)
def test_records_that_are_wrong_at_the_end(story: Story, numbers: tuple[int, ...], expected: str) -> None:
    for number in range(1, 4):
        story.append(float(number))
    story.final_log(*numbers)
    assert kinds(story) == [expected]


def test_a_damaged_log(story: Story) -> None:
    story.append(1.0)
    story.history.final[LOG] = bytes(32) + b"n1-0.1:1"
    assert kinds(story) == ["never written"]


def test_a_record_that_was_refused(story: Story) -> None:
    story.append(1.0, outcome="fail")
    story.final_log(1)
    assert kinds(story) == ["refused write seen"]


def test_a_record_from_the_future(story: Story) -> None:
    story.call("n2-0.1", "read-log", LOG, 0.5, found=[1])
    story.append(1.0)
    story.final_log(1)
    assert kinds(story) == ["from the future"]


def test_a_log_that_gets_shorter(story: Story) -> None:
    story.append(1.0)
    story.append(2.0)
    story.call("n2-0.1", "read-log", LOG, 3.0, found=[1, 2])
    story.call("n2-0.1", "read-log", LOG, 4.0, found=[1])
    story.final_log(1, 2)
    assert kinds(story) == ["not monotonic"]


def test_a_log_that_lacks_what_the_node_must_know(story: Story) -> None:
    story.append(1.0)
    story.call("n2-0.1", "mkdir", D, 2.0)
    story.call("n2-0.1", "read-log", LOG, 3.0, found=[])
    story.final(D, None)
    story.final_log(1)
    assert kinds(story) == ["stale read"]


# Locks


def section(story: Story, process: str, at: float, number: int, until: float | None = None) -> None:
    """Take the lock, count, give it back at ``until`` (None: never)."""
    story.call(process, "lock", "l", at)
    story.call(process, "enter", "l", at + 0.1, found=number)
    story.call(process, "leave", "l", at + 0.2, value=number + 1)
    if until is not None:
        story.call(process, "unlock", "l", until)


def test_sections_one_after_the_other(story: Story) -> None:
    section(story, "n1-0.1", 1.0, 0, 2.0)
    section(story, "n2-0.1", 2.1, 1)
    section(story, "n3-0.1", 2.1 + 121, 2, 130.0)  # the second never gave it back
    assert kinds(story) == []


def test_sections_that_meet(story: Story) -> None:
    section(story, "n1-0.1", 1.0, 0, 3.0)
    section(story, "n2-0.1", 2.0, 1, 2.9)
    assert kinds(story) == ["lock held twice"]


def test_a_lock_that_expires_too_early(story: Story) -> None:
    section(story, "n1-0.1", 1.0, 0)
    section(story, "n2-0.1", 100.0, 1, 101.0)
    assert kinds(story) == ["lock held twice"]


def test_a_renewed_lock_lives_longer(story: Story) -> None:
    section(story, "n1-0.1", 1.0, 0)
    story.call("n1-0.1", "renew", "l", 60.0)
    section(story, "n2-0.1", 125.0, 1, 126.0)
    assert kinds(story) == ["lock held twice"]


def test_a_lock_that_its_holder_lost_as_it_was_cut_off(story: Story) -> None:
    section(story, "n1-0.1", 1.0, 0)
    section(story, "n2-0.1", 9.0, 1, 10.0)
    story.fault("cut", 1.3, 8.0, disturbed=("n1",))
    findings = story.check()
    assert findings.violations == []
    assert [kind for kind, *_ in findings.excused] == ["lock held twice"]


def test_a_lock_that_its_holder_had_before_the_other_was_cut_off(story: Story) -> None:
    section(story, "n1-0.1", 1.0, 0)
    section(story, "n2-0.1", 20.0, 1, 21.0)
    story.fault("cut", 20.3, 28.0, disturbed=("n2",))
    assert kinds(story) == ["lock held twice"]


def test_a_change_under_a_lock_that_is_lost(story: Story) -> None:
    section(story, "n1-0.1", 1.0, 0, 2.0)
    section(story, "n2-0.1", 3.0, 0, 4.0)
    assert kinds(story) == ["lost under a lock"]


def test_a_write_of_unknown_outcome_may_come_late(story: Story) -> None:
    section(story, "n1-0.1", 1.0, 0, 2.0)
    story.history.operations[-2].outcome = "info"
    section(story, "n2-0.1", 3.0, 0, 4.0)
    section(story, "n2-0.1", 5.0, 1, 6.0)
    assert kinds(story) == []


# Status

KEY = "n1 history/a"


def test_what_a_daemon_was_told_all_know_at_the_end(story: Story) -> None:
    story.call("n1-3.1", "tell", KEY, 1.0, value="a")
    story.call("n1-3.1", "tell", KEY, 2.0, value="b")
    story.call("n1-3.1", "tell", KEY, 3.0, value="c", outcome="info")
    story.call("n1-3.1", "ask", KEY, 4.0, found="b")
    story.call("n2-3.1", "ask", KEY, 4.0, found="a")  # no promise before all is whole
    story.history.known = {"n1": {KEY: "c"}, "n2": {KEY: "b"}, "n3": {KEY: "b"}}
    findings = story.check()
    assert findings.violations == []
    assert findings.judged["status not told"] == 4
    for missing in ("a", None):
        story.history.known["n3"] = {KEY: missing}
        assert kinds(story) == ["status not told"]


def test_a_daemon_that_started_again_need_not_know_its_keys(story: Story) -> None:
    story.history.lives.append(Life("n1", END + 5, END + 9))
    story.call("n1-3.1", "tell", KEY, 1.0, value="a")
    story.call("n1-3.1", "ask", KEY, END + 6, found=None)
    story.history.known = {"n1": {KEY: None}, "n2": {KEY: "a"}}
    assert kinds(story) == []
    story.call("n1-3.1", "tell", KEY, END + 7, value="b")
    story.call("n1-3.1", "ask", KEY, END + 8, found=None)
    assert kinds(story) == ["status not told"] * 3


def test_a_status_that_nobody_told(story: Story) -> None:
    story.call("n2-3.1", "ask", KEY, 1.0, found="x")
    assert kinds(story) == ["never written"]
    story.call("n1-3.1", "tell", KEY, 2.0, value="x")
    assert kinds(story) == ["from the future"]


def test_logs_that_differ(story: Story) -> None:
    story.history.logs = {"n1": ["a", "b"], "n2": ["a", "b"]}
    assert kinds(story) == []
    story.history.logs["n3"] = ["b"]
    assert kinds(story) == ["logs differ"]
    story.history.logs["n3"] = ["b", "a"]
    assert kinds(story) == ["logs differ"]


def test_status_is_no_change_and_needs_no_quorum(story: Story) -> None:
    story.fault("cut", 10.0, 30.0, disturbed=("n1",), isolated=("n1",))
    op = story.call("n1-3.1", "tell", KEY, 20.0, value="a")
    story.history.known = {"n1": {KEY: "a"}}
    assert not op.changes
    assert kinds(story) == []


# Quorum and time


def test_a_change_without_quorum(story: Story) -> None:
    story.fault("cut", 10.0, 30.0, disturbed=("n1",), isolated=("n1",))
    story.call("n1-0.1", "mkdir", D, 20.0)
    story.final(D, None)
    assert kinds(story) == ["written without quorum"]


def test_reading_and_the_others_need_not_stop(story: Story) -> None:
    story.fault("cut", 10.0, 30.0, disturbed=("n1",), isolated=("n1",))
    story.call("n2-0.1", "mkdir", D, 20.0)
    story.read("n1-0.1", None, 20.0)
    story.final(D, None)
    assert kinds(story) == []


def test_a_call_that_takes_too_long(story: Story) -> None:
    story.call("n1-0.1", "mkdir", D, 1.0, 60.0)
    story.final(D, None)
    assert kinds(story) == ["hung"]


def test_a_call_waits_for_a_daemon_that_stands_still(story: Story) -> None:
    story.fault("stop pmxcfs", 2.0, 50.0, stalled=("n1",))
    story.call("n1-0.1", "mkdir", D, 1.0, 60.0)
    story.final(D, None)
    assert kinds(story) == []


def test_a_peer_that_stands_still_is_no_excuse(story: Story) -> None:
    story.fault("stop pmxcfs", 2.0, 50.0, stalled=("n2",))
    story.call("n1-0.1", "mkdir", D, 1.0, 60.0)
    story.final(D, None)
    assert kinds(story) == ["hung"]


def test_a_call_that_never_came_back(story: Story) -> None:
    story.call("n1-0.1", "mkdir", D, 1.0, math.inf, outcome="info")
    assert kinds(story) == ["hung"]
    story.fault("power", 2.0, 5.0, off=("n1",))
    assert kinds(story) == []


def test_a_process_that_was_given_up(story: Story) -> None:
    story.history.stuck.append("n1-0.1#4 in state D at 200.000")
    assert kinds(story) == ["hung"]


def test_a_damaged_record(story: Story) -> None:
    story.history.damaged.append('n1-0.1: \'{"t": "o\'')
    assert kinds(story) == ["damaged record"]


def test_a_client_that_died(story: Story) -> None:
    story.history.died.append("n1-0.1 at 7.000")
    assert kinds(story) == ["client died"]


def test_every_class_is_found_by_a_test_here() -> None:
    """So that a new class comes with a history that has it."""
    from pathlib import Path

    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_history_r*.py"))
    assert [name for name in CLASSES if f'"{name}"' not in text] == []
