"""The history check sees what is wrong with values that are overwritten, and nothing in what is right."""

from __future__ import annotations

import pytest

from tests.history.checker import IN_PLACE
from tests.history.records import Life
from tests.unit.history.histories import REGISTER, Story, kinds

WHOLE = "history/s/n1-0.1.0.whole"
SLOTS = "history/s/n1-0.1.0.slots"


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_good_history(story: Story) -> None:
    story.read("n2-0.1", None, 1.0)
    story.write("n1-0.1", "a", 2.0)
    story.write("n2-0.1", "b", 2.005, 2.02)  # at the same time: either order
    story.read("n3-0.1", "b", 3.0)
    story.read("n1-0.1", "b", 3.0)
    story.call("n1-0.1", "remove", REGISTER, 4.0)
    story.read("n1-0.1", None, 5.0)
    story.write("n3-0.1", "c", 6.0)
    story.write("n3-0.1", "refused", 7.0, outcome="fail")
    story.final(REGISTER, "c")
    assert kinds(story) == []


def test_another_node_may_be_a_little_behind(story: Story) -> None:
    story.write("n1-0.1", "a", 1.0)
    story.write("n1-0.1", "b", 2.0)
    story.read("n2-0.1", "a", 3.0)
    story.final(REGISTER, "b")
    assert kinds(story) == []


def test_a_lost_write(story: Story) -> None:
    story.write("n1-0.1", "a", 1.0)
    story.write("n1-0.1", "b", 2.0)
    story.final(REGISTER, "a")
    assert kinds(story) == ["lost"]


def test_a_lost_file(story: Story) -> None:
    story.write("n1-0.1", "a", 1.0)
    assert kinds(story) == ["lost"]


def test_a_removed_file_that_is_back(story: Story) -> None:
    story.write("n1-0.1", "a", 1.0)
    story.call("n2-0.1", "remove", REGISTER, 2.0)
    story.final(REGISTER, "a")
    assert kinds(story) == ["lost"]


def test_an_unknown_outcome_excuses_both(story: Story) -> None:
    for value in ("a", "b"):
        other = Story()
        other.write("n1-0.1", "a", 1.0)
        other.write("n1-0.1", "b", 2.0, outcome="info")
        other.final(REGISTER, value)
        assert kinds(other) == []


def test_what_a_node_wrote_as_it_was_cut_off_may_be_lost(story: Story) -> None:
    story.write("n2-0.1", "a", 1.0)
    story.write("n1-0.1", "b", 5.0)
    story.fault("cut", 5.3, 9.0, disturbed=("n1",))
    story.final(REGISTER, "a")
    assert kinds(story) == []


def test_a_node_that_loses_quorum_was_cut_off_before(story: Story) -> None:
    story.write("n2-0.1", "a", 1.0)
    story.write("n3-0.1", "b", 5.0)
    story.history.quorum_lost.append(("n3", 8.0))
    story.final(REGISTER, "a")
    assert kinds(story) == []


def test_what_another_node_wrote_at_that_time_may_not(story: Story) -> None:
    story.write("n2-0.1", "a", 1.0)
    story.write("n3-0.1", "b", 5.0)
    story.fault("cut", 5.3, 9.0, disturbed=("n1",))
    story.final(REGISTER, "a")
    assert kinds(story) == ["lost"]


def test_a_value_that_nobody_wrote(story: Story) -> None:
    story.read("n1-0.1", "x", 1.0)
    assert kinds(story) == ["never written"]


def test_a_mixed_content(story: Story) -> None:
    story.read("n1-0.1", ["100 bytes: b'...'"], 1.0)
    assert kinds(story) == ["never written"]


def test_a_refused_write_that_happened(story: Story) -> None:
    story.write("n1-0.1", "a", 1.0, outcome="fail")
    story.read("n2-0.1", "a", 2.0)
    assert kinds(story) == ["refused write seen"]


def test_a_read_from_the_future(story: Story) -> None:
    story.read("n2-0.1", "a", 1.0)
    story.write("n1-0.1", "a", 2.0)
    story.final(REGISTER, "a")
    assert kinds(story) == ["from the future"]


def test_a_read_that_goes_back(story: Story) -> None:
    story.write("n1-0.1", "a", 1.0)
    story.write("n1-0.1", "b", 2.0)
    story.read("n2-0.1", "b", 3.0)
    story.read("n2-1.1", "a", 3.5)  # another process of the same node
    story.final(REGISTER, "b")
    assert kinds(story) == ["not monotonic"]


def test_what_was_seen_of_a_change_that_may_be_lost_goes_back_only_with_the_state(story: Story) -> None:
    story.write("n1-0.1", "a", 1.0)
    story.write("n1-0.1", "b", 5.0)
    story.fault("cut", 5.3, 9.0, disturbed=("n1",))
    story.read("n2-0.1", "b", 6.0)
    story.read("n2-0.1", "a", 12.0)
    story.final(REGISTER, "a")
    assert kinds(story) == ["not monotonic"]
    story.history.adopted["n2"] = [10.0]
    findings = story.check()
    assert findings.violations == []
    assert [kind for kind, *_ in findings.excused] == ["not monotonic"]


def test_a_file_that_is_gone_again(story: Story) -> None:
    story.write("n1-0.1", "a", 1.0)
    story.read("n2-0.1", "a", 3.0)
    story.read("n2-0.1", None, 3.5)
    story.final(REGISTER, "a")
    assert kinds(story) == ["not monotonic"]


