"""datacenter.cfg: the options of the whole cluster; declared, parsed and written (pvecm 8).

Text in, text out. Who may change them and the lock around that are in `api.cluster_options`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from quorate.formats import split_list
from quorate.schema import (
    UNKNOWN_PARAMETER,
    Boolean,
    Integer,
    Number,
    Parameter,
    PropertyString,
    String,
    verify,
)

FILE: Final = "datacenter.cfg"
MAX_TEXT: Final = 64 * 1024
"""Characters of the description, and of the consent text."""
DEFAULT_MAC_PREFIX: Final = "BC:24:11"
DEFAULT_LOWER: Final = 100
DEFAULT_UPPER: Final = 1_000_000

_TAG: Final = r"(?i:[a-z0-9_][a-z0-9_.+-]*)"
_TAGS: Final = rf"{_TAG}(?:[;, ]{_TAG})*"
_COLOURS: Final = rf"{_TAG}:[0-9a-fA-F]{{6}}(?::[0-9a-fA-F]{{6}})?"
_ONE_LINE: Final = r"[^\r\n]*"
_LINE: Final = re.compile(r"([A-Za-z][\w-]*):[ \t]*(.*)")
_ESCAPED: Final = re.compile(r"[\x00-\x1f\x7f%]")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters other than tab and line feed."""

KEYBOARDS: Final = tuple(
    "de de-ch da en-gb en-us es fi fr fr-be fr-ca fr-ch hu is it ja lt mk nl no pl pt pt-br sv sl tr".split()  # noqa: SIM905
)
LANGUAGES: Final = tuple(
    "ar ca da de en es eu fa fr hr he it ja ka kr nb nl nn pl pt_BR ru sl sv tr ukr zh_CN zh_TW".split()  # noqa: SIM905
)
CONSOLES: Final = ("applet", "vv", "html5", "xtermjs")


class DatacenterError(ValueError):
    """The options do not fit together; the text says which rule is broken."""


def _choice(description: str, *values: str, default: str | None = None, mandatory: bool = False) -> String:
    return String(description=description, enum=values, default=default, optional=not mandatory)


def _text(description: str, pattern: str = _ONE_LINE) -> String:
    return String(description=description, pattern=pattern, optional=True)


def _traffic(what: str) -> PropertyString:
    return PropertyString(
        description=f"How {what} travels between the nodes.",
        optional=True,
        default_key="type",
        keys={
            "type": _choice(
                "Through SSH (secure), or unencrypted (insecure).",
                *("secure", "insecure"),
                default="secure",
                mandatory=True,
            ),
            "network": String(description="The network for it.", format="CIDR", optional=True),
        },
    )


_LIMIT: Final = Number(description="KiB/s; 0 = without limit.", minimum=0, optional=True)
_WHEN: Final = ("auto", "always", "never")

