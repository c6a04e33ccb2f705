"""Change counters of the 43 tracked paths (core 1.15), which ``.version`` shows."""

from __future__ import annotations

from quorate.pmxcfs.paths import TRACKED_PATHS

_U32 = 0xFFFFFFFF


class ChangeCounters(dict[bytes, int]):
    """Path to counter (u32), in the order of ``.version``. Counts per process, not replicated."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(TRACKED_PATHS, 0))

    def bump(self, path: bytes) -> None:
        """One change of exactly this path; paths that are not tracked are ignored."""
        if path in self:
            self[path] = (self[path] + 1) & _U32

    def bump_all(self) -> None:
        """The whole tree was loaded or replaced by a synchronisation."""
        for path in self:
            self[path] = (self[path] + 1) & _U32
