"""``pveupdate``: what a node does once a day (pvecm 11): renew its certificate, remove old task logs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from quorate.cfs import CfsError
from quorate.cluster.commands import CommandError
from quorate.cluster.host import ClusterError, Host
from quorate.settings import Settings
from quorate.tasks import TaskStore, TaskStoreError


def update(host: Host) -> int:
    """Each job by itself, so that one that fails hinders no other; the exit status."""
    jobs: tuple[tuple[str, Callable[[Host], object]], ...] = (
        ("renew the certificate", _renew),
        ("remove old task logs", _clean),
    )
    status = 0
    for what, job in jobs:
        try:
            job(host)
        except (ClusterError, CfsError, CommandError, TaskStoreError, OSError) as err:
            host.out.error(f"unable to {what}: {err}")
            status = 1
    return status


def _renew(host: Host) -> None:
    from quorate.cluster.renewal import renew_if_due

    renew_if_due(host)


def _clean(host: Host) -> None:
    removed = TaskStore(host.settings).clean()
    host.out.line(f"removed {removed} old task logs")


def main(arguments: Sequence[str]) -> int:
    if arguments:
        print("usage: pveupdate", file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print("please run as root", file=sys.stderr)
        return 1
    return update(Host(settings=Settings()))


def entry() -> None:
    from quorate.cli.program import run_command_line

    run_command_line("pveupdate", main)


if __name__ == "__main__":
    entry()
