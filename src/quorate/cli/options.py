"""From words on a command line to checked parameters, and back to usage and help texts (pvecm 1.1 to 1.3).

Everything comes from the declarations of quorate.schema. No command is known here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from quorate.schema import (
    VERIFICATION_FAILED,
    Array,
    Boolean,
    Parameter,
    Parameters,
    String,
    parse_boolean,
    verify,
)

_INDEXED: Final = re.compile(r"(.*?)(\d+)$")


class UsageError(Exception):
    """The words do not fit the command. ``lines`` go before the error, ``details`` after it."""

    def __init__(self, message: str, *, lines: Sequence[str] = (), details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.lines = list(lines)
        self.details = list(details)


def parse(words: Sequence[str], declared: Parameters, positionals: Sequence[str]) -> dict[str, object]:
    """Checked values of all parameters that were given; raises UsageError.

    Options and positional words mix freely. A positional declared as Array takes all words that are left.
    """
    values, errors = verify(collect(words, declared, positionals), declared, words=True)
    if errors:
        details = [f"{name}: {text}" for name, text in sorted(errors.items())]
        raise UsageError(VERIFICATION_FAILED, details=details)
    return values


def collect(words: Sequence[str], declared: Parameters, positionals: Sequence[str]) -> dict[str, object]:
    """The parameters that were given, not yet checked; raises UsageError for words that fit nowhere.

    An option given several times makes a list where it is declared as one.
    """
    options = {name: parameter for name, parameter in declared.items() if name not in positionals}
    given, rest = _split(words, options)
    given.update(_place(rest, declared, positionals))
    return given


def usage_line(prefix: str, declared: Parameters, positionals: Sequence[str]) -> str:
    """``pvecm create <clustername> [OPTIONS]``"""
    words = [prefix]
    for name in positionals:
        words.append(f"[<{name}>]" if declared[name].optional else f"<{name}>")
    mandatory = [
        f"--{name} {parameter.describe_type()}"
        for name, parameter in sorted(declared.items())
        if name not in positionals and not parameter.optional
    ]
    words += mandatory
    if any(parameter.optional for name, parameter in declared.items() if name not in positionals):
        words.append("[OPTIONS]")
    return " ".join(words)


def full_help(prefix: str, description: str, declared: Parameters, positionals: Sequence[str]) -> str:
    """The whole entry of a command in the help."""
    lines = [f"USAGE: {usage_line(prefix, declared, positionals)}", ""]
    if description:
        lines += [f"  {line}" for line in description.splitlines()]
        lines.append("")
    for name in positionals:
        lines += _parameter_help(f"<{name}>", declared[name])
    shown = set()
    for name, parameter in sorted(declared.items()):
        if name in positionals:
            continue
        title = _indexed_title(name, declared)
        if title not in shown:
            shown.add(title)
            lines += _parameter_help(f"--{title}", parameter)
    return "\n".join(lines) + "\n"


def option_names(declared: Parameters, positionals: Sequence[str]) -> list[str]:
    return [f"--{name}" for name in sorted(declared) if name not in positionals]


def _split(words: Sequence[str], options: Mapping[str, Parameter]) -> tuple[dict[str, object], list[str]]:
    given: dict[str, object] = {}
    rest: list[str] = []
    problems: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "--":
            rest += words[position:]
            break
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        typed, equals, value = word.lstrip("-").partition("=")
        name = _find(typed, options, problems)
        if name is None:
            continue
        if isinstance(options[name], Boolean):
            if not equals:
                has_value = position < len(words) and not words[position].startswith("-")
                value = words[position] if has_value else "1"
                position += has_value
            if parse_boolean(value) is None:
                raise UsageError("unable to parse boolean option")
        elif not equals:
            if position >= len(words):
                problems.append(f"Option {typed} requires an argument")
                continue
            value = words[position]
            position += 1
        given[name] = _added(given.get(name), value, options[name])
    if problems:
        raise UsageError("unable to parse option", lines=problems)
    return given, rest


def _added(before: object, value: str, declared: Parameter) -> object:
    if isinstance(declared, Array):
        return [*before, value] if isinstance(before, list) else [value]
    is_list = isinstance(declared, String) and (declared.format or "").endswith("-list")
    return f"{before},{value}" if is_list and before is not None else value


def _find(typed: str, options: Mapping[str, Parameter], problems: list[str]) -> str | None:
    lowered = typed.lower()
    matching = sorted(name for name in options if name.lower().startswith(lowered)) if lowered else []
    exact = [name for name in matching if name.lower() == lowered]
    if exact:
        return exact[0]
    if len(matching) == 1:
        return matching[0]
    if matching:
        problems.append(f"Option {typed} is ambiguous ({', '.join(matching)})")
    else:
        problems.append(f"Unknown option: {typed}")
    return None


def _place(rest: list[str], declared: Parameters, positionals: Sequence[str]) -> dict[str, object]:
    given: dict[str, object] = {}
    words = list(rest)
    for name in positionals:
        if isinstance(declared[name], Array):
            given[name], words = words, []
        elif words:
            given[name] = words.pop(0)
        elif not declared[name].optional:
            raise UsageError("not enough arguments")
    if words:
        raise UsageError("too many arguments")
    return given


def _parameter_help(title: str, parameter: Parameter) -> list[str]:
    default = "" if parameter.default is None else f"   (default={_shown(parameter.default)})"
    lines = [f"  {title:<10} {parameter.describe_type()}{default}"]
    lines += [f"\t     {line}" for line in parameter.description.splitlines()]
    return [*lines, ""]


def _shown(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _indexed_title(name: str, declared: Parameters) -> str:
    match = _INDEXED.fullmatch(name)
    if match and f"{match[1]}0" in declared and f"{match[1]}1" in declared:
        return f"{match[1]}[n]"
    return name
