"""``pvestatd``: tells the cluster this node's status, every 10 s."""

from __future__ import annotations

import os

from quorate.api.root import version_info
from quorate.api.service import command_line
from quorate.api.supervisor import ServiceError
from quorate.pidfile import AlreadyRunningError
from quorate.settings import Settings
from quorate.statd.daemon import serve


def run(settings: Settings) -> None:
    """Raises ServiceError."""
    if os.geteuid() != 0:
        raise ServiceError("please run as root")
    try:
        serve(settings, version_info())
    except AlreadyRunningError as err:
        raise ServiceError(f"unable to start: {err} (see 'systemctl status pvestatd')") from err
    except OSError as err:
        raise ServiceError(f"unable to write '{err.filename}': {err.strerror}") from err


def entry() -> None:
    command_line("pvestatd", "The status daemon of a cluster's node.", run)


if __name__ == "__main__":
    entry()
