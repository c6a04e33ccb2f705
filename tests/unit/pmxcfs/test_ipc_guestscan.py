"""The scan of guest configurations against the original's recorded results (status 7.1, 7.2)."""

from __future__ import annotations

import errno
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.pmxcfs.guestscan import MAX_ALTERNATIVES, PORTION, GuestScan, item, scan
from quorate.pmxcfs.ipcconnection import finished
from quorate.pmxcfs.tree import Tree
from tests.support.ipc_vectors import VECTORS, put

CASES: list[dict[str, Any]] = VECTORS["guest_properties"]


def tree_with(files: dict[bytes, bytes]) -> Tree:
    tree = Tree.new(0)
    for path, content in files.items():
        put(tree, path, content)
    return tree


def answered(guests: GuestScan, tree: Tree, vmid: int, names: list[bytes]) -> tuple[int, bytes]:
    return finished(guests.work(tree, vmid, names))


def guest_path(vmid: int) -> bytes:
    return b"nodes/n1/qemu-server/%d.conf" % vmid


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_recorded_scans(case: dict[str, Any]) -> None:
    tree = tree_with({guest_path(case["guest_vmid"]): bytes.fromhex(case["conf_hex"])})
    names = [name.encode() for name in case["props"]]
    result, text = answered(GuestScan(), tree, case["request_vmid"], names)
    assert result == case["result"]
    assert text.decode("utf-8", "surrogateescape") == (case["response_text"] or "")


def test_every_guest_is_in_the_answer_for_all() -> None:
    tree = tree_with({guest_path(vmid): b"lock: l%d\n" % vmid for vmid in (100, 101, 102)})
    assert json.loads(answered(GuestScan(), tree, 0, [b"lock"])[1]) == {
        str(vmid): {"lock": f"l{vmid}"} for vmid in (100, 101, 102)
    }


def test_what_is_kept_follows_changes() -> None:
    tree = tree_with({guest_path(100): b"lock: a\n", guest_path(101): b"lock: b\n"})
    guests = GuestScan()
    assert b'"lock": "a"' in answered(guests, tree, 0, [b"lock"])[1]
    tree.write(guest_path(100), 1, 0, 0, b"lock: c\n", 0, True)
    tree.delete(guest_path(101), 1, 0, 0)
    assert json.loads(answered(guests, tree, 0, [b"lock"])[1]) == {"100": {"lock": "c"}}
    assert answered(guests, tree, 101, [b"lock"]) == (-errno.ENOENT, b"")


def test_what_is_kept_does_not_survive_another_tree() -> None:
    """After a synchronisation an entry of the same number and version can have other content."""
    guests = GuestScan()
    answered(guests, tree_with({guest_path(100): b"lock: old\n"}), 0, [b"lock"])
    assert b"new" in answered(guests, tree_with({guest_path(100): b"lock: new\n"}), 0, [b"lock"])[1]


def test_only_a_few_lists_of_names_are_kept() -> None:
    tree = tree_with({guest_path(100): b"lock: a\n"})
    guests = GuestScan()
    for number in range(20):
        answered(guests, tree, 0, [b"p%d" % number])
    assert len(guests._kept) == 4


@given(st.binary(max_size=200), st.lists(st.binary(max_size=5), min_size=1, max_size=4))
def test_any_text_and_names_are_survived(text: bytes, names: list[bytes]) -> None:
    values = scan(text, names)
    assert set(values) <= set(names)
    assert all(values.values())
    assert item(1, names, values).startswith(b'"1":{')


LINES = st.sampled_from(
    [
        b"lock: a",
        b"lock:b",
        b"lock:",
        b"lock:  ",
        b"tags: x;y",
        b"[snap]",
        b"",
        b"\0lock: n",
        b"lockx: c",
        b"name: q",
    ]
)


MANY = [b"n%d" % number for number in range(MAX_ALTERNATIVES + 1)]


@given(
    st.lists(LINES, max_size=12),
    st.lists(st.sampled_from([b"lock", b"tags", b"name", b"lock: a"]), min_size=1, max_size=3),
    st.sampled_from([[], MANY]),
)
def test_the_scan_agrees_with_a_plain_reading_of_the_rules(
    lines: list[bytes], names: list[bytes], more: list[bytes]
) -> None:
    assert scan(b"\n".join(lines), names + more) == plain(lines, names + more)


def test_a_request_for_all_guests_can_be_left_and_taken_up_again() -> None:
    """Others are served in between, and may change and remove what is still to come."""
    last = 100 + 3 * PORTION
    tree = tree_with({guest_path(vmid): b"lock: old\n" for vmid in range(100, last + 1)})
    work = GuestScan().work(tree, 0, [b"lock"])
    next(work)
    tree.write(guest_path(100), 1, 0, 0, b"lock: new\n", 0, True)
    tree.write(guest_path(last), 1, 0, 0, b"lock: new\n", 0, True)
    tree.delete(guest_path(last - 1), 1, 0, 0)
    result, text = finished(work)
    assert result == 0
    answer = json.loads(text)
    assert answer["100"] == {"lock": "old"}
    assert answer[str(last)] == {"lock": "new"}
    assert str(last - 1) not in answer
    assert len(answer) == 3 * PORTION


def plain(lines: list[bytes], names: list[bytes]) -> dict[bytes, bytes]:
    low, high = min(name[0] for name in names), max(name[0] for name in names)
    values: dict[bytes, bytes] = {}
    replaced = 0
    for line in lines:
        if line.startswith(b"["):
            break
        if not line or not low <= line[0] <= high:
            continue
        for name in dict.fromkeys(names):
            if line.startswith(name + b":") and len(line) >= len(name) + 2:
                replaced += name in values
                rest = line[len(name) + 1 :]
                values[name] = rest.strip() or rest[-1:]
        if replaced >= len(names):
            break
    return values
