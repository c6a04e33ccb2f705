"""Waits at boot, before guests are started, as long as the node's settings say (pvecm 10).

A program of the unit pve-guests, not of users: it takes no arguments and never fails.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NoReturn

from quorate.cfs import Cfs, CfsError
from quorate.cli.program import run_command_line
from quorate.nodeconfig import parse, path_of
from quorate.settings import Settings
from quorate.tasks import local_node


def entry() -> NoReturn:
    """The console script."""
    run_command_line("pve-startall-delay", lambda _words: main(Settings(), local_node()))


def main(settings: Settings, node: str, sleep: Callable[[float], None] = time.sleep) -> int:
    """Guests whose start waits too short are a smaller evil than guests that are not started."""
    try:
        content = Cfs(settings).read(path_of(node))
    except FileNotFoundError:
        return 0
    except CfsError as err:
        print(f"starting guests without a delay: {err}", file=sys.stderr, flush=True)
        return 0
    seconds = parse(content.decode("utf-8", "replace"))[0].start_delay
    if seconds > 0:
        print(f"Delaying on-boot 'startall' command for {seconds} second(s).", flush=True)
        sleep(seconds)
    return 0


if __name__ == "__main__":
    entry()
