"""``pvestatd``: tells the cluster this node's status, every 10 s."""

from __future__ import annotations

import os

from quorate.api.root import version_info
from quorate.api.service import ServiceError, command_line
from quorate.settings import Settings
from quorate.statd.daemon import serve


def run(settings: Settings) -> None:
    """Raises ServiceError."""
    if os.geteuid() != 0:
        raise ServiceError("please run as root")
    serve(settings, version_info())


def entry() -> None:
    command_line("pvestatd", "The status daemon of a cluster's node.", run)


if __name__ == "__main__":
    entry()
