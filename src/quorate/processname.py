"""The name under which a process of ours is found: by ``ps``, ``killall`` and the journal."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

COMM: Final = Path("/proc/self/comm")


def set_process_name(name: str) -> None:
    """Be called ``name`` (15 bytes) instead of ``python3``: procedures say ``killall pmxcfs`` (pvecm 4.2).

    A convenience: where /proc is not there, or not writable, the name stays as it is.
    """
    with contextlib.suppress(OSError):
        COMM.write_text(name)
