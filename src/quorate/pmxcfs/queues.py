"""The two queues of normal messages that wait for a synchronisation (core 6.5, 6.6). Data only.

They are not bounded: what the others sent must not be dropped, or this node's data differs (W23). Senders
are throttled instead (``requests``).
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from dataclasses import dataclass

from quorate.corosync.address import Address


@dataclass(order=True, frozen=True, slots=True)
class Queued:
    """A message in the message queue; sorts by count, then by arrival."""

    count: int
    arrival: int
    sender: Address
    data: bytes


class Queues:
    """``waiting``: the message queue, by count. ``late``: the sync queue, in order of arrival."""

    def __init__(self) -> None:
        self.waiting: list[Queued] = []
        self.late: deque[tuple[Address, bytes]] = deque()
        self._arrivals = 0

    def insert(self, count: int, sender: Address, data: bytes) -> None:
        """Into the message queue. Counts of different senders are compared; equal ones keep their order."""
        self._arrivals += 1
        insort(self.waiting, Queued(count, self._arrivals, sender, data))

    def take_waiting(self) -> list[Queued]:
        """The whole message queue, which is empty then."""
        waiting, self.waiting = self.waiting, []
        return waiting

    def clear(self) -> None:
        """Both."""
        self.waiting.clear()
        self.late.clear()
