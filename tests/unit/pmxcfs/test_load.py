"""Checks of a database at start (core 3.5, 3.8): every fault named, nothing else raised, nothing repaired."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.pmxcfs.load import DatabaseError
from quorate.pmxcfs.rows import ROOT_NAME, Row, rows_from_changes
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.wire import FsMessage
from tests.unit.pmxcfs import tree_strategies as strategies

ROOT = Row(0, 0, 50, 1, 2, 8, ROOT_NAME, None)
DIRECTORY = Row(2, 0, 2, 1, 2, 4, b"d", None)
FILE = Row(3, 2, 3, 1, 2, 8, b"f", b"data")
SOUND = [ROOT, DIRECTORY, FILE]


def test_a_sound_database_loads_in_any_order() -> None:
    tree = Tree.load(reversed(SOUND), 0)
    assert list(tree.by_inode) == [0, 2, 3]
    entry = tree.lookup(b"d/f")
    assert entry is not None
    assert entry.data == b"data"
    assert set(tree.versions.values()) == {1}
    assert not tree.take_changes()


@pytest.mark.parametrize("rows", [[], [ROOT._replace(version=0)]])
def test_a_new_database_gets_version_1_and_a_stored_root_row(rows: list[Row]) -> None:
    tree = Tree.load(rows, 1700000000)
    assert (tree.root.version, tree.root.mtime) == (1, 0)
    batch = rows_from_changes(tree.take_changes(), tree.root)
    assert batch.rows == (Row(0, 0, 1, 0, 1700000000, 8, ROOT_NAME, None),)


def test_null_and_empty_content_are_the_same() -> None:
    trees = [
        Tree.load([ROOT, DIRECTORY._replace(data=data), FILE._replace(data=data)], 0) for data in (None, b"")
    ]
    assert trees[0].index() == trees[1].index()
    assert trees[0].by_inode[3].data is None


def test_numbers_are_masked() -> None:
    tree = Tree.load([ROOT, FILE._replace(parent=0, writer=(1 << 32) + 5, mtime=-1, type=0x108)], 0)
    entry = tree.by_inode[3]
    assert (entry.writer, entry.mtime, entry.type) == (5, 0xFFFFFFFF, 8)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([ROOT, DIRECTORY._replace(name=b"")], "name is empty"),
        ([ROOT, DIRECTORY._replace(name=b"a/b")], "slash"),
        ([ROOT, DIRECTORY._replace(name=b".")], "no entry's"),
        ([ROOT, DIRECTORY, FILE._replace(name=b"..")], "no entry's"),
        ([ROOT, DIRECTORY._replace(type=5)], "neither 4 nor 8"),
        ([ROOT, DIRECTORY._replace(data=b"x")], "directory with content"),
        ([ROOT._replace(name=b"x"), DIRECTORY], "root row is called"),
        ([ROOT, DIRECTORY, FILE, FILE._replace(inode=4)], "exists twice in directory"),
        ([ROOT, FILE], "inode 2, does not exist"),
        ([ROOT, DIRECTORY._replace(type=8), FILE], "inode 2, is a regular file"),
        ([ROOT, FILE, DIRECTORY._replace(type=8)], "inode 2, is a regular file"),
        ([ROOT, DIRECTORY._replace(parent=4), Row(4, 2, 4, 0, 0, 4, b"e", None), FILE], "circle"),
        ([ROOT, DIRECTORY._replace(parent=2)], "circle"),
        ([ROOT._replace(version=2), DIRECTORY, FILE], "lower than inode 3"),
        ([DIRECTORY, FILE], "no root row"),
        ([ROOT._replace(version=0), DIRECTORY], "version 0"),
        ([ROOT._replace(version=1 << 63), DIRECTORY], "out of range"),
        ([ROOT, DIRECTORY._replace(inode=-2)], "out of range"),
        ([ROOT, DIRECTORY, DIRECTORY], "exists twice"),
        ([ROOT, ROOT], "exists twice"),
    ],
)
def test_faults_are_refused_and_named(rows: list[Row], reason: str) -> None:
    with pytest.raises(DatabaseError, match=reason) as caught:
        Tree.load(rows, 0)
    assert "Restore" in str(caught.value)


def test_duplicate_guests_are_refused() -> None:
    rows = [ROOT, Row(2, 0, 2, 0, 0, 4, b"nodes", None)]
    for number, node in enumerate((b"n1", b"n2")):
        base = 10 + 3 * number
        rows.append(Row(base, 2, 9, 0, 0, 4, node, None))
        rows.append(Row(base + 1, base, 9, 0, 0, 4, b"lxc", None))
        rows.append(Row(base + 2, base + 1, 9, 0, 0, 8, b"100.conf", None))
    assert len(Tree.load(rows[:-1], 0).guests) == 1
    with pytest.raises(DatabaseError, match="guest 100 exists twice"):
        Tree.load(rows, 0)


def test_every_fault_is_listed() -> None:
    rows = [ROOT] + [Row(10 + number, 9, 1, 0, 0, 8, b"f", None) for number in range(80)]
    with pytest.raises(DatabaseError) as caught:
        Tree.load(rows, 0)
    assert len(caught.value.faults) == 81  # the highest inode is above the version, too
    assert "and 31 more" in str(caught.value)


JUNK: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.integers(-5, 10),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(),
    st.binary(max_size=4),
    st.sampled_from([b"__version__", b"d", b"f"]),
)


def loads_or_refuses(rows: list[Row]) -> None:
    try:
        tree = Tree.load(rows, 0)
    except DatabaseError as error:
        assert error.faults  # noqa: PT017 (a sound tree is as good)
    else:
        strategies.check_invariants(tree)
        Tree.load(strategies.all_rows(tree), 0)


@given(st.lists(st.builds(Row, JUNK, JUNK, JUNK, JUNK, JUNK, JUNK, JUNK, JUNK), max_size=6))
def test_arbitrary_rows_load_or_are_refused(rows: list[Row]) -> None:
    loads_or_refuses(rows)


@given(
    strategies.OPERATIONS,
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from(Row._fields), JUNK), min_size=1, max_size=3),
)
def test_damaged_rows_load_or_are_refused(
    operations: list[tuple[FsMessage, int, int]], damages: list[tuple[int, str, Any]]
) -> None:
    rows = strategies.all_rows(strategies.grown(operations))
    for position, field, value in damages:
        position %= len(rows)
        rows[position] = rows[position]._replace(**{field: value})
    loads_or_refuses(rows)
