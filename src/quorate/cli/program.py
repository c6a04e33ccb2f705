"""What all commands for administrators have in common around their ``main``: environment, log, end."""

from __future__ import annotations

import os
import sys
import syslog
from collections.abc import Callable, Sequence
from typing import NoReturn

from quorate.processname import set_process_name


def run_command_line(name: str, main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Run ``main`` with the process's arguments and exit with its status.

    The caller's search path and home count for nothing: what root's commands start must not depend on them.
    """
    os.environ["PATH"] = "/sbin:/bin:/usr/sbin:/usr/bin"
    os.environ["HOME"] = "/root"
    set_process_name(name)
    syslog.openlog(os.environ.get("PVE_LOG_ID") or name, 0, syslog.LOG_DAEMON)
    try:
        status = main(sys.argv[1:])
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    except BrokenPipeError:
        # The reader of our output went away; nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 1
    sys.stdout.flush()
    sys.exit(status)
