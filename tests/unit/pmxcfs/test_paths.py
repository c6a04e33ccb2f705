"""Path rules against the original's answers (core 1.9, 1.12-1.14, 8.3)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.pmxcfs import paths

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "memdb-vectors.json").read_text(),
)


@pytest.mark.parametrize("case", VECTORS["path_is_private"], ids=lambda case: repr(case["path"]))
def test_private(case: dict[str, Any]) -> None:
    assert paths.is_private(case["path"].encode()) is bool(case["result"])


@pytest.mark.parametrize("case", VECTORS["path_is_lockdir"], ids=lambda case: repr(case["path"]))
def test_lock_path(case: dict[str, Any]) -> None:
    assert paths.is_lock_path(case["path"].encode()) is bool(case["result"])


@pytest.mark.parametrize("case", VECTORS["guest_config_path"], ids=lambda case: repr(case["path"]))
def test_guest_config(case: dict[str, Any]) -> None:
    guest = paths.guest_config(case["path"].encode())
    if not case["match"]:
        assert guest is None
    else:
        assert guest == paths.Guest(case["vmid"], case["node"], paths.GuestType(case["vmtype"]))


@pytest.mark.parametrize("case", VECTORS["split_path"], ids=lambda case: repr(case["path"]))
def test_split(case: dict[str, Any]) -> None:
    assert paths.split_path(case["path"].encode()) == (case["dirname"].encode(), case["basename"].encode())


@pytest.mark.parametrize("case", VECTORS["config_version"], ids=lambda case: case["text_hex"])
def test_config_version(case: dict[str, Any]) -> None:
    assert paths.config_version(bytes.fromhex(case["text_hex"])) == case["result"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"vps.mount", True),
        (b"100.umount", True),
        (b"1.premount", True),
        (b"007.start", False),
        (b"100.conf", False),
        (b"100.mount\n", False),
        (b"xvps.mount", False),
        (b"vps.mount.bak", False),
    ],
)
def test_hook_names(name: bytes, expected: bool) -> None:
    assert paths.is_hook_name(name) is expected


def test_there_are_43_tracked_paths() -> None:
    assert len(set(paths.TRACKED_PATHS)) == 43


@given(st.lists(st.sampled_from([b"/", b"a", b".", b"..", b"nodes", b"n1", b"lxc", b"100.conf", b"\xff"])))
def test_no_path_breaks_a_rule(parts: list[bytes]) -> None:
    path = b"".join(parts)
    directory, base = paths.split_path(path)
    assert directory
    assert base
    assert b"/" not in base
    assert not directory.endswith(b"/") or directory == b"/"
    guest = paths.guest_config(path)
    assert guest is None or base == b"%d.conf" % guest.vmid


@given(st.binary())
def test_any_text_has_a_version(text: bytes) -> None:
    assert 0 <= paths.config_version(b"config_version: 3\n" + text) < 1 << 64