OPTIONS: Final[dict[str, Parameter]] = {
    "bwlimit": PropertyString(
        description="Limits of bandwidth, in KiB/s.",
        optional=True,
        keys=dict.fromkeys(("default", "restore", "migration", "clone", "move"), _LIMIT),
    ),
    "consent-text": String(
        description="Shown before the login (Base64).", max_length=MAX_TEXT, pattern=_ONE_LINE, optional=True
    ),
    "console": _choice("The preferred console; 'applet' means 'html5'.", *CONSOLES),
    "crs": PropertyString(
        description="Cluster resource scheduling.",
        optional=True,
        keys={
            "ha": _choice("How HA chooses nodes.", "basic", "static", "dynamic", default="basic"),
            "ha-rebalance-on-start": Boolean(description="Choose again when starting.", optional=True),
            "ha-auto-rebalance": Boolean(description="Rebalance by itself.", optional=True),
            "ha-auto-rebalance-threshold": Number(description="Imbalance that starts it.", optional=True),
            "ha-auto-rebalance-method": _text("The method."),
            "ha-auto-rebalance-hold-duration": Integer(description="Rounds to wait.", optional=True),
            "ha-auto-rebalance-margin": Number(description="The least improvement.", optional=True),
        },
    ),
    "description": String(
        description="Notes on the cluster; comment lines of the file.", max_length=MAX_TEXT, optional=True
    ),
    "email_from": _text("Sender of mails; default root@$hostname.", r"(?:[^\s@]+@[^\s@]+)?"),
    "fencing": _choice("How HA fences.", "watchdog", "hardware", "both", default="watchdog"),
    "ha": PropertyString(
        description="High availability.",
        optional=True,
        keys={
            "shutdown_policy": _choice(
                "What happens to services of a node that shuts down.",
                *("freeze", "failover", "conditional", "migrate"),
                default="conditional",
                mandatory=True,
            )
        },
    ),
    "http_proxy": _text("Proxy for downloads.", r"http://.*"),
    "keyboard": _choice("Default keyboard layout of consoles.", *KEYBOARDS),
    "language": _choice("Default language of the interface.", *LANGUAGES),
    "location": PropertyString(
        description="Where the cluster is.",
        optional=True,
        keys={
            "name": _text("Name of the place.", r"[^\r\n,]*"),
            "latitude": Number(description="Degrees.", minimum=-90, maximum=90),
            "longitude": Number(description="Degrees.", minimum=-180, maximum=180),
        },
    ),
    "mac_prefix": String(
        description="Beginning of the MAC addresses of guests.",
        pattern=r"(?i:[a-f0-9][02468ace](:[a-f0-9]{2}){0,2}(:[a-f0-9]?)?)",
        default=DEFAULT_MAC_PREFIX,
        optional=True,
    ),
    "max_workers": Integer(description="Workers per node for bulk actions.", minimum=1, optional=True),
    "migration": _traffic("a migration"),
    "migration_unsecure": Boolean(description="Deprecated, use 'migration'.", optional=True),
    "next-id": PropertyString(
        description="The range of free guest numbers that are offered.",
        optional=True,
        keys={
            "lower": Integer(description="The first one.", optional=True, default=DEFAULT_LOWER),
            "upper": Integer(description="The one after the last.", optional=True, default=DEFAULT_UPPER),
        },
    ),
    "notify": PropertyString(
        description="Deprecated: notifications.",
        optional=True,
        keys={
            "fencing": _choice("Of fencing.", "always", "never"),
            "package-updates": _choice("Of new packages.", *_WHEN),
            "replication": _choice("Of failed replication.", "always", "never"),
            "target-fencing": _text("Target.", r"[^\r\n,]*"),
            "target-package-updates": _text("Target.", r"[^\r\n,]*"),
            "target-replication": _text("Target.", r"[^\r\n,]*"),
        },
    ),
    "registered-tags": _text("Tags that need Sys.Modify on / to be set.", _TAGS),
    "replication": _traffic("a replication"),
    "tag-style": PropertyString(
        description="How tags look.",
        optional=True,
        keys={
            "case-sensitive": Boolean(description="Whether case counts.", optional=True),
            "color-map": _text("TAG:RRGGBB[:RRGGBB], separated by ;", rf"{_COLOURS}(?:;{_COLOURS})*"),
            "ordering": _choice("In which order.", "config", "alphabetical"),
            "shape": _choice("Their shape.", "full", "circle", "dense", "none"),
        },
    ),
    "u2f": PropertyString(
        description="Deprecated: U2F.",
        optional=True,
        keys={"appid": _text("Application.", r"[^\r\n,]*"), "origin": _text("Origin.", r"[^\r\n,]*")},
    ),
    "user-tag-access": PropertyString(
        description="Which tags users may set.",
        optional=True,
        keys={
            "user-allow": _choice("Which ones.", "none", "list", "existing", "free", default="free"),
            "user-allow-list": _text("The list, separated by ;", rf"{_TAG}(?:[; ]{_TAG})*"),
        },
    ),
    "webauthn": PropertyString(
        description="WebAuthn.",
        optional=True,
        keys={
            "allow-subdomains": Boolean(description="Whether subdomains may log in.", optional=True),
            "id": _text("Relying party's id.", r"[^\r\n,]*"),
            "origin": _text("Origin.", r"[^\r\n,]*"),
            "rp": _text("Relying party's name.", r"[^\r\n,]*"),
        },
    ),
}
"""Every option; the parameters of ``PUT /cluster/options`` are the same declarations."""

_AS_TEXT: Final = ("bwlimit", "location")
"""Property strings that the API shows as they stand in the file."""

Options = dict[str, object]
"""Option -> converted value: property strings are dicts, everything else as declared."""


