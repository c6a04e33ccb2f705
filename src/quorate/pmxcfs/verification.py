"""Who asks for a verification, and whether the answer fits (core 6.7, W21). Bookkeeping only."""

from __future__ import annotations

from quorate.pmxcfs.wire import Epoch, Verify

LOST_SECONDS = 60.0
"""A request that did not come back for so long does not hold up the next one."""


class Verification:
    """Ids count per process and survive rejoining."""

    def __init__(self) -> None:
        self._counter = 0
        self._last = 0
        self._asked_at = 0.0
        self._saved: tuple[int, Epoch, bytes] | None = None

    def reset(self) -> None:
        """A configuration change: whatever is under way is void."""
        self._last = self._counter
        self._saved = None

    def next_id(self, now: float) -> int | None:
        """The id of a new request; None while the previous one is under way."""
        if self._counter != self._last and now - self._asked_at < LOST_SECONDS:
            return None
        self._counter += 1
        self._asked_at = now
        return self._counter

    def not_sent(self) -> None:
        """The request never left this node."""
        self._last = self._counter

    def requested(self, request_id: int, epoch: Epoch, checksum: bytes) -> None:
        """Somebody's request was delivered; this is the own checksum at that point of the order."""
        self._last = request_id
        self._saved = (request_id, epoch, checksum)

    def agrees(self, verify: Verify, epoch: Epoch) -> bool | None:
        """Whether the requester's data is identical; None if the answer belongs to no known request."""
        if self._saved is None or self._saved[:2] != (verify.id, epoch):
            return None
        return self._saved[2] == verify.checksum
