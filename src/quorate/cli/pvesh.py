"""``pvesh``: the API on the command line, as root@pam, without going through HTTP (pvecm 6.10).

Which operations there are and what they take is said by their declarations alone.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn, cast

from quorate.api import calls
from quorate.api.operations import make_router
from quorate.api.protocol import plain
from quorate.api.results import Page
from quorate.api.router import Place, Router
from quorate.cli.commandtree import CommandFailed, run_program
from quorate.cli.options import UsageError, collect, full_help, usage_line
from quorate.cli.program import run_command_line
from quorate.cli.tables import ASCII, UNICODE, OutputFormat, Style, render
from quorate.cli.taskoutput import follow
from quorate.schema import (
    VERIFICATION_FAILED,
    ApiError,
    Array,
    Boolean,
    Context,
    Operation,
    Parameter,
    Parameters,
    String,
    verify,
)
from quorate.settings import Settings
from quorate.tasks import Upid, UpidError, local_node

PROGRAM: Final = "pvesh"
ROOT: Final = "root@pam"
METHODS: Final = {"get": "GET", "set": "PUT", "create": "POST", "delete": "DELETE"}
COMMANDS: Final = (*METHODS, "ls", "usage", "help")
FAILED: Final = 255
UNKNOWN_PATH: Final = 1
REMOTE_SECONDS: Final = 6 * 3600.0
"""A task that is waited for on another node may last; nothing waits for ever."""

OUTPUT: Final[Parameters] = {
    "output-format": String(
        optional=True,
        default="text",
        enum=("text", "json", "json-pretty", "yaml"),
        description="Output format.",
    ),
    "human-readable": Boolean(
        optional=True,
        default=True,
        description="Call output rendering functions to produce human readable text.",
    ),
    "noborder": Boolean(optional=True, default=False, description="Do not draw borders (for 'text' format)."),
    "noheader": Boolean(
        optional=True, default=False, description="Do not show column headers (for 'text' format)."
    ),
    "quiet": Boolean(optional=True, description="Suppress printing results."),
    "nooutput": Boolean(optional=True, description="Suppress printing results."),
    "noproxy": Boolean(optional=True, description="Disable automatic proxying."),
}
_USAGE_OPTIONS: Final[Parameters] = {
    "command": String(optional=True, enum=tuple(METHODS), description="API command."),
    "returns": Boolean(optional=True, description="Including schema for returned data."),
    "verbose": Boolean(optional=True, description="Verbose output format."),
}


def entry() -> NoReturn:
    """The console script."""
    run_command_line(PROGRAM, main)


def main(argv: Sequence[str], settings: Settings | None = None, router: Router | None = None) -> int:
    """Run ``pvesh`` with the words behind its name; the exit status."""
    shell = Shell(settings or Settings(), router or make_router(), local_node())
    try:
        return shell.run(argv)
    except CommandFailed as err:
        if str(err):
            print(str(err).rstrip("\n"), file=sys.stderr, flush=True)
        return err.status


class Shell:
    """The commands of one call."""

    def __init__(self, settings: Settings, router: Router, node: str) -> None:
        self._settings = settings
        self._router = router
        self._node = node

    def run(self, argv: Sequence[str]) -> int:
        """Raises `CommandFailed` with what is to be shown."""
        ours, words = _leading_options(argv)
        if not words:
            raise CommandFailed(f"ERROR: no command specified\n{short_usage()}")
        typed = words.pop(0)
        matching = [name for name in COMMANDS if name.startswith(typed)]
        command = typed if typed in COMMANDS else matching[0] if len(matching) == 1 else None
        if command is None:
            raise CommandFailed(f"ERROR: unknown command '{PROGRAM} {typed}'\n{short_usage()}")
        if command == "help":
            print(short_usage())
            return 0
        if not words or words[0].startswith("-"):
            raise CommandFailed(f"400 not enough arguments\n{_command_usage(command)}")
        path = _normal(words.pop(0))
        words += ours
        if os.geteuid() != 0 and command != "usage":
            raise CommandFailed("please run as root")
        if command == "ls":
            return self._list(path, words)
        if command == "usage":
            return self._usage(path, words)
        return self._call(command, path, words)

    # -- get, set, create, delete -----------------------------------------------------------------------

    def _call(self, command: str, path: str, words: list[str]) -> int:
        place = self._router.place(path)
        operation = place.operations.get(METHODS[command]) if place is not None else None
        if place is None or operation is None:
            raise CommandFailed(f"No '{command}' handler defined for '{path}'", UNKNOWN_PATH)
        given, output = self._split(command, path, operation, words)
        in_path = self._local_names(place.parameters)
        node = in_path.get("node", self._node)
        if operation.proxyto_node and node != self._node and not output.get("noproxy"):
            return self._remote(node, [command, path, *words])
        if operation.proxyto_node and node != self._node:
            raise CommandFailed(f"500 proxy loop detected: this is '{self._node}', not '{node}'")
        context = Context(settings=self._settings, user=ROOT, node=self._node)
        try:
            result = calls.run_operation(operation, context, {**given, **in_path}, words=True)
        except ApiError as error:
            raise CommandFailed(_refusal(error, _operation_usage(command, path, operation))) from error
        return self._show(operation, result, output)

    def _split(
        self, command: str, path: str, operation: Operation, words: list[str]
    ) -> tuple[dict[str, object], dict[str, object]]:
        """The operation's own parameters as they were typed, and our options checked."""
        own = _outside_path(operation)
        try:
            given = collect(words, {**OUTPUT, **own}, ())
        except UsageError as err:
            lines = [*err.lines, f"400 {err.message}", *err.details]
            usage = _operation_usage(command, path, operation)
            raise CommandFailed("\n".join([*lines, usage])) from err
        ours = {name: given.pop(name) for name in OUTPUT if name in given and name not in own}
        values, errors = verify(ours, OUTPUT, words=True)
        if errors:
            details = "".join(f"\n{name}: {text}" for name, text in sorted(errors.items()))
            raise CommandFailed(f"400 {VERIFICATION_FAILED}{details}")
        return given, values

    def _show(self, operation: Operation, result: object, output: Mapping[str, Any]) -> int:
        data = plain(result.data if isinstance(result, Page) else result)
        form = cast(OutputFormat, output.get("output-format", "text"))
        status = 0
        task = _task_of(operation, data)
        if task is not None:
            # What a program reads from standard output is the result alone.
            stream = sys.stdout if form == "text" else sys.stderr
            status = follow(task, self._settings, stream)
        if not output.get("quiet") and not output.get("nooutput"):
            unicode_terminal = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
            style = Style(
                border=None if output.get("noborder") else UNICODE if unicode_terminal else ASCII,
                header=not output.get("noheader"),
                human=bool(output.get("human-readable", True)),
            )
            sys.stdout.write(render(data, operation.returns, form, style))
        return status

    def _remote(self, node: str, words: Sequence[str]) -> int:
        from quorate.cfs import CfsError
        from quorate.cluster.host import Host
        from quorate.cluster.ssh import member_command

        host = Host(settings=self._settings, node=self._node)
        try:
            member = host.cfs.members().nodes.get(node)
        except CfsError as err:
            raise CommandFailed(f"500 {err}") from err
        if member is None or member.ip is None:
            raise CommandFailed(f"500 unable to get remote IP address for node '{node}'")
        remote = shlex.join([PROGRAM, *words, "--noproxy", "1"])
        return run_program([*member_command(host, node, member.ip), "--", remote], REMOTE_SECONDS)

    def _local_names(self, parameters: Mapping[str, str]) -> dict[str, str]:
        return {
            key: self._node if key == "node" and value == "localhost" else value
            for key, value in parameters.items()
        }

    # -- ls ---------------------------------------------------------------------------------------------

    def _list(self, path: str, words: list[str]) -> int:
        place = self._router.place(path)
        if place is None or not place.has_children:
            raise CommandFailed(f"no such resource '{path}'" if place is None else "", UNKNOWN_PATH)
        if words:
            raise CommandFailed(f"400 too many arguments\n{_command_usage('ls')}")
        names = dict.fromkeys(place.names)
        names.update(dict.fromkeys(self._dynamic_children(place)))
        for name in names:
            below = self._router.place(f"{path.rstrip('/')}/{name}")
            if below is not None:
                print(f"{_abilities(below)}        {name}")
        return 0

    def _dynamic_children(self, place: Place) -> Iterator[str]:
        """The names that stand for the placeholder below a path, as its list operation gives them."""
        operation = place.operations.get("GET")
        if place.placeholder is None or operation is None or _mandatory(operation):
            return
        context = Context(settings=self._settings, user=ROOT, node=self._node)
        try:
            found = calls.run_operation(operation, context, self._local_names(place.parameters))
        except ApiError as error:
            raise CommandFailed(_refusal(error, "")) from error
        data = plain(found.data if isinstance(found, Page) else found)
        link = operation.returns.link if isinstance(operation.returns, Array) else None
        keys = re.findall(r"{([\w-]+)}", link or "") or [place.placeholder, "name", "subdir"]
        for element in data if isinstance(data, list) else []:
            name = next((element[key] for key in keys if key in element), None)
            if name is not None:
                yield str(name)

    # -- usage ------------------------------------------------------------------------------------------

    def _usage(self, path: str, words: list[str]) -> int:
        try:
            options, errors = verify(collect(words, _USAGE_OPTIONS, ()), _USAGE_OPTIONS, words=True)
        except UsageError as err:
            raise CommandFailed(f"400 {err.message}\n{_command_usage('usage')}") from err
        if errors:
            raise CommandFailed(f"400 {VERIFICATION_FAILED}\n{_command_usage('usage')}")
        place = self._router.place(path)
        chosen = [str(options["command"])] if "command" in options else list(METHODS)
        found = {
            command: place.operations[METHODS[command]]
            for command in chosen
            if place is not None and METHODS[command] in place.operations
        }
        if not found:
            raise CommandFailed(f"no such resource '{path}'", UNKNOWN_PATH)
        for command, operation in found.items():
            print(_describe(command, path, operation, options), end="")
        return 0


