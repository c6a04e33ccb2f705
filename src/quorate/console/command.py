"""Which program a console runs, here or on another node (guests 9.2). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from quorate.rules import ROOT

LOGIN: Final = "login"
UPGRADE: Final = "upgrade"
CEPH_INSTALL: Final = "ceph_install"
COMMANDS: Final = (LOGIN, UPGRADE, CEPH_INSTALL)
"""What a caller may ask for; the last is known by name only, see `node_console`."""

REMOTE_LOGIN: Final = "/bin/login"
UPGRADE_PROGRAM: Final = ("/usr/bin/apt-get", "dist-upgrade")
REMOTE_OPTIONS: Final = ("-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=15", "-t")
"""Beside what members use among each other: a terminal there, and an end when the other node has died."""

TERM: Final = "xterm-256color"
_KEPT: Final = ("PATH", "USER", "HOME", "LANG", "LANGUAGE")
_DEFAULTS: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "USER": "root",
    "HOME": "/root",
}
"""What a service of systemd may not have."""


def local_command(user: str, command: str, login: str) -> list[str]:
    """What runs on this node; ``login`` is its program for logging in."""
    if command == UPGRADE:
        return list(UPGRADE_PROGRAM)
    # Only root@pam itself, not its API tokens, is let in without a password.
    return [login, "-f", "root"] if user == ROOT else [login]


def remote_command(user: str, command: str, ssh: Sequence[str]) -> list[str]:
    """What runs on another node; ``ssh`` is the command line of members, which ends with the target."""
    argv = [*ssh[:-1], *REMOTE_OPTIONS, ssh[-1], "--"]
    if command == UPGRADE:
        return [*argv, *UPGRADE_PROGRAM]
    # SSH has logged root in already: a second login within would break the terminal.
    return argv if user == ROOT else [*argv, REMOTE_LOGIN]


def environment(outer: Mapping[str, str]) -> dict[str, str]:
    """What the program gets of our own environment: nothing but what a terminal needs."""
    kept = {name: value for name, value in outer.items() if name in _KEPT or name.startswith("LC_")}
    return {**_DEFAULTS, **kept, "TERM": TERM}
