"""``pvedaemon``: the API's privileged half, root, on a local socket only."""

from __future__ import annotations

from quorate.api.service import command_line, run_privileged


def entry() -> None:
    command_line("pvedaemon", "The cluster API's privileged half, on a local socket.", run_privileged)


if __name__ == "__main__":
    entry()
