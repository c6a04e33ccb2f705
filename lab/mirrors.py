"""Which Debian archive the base root is built from: the one that this machine itself is configured for.

Reads apt's sources at run time and keeps the entries of Debian bookworm. No host name stands in our files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

SUITES = frozenset({"bookworm", "bookworm-updates", "bookworm-security"})
APT_DIR = Path("/etc/apt")


def debian_sources(apt_dir: Path = APT_DIR) -> str:
    """The machine's sources of Debian bookworm as deb822 text; empty when it has none.

    Sources of others that merely name a bookworm suite are left out: they have other keys or components.
    """
    stanzas: list[str] = []
    for file in sorted([apt_dir / "sources.list", *apt_dir.glob("sources.list.d/*")]):
        if not file.is_file():
            continue
        text = file.read_text(errors="replace")
        fields = _deb822(text) if file.suffix == ".sources" else _one_line(text)
        stanzas += [stanza for entry in fields if (stanza := _debian_stanza(entry))]
    return "\n".join(stanzas)


def _debian_stanza(entry: dict[str, str]) -> str | None:
    suites = [suite for suite in entry.get("suites", "").split() if suite in SUITES]
    signed_by = entry.get("signed-by", "")
    foreign_key = bool(signed_by) and "debian-archive" not in signed_by
    disabled = entry.get("enabled", "yes").lower() in {"no", "false"}
    usable = (
        suites and "main" in entry.get("components", "").split() and "deb" in entry.get("types", "").split()
    )
    if not usable or foreign_key or disabled:
        return None
    lines = ["Types: deb", f"URIs: {entry['uris']}", f"Suites: {' '.join(suites)}", "Components: main"]
    if signed_by and "\n" not in signed_by:
        lines.append(f"Signed-By: {signed_by}")
    if "trusted" in entry:
        lines.append(f"Trusted: {entry['trusted']}")
    return "\n".join(lines) + "\n"


def _deb822(text: str) -> Iterator[dict[str, str]]:
    """Stanzas as dicts with lower-case keys. Comments go, continuation lines are kept with their newline."""
    entry: dict[str, str] = {}
    key = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if "uris" in entry:
                yield entry
            entry, key = {}, ""
        elif line[0].isspace() and key:
            entry[key] += "\n" + line.strip()
        else:
            name, _, value = line.partition(":")
            key = name.strip().lower()
            entry[key] = value.strip()


def _one_line(text: str) -> Iterator[dict[str, str]]:
    """``deb [option=value ...] URI SUITE COMPONENT...`` lines."""
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words or words[0] != "deb":
            continue
        entry = {"types": "deb"}
        rest = words[1:]
        if rest and rest[0].startswith("["):
            end = next((at for at, word in enumerate(rest) if word.endswith("]")), len(rest) - 1)
            for option in " ".join(rest[: end + 1]).strip("[] ").split():
                name, _, value = option.partition("=")
                entry[name.lower()] = value
            rest = rest[end + 1 :]
        if len(rest) >= 3:
            yield entry | {"uris": rest[0], "suites": rest[1], "components": " ".join(rest[2:])}
