"""The own messages of one machine, from submission to answer: held, sent, unresolved. No protocol here.

Every queue is bounded and every request has a deadline (W2, W23).
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

REQUEST_SECONDS = 30.0
"""After this long a caller gets EBUSY, wherever its message is: programs can retry."""

AGAIN_SECONDS = 2.0
"""The same for who comes when another has just waited in vain. The kernel lets one process at a time change
a directory, and the others wait where no signal reaches them: each would add a whole wait to the next."""

MAX_HELD = 4096
"""Messages kept back while not synced: far more than FUSE queues in the seconds of a synchronisation."""

MAX_HELD_BYTES = 64 << 20
"""And their bytes: half of what the whole file system may hold."""

MAX_IN_FLIGHT = 1024
"""Own messages sent and not delivered yet; beyond it senders wait here, not in Corosync."""

MAX_IN_FLIGHT_BYTES = 16 << 20
"""And their bytes: sixteen files of the greatest size. They are kept until they come back."""


@dataclass(slots=True, eq=False)
class Request:
    """One own message. ``token`` None: nobody waits for it (any more)."""

    subtype: int
    payload: tuple[bytes, ...]
    token: object | None
    deadline: float
    size: int
    count: int = 0
    time: int = 0
    """The header's time, once sent."""


class Requests:
    """Bookkeeping of own messages. Counts are given in the order of sending and survive rejoining."""

    def __init__(self) -> None:
        self.count = 0
        self.held: deque[Request] = deque()
        self.sent: dict[int, Request] = {}
        self.unresolved: list[Request] = []
        self.in_vain = False
        """A caller has waited for nothing, and no message of this node has come back since, nor has it got in
        sync. The machine resets it."""
        self._held_bytes = 0
        self._sent_bytes = 0
        self._deadlines: deque[Request] = deque()

    def hold(
        self, subtype: int, payload: Sequence[bytes], token: object | None, now: float
    ) -> Request | None:
        """Take a message in; None when the bounds are reached."""
        size = sum(map(len, payload))
        if len(self.held) >= MAX_HELD or self._held_bytes + size > MAX_HELD_BYTES:
            return None
        request = Request(subtype, tuple(payload), token, now + self._patience, size)
        self.held.append(request)
        self._held_bytes += size
        self._watch(request)
        return request

    def pass_on(
        self, subtype: int, payload: Sequence[bytes], token: object | None, now: float, time: int
    ) -> Request | None:
        """As ``hold``, ``take`` and ``number`` in one; None when others go first or too much is in flight."""
        size = sum(map(len, payload))
        if self.held or not self._fits(size):
            return None
        request = Request(subtype, tuple(payload), token, now + self._patience, size)
        self.number(request, time)
        self._watch(request)
        return request

    @property
    def _patience(self) -> float:
        return AGAIN_SECONDS if self.in_vain else REQUEST_SECONDS

    def _fits(self, size: int) -> bool:
        """Whether so many bytes may be in flight besides those that are; a single message always may."""
        return len(self.sent) < MAX_IN_FLIGHT and (
            self._sent_bytes + size <= MAX_IN_FLIGHT_BYTES or not self.sent
        )

    def _watch(self, request: Request) -> None:
        """Have its caller answered in time."""
        if request.token is None:
            return
        deadlines = self._deadlines
        if deadlines and deadlines[-1].deadline > request.deadline:  # after a wait in vain
            insort(deadlines, request, key=_deadline)
        else:
            deadlines.append(request)

    @property
    def sendable(self) -> bool:
        """Whether a held message may go out as far as the bound on messages in flight is concerned."""
        return bool(self.held) and self._fits(self.held[0].size)

    def take(self) -> Request:
        """The next held message."""
        request = self.held.popleft()
        self._held_bytes -= request.size
        return request

    def number(self, request: Request, time: int) -> int:
        """Give it the next count, which is returned: it is being sent now."""
        self.count = count = self.count + 1
        request.count = count
        request.time = time
        self.sent[count] = request
        self._sent_bytes += request.size
        return count

    def delivered(self, count: int) -> Request | None:
        """The own message with this count came back through the total order."""
        request = self.sent.pop(count, None)
        if request is not None:
            self._sent_bytes -= request.size
        return request

    def cut_off(self) -> None:
        """Whatever is in flight may or may not be applied by the others (core 6.9 step 5, W5)."""
        self.unresolved.extend(self.sent.values())
        self.sent.clear()
        self._sent_bytes = 0

    def doubt(self, request: Request) -> None:
        """It failed by a fault of this node alone; others may have applied it and show its traces."""
        self.unresolved.append(request)

    def take_unresolved(self) -> list[Request]:
        """All requests whose fate is unknown, oldest first."""
        unresolved, self.unresolved = self.unresolved, []
        return unresolved

    def expire(self, now: float) -> Iterator[object]:
        """Tokens whose time is over. What was sent stays tracked, what was held is dropped for good."""
        while self._deadlines and (self._deadlines[0].token is None or self._deadlines[0].deadline <= now):
            request = self._deadlines.popleft()
            if request.token is None:
                continue
            token, request.token = request.token, None
            self.in_vain = True
            if request.count == 0 and request in self.held:
                self.held.remove(request)
                self._held_bytes -= request.size
            yield token

    def abandon(self) -> Iterator[object]:
        """Tokens of everything, which is forgotten."""
        for request in (*self.unresolved, *self.sent.values(), *self.held):
            if request.token is not None:
                yield request.token
                request.token = None
        self.unresolved.clear()
        self.sent.clear()
        self.held.clear()
        self._deadlines.clear()
        self._held_bytes = self._sent_bytes = 0


def _deadline(request: Request) -> float:
    return request.deadline
