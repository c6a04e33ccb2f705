"""The results of some 200 system calls on the mount are the original's, or better on purpose."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.pmxcfs_calls import Call, create, local_mode, outcome, without_quorum, write
from tests.real.pmxcfs_world import World, a_world

pytestmark = pytest.mark.real

RECORDED = json.loads((Path(__file__).parents[1] / "vectors/memdb-vectors.json").read_text())["fuse"]

BETTER = {
    ("read .debug", 1): "OK b'1\\n'",  # the original shows a text of up to one second ago
    ("utimensat mtime only (atime OMIT)", 0): "OK 0",
    ("lstat e1 after that", 0): "OK",  # W9: refused before the target is removed
    ("unlink while open", 0): "OK ([], b'x', [])",  # W26: no hidden files
    # W26: the modification time alone is set; the original ignores the call
    ("stat f1", 6): "mtime=77",
    ("stat f1", 7): "mtime=77",
}
"""(call, how many of that name before): what is ours. A text with ``=`` replaces that part of the record."""


@pytest.fixture
def world() -> Iterator[World]:
    with a_world() as world:
        yield world


def compare(calls: Iterator[Call], recorded: list[dict[str, str]]) -> list[str]:
    """Differences to the record, all of them."""
    seen: dict[str, int] = {}
    differences = []
    records = iter(recorded)
    for name, body in calls:
        record = next(records)
        assert name == record["operation"]
        number = seen.get(name, 0)
        seen[name] = number + 1
        wanted = record["result"] + (f" {record['value']}" if record.get("value") else "")
        better = BETTER.get((name, number), "")
        if better.startswith("mtime="):
            wanted = re.sub(r"([mac]time)=5", rf"\1={better[6:]}", wanted)
        elif better:
            wanted = better
        wanted = re.sub(r"time=1795353863", "time=<now>", wanted)
        got = outcome(body)
        if got != wanted:
            differences.append(f"{name} ({number}): {got}, recorded: {wanted}")
    assert next(records, None) is None
    return differences


def test_local_mode(world: World) -> None:
    daemon = world.start("-l")
    assert compare(local_mode(world), RECORDED["quorate_local_mode"]) == []
    assert world.stop(daemon) == 0


def test_cluster_mode_without_quorum(world: World) -> None:
    daemon = world.start("-l")
    m = world.mount
    text = b"totem {\n  cluster_name: t\n  config_version: 1\n}\n"
    write(m / "corosync.conf", text.ljust(60, b"#") + b"\n")
    for path in ("d", "priv", "priv/lock", "priv/lock/l", "empty"):
        (m / path).mkdir()
    write(m / "d/f", b"abc")
    write(m / "priv/k", b"kk")
    create(m / "vps.mount")
    assert world.stop(daemon) == 0

    daemon = world.start()
    assert compare(without_quorum(world), RECORDED["not_quorate_cluster_mode"]) == []
    assert (world.root / "etc/corosync/corosync.conf").read_bytes().startswith(b"totem")
    assert world.stop(daemon) == 0
    assert list((world.root / "etc/pve").iterdir()) == []
