"""What a node lost to the cluster's state excuses exactly that, on that node, while it was apart (G1, G3)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quorate.pmxcfs.backup import save_lost
from quorate.pmxcfs.sync import LostEntry
from tests.history.findings import Findings
from tests.history.journal import Line, read_journal, read_lines
from tests.history.node_values import content, record_of
from tests.history.records import History, Kept
from tests.history.replaced import APART, REPLACED, TWICE, UNDONE
from tests.unit.history.histories import LOG, NODES, REGISTER, Story, kinds

X, D, M = "history/x/2", "history/d/3", "history/m/4"


@pytest.fixture
def story() -> Story:
    return Story()


def reasons(findings: Findings) -> list[tuple[str, str]]:
    assert findings.violations == []
    return [(kind, reason) for kind, _, reason in findings.excused]


def test_that_some_node_lost_something_excuses_nothing_of_others(story: Story) -> None:
    story.call("n1-0.1", "create", X, 10.0, value="n1-0.1:1")
    story.write("n2-0.1", "n2-0.1:1", 20.0)
    story.replaced("n3", 1.0, 800.0, history__x__2="n1-0.1:1", history__r__0="n2-0.1:1")
    assert kinds(story) == ["lost", "lost"]


def test_what_the_backup_of_the_node_has_is_excused_and_counted(story: Story) -> None:
    story.write("n2-0.1", "a", 1.0)
    story.write("n3-0.1", "b", 15.0)
    story.replaced("n3", 10.0, 20.0, history__r__0="b")
    story.final(REGISTER, "a")
    assert reasons(story.check()) == [("lost", REPLACED)]


def test_what_the_backup_does_not_have_is_not(story: Story) -> None:
    story.write("n2-0.1", "a", 1.0)
    story.write("n3-0.1", "b", 15.0)
    story.replaced("n3", 10.0, 20.0, history__r__1="b")
    story.final(REGISTER, "a")
    assert kinds(story) == ["lost"]


def test_an_older_content_in_the_backup_is_no_proof(story: Story) -> None:
    story.write("n2-0.1", "a", 1.0)
    story.write("n3-0.1", "b", 15.0)
    story.replaced("n3", 10.0, 20.0, history__r__0="a")
    story.final(REGISTER, "a")
    assert kinds(story) == ["lost"]


@pytest.mark.parametrize("at", [5.0, 21.0])
def test_outside_the_time_in_which_the_node_was_apart(story: Story, at: float) -> None:
    story.write("n2-0.1", "a", 1.0)
    story.write("n3-0.1", "b", at)
    story.replaced("n3", 10.0, 20.0, history__r__0="b")
    story.final(REGISTER, "a")
    assert kinds(story) == ["lost"]


def test_a_change_that_another_node_of_the_same_side_kept_in_its_backup(story: Story) -> None:
    story.write("n2-0.1", "a", 1.0)
    story.write("n3-0.1", "b", 15.0)
    story.replaced("n1", 10.0, 20.0, history__r__0="b")
    story.final(REGISTER, "a")
    assert kinds(story) == ["lost"]  # it was written by n1 itself, says the backup
    kept = story.history.replaced[0].kept
    assert isinstance(kept, dict)
    kept[REGISTER] = Kept("n3", content("b"))
    assert reasons(story.check()) == [("lost", REPLACED)]


def test_an_excused_write_does_not_hide_one_before_it(story: Story) -> None:
    story.write("n2-0.1", "a", 1.0)
    story.write("n2-0.1", "b", 4.0)  # long before n3 was apart
    story.write("n3-0.1", "c", 15.0)
    story.replaced("n3", 10.0, 20.0, history__r__0="c")
    story.final(REGISTER, "a")
    assert kinds(story) == ["lost"]


def test_a_removal_leaves_nothing_in_the_backup(story: Story) -> None:
    story.write("n2-0.1", "a", 1.0)
    story.call("n3-0.1", "remove", REGISTER, 15.0)
    story.final(REGISTER, "a")
    story.replaced("n3", 10.0, 20.0, history__x__9="z")
    assert reasons(story.check()) == [("lost", UNDONE)]


def test_a_removal_that_the_backup_denies(story: Story) -> None:
    story.write("n2-0.1", "a", 1.0)
    story.call("n3-0.1", "remove", REGISTER, 15.0)
    story.final(REGISTER, "a")
    story.replaced("n3", 10.0, 20.0, history__r__0="a")
    assert kinds(story) == ["lost"]


def test_a_removal_by_another_node(story: Story) -> None:
    story.write("n2-0.1", "a", 1.0)
    story.call("n2-0.1", "remove", REGISTER, 15.0)
    story.final(REGISTER, "a")
    story.replaced("n3", 10.0, 20.0)
    assert kinds(story) == ["lost"]


def test_a_read_before_the_replacement_is_not_excused_by_it(story: Story) -> None:
    story.write("n3-0.1", "a", 11.0)
    story.write("n3-0.1", "b", 12.0)
    story.read("n3-1.1", "a", 13.0)
    story.replaced("n3", 10.0, 20.0, history__r__0="b")
    story.read("n3-1.1", "a", 21.0)
    story.final(REGISTER, "a")
    findings = story.check()
    assert [kind for kind, _ in findings.violations] == ["stale read"]
    assert [kind for kind, *_ in findings.excused] == ["stale read", "lost"]


def test_records_and_slots_that_the_backup_has(story: Story) -> None:
    story.append(1.0)
    story.append(15.0)
    story.append(16.0)
    story.replaced("n1", 10.0, 20.0)
    kept = story.history.replaced[0].kept
    assert isinstance(kept, dict)
    kept[LOG] = Kept("n1", record_of("n1-0.1:1") + record_of("n1-0.1:2"))
    story.final_log(1)
    findings = story.check()
    assert [kind for kind, _ in findings.violations] == ["lost"]  # the third
    assert [reason for *_, reason in findings.excused] == [REPLACED]


def test_a_directory_that_both_sides_made(story: Story) -> None:
    story.call("n1-0.1", "mkdir", D, 15.0)
    story.call("n3-0.1", "mkdir", D, 16.0)
    story.final(D, None)
    story.replaced("n1", 10.0, 20.0)
    assert kinds(story) == ["made twice"]  # n3 had it when n1's was still there
    story.history.operations[1].ended = 21.0
    assert reasons(story.check()) == [("made twice", TWICE)]


def test_a_directory_that_a_side_made_which_did_not_know(story: Story) -> None:
    story.call("n1-0.1", "mkdir", D, 15.0)
    story.call("n3-0.1", "mkdir", D, 16.0)
    story.final(D, None)
    story.replaced("n3", 10.0, 20.0)
    assert reasons(story.check()) == [("made twice", APART)]
    story.history.operations[0].ended = 3.0
    assert kinds(story) == ["made twice"]


def test_a_file_taken_on_both_sides(story: Story) -> None:
    story.call("n1-0.1", "give", M, 1.0, value="a")
    story.call("n2-0.1", "take", M, 15.0, value=f"{M}.n2-0.1")
    story.call("n3-0.1", "take", M, 25.0, value=f"{M}.n3-0.1")
    story.final(f"{M}.n3-0.1", "a")
    story.replaced("n2", 10.0, 20.0)
    kept = story.history.replaced[0].kept
    assert isinstance(kept, dict)
    kept[f"{M}.n2-0.1"] = Kept("n2", content("a"))
    assert {reason for _, reason in reasons(story.check())} == {REPLACED}
    del kept[f"{M}.n2-0.1"]
    assert set(kinds(story)) == {"taken twice", "lost"}


# The journal


def said(*texts: str) -> list[Line]:
    """One line a second, of the database's group."""
    return [Line(float(at), f"[dcdb] {text}") for at, text in enumerate(texts, 1)]


