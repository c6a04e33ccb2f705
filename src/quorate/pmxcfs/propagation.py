"""corosync.conf from the tree to the host (core 8.3): the decision, and the file that it asks for.

``decide`` is pure. ``write_host_copy`` replaces the host's file in one step. When to run and whether to
make Corosync reload is the business of ``daemon``.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from quorate.durable import sync_directory
from quorate.pmxcfs.paths import config_version

RELOAD_DELAY: Final = 1.0
"""Seconds between writing the file and asking Corosync to reload: the other nodes write theirs meanwhile."""

RELOAD_COMMAND: Final = ("corosync-cfgtool", "-R")
RELOAD_TIMEOUT: Final = 30.0

_SECTION: Final = re.compile(r"[^\s{}:#]+\s*\{\s*")
_OPTION: Final = re.compile(r"[^\s{}:]+\s*:.*")


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done. ``problem`` is a sentence for the log when the text was refused."""

    write: bool
    reload: bool = False
    """Whether a reload makes sense: there was an older configuration that Corosync may be running with."""
    problem: str | None = None


def syntax_fault(text: bytes) -> str | None:
    """What makes Corosync's parser stumble, as a sentence; None if nothing does (W25)."""
    depth = 0
    for number, raw in enumerate(text.decode("utf-8", "replace").splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line == "}":
            depth -= 1
            if depth < 0:
                return f"line {number}: closing brace without a section"
        elif _SECTION.fullmatch(line):
            depth += 1
        elif not _OPTION.fullmatch(line):
            return f"line {number} is neither a section, an option, nor a closing brace"
    return "a section is not closed, the text may be incomplete" if depth else None


def decide(new: bytes | None, old: bytes | None) -> Decision:
    """Whether ``new`` (the tree's text) shall replace ``old`` (the host's; None: no such file)."""
    if not new:
        return Decision(write=False)
    new_version = config_version(new)
    if new_version == 0:
        return Decision(write=False, problem="the cluster's corosync.conf has no config_version, not used")
    if new == old:
        return Decision(write=False)
    old_version = config_version(old) if old is not None else 0
    if new_version < old_version:
        return Decision(
            write=False,
            problem=f"the cluster's corosync.conf has version {new_version}, older than version "
            f"{old_version} on this host: the host's file is kept",
        )
    fault = syntax_fault(new)
    if fault is not None:
        return Decision(
            write=False,
            problem=f"the cluster's corosync.conf (version {new_version}) is not used: {fault}; "
            "the host's file is kept until a complete one is written",
        )
    return Decision(write=True, reload=old_version != 0)


def read_host_copy(path: Path) -> bytes | None:
    """The host's text; None if there is none. Raises OSError for other reasons."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def write_host_copy(path: Path, text: bytes) -> None:
    """Replace the host's file in one step, so that it survives a power failure whole (W15)."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        try:
            os.fchmod(fd, 0o644)
            os.fchown(fd, 0, 0)
            view = memoryview(text)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
