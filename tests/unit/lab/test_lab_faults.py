"""The faults of a lab's network as data, and the switch's rules made from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import LabError
from lab.faults import Faults, check_groups, ruleset

NODES = st.sampled_from(["n1", "n2", "n3", "n4"])
LINKS = st.integers(0, 3)
PORTS = st.tuples(NODES, LINKS)
FAULTS = st.builds(
    Faults,
    unplugged=st.sets(PORTS),
    groups=st.dictionaries(LINKS, st.just([["n1", "n2"], ["n3"]])),
    one_way=st.sets(st.tuples(NODES, NODES, LINKS)),
    loss=st.dictionaries(PORTS, st.integers(0, 100)),
    delay=st.dictionaries(PORTS, st.tuples(st.floats(0, 1000), st.floats(0, 10))),
)


@given(FAULTS)
def test_faults_survive_their_file(faults: Faults) -> None:
    assert Faults.from_json(faults.to_json()) == faults


@given(FAULTS)
def test_healing_everything_leaves_no_fault(faults: Faults) -> None:
    faults.heal(["n1", "n2", "n3", "n4"], [0, 1, 2, 3])
    assert faults == Faults()


def test_healing_one_node_on_one_link_leaves_the_others() -> None:
    faults = Faults(
        unplugged={("n1", 0), ("n1", 1), ("n2", 0)},
        one_way={("n1", "n2", 0), ("n2", "n3", 0)},
        loss={("n1", 0): 5, ("n2", 0): 6},
        groups={0: [["n2"], ["n3"]], 1: [["n1"], ["n2"]]},
    )
    faults.heal(["n1"], [0])
    assert faults == Faults(
        unplugged={("n1", 1), ("n2", 0)},
        one_way={("n2", "n3", 0)},
        loss={("n2", 0): 6},
        groups={0: [["n2"], ["n3"]], 1: [["n1"], ["n2"]]},
    )


def test_a_split_drops_both_ways_and_spares_nodes_in_no_group() -> None:
    rules = [line.strip() for line in ruleset(Faults(groups={1: [["n1"], ["n2", "n3"]]})).splitlines()]
    assert 'iifname { "p1.1", "t1.1" } oifname { "p2.1", "t2.1", "p3.1", "t3.1" } drop' in rules
    assert 'iifname { "p2.1", "t2.1", "p3.1", "t3.1" } oifname { "p1.1", "t1.1" } drop' in rules
    assert len([rule for rule in rules if rule.endswith("drop")]) == 2


def test_one_way_is_one_rule() -> None:
    text = ruleset(Faults(one_way={("n2", "n1", 0)}))
    assert text.count("drop") == 1
    assert 'iifname { "p2.0", "t2.0" } oifname { "p1.0", "t1.0" } drop' in text


def test_loss_counts_in_either_direction() -> None:
    text = ruleset(Faults(loss={("n2", 0): 30}))
    assert text.count("numgen random mod 100 < 30 drop") == 2


@pytest.mark.parametrize(
    ("groups", "message"),
    [([["n9"], ["n1"]], "no node 'n9'"), ([["n1", "n2"], ["n2"]], "n2 stands in two groups")],
)
def test_impossible_groups_are_refused(groups: list[list[str]], message: str) -> None:
    with pytest.raises(LabError, match=message):
        check_groups(groups, ["n1", "n2"])