DONE = "all data is up to date, 3 member(s)"
GONE = "changes of this node are replaced by the cluster's state: a/b; they are kept in /var/b/replaced-7.tgz"


def read(lines: list[Line], **backups: bytes) -> History:
    history = History(NODES)
    read_journal(
        "n2", lines, {name.replace("_", "-") + ".tgz": data for name, data in backups.items()}, history
    )
    return history


def test_apart_is_from_the_end_of_the_last_configuration_in_which_they_were_in_sync() -> None:
    lines = said("members: 1/8, 2/9, 3/7", DONE, "members: 2/9", DONE, "members: 1/8, 2/9, 3/7", GONE)
    history = read(lines)
    assert [(each.node, each.since, each.at) for each in history.replaced] == [("n2", 3.0, 6.0)]
    assert history.adopted == {"n2": [6.0]}
    assert history.whole == {"n2": [2.0]}


def test_a_configuration_without_a_sync_is_no_togetherness() -> None:
    lines = said(
        "members: 1/8, 2/9, 3/7",
        DONE,
        "members: 2/9, 3/7",
        DONE,
        "members: 1/8, 2/9, 3/7",
        "members: 2/9, 3/7",
    )
    history = read(said(*(line.text[7:] for line in lines), "members: 1/8, 2/9, 3/7", GONE))
    assert history.replaced[0].since == 3.0


def test_who_is_still_absent_does_not_count() -> None:
    lines = said("members: 1/8, 2/9, 3/7", DONE, "members: 1/8, 2/9", DONE, "members: 2/9", DONE)
    history = read(said(*(line.text[7:] for line in lines), "members: 1/8, 2/9", GONE))
    assert history.replaced[0].since == 5.0


def test_a_newer_state_excuses_nothing() -> None:
    text = "replaced by the cluster's newer state: history/x/2; old versions kept in /var/b/replaced-7.tgz"
    history = read(said("members: 2/9", text))
    assert history.replaced == []
    assert history.adopted == {"n2": [2.0]}


def test_quorum_that_is_lost() -> None:
    assert read([Line(4.0, "[status] node lost quorum")]).quorum_lost == [("n2", 4.0)]


def test_the_daemons_own_backup_is_read(tmp_path: Path) -> None:
    entries = (
        LostEntry(b"history/d/3", 4, 5, 1, 1_700_000_000, None, True),
        LostEntry(b"history/x/2", 8, 7, 3, 1_700_000_001, b"text", False),
    )
    data = save_lost(tmp_path, entries, 7).read_bytes()
    kept = read(said("members: 2/9", GONE), replaced_7=data).replaced[0].kept
    assert kept == {"history/d/3": Kept("n1", None), "history/x/2": Kept("n3", b"text")}
    assert read(said("members: 2/9", GONE)).replaced[0].kept == {}


def test_a_line_counts_from_when_it_was_sent() -> None:
    late = {"__REALTIME_TIMESTAMP": "9000000", "__MONOTONIC_TIMESTAMP": "5000000", "MESSAGE": "late"}
    late["_SOURCE_REALTIME_TIMESTAMP"] = "7000000"
    early = {"__REALTIME_TIMESTAMP": "8000000", "__MONOTONIC_TIMESTAMP": "4000000", "MESSAGE": "early"}
    assert read_lines("\n".join(map(json.dumps, (early, late)))) == [Line(3.0, "late"), Line(4.0, "early")]
