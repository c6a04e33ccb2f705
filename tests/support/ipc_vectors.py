"""The recorded IPC conversation of one original daemon: its files, requests and responses (status 8)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

from quorate.pmxcfs.status import Status
from quorate.pmxcfs.tree import Tree

VECTORS: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "status-ipc-vectors.json").read_text()
)
IPC: Final[dict[str, Any]] = VECTORS["ipc"]

NODE: Final = "n3"
STARTED: Final = 1795354226
LOGGED: Final = 1795354229
DAEMON_PID: Final = 24328
CLIENT_PID: Final = 24523

CORRECTED: Final = {
    # The original lets a doubled slash open a private path; not to be reproduced.
    "ro_get_config_dblslash": bytes.fromhex("06000000000000001800000000000000ffffffff00000000"),
}

_ORDER: Final = (
    "nodes/n3/qemu-server/100.conf",
    "nodes/n3/lxc/101.conf",
    "nodes/n4/qemu-server/102.conf",
    "nodes/n3/qemu-server/103.conf",
    "priv/token.cfg",
    "nodes/n3/priv/key",
    "storage.cfg",
    "user.cfg",
)


class Exchange(NamedTuple):
    label: str
    request: bytes
    response: bytes


def exchanges(records: list[dict[str, Any]]) -> list[Exchange]:
    return [
        Exchange(r["label"], _request(r), CORRECTED.get(r["label"], bytes.fromhex(r["response_hex"])))
        for r in records
    ]


def _request(record: dict[str, Any]) -> bytes:
    if "request_hex" in record:
        return bytes.fromhex(record["request_hex"])
    repeat = record["request_repeat"]
    middle = bytes.fromhex(repeat["byte_hex"]) * int(repeat["count"])
    return bytes.fromhex(record["request_hex_prefix"]) + middle + bytes.fromhex(record["request_hex_suffix"])


class Fixture:
    """Tree and status as they were when the conversation was recorded; ``now`` is the test's to move."""

    def __init__(self, *, pid: int = DAEMON_PID) -> None:
        self.now = STARTED
        self.tree = Tree.new(STARTED)
        files = IPC["fixture"]["files_hex"]
        for path in _ORDER:
            put(self.tree, path.encode(), bytes.fromhex(files[path]))
        self.status = Status(
            NODE,
            ip="10.77.0.3",
            pid=pid,
            cluster=False,
            tree=lambda: self.tree,
            quorate=lambda: True,
            now=lambda: self.now,
        )
        self.now = LOGGED
        self.status.rrd()  # the recorded dumps were cached ones


def put(tree: Tree, path: bytes, content: bytes) -> None:
    """Create a file and what lies above it: one create, and one write if there is content."""
    parts = path.split(b"/")
    for depth in range(1, len(parts)):
        tree.mkdir(b"/".join(parts[:depth]), 1, 0, 0)
    assert tree.create(path, 1, 0, 0) >= 0
    if content:
        assert tree.write(path, 1, 0, 0, content, 0, False) >= 0
