"""The report on a node for whoever is to help: files and the output of commands. No secrets."""

from __future__ import annotations

import datetime
from typing import Final

import quorate
from quorate.cluster.commands import CommandError, Runner
from quorate.settings import Settings

COMMAND_SECONDS: Final = 5.0
MAX_SECTION: Final = 64 * 1024
"""Characters of one file or command."""

_FILES: Final = ("/etc/hosts", "/etc/network/interfaces", "/etc/resolv.conf")
_CLUSTER_FILES: Final = ("corosync.conf", "datacenter.cfg", "storage.cfg", ".members", ".version")
_COMMANDS: Final = (
    ("uname", "-a"),
    ("uptime",),
    ("pvecm", "status"),
    ("corosync-cfgtool", "-s"),
    ("systemctl", "--no-pager", "--failed"),
    ("ip", "-details", "-statistics", "address"),
    ("ip", "route", "show"),
    ("df", "--human-readable", "-T"),
    ("free", "--human"),
    ("lsblk", "--ascii"),
)


def make_report(settings: Settings, node: str, run: Runner, now: float) -> str:
    """What fails says so in its section."""
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    parts = [f"==== node {node}, quorate {quorate.__version__}, {moment:%Y-%m-%d %H:%M:%S} UTC ===="]
    for path in _FILES:
        parts.append(_section(f"cat {path}", _read(settings, path)))
    for name in _CLUSTER_FILES:
        parts.append(_section(f"cat {settings.mountpoint / name}", _read(settings, f"/etc/pve/{name}")))
    for argv in _COMMANDS:
        parts.append(_section(" ".join(argv), _output(run, argv)))
    return "\n\n".join(parts) + "\n"


def _section(title: str, text: str) -> str:
    cut = text[:MAX_SECTION] + ("\n(cut here)" if len(text) > MAX_SECTION else "")
    return f"# {title}\n{cut.rstrip()}"


def _read(settings: Settings, path: str) -> str:
    try:
        with settings.at(path).open(encoding="utf-8", errors="replace") as file:
            return file.read(MAX_SECTION + 1)
    except OSError as err:
        return f"({err.strerror})"


def _output(run: Runner, argv: tuple[str, ...]) -> str:
    try:
        result = run(argv, timeout=COMMAND_SECONDS, check=False)
    except CommandError as err:
        return f"({err})"
    return result.stdout + result.stderr
