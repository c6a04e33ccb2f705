"""``pveum``: users, groups, roles, access rules, realms, tokens on the command line, as root@pam (pvecm 6.7).

What a command takes, checks and returns is said by the operation of the API that it calls; here stand the
names of the commands, and what is asked for at the terminal.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn, cast
from urllib.parse import unquote

from quorate.api import calls
from quorate.api.access import OPERATIONS
from quorate.api.access_tfa import remove_factor
from quorate.api.protocol import plain
from quorate.api.results import Page
from quorate.cli.commandtree import Command, CommandFailed, CommandTree, complete_from_environment
from quorate.cli.options import UsageError
from quorate.cli.program import run_command_line
from quorate.cli.prompt import PromptError, read_password, second_factor
from quorate.cli.tables import ASCII, UNICODE, OutputFormat, Style, render, table
from quorate.schema import (
    ApiError,
    Array,
    Boolean,
    Context,
    Null,
    Operation,
    Parameter,
    Parameters,
    PropertyString,
    String,
)
from quorate.settings import Settings
from quorate.tasks import local_node

PROGRAM: Final = "pveum"
ROOT: Final = "root@pam"
NOT_MOUNTED: Final = "pve configuration filesystem (pmxcfs) not mounted"
ASK: Final = "-"
"""In the place of a password: ask for it."""

OUTPUT: Final[Parameters] = {
    "output-format": String(
        optional=True,
        default="text",
        enum=("text", "json", "json-pretty", "yaml"),
        description="Output format.",
    ),
    "noborder": Boolean(optional=True, default=False, description="Do not draw borders (for 'text' format)."),
    "noheader": Boolean(
        optional=True, default=False, description="Do not show column headers (for 'text' format)."
    ),
}

ALIASES: Final[Mapping[str, str]] = {
    "useradd": "user add",
    "usermod": "user modify",
    "userdel": "user delete",
    "groupadd": "group add",
    "groupmod": "group modify",
    "groupdel": "group delete",
    "roleadd": "role add",
    "rolemod": "role modify",
    "roledel": "role delete",
    "aclmod": "acl modify",
    "acldel": "acl delete",
}
"""Older names of commands, which scripts still use."""


@dataclass(frozen=True)
class Entry:
    """A command and the operation that it calls. ``fixed``: parameters that the command itself means."""

    operation: str
    positionals: tuple[str, ...] = ()
    fixed: Mapping[str, object] = field(default_factory=dict)


COMMANDS: Final[Mapping[str, Entry]] = {
    "user add": Entry("POST /access/users", ("userid",)),
    "user modify": Entry("PUT /access/users/{userid}", ("userid",)),
    "user delete": Entry("DELETE /access/users/{userid}", ("userid",)),
    "user list": Entry("GET /access/users"),
    "user tfa list": Entry("GET /access/tfa"),
    "user tfa unlock": Entry("PUT /access/users/{userid}/unlock-tfa", ("userid",)),
    "user token add": Entry("POST /access/users/{userid}/token/{tokenid}", ("userid", "tokenid")),
    "user token modify": Entry("PUT /access/users/{userid}/token/{tokenid}", ("userid", "tokenid")),
    "user token delete": Entry("DELETE /access/users/{userid}/token/{tokenid}", ("userid", "tokenid")),
    "user token remove": Entry("DELETE /access/users/{userid}/token/{tokenid}", ("userid", "tokenid")),
    "user token list": Entry("GET /access/users/{userid}/token", ("userid",)),
    "group add": Entry("POST /access/groups", ("groupid",)),
    "group modify": Entry("PUT /access/groups/{groupid}", ("groupid",)),
    "group delete": Entry("DELETE /access/groups/{groupid}", ("groupid",)),
    "group list": Entry("GET /access/groups"),
    "role add": Entry("POST /access/roles", ("roleid",)),
    "role modify": Entry("PUT /access/roles/{roleid}", ("roleid",)),
    "role delete": Entry("DELETE /access/roles/{roleid}", ("roleid",)),
    "role list": Entry("GET /access/roles"),
    "acl modify": Entry("PUT /access/acl", ("path",), {"delete": False}),
    "acl delete": Entry("PUT /access/acl", ("path",), {"delete": True}),
    "acl list": Entry("GET /access/acl"),
    "realm add": Entry("POST /access/domains", ("realm",)),
    "realm modify": Entry("PUT /access/domains/{realm}", ("realm",)),
    "realm delete": Entry("DELETE /access/domains/{realm}", ("realm",)),
    "realm list": Entry("GET /access/domains"),
    "pool add": Entry("POST /pools", ("poolid",)),
    "pool modify": Entry("PUT /pools", ("poolid",)),
    "pool delete": Entry("DELETE /pools", ("poolid",)),
    "pool list": Entry("GET /pools"),
}
GROUPS: Final = ("user", "group", "role", "acl", "realm", "pool")

_BY_NAME: Final = {f"{operation.method} {operation.path}": operation for operation in OPERATIONS}


def main(argv: Sequence[str], settings: Settings | None = None) -> int:
    """Run ``pveum`` with the words behind its name; returns the exit status."""
    settings = settings or Settings()
    tree = build_tree(settings)
    if argv and argv[0] == "bashcomplete":
        return complete_from_environment(tree, os.environ)
    words = [*ALIASES[argv[0]].split(), *argv[1:]] if argv and argv[0] in ALIASES else list(argv)
    return tree.run(words, prepare=lambda command: _prepare(command, settings))


def entry() -> NoReturn:
    """The console script."""
    run_command_line(PROGRAM, main)


def build_tree(settings: Settings) -> CommandTree:
    """All commands, bound to ``settings``."""

    def show_help(params: dict[str, Any]) -> int:
        try:
            print(tree.help(params.get("extra-args") or [], verbose=params.get("verbose", True)), end="")
        except UsageError as err:
            name = " ".join(params["extra-args"])
            raise CommandFailed(f"ERROR: unknown command '{name}'\n{tree.short_usage()}") from err
        return 0

    tree = CommandTree(
        PROGRAM,
        [
            *(_command(settings, name, COMMANDS[name]) for name in COMMANDS),
            *_special_commands(settings),
            Command(
                name="help",
                group=len(GROUPS) + 1,
                run=show_help,
                mounted=False,
                positionals=("extra-args",),
                description="Get help about specified command.",
                parameters={
                    "extra-args": Array(optional=True, description="Shows help for a specific command"),
                    "verbose": Boolean(optional=True, description="Verbose output format."),
                },
            ),
        ],
    )
    return tree


def _command(settings: Settings, name: str, entry: Entry) -> Command:
    operation = _BY_NAME[entry.operation]
    parameters = _offered(operation, entry)

    def run(params: dict[str, Any]) -> int:
        output = {key: params.pop(key) for key in OUTPUT if key in params and key not in operation.parameters}
        if params.get("password") == ASK:
            params["password"] = _new_password()
        result = _call(settings, operation, {**_as_given(params, operation), **entry.fixed})
        _show(operation, result, output)
        return 0

    return Command(
        name=name,
        group=GROUPS.index(name.split()[0]),
        run=run,
        positionals=entry.positionals,
        description=operation.description,
        parameters=parameters,
    )


def _offered(operation: Operation, entry: Entry) -> dict[str, Parameter]:
    parameters: dict[str, Parameter] = {
        name: parameter for name, parameter in operation.parameters.items() if name not in entry.fixed
    }
    if isinstance(password := parameters.get("password"), String):
        # The operation checks its length; here it may be the sign that it is to be asked for.
        text = (
            f"{password.description} '{ASK}': ask for it, so that it does not show in the list of processes."
        )
        parameters["password"] = replace(password, min_length=None, description=text)
    return parameters if isinstance(operation.returns, Null) else {**OUTPUT, **parameters}


def _special_commands(settings: Settings) -> list[Command]:
    """Those that ask for something, or show it in a way of their own."""
    users = _BY_NAME["GET /access/permissions"].parameters
    tfa = _BY_NAME["DELETE /access/tfa/{userid}/{id}"]
    token = _BY_NAME["GET /access/users/{userid}/token/{tokenid}"].parameters
    userid = {"userid": tfa.parameters["userid"]}

    def bound(run: Callable[[Settings, dict[str, Any]], int]) -> Callable[[dict[str, Any]], int]:
        return lambda params: run(settings, params)

    return [
        Command(
            name="user permissions",
            group=0,
            run=bound(_permissions),
            positionals=("userid",),
            description=_BY_NAME["GET /access/permissions"].description,
            parameters={**users, **OUTPUT},
        ),
        Command(
            name="user token permissions",
            group=0,
            run=bound(_permissions),
            positionals=("userid", "tokenid"),
            description="The privileges of an API token by path.",
            parameters={**token, "path": users["path"], **OUTPUT},
        ),
        Command(
            name="user tfa delete",
            group=0,
            run=bound(_delete_factor),
            positionals=("userid",),
            description="Delete a second factor of a user, or all of them.",
            parameters={**userid, "id": replace(tfa.parameters["id"], optional=True)},
        ),
        Command(
            name="passwd",
            group=len(GROUPS),
            run=bound(_passwd),
            positionals=("userid",),
            description=f"{_BY_NAME['PUT /access/password'].description} Asks for it.",
            parameters=userid,
        ),
        Command(
            name="ticket",
            group=len(GROUPS),
            run=bound(_ticket),
            positionals=("username",),
            description="Log in, and print the ticket. Asks for the password.",
            parameters={"username": _BY_NAME["POST /access/ticket"].parameters["username"]},
        ),
    ]


def _permissions(settings: Settings, params: dict[str, Any]) -> int:
    operation = _BY_NAME["GET /access/permissions"]
    output = {key: params.pop(key) for key in OUTPUT if key in params}
    if (name := params.pop("tokenid", None)) is not None:
        params["userid"] = f"{params['userid']}!{name}"
    result = _call(settings, operation, params)
    if output.get("output-format", "text") != "text" or not isinstance(result, dict):
        _show(operation, result, output)
        return 0
    rows = []
    for path, given in sorted(result.items()):
        shown = [f"{privilege} (*)" if passed_on else privilege for privilege, passed_on in given.items()]
        rows.append([path, "\n".join(shown)])
    sys.stdout.write(table(["ACL path", "Permissions"], rows, _style(output)))
    if rows:
        print("Permissions marked with '(*)' have the 'propagate' flag set.")
    return 0


def _delete_factor(settings: Settings, params: dict[str, Any]) -> int:
    try:
        remove_factor(_context(settings), params["userid"], params.get("id"))
    except ApiError as err:
        raise CommandFailed(_refusal(err)) from err
    return 0


def _passwd(settings: Settings, params: dict[str, Any]) -> int:
    values = {"userid": params["userid"], "password": _new_password()}
    _call(settings, _BY_NAME["PUT /access/password"], values)
    return 0


def _ticket(settings: Settings, params: dict[str, Any]) -> int:
    operation = _BY_NAME["POST /access/ticket"]
    username = params["username"]
    try:
        password = read_password("Enter password: ")
        result = cast(
            dict[str, Any], _call(settings, operation, {"username": username, "password": password})
        )
        if result.get("NeedTFA"):
            answer = {
                "username": username,
                "password": second_factor(_challenge_in(result["ticket"])),
                "tfa-challenge": result["ticket"],
            }
            result = cast(dict[str, Any], _call(settings, operation, answer))
    except PromptError as err:
        raise CommandFailed(str(err)) from err
    print(result["ticket"])
    return 0


def _challenge_in(ticket: str) -> Mapping[str, Any]:
    data = unquote(ticket.split(":")[1]).removeprefix("!tfa!")
    found = json.loads(data)
    return found if isinstance(found, dict) else {}


def _new_password() -> str:
    try:
        password = read_password("Enter new password: ")
        if sys.stdin.isatty() and read_password("Retype new password: ") != password:
            raise CommandFailed("the passwords do not match: nothing was changed")
    except PromptError as err:
        raise CommandFailed(str(err)) from err
    return password


def _as_given(params: Mapping[str, Any], operation: Operation) -> dict[str, object]:
    """Values as the operation checks them again: lists and property strings are text there."""
    values: dict[str, object] = {}
    for key, value in params.items():
        declared = operation.parameters[key]
        if isinstance(declared, PropertyString):
            values[key] = declared.print(value)
        else:
            values[key] = ",".join(value) if isinstance(value, list) else value
    return values


def _call(settings: Settings, operation: Operation, values: Mapping[str, object]) -> object:
    try:
        result = calls.run_operation(operation, _context(settings), values, words=True)
    except ApiError as err:
        raise CommandFailed(_refusal(err)) from err
    return plain(result.data if isinstance(result, Page) else result)


def _context(settings: Settings) -> Context:
    return Context(settings=settings, user=ROOT, node=local_node())


def _refusal(error: ApiError) -> str:
    lines = [error.message.rstrip()]
    if error.errors:
        lines[0] = f"{error.status} {lines[0]}"
    return "\n".join(
        [*lines, *(f"{name}: {text.rstrip()}" for name, text in sorted((error.errors or {}).items()))]
    )


def _show(operation: Operation, result: object, output: Mapping[str, Any]) -> None:
    form = cast(OutputFormat, output.get("output-format", "text"))
    if result is not None:
        sys.stdout.write(render(result, operation.returns, form, _style(output)))


def _style(output: Mapping[str, Any]) -> Style:
    unicode_terminal = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    border = None if output.get("noborder") else UNICODE if unicode_terminal else ASCII
    return Style(border=border, header=not output.get("noheader"))


def _prepare(command: Command, settings: Settings) -> None:
    if command.name == "help":
        return
    if os.geteuid() != 0:
        raise CommandFailed("please run as root")
    if command.mounted and not (settings.mountpoint / "local").is_symlink():
        raise CommandFailed(NOT_MOUNTED)


if __name__ == "__main__":
    entry()