def _leading_options(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Our own options before the command, as units and scripts write them, and what follows."""
    words, ours = list(argv), []
    while words and (name := words[0].lstrip("-").partition("=")[0]) != words[0] and name in OUTPUT:
        ours.append(words.pop(0))
        if words and "=" not in ours[-1] and not isinstance(OUTPUT[name], Boolean):
            ours.append(words.pop(0))
    return ours, words


def short_usage() -> str:
    return "\n".join(
        [f"USAGE: {PROGRAM} <COMMAND> [ARGS] [OPTIONS]", "", *(f"       {_line(c)}" for c in COMMANDS)]
    )


def _line(command: str) -> str:
    if command == "help":
        return f"{PROGRAM} help"
    options = " [OPTIONS] [FORMAT_OPTIONS]" if command in METHODS else ""
    return f"{PROGRAM} {command} <api_path>{options or ' [OPTIONS]' * (command == 'usage')}"


def _command_usage(command: str) -> str:
    return f"USAGE: {_line(command)}"


def _operation_usage(command: str, path: str, operation: Operation) -> str:
    return (
        f"USAGE: {usage_line(f'{PROGRAM} {command} {path}', _outside_path(operation), ())} [FORMAT_OPTIONS]"
    )


def _describe(command: str, path: str, operation: Operation, options: Mapping[str, object]) -> str:
    text = f"{_operation_usage(command, path, operation)}\n"
    if options.get("verbose"):
        text = full_help(f"{PROGRAM} {command} {path}", operation.description, _outside_path(operation), ())
        text += f"  Permission: {operation.permission.text()}\n\n"
    if options.get("returns"):
        import json

        from quorate.api.jsonschema import json_schema

        text += f"\nRETURNS: {json.dumps(json_schema(operation.returns), indent=3, sort_keys=True)}\n"
    return text


def _refusal(error: ApiError, usage: str) -> str:
    """``CODE text``, then what is wrong by parameter: what scripts look for."""
    lines = [f"{error.status} {error.message.rstrip()}"]
    lines += [f"{name}: {text.rstrip()}" for name, text in sorted((error.errors or {}).items())]
    if error.errors and usage:
        lines.append(usage)
    return "\n".join(lines)


def _abilities(place: Place) -> str:
    """Has children, get, set, delete, create."""
    flags = [("D", place.has_children)]
    for letter, method in (("r", "GET"), ("w", "PUT"), ("d", "DELETE"), ("c", "POST")):
        flags.append((letter, method in place.operations))
    return "".join(letter if has else "-" for letter, has in flags)


def _outside_path(operation: Operation) -> dict[str, Parameter]:
    in_path = set(re.findall(r"{([\w-]+)}", operation.path))
    return {name: parameter for name, parameter in operation.parameters.items() if name not in in_path}


def _mandatory(operation: Operation) -> bool:
    return any(not parameter.optional for parameter in _outside_path(operation).values())


def _task_of(operation: Operation, data: object) -> Upid | None:
    if operation.method == "GET" or not isinstance(data, str) or not data.startswith("UPID:"):
        return None
    try:
        return Upid.parse(data)
    except UpidError:
        return None


def _normal(path: str) -> str:
    return "/" + "/".join(part for part in path.split("/") if part)


if __name__ == "__main__":
    entry()