def parse(text: str, *, file: str = FILE) -> tuple[Options, list[str]]:
    """The options, and a warning for every line that was dropped."""
    raw: dict[str, str] = {}
    notes: list[str] = []
    warnings: list[str] = []
    for line in text.split("\n"):
        if line.startswith("#"):
            notes.append(unquote(line[1:].rstrip("\r")))
        elif line.strip():
            match = _LINE.fullmatch(line.strip())
            if match is None:
                warnings.append(f"ignore config line: {line.strip()}")
            else:
                raw[match[1]] = match[2]
    options: Options = {}
    for key, value in raw.items():
        converted, problem = _convert(key, value)
        if problem is not None:
            warnings.append(f"parse error in '{file}' - '{key}': {problem}")
        else:
            options[key] = converted
    description = "\n".join(notes)
    if description:  # a lone "#" is none
        options["description"] = description
    unsecure = options.pop("migration_unsecure", None)
    if unsecure is not None:
        if "migration" in options:
            warnings.append(f"'{file}': deprecated 'migration_unsecure' is ignored beside 'migration'")
        else:
            options["migration"] = _unsecure(unsecure)
    return options, warnings


def write(options: Mapping[str, object]) -> str:
    """The file's text. Raises DatacenterError where options do not fit together."""
    values = {key: value for key, value in options.items() if value is not None}
    unsecure = values.pop("migration_unsecure", None)
    if unsecure is not None and "migration" not in values:
        values["migration"] = _unsecure(unsecure)
    if str(values.get("mac_prefix", "")).upper() == DEFAULT_MAC_PREFIX:
        del values["mac_prefix"]
    lower, upper = id_range(values)
    if lower > upper:
        raise DatacenterError(f"lower ({lower}) <= upper ({upper}) boundary rule broken")
    description = str(values.pop("description", ""))
    lines = [f"#{_escape(line)}" for line in description.split("\n")] + [""] if description else []
    for key in sorted(values):
        text = option_text(key, values[key])
        if "\n" in text or "\r" in text:
            raise DatacenterError(f"{key}: a value has no line breaks")
        if text:
            lines.append(f"{key}: {text}")
    return "".join(f"{line}\n" for line in lines)


def shown(options: Mapping[str, object]) -> dict[str, object]:
    """The options as the API gives them: nested ones as objects of texts, defaults that are always told."""
    result: dict[str, object] = {"mac_prefix": DEFAULT_MAC_PREFIX}
    for key, value in options.items():
        if key == "registered-tags":
            result[key] = split_list(str(value))
        elif isinstance(value, dict) and key not in _AS_TEXT:
            nested: dict[str, object] = {
                name: v if isinstance(v, bool) else _number_text(v) for name, v in value.items()
            }
            if key == "user-tag-access" and "user-allow-list" in nested:
                nested["user-allow-list"] = split_list(str(nested["user-allow-list"]))
            result[key] = nested
        else:
            # Numbers as texts, as all that comes from a file (pvecm 6.3)
            result[key] = value if isinstance(value, bool) else option_text(key, value)
    return result


def id_range(options: Mapping[str, object]) -> tuple[int, int]:
    """First number of the range of ``next-id``, and the one after the last."""
    given = options.get("next-id")
    values: dict[str, int] = given if isinstance(given, dict) else {}
    return values.get("lower", DEFAULT_LOWER), values.get("upper", DEFAULT_UPPER)


def consent_text(options: Mapping[str, object]) -> str:
    """What is to be agreed to before a login, as plain text; empty where nothing is set.

    The file holds Base64 of UTF-8. What is not that was written by hand: it counts as it stands, since a text
    that somebody wanted shown must not vanish.
    """
    stored = str(options.get("consent-text", ""))[:MAX_TEXT]
    try:
        text = base64.b64decode(stored.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        text = stored
    return _CONTROL.sub("", text.replace("\r\n", "\n")).strip()


def option_text(key: str, value: object) -> str:
    """A converted value as it stands in the file."""
    declared = OPTIONS[key]
    if isinstance(declared, PropertyString) and isinstance(value, Mapping):
        return declared.print({k: v if isinstance(v, bool) else _number_text(v) for k, v in value.items()})
    return _number_text(value) if not isinstance(value, bool) else str(int(value))


def _convert(key: str, text: str) -> tuple[object, str | None]:
    if key not in OPTIONS or key == "description":
        return None, UNKNOWN_PARAMETER
    if not text.strip():
        return None, "empty value"
    values, errors = verify({key: text}, {key: OPTIONS[key]}, words=True)
    if errors:
        return None, errors[key].removeprefix("invalid format - ").strip()
    value = values[key]
    return ("html5", None) if key == "console" and value == "applet" else (value, None)


def _unsecure(value: object) -> dict[str, object]:
    return {"type": "insecure" if value else "secure"}


def _number_text(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _escape(line: str) -> str:
    return _ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", line)
