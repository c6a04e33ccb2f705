"""The ``pmxcfs`` command: options and exit codes (core 1.1). The daemon itself is ``pmxcfs.daemon``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from quorate.processname import set_process_name
from quorate.settings import Settings

USAGE = """\
Usage:
  pmxcfs [OPTION...]

Help Options:
  -h, --help           Show help options

Application Options:
  -d, --debug          Turn on debug messages
  -f, --foreground     Do not daemonize server
  -l, --local          Force local mode (ignore corosync.conf, force quorum)
"""

EXIT_USAGE = 1
EXIT_FAILURE = 255


class UsageError(Exception):
    """The command line makes no sense; the text says why, ``code`` is the exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Options:
    debug: bool = False
    foreground: bool = False
    local: bool = False
    help: bool = False


_LONG = {"--debug": "debug", "--foreground": "foreground", "--local": "local", "--help": "help"}
_SHORT = {"d": "debug", "f": "foreground", "l": "local", "h": "help"}


def parse(arguments: Sequence[str]) -> Options:
    """Options from the command line. Raises UsageError."""
    chosen: dict[str, bool] = {}
    positional: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            positional += rest
            break
        if argument.startswith("--"):
            if argument not in _LONG:
                raise UsageError(f"Unknown option {argument}", EXIT_USAGE)
            chosen[_LONG[argument]] = True
        elif argument.startswith("-") and len(argument) > 1:
            for letter in argument[1:]:
                if letter not in _SHORT:
                    raise UsageError(f"Unknown option -{letter}", EXIT_USAGE)
                chosen[_SHORT[letter]] = True
        else:
            positional.append(argument)
    options = Options(**chosen)
    if positional and not options.help:
        raise UsageError(f"too many arguments: {' '.join(positional)}", EXIT_FAILURE)
    return options


def main(arguments: Sequence[str], settings: Settings) -> int:
    """Run the command and return its exit code."""
    try:
        options = parse(arguments)
    except UsageError as fault:
        sys.stderr.write(f"pmxcfs: {fault}; 'pmxcfs --help' lists the options\n")
        return fault.code
    if options.help:
        sys.stdout.write(USAGE)
        return 0
    from quorate.pmxcfs import daemon  # late: the help needs neither Corosync nor the kernel

    return daemon.run(settings, local=options.local, foreground=options.foreground, debug=options.debug)


def entry() -> NoReturn:
    set_process_name("pmxcfs")
    sys.exit(main(sys.argv[1:], Settings()))


if __name__ == "__main__":
    entry()
