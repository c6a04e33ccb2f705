"""What the cluster is told in its log: the lines of commands and tasks (pvecm 3.7, 6.9).

Each goes into this node's journal too, and only there while the file system is away. `Cfs` reads it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import syslog
from pathlib import Path
from typing import Final

from quorate.cfs import Cfs, CfsError
from quorate.settings import Settings

ADMINISTRATOR: Final = "root@pam"


def record(
    settings: Settings, message: str, *, user: str = ADMINISTRATOR, priority: int = syslog.LOG_INFO
) -> None:
    """Log ``message`` of ``user`` for the whole cluster. Never raises: what is logged has happened anyway."""
    syslog.syslog(priority, f"<{user}> {message}")
    cfs = Cfs(settings)
    if not cfs.mounted():
        return
    # The file system says itself what is wrong with it, and the line is in the journal.
    with contextlib.suppress(CfsError):
        cfs.log(message, user=user, tag=_program(), priority=priority)


def _program() -> str:
    """Under which name this program logs."""
    return os.environ.get("PVE_LOG_ID") or Path(sys.argv[0]).stem or "quorate"
