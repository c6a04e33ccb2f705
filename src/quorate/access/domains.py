"""domains.cfg: the realms users log in to (pvecm 7.5). ``pam`` and ``pve`` always exist."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_HEADER = re.compile(r"([a-z]+):\s*([A-Za-z][A-Za-z0-9.\-_]+)\s*")
_OPTION = re.compile(r"\s+(\S+)(?:\s+(.*?))?\s*")

BUILTIN = {
    "pam": ("pam", "Linux PAM standard authentication"),
    "pve": ("pve", "Proxmox VE authentication server"),
}


@dataclass(slots=True)
class Realm:
    type: str
    options: dict[str, str] = field(default_factory=dict)

    @property
    def comment(self) -> str:
        return self.options.get("comment", "")

    @property
    def second_factor(self) -> str:
        """The kind of second factor that every user of the realm must have; empty for none."""
        parts = self.options.get("tfa", "").split(",")
        kinds = [part.removeprefix("type=") for part in parts if "=" not in part or part.startswith("type=")]
        return kinds[0] if kinds else ""

    @property
    def case_sensitive(self) -> bool:
        return self.options.get("case-sensitive", "1") != "0"


def parse_domains(text: str) -> dict[str, Realm]:
    """Realms by name, the built-in ones included; lines that fit nowhere are skipped."""
    realms: dict[str, Realm] = {}
    current: Realm | None = None
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if (header := _HEADER.fullmatch(line)) is not None:
            current = realms.setdefault(header[2], Realm(header[1]))
        elif current is not None and (option := _OPTION.fullmatch(line)) is not None:
            current.options[option[1]] = option[2] or "1"
    for name, (kind, comment) in BUILTIN.items():
        realm = realms.setdefault(name, Realm(kind))
        realm.type = kind
        realm.options.setdefault("comment", comment)
    return dict(sorted(realms.items()))


def format_domains(realms: dict[str, Realm]) -> str:
    """The file's text. The built-in realms stand in it like the others, so that their options last."""
    sections = []
    for name, realm in sorted(realms.items()):
        lines = [f"{realm.type}: {name}\n"]
        lines += [f"\t{key} {value}\n" for key, value in sorted(realm.options.items())]
        sections.append("".join(lines))
    return "\n".join(sections)
