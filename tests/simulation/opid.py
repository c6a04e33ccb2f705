"""How the simulation names messages for ever, copies that come late told from what they repeat."""

from __future__ import annotations

from quorate.pmxcfs.wire import NormalHeader

OpId = tuple[int, int, int]
"""Node id, process id, count."""

RESERVED = 12
"""Where in a normal message four bytes are that are always zero (core 5.3)."""

LATE_BIT = 64
"""From here on a count has the number of the late copy."""


def mark_late(data: bytes, number: int) -> bytes:
    """A normal message that is told from the one that it repeats, by the bytes that nobody reads."""
    return data[:RESERVED] + number.to_bytes(4, "little") + data[RESERVED + 4 :]


def count_of(data: bytes) -> int:
    """The count; for a message that is late a number of its own."""
    late = int.from_bytes(data[RESERVED : RESERVED + 4], "little")
    return NormalHeader.unpack(data).count + (late << LATE_BIT)


def without_late(op: OpId) -> OpId:
    """The message that this one is or repeats."""
    return op[0], op[1], op[2] & ((1 << LATE_BIT) - 1)
