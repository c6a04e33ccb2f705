"""File content that was written here and not yet sent: what one WRITE message can carry. Pure.

A ``Pending`` is one gap-free run of bytes, ``low`` to ``high``, and whether the file ends at ``high``
(``exact``: it was truncated). The rules of core 1.12 turn exactly that into a message (W1). Changes that
do not fit into one run are refused with False: the caller sends what there is and starts a new one.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_FILE_SIZE: Final = 1 << 20
"""Largest file, core 1.10."""

REQUEST_SIZE: Final = 131072
"""The original takes a write apart into requests of this size; those that fit are stored (core 1.11)."""


class Payload(NamedTuple):
    """The fields of one WRITE message."""

    offset: int
    data: bytes
    truncate: bool


class Pending:
    """Changes of one file since the last send."""

    __slots__ = ("_view", "data", "exact", "low", "time")

    def __init__(self) -> None:
        self.low = 0
        self.data = bytearray()
        self.exact = False
        self.time = 0
        """When the last change was made; shown as the file's time until the message is delivered."""
        self._view: tuple[bytes, bytes] | None = None

    @property
    def high(self) -> int:
        return self.low + len(self.data)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to send."""
        return not self.data and not self.exact

    def write(self, offset: int, data: bytes) -> bool:
        """Add bytes. False: they leave a gap of unknown content; nothing was changed."""
        kept = self.data
        high = self.low + len(kept)
        if not kept and not self.exact:
            self.low = offset
            kept += data
        elif offset == high:
            kept += data
        elif offset > high:
            if not self.exact:
                return False
            kept += bytes(offset - high)
            kept += data
        elif offset + len(data) < self.low:
            return False
        elif offset >= self.low:
            start = offset - self.low
            self.data[start : start + len(data)] = data
        else:
            covered = offset + len(data) - self.low
            self.data[: max(covered, 0)] = data
            self.low = offset
        self._view = None
        return True

    def truncate(self, size: int) -> bool:
        """Set the file's length. False: bytes behind the run would have to be kept; nothing was changed."""
        if self.empty or size <= self.low:
            self.low = size
            self.data.clear()
        elif size <= self.high:
            del self.data[size - self.low :]
        elif self.exact:
            self.data += bytes(size - self.high)
        else:
            return False
        self.exact = True
        self._view = None
        return True

    def size(self, base: int) -> int:
        """Length of the file when this is applied to one of ``base`` bytes."""
        return self.high if self.exact or self.empty else max(base, self.high)

    def over(self, content: bytes) -> bytes:
        """The file's content when this is applied to ``content``."""
        if self._view is not None and self._view[0] is content:
            return self._view[1]
        head = content[: self.low]
        if len(head) < self.low:
            head += bytes(self.low - len(head))
        view = head + self.data if self.exact else head + self.data + content[self.high :]
        self._view = (content, view)
        return view

    def payload(self, base: int) -> Payload:
        """The message, for a file of ``base`` bytes. Never extends by a bare truncate (W8)."""
        if self.exact and not self.data and self.low > base:
            return Payload(self.low - 1, b"\0", truncate=True)
        return Payload(self.low, bytes(self.data), self.exact)


def acceptable(offset: int, length: int, begin: int | None = None) -> int:
    """How many of ``length`` bytes at ``offset`` are stored, 0: none, the file would become too large.

    ``begin``: where the run of requests began that this one continues. The kernel cuts one ``write()`` where
    it likes (under memory pressure also in the middle), so whole requests are counted from there.
    """
    if offset + length <= MAX_FILE_SIZE:
        return length
    begin = offset if begin is None else begin
    end = begin + (MAX_FILE_SIZE - begin) // REQUEST_SIZE * REQUEST_SIZE
    return max(end - offset, 0)
