"""``pveproxy``: the API's HTTPS front on port 8006, as www-data."""

from __future__ import annotations

from quorate.api.service import command_line, run_front


def entry() -> None:
    command_line("pveproxy", "The cluster API's HTTPS front on port 8006.", run_front)


if __name__ == "__main__":
    entry()
