"""What is counted of the kernel's requests."""

from __future__ import annotations

from quorate.fuse.abi import Opcode
from quorate.fuse.figures import BOUNDS, RequestCounter


def test_requests_are_counted_by_kind_time_and_outcome() -> None:
    counter = RequestCounter()
    for seconds in (BOUNDS[0], BOUNDS[0] * 1.5, BOUNDS[-1] * 2):
        counter.answered(Opcode.FLUSH, seconds, refused=False)
    counter.answered(Opcode.MKDIR, 0.0, refused=True)
    figures = counter.figures()
    assert set(figures) == {"flush", "mkdir"}
    flush = figures["flush"]
    assert (flush.answered, flush.refused) == (3, 0)
    assert flush.seconds == BOUNDS[0] * 2.5 + BOUNDS[-1] * 2
    assert flush.buckets[:2] == (1, 1)
    assert flush.buckets[-1] == 1
    assert sum(flush.buckets) == 3
    assert (figures["mkdir"].answered, figures["mkdir"].refused) == (1, 1)


def test_every_operation_has_its_count() -> None:
    counter = RequestCounter()
    for opcode in Opcode:
        counter.answered(opcode, 0.0)
    assert set(counter.figures()) == {opcode.name.lower() for opcode in Opcode}
