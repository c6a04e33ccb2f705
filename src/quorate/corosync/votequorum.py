"""Votes: what each node counts and how many are expected (libvotequorum)."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

from ._ffi import ffi
from ._service import Service
from .errors import CS_OK, error_for

QDEVICE_NODEID: Final = 0
"""Node id under which the QDevice can be asked for."""


class NodeState(enum.IntEnum):
    MEMBER = 1
    DEAD = 2
    LEAVING = 3


class Flag(enum.IntFlag):
    TWO_NODE = 1
    QUORATE = 2
    WAIT_FOR_ALL = 4
    LAST_MAN_STANDING = 8
    AUTO_TIE_BREAKER = 16
    ALLOW_DOWNSCALE = 32
    QDEVICE_REGISTERED = 64
    QDEVICE_ALIVE = 128
    QDEVICE_CAST_VOTE = 256
    QDEVICE_MASTER_WINS = 512


class Info(NamedTuple):
    """Votes of one node and of the partition that the local node sees."""

    nodeid: int
    state: NodeState | int
    votes: int
    expected: int
    highest_expected: int
    total: int
    quorum: int
    flags: Flag
    qdevice_votes: int
    qdevice_name: str

    @property
    def quorate(self) -> bool:
        return Flag.QUORATE in self.flags


class Votequorum(Service):
    """One connection to the vote counting service. Raises LibraryError when Corosync does not run."""

    def __init__(self) -> None:
        super().__init__("libvotequorum.so.8", "votequorum")
        handle = ffi.new("uint64_t *")
        code = self._lib.votequorum_initialize(handle, ffi.NULL)
        if code != CS_OK:
            raise error_for("votequorum_initialize", code)
        self._open(int(handle[0]))

    def info(self, nodeid: int) -> Info:
        """What is known of ``nodeid``; raises NotExistError for a node that Corosync does not know."""
        raw = ffi.new("struct votequorum_info *")
        self._call("getinfo", nodeid, raw, detail=f"node {nodeid}")
        state = int(raw.node_state)
        return Info(
            nodeid=int(raw.node_id),
            state=NodeState(state) if state in NodeState.__members__.values() else state,
            votes=int(raw.node_votes),
            expected=int(raw.node_expected_votes),
            highest_expected=int(raw.highest_expected),
            total=int(raw.total_votes),
            quorum=int(raw.quorum),
            flags=Flag(int(raw.flags)),
            qdevice_votes=int(raw.qdevice_votes),
            qdevice_name=ffi.string(raw.qdevice_name, 255).decode("utf-8", "surrogateescape"),
        )

    def set_expected(self, votes: int) -> None:
        """Set the expected votes of the running cluster (``pvecm expected``).

        Raises InvalidParamError when ``votes`` would make the quorum smaller than half of what is present.
        """
        self._call("setexpected", votes, detail=f"{votes} votes")
