"""The node's network configuration on disk: the file in use, and beside it the changes that wait (pvecm 6.8).

Changes are collected in ``interfaces.new``; applying them makes that the file in use.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from quorate.cluster.commands import CommandError, run_command
from quorate.host.files import HostFileError, changing, digest_of, read_file, replace_file
from quorate.host.ifacefile import parse
from quorate.host.interfaces import Interface, parse_interfaces
from quorate.settings import Settings

FILE: Final = "/etc/network/interfaces"
PENDING: Final = "/etc/network/interfaces.new"
BEFORE: Final = "/etc/network/interfaces.old"
RELOADERS: Final = ("/usr/sbin/ifreload", "/sbin/ifreload")
RELOAD_SECONDS: Final = 600.0
"""Bonds wait for carriers, addresses for DHCP servers."""
MAX_SOURCED: Final = 64
"""Files that others are read of; each is bounded too."""
_UP: Final = 0x1
"""IFF_UP."""


@dataclass(frozen=True, slots=True)
class Network:
    """``content``: the configuration with all changes that wait; ``present``: what is in use."""

    content: bytes
    present: bytes
    is_pending: bool

    @property
    def text(self) -> str:
        """To be changed: bytes that are no text survive."""
        return self.content.decode("utf-8", "surrogateescape")

    @property
    def digest(self) -> str:
        return digest_of(self.content)

    @property
    def interfaces(self) -> list[Interface]:
        """To be shown."""
        return parse_interfaces(self.content.decode("utf-8", "replace"))

    @property
    def difference(self) -> str:
        """What applying would change, as a unified diff; empty if nothing waits."""
        if not self.is_pending:
            return ""
        before, after = (
            content.decode("utf-8", "replace").splitlines(keepends=True)
            for content in (self.present, self.content)
        )
        lines = difflib.unified_diff(before, after, FILE, PENDING)
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def read_network(settings: Settings) -> Network:
    """Raises HostFileError."""
    present, pending = read_file(settings.at(FILE)), read_file(settings.at(PENDING))
    return Network(pending or present, present, bool(pending))


def write_changes(settings: Settings, network: Network, text: str) -> None:
    """Have ``text`` wait for being applied; what is in use already needs not wait. Raises HostFileError.

    ``network`` is what the text was made of; the caller holds the lock since it was read.
    """
    content = text.encode("utf-8", "surrogateescape")
    if content == network.present:
        revert(settings)
    elif content != network.content:
        replace_file(settings.at(PENDING), content, like=settings.at(FILE))


def revert(settings: Settings) -> None:
    """Forget what waits. Raises HostFileError."""
    path = settings.at(PENDING)
    try:
        path.unlink(missing_ok=True)
    except OSError as err:
        raise HostFileError(f"unable to remove '{path}' - {err.strerror}") from err


def reloader(settings: Settings) -> Path:
    """The program that applies a changed configuration; raises HostFileError with the way by hand."""
    for name in RELOADERS:
        if settings.at(name).exists():
            return settings.at(name)
    raise HostFileError(
        "applying network changes needs ifupdown2, whose 'ifreload' is not on this node. Nothing was changed."
        " Either install it ('apt-get install ifupdown2') and apply again, or, on the node's own console,"
        f" 'mv {PENDING} {FILE}' and restart the node"
    )


def apply(settings: Settings) -> None:
    """Put what waits in place and have the kernel follow; output of the program goes to ours.

    The file before is kept beside it. Raises HostFileError, also if the program fails: the new file stays,
    since a part of it may be in force.
    """
    program = reloader(settings)
    with changing(settings):
        kept = _activate(settings)
    print("ifreload -a", flush=True)
    try:
        run_command([str(program), "-a"], timeout=RELOAD_SECONDS, echo=True)
    except CommandError as err:
        hint = f"'{FILE}' may be in force in part"
        if kept:
            hint += f"; to go back to the one before: 'mv {BEFORE} {FILE}' and 'ifreload -a'"
        raise HostFileError(f"{err}\n{hint}") from err


def _activate(settings: Settings) -> bool:
    """Make what waits the file in use; whether there is one before, which was kept."""
    network = read_network(settings)
    if not network.is_pending:
        return False
    if network.present:
        replace_file(settings.at(BEFORE), network.present, like=settings.at(FILE))
    replace_file(settings.at(FILE), network.content)
    revert(settings)
    print(f"'{PENDING}' is '{FILE}' now", flush=True)
    return bool(network.present)


def sourced_interfaces(settings: Settings, text: str) -> Iterator[tuple[str, Interface]]:
    """What other files define that the configuration includes: path and interface. Unreadable ones are left
    out: the programs that bring up the network complain about them."""
    for path in islice(_sourced(settings, text), MAX_SOURCED):
        try:
            content = read_file(path)
        except HostFileError:
            continue
        for interface in parse_interfaces(content.decode("utf-8", "replace")):
            yield f"/{path.relative_to(settings.root)}", interface


def existing_interfaces(settings: Settings) -> dict[str, bool]:
    """Names of the kernel's interfaces and whether each is up."""
    try:
        names = sorted(path.name for path in settings.at("/sys/class/net").iterdir())
    except FileNotFoundError:
        return {}
    return {name: _is_up(settings.at(f"/sys/class/net/{name}/flags")) for name in names}


def _is_up(flags: Path) -> bool:
    try:
        return bool(int(flags.read_text(encoding="ascii"), 16) & _UP)
    except (OSError, ValueError):
        return False


def _sourced(settings: Settings, text: str) -> Iterator[Path]:
    for stanza in parse(text):
        words = stanza.words
        if stanza.keyword not in ("source", "source-directory") or len(words) != 2:
            continue
        pattern = words[1] if words[1].startswith("/") else f"/etc/network/{words[1]}"
        if stanza.keyword == "source-directory":
            pattern = f"{pattern.rstrip('/')}/*"
        pattern = pattern.strip("/")
        # One level of names: what would search whole trees is nobody's network configuration.
        if pattern and "**" not in pattern:
            yield from (path for path in sorted(settings.root.glob(pattern)) if path.is_file())
