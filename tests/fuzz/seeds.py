"""The first inputs of each target, from the recorded vectors; ``engine`` adds what it finds worth keeping.

``python -m tests.fuzz.seeds`` writes those of targets that have no corpus yet.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from quorate.pmxcfs.wire import NORMAL_HEADER_SIZE, STATE_HEADER_SIZE, FsMessage, FsOp
from tests.fuzz.pieces import small_tree
from tests.support.ipc_vectors import IPC, VECTORS, exchanges

CORPUS = Path(__file__).parent / "corpus"
TESTS = Path(__file__).parents[1]
CONF = b"""totem {
  version: 2
  cluster_name: c
  config_version: 3
  interface {
    linknumber: 0
  }
}
nodelist {
  node {
    name: n1
    nodeid: 1
    quorum_votes: 1
    ring0_addr: 10.0.0.1
  }
}
quorum {
  provider: corosync_votequorum
}
"""


def piece(data: bytes) -> bytes:
    """As ``Pieces.bytes`` reads it."""
    return len(data).to_bytes(2, "little") + data[:0xFFFF]


def read(target: str) -> list[bytes]:
    """The corpus: one input per line, base64."""
    path = CORPUS / f"{target}.txt"
    return [base64.b64decode(line) for line in path.read_text().split()] if path.exists() else []


def write(target: str, inputs: Iterable[bytes]) -> None:
    lines = sorted({base64.b64encode(data).decode() for data in inputs}, key=lambda line: (len(line), line))
    CORPUS.mkdir(exist_ok=True)
    (CORPUS / f"{target}.txt").write_text("".join(line + "\n" for line in lines))


def _hex_of(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _hex_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from _hex_of(item)
    elif isinstance(value, str) and len(value) >= 32:
        try:
            yield bytes.fromhex(value)
        except ValueError:
            return


def first_inputs() -> dict[str, list[bytes]]:
    """By target."""
    vectors = json.loads((TESTS / "vectors/memdb-vectors.json").read_text())
    recorded = json.loads((TESTS / "unit/fuse/recorded_requests.json").read_text())
    messages = [message for message in _hex_of(vectors["wire"]) if len(message) < 2000][:60]
    normal = [message for message in messages if message[:2] == b"\0\0"]
    files = [bytes([message[2], 1]) + piece(message[NORMAL_HEADER_SIZE:]) for message in normal]
    state = small_tree().index()
    root = [message[STATE_HEADER_SIZE:] for message in messages if message[0] == 3]
    write_f = FsMessage(FsOp.WRITE, b"f", data=b"x").pack()
    conversation = [e.request for e in exchanges(IPC["sequence_root"]) if len(e.request) < 600]
    requests = [bytes([number & 1]) + piece(request) for number, request in enumerate(conversation)]
    synchronise = bytes([0, 0, 3, 193, 0, 0]) + piece(b"") + bytes([193 + 2, 0, 1, 64, 0])
    events = [
        synchronise,
        synchronise + bytes([144, 0, 1, 1]) + piece(write_f) + bytes([96, 0, 64, 0]),
        synchronise + bytes([97, 0, 65, 0, 32, 0, 80, 193, 0, 4]) + piece(b"\1" * 8),
        bytes([0, 0, 7, 193, 0, 0])
        + piece(b"")
        + bytes([195, 0, 1, 193, 2, 1])
        + piece(state)
        + bytes([33, 0, 80]),
    ]
    log = [data for data in _hex_of(VECTORS["clog_ring"]) if len(data) < 4000][:20]
    update = b"\0\0" + piece(b"\0" * 40)
    return {
        "wire": [
            message[size:] for message in messages for size in (0, NORMAL_HEADER_SIZE, STATE_HEADER_SIZE)
        ],
        "files": [*files, b"".join(files[:12])],
        "index": [piece(state), *(piece(state) + piece(data) for data in root)],
        "commit": [
            bytes([0, 0, 5]) + piece(b"") + piece(b""),
            bytes([0, 0, 5]) + piece(b"") + piece(b"") + bytes([40, 0, 2]) + piece(b"new") + piece(b"text"),
            bytes([0, 0, 5])
            + piece(b"")
            + bytes([40, 0, 1])
            + piece(b"d")
            + bytes([41, 40, 0])
            + piece(b"e"),
        ],
        "machine": events,
        "status": [
            *events,
            synchronise + bytes([144, 0, 1, 1]) + piece(b"key".ljust(256, b"\0") + b"value") + update,
        ],
        "ipc": [*requests, b"".join(requests[:20]), bytes.fromhex(IPC["handshake"]["request_hex"])],
        "clusterlog": [(8).to_bytes(4, "little") + entry for entry in log],
        "conf": [
            CONF,
            b"# comment\ntotem {\n}\n",
        ],
        "fuse": [bytes.fromhex(text) for texts in recorded["requests"].values() for text in texts[:2]],
    }


if __name__ == "__main__":
    for name, inputs in first_inputs().items():
        if not read(name):
            write(name, inputs)