def test_a_daemon_that_starts_again_may_be_behind_for_a_while(story: Story) -> None:
    story.history.lives = [Life("n1", 0, 1000), Life("n2", 0, 3.2), Life("n2", 3.4, 1000)]
    story.write("n1-0.1", "a", 1.0)
    story.write("n1-0.1", "b", 2.0)
    story.read("n2-0.1", "b", 3.0)
    story.read("n2-0.1", "a", 3.5)
    story.final(REGISTER, "b")
    assert kinds(story) == []


def test_a_node_with_an_older_disk_may_know_nobody_who_knows_better(story: Story) -> None:
    story.write("n1-0.1", "a", 1.0)
    story.write("n1-0.1", "b", 2.0)
    story.fault("old disk", 3.0, 10.0, off=("n2",))
    story.write("n2-0.1", "c", 20.0)
    story.read("n2-1.1", "a", 21.0)
    story.final(REGISTER, "b")
    findings = story.check()
    assert findings.violations == []
    assert {kind for kind, *_ in findings.excused} == {"stale read"}


def test_a_node_with_an_older_disk_knows_when_it_is_in_sync_with_all(story: Story) -> None:
    story.write("n1-0.1", "a", 1.0)
    story.write("n1-0.1", "b", 2.0)
    story.fault("old disk", 3.0, 10.0, off=("n2",))
    story.history.whole["n2"] = [1.0, 15.0]
    story.write("n2-0.1", "c", 20.0)
    story.read("n2-1.1", "a", 21.0)
    story.final(REGISTER, "b")
    assert kinds(story) == ["stale read", "lost"]


def test_reads_at_the_same_time_have_no_order(story: Story) -> None:
    story.write("n1-0.1", "a", 1.0)
    story.write("n1-0.1", "b", 2.0)
    story.read("n2-0.1", "b", 3.0, 3.1)
    story.read("n2-1.1", "a", 3.05, 3.2)
    story.final(REGISTER, "b")
    assert kinds(story) == []


def test_a_node_that_has_written_knows_what_was_before(story: Story) -> None:
    story.write("n1-0.1", "a", 1.0)
    story.write("n1-0.1", "b", 2.0)
    story.call("n2-0.1", "mkdir", "history/d/1", 3.0)
    story.read("n2-1.1", "a", 4.0)
    story.final(REGISTER, "b")
    story.final("history/d/1", None)
    assert kinds(story) == ["stale read"]


def test_a_node_knows_its_own_writes(story: Story) -> None:
    story.write("n1-0.1", "a", 1.0)
    story.write("n1-0.1", "b", 2.0)
    story.read("n1-1.1", "a", 3.0)
    story.final(REGISTER, "b")
    assert kinds(story) == ["stale read"]


def test_slots_are_registers_of_their_own(story: Story) -> None:
    story.call("n1-0.1", "slots", SLOTS, 1.0, value="n1-0.1:1", slot=0)
    story.call("n1-0.1", "slots", SLOTS, 2.0, value="n1-0.1:2", slot=2)
    story.call("n2-0.1", "read-slots", SLOTS, 3.0, found=["n1-0.1:1", None, "n1-0.1:2", *[None] * 5])
    story.final_slots(SLOTS, "n1-0.1:1", "", "n1-0.1:2")
    assert kinds(story) == []
    story.final_slots(SLOTS, "n1-0.1:1")
    assert kinds(story) == ["lost"]
    story.history.final[SLOTS] = b"something else"
    assert kinds(story) == ["never written"]


def torn(story: Story, at: float, *tokens: str) -> None:
    story.call("n2-0.1", "read-whole", WHOLE, at, bad="...", torn=list(tokens))


def test_a_file_is_torn_only_while_it_is_written_in_place(story: Story) -> None:
    story.call("n1-0.1", "whole", WHOLE, 1.0, value="a")
    story.call("n1-0.1", "whole", WHOLE, 12.0, 13.0, value="b")
    torn(story, 12.5, "a", "b")
    torn(story, 12.6)
    story.final(WHOLE, "b")
    findings = story.check()
    assert findings.violations == []
    assert [reason for *_, reason in findings.excused] == [IN_PLACE] * 2
    torn(story, 30.0, "a", "b")
    assert kinds(story) == ["never written"]


def test_a_file_is_torn_between_present_values_alone(story: Story) -> None:
    story.call("n1-0.1", "whole", WHOLE, 1.0, value="a")
    story.call("n1-0.1", "whole", WHOLE, 2.0, value="b")
    story.call("n2-0.1", "mkdir", "history/d/1", 3.0)
    story.call("n1-0.1", "whole", WHOLE, 4.0, 5.0, value="c")
    torn(story, 4.5, "a", "c")
    story.final(WHOLE, "c")
    story.final("history/d/1", None)
    assert kinds(story) == ["stale read"]
    story.history.operations.pop()
    torn(story, 4.5, "x", "c")
    assert kinds(story) == ["never written"]


def test_a_file_written_in_place_may_be_empty_for_a_moment(story: Story) -> None:
    story.call("n1-0.1", "whole", WHOLE, 1.0, value="a")
    story.call("n1-0.1", "whole", WHOLE, 2.0, 3.0, value="b")
    story.call("n2-0.1", "read-whole", WHOLE, 2.5, found="")
    story.final(WHOLE, "b")
    assert kinds(story) == []
    story.history.final[WHOLE] = b""
    assert kinds(story) == ["lost"]
