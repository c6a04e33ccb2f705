"""``nodes/NODE/config``: one node's settings; declared, parsed and written (pvecm 10).

Text in, text out. Settings that are not known, or whose value is not understood, stay as they are: the node
may run programs that know them. Who may change them and the lock around that are in `api.node_config`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from quorate.schema import Integer, Parameter, PropertyString, String, verify

FILE: Final = "config"
"""Below the node's directory of the cluster file system."""
MAX_TEXT: Final = 64 * 1024
MAX_DELAY: Final = 300
"""Seconds before guests are started at boot."""
START_DELAY: Final = "startall-onboot-delay"

_LINE: Final = re.compile(r"([A-Za-z][\w-]*):[ \t]*(.*)")
_ESCAPED: Final = re.compile(r"[\x00-\x1f\x7f%]")
_NAME: Final = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
_DOMAIN: Final = PropertyString(
    description="A domain of the node's certificate.",
    optional=True,
    default_key="domain",
    keys={
        "domain": String(description="The domain.", pattern=rf"(?:\*\.)?{_NAME}"),
        "alias": String(description="Where its proof is published.", pattern=_NAME, optional=True),
        "plugin": String(description="How it is proved.", format="pve-configid", optional=True),
    },
)

OPTIONS: Final[dict[str, Parameter]] = {
    START_DELAY: Integer(
        description="Seconds to wait at boot before guests are started.",
        minimum=0,
        maximum=MAX_DELAY,
        default=0,
        optional=True,
    ),
    "wakeonlan": PropertyString(
        description="How the node is woken over the network.",
        optional=True,
        default_key="mac",
        keys={
            "mac": String(description="Its hardware address.", pattern="(?i:[a-f0-9]{2}(?::[a-f0-9]{2}){5})"),
            "bind-interface": String(
                description="From which interface it is sent.",
                pattern="[A-Za-z0-9][^\\s,/]{0,14}",
                optional=True,
            ),
            "broadcast-address": String(description="To where it is sent.", format="ip", optional=True),
        },
    ),
    "description": String(
        description="Notes on the node; comment lines of the file.", max_length=MAX_TEXT, optional=True
    ),
    "ballooning-target": Integer(
        description="Percent of the node's memory up to which guests get memory back.",
        minimum=0,
        maximum=100,
        optional=True,
    ),
    "acme": PropertyString(
        description="The node's account for certificates.",
        optional=True,
        keys={
            "account": String(description="The account.", format="pve-configid", optional=True),
            "domains": String(
                description="Domains, separated by ;", pattern=rf"{_NAME}(?:;{_NAME})*", optional=True
            ),
        },
    ),
    **{f"acmedomain{number}": _DOMAIN for number in range(6)},
}
"""Every setting; the parameters of ``PUT /nodes/{node}/config`` are the same declarations."""


@dataclass(slots=True)
class NodeConfig:
    """``values``: known settings, converted. ``other``: lines of any other key, as they are."""

    values: dict[str, object] = field(default_factory=dict)
    other: dict[str, str] = field(default_factory=dict)

    @property
    def start_delay(self) -> int:
        """Seconds to wait at boot before guests are started."""
        delay = self.values.get(START_DELAY, 0)
        return delay if isinstance(delay, int) else 0


def path_of(node: str) -> str:
    """In the cluster file system."""
    return f"nodes/{node}/{FILE}"


def parse(text: str) -> tuple[NodeConfig, list[str]]:
    """The settings, and a warning for every line that is not understood."""
    config = NodeConfig()
    notes: list[str] = []
    warnings: list[str] = []
    for line in text.split("\n"):
        stripped = line.strip()
        if line.startswith("#"):
            notes.append(unquote(line[1:].rstrip("\r")))
        elif stripped:
            match = _LINE.fullmatch(stripped)
            if match is None:
                warnings.append(f"ignore config line: {stripped}")
                continue
            problem = _take(config, match[1], match[2])
            if problem is not None:
                config.other[match[1]] = match[2]
                warnings.append(f"parse error in '{FILE}' - '{match[1]}': {problem}")
    if description := "\n".join(notes):
        config.values["description"] = description
    return config, warnings


def write(config: NodeConfig) -> str:
    """The file's text."""
    texts = {key: shown(key, value) for key, value in config.values.items() if key != "description"}
    lines = [f"{key}: {text}" for key, text in sorted({**config.other, **texts}.items()) if text]
    description = str(config.values.get("description", ""))
    head = [f"#{_escape(line)}" for line in description.split("\n")] if description else []
    return "".join(f"{line}\n" for line in [*head, *([""] if head else []), *lines])


def shown(key: str, value: object) -> str:
    """A converted value as it stands in the file, and as the API gives it."""
    declared = OPTIONS[key]
    if isinstance(declared, PropertyString) and isinstance(value, Mapping):
        return declared.print(value)
    return str(value)


def _take(config: NodeConfig, key: str, text: str) -> str | None:
    """Why a line is not understood; None if it was."""
    if key not in OPTIONS or key == "description":
        return "unknown setting"
    values, errors = verify({key: text}, {key: OPTIONS[key]}, words=True)
    if errors:
        return errors[key].removeprefix("invalid format - ").strip()
    config.values[key] = values[key]
    config.other.pop(key, None)
    return None


def _escape(line: str) -> str:
    return _ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", line)
