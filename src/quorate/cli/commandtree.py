"""A program's commands: matching words to one of them, usage texts, running it with its errors shown.

Each command is looked up without loading what it does; that is loaded when it runs.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from quorate.cli.options import UsageError, full_help, option_names, parse, usage_line
from quorate.schema import Parameters

FAILED: Final = 255


class CommandFailed(Exception):
    """A command did not succeed: the text is shown as it is; ``status`` is the exit status."""

    def __init__(self, text: str, status: int = FAILED) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command. ``run`` gets the checked parameters and returns the exit status.

    ``group``: commands of one group stand together in the short usage; ``mounted``: needs /etc/pve.
    """

    name: str
    group: int
    run: Callable[[dict[str, Any]], int]
    parameters: Parameters = field(default_factory=dict)
    positionals: tuple[str, ...] = ()
    description: str = ""
    mounted: bool = True


class CommandTree:
    """The commands of one program. Names of several words (``qdevice setup``) make command groups."""

    def __init__(self, program: str, commands: Sequence[Command]) -> None:
        self.program = program
        self.commands = {command.name: command for command in commands}

    def run(self, argv: Sequence[str], *, prepare: Callable[[Command], None]) -> int:
        """Run the command in ``argv``; the exit status. ``prepare`` may refuse with CommandFailed."""
        try:
            command, words = self._match(list(argv))
        except UsageError as e:
            _error(f"ERROR: {e.message}")
            _error("\n".join(e.details))
            return FAILED
        try:
            prepare(command)
            return self._run_command(command, words)
        except CommandFailed as e:
            if str(e):
                _error(str(e).rstrip("\n"))
            return e.status

    def short_usage(self, prefix: str = "") -> str:
        """The usage of all commands, or of those whose name begins with ``prefix``."""
        lines = [f"USAGE: {self.program} <COMMAND> [ARGS] [OPTIONS]", ""]
        group = None
        for command in sorted(self.commands.values(), key=lambda c: (c.group, c.name)):
            if not command.name.startswith(prefix):
                continue
            if group is not None and group != command.group:
                lines.append("")
            group = command.group
            lines.append(f"       {self._usage(command)}")
        return "\n".join(lines)

    def help(self, words: Sequence[str], *, verbose: bool = True) -> str:
        """The help of the named command, group, or of all; raises UsageError for an unknown one."""
        wanted = sorted(self.commands.values(), key=lambda command: command.name)
        if words:
            name = self._complete(list(words))[0]
            wanted = [c for c in wanted if c.name == name or c.name.startswith(f"{name} ")]
        if not verbose:
            return "\n".join(f"USAGE: {self._usage(command)}" for command in wanted) + "\n"
        return "\n".join(
            full_help(f"{self.program} {c.name}", c.description, c.parameters, c.positionals) for c in wanted
        )

    def completions(self, line: str, point: int) -> list[str]:
        """What may stand where the cursor is."""
        words = line[:point].split()
        current = "" if line[:point].endswith((" ", "\t")) or not words else words.pop()
        before = words[1:]
        try:
            name, rest = self._complete(before)
        except UsageError:
            if before:
                return []
            return sorted(head for head in self._words_behind([]) if head.startswith(current))
        if name not in self.commands:
            subs = self._words_behind(name.split())
            return [] if rest else sorted(sub for sub in subs if sub.startswith(current))
        command = self.commands[name]
        return [
            option
            for option in option_names(command.parameters, command.positionals)
            if option.startswith(current or "--")
        ]

    def _match(self, words: list[str]) -> tuple[Command, list[str]]:
        if not words:
            raise UsageError("no command specified", details=[self.short_usage()])
        name, rest = self._complete(words)
        if name not in self.commands:
            if rest:
                raise self._unknown(f"{name} {rest[0]}")
            usage = self.short_usage(f"{name} ")
            raise UsageError(f"incomplete command '{self.program} {name}'", details=[usage])
        return self.commands[name], rest

    def _complete(self, words: list[str]) -> tuple[str, list[str]]:
        """The full name of the command or group at the head of ``words``, and the words behind it."""
        if not words:
            raise self._unknown("")
        found: list[str] = []
        rest = list(words)
        while rest and " ".join(found) not in self.commands:
            word = _unique(rest[0], self._words_behind(found))
            if word is None:
                raise self._unknown(" ".join([*found, rest[0]]))
            found.append(word)
            rest.pop(0)
        return " ".join(found), rest

    def _words_behind(self, found: Sequence[str]) -> set[str]:
        """The words that may follow the beginning of a name."""
        names = (name.split() for name in self.commands)
        return {name[len(found)] for name in names if name[: len(found)] == [*found]}

    def _unknown(self, name: str) -> UsageError:
        return UsageError(f"unknown command '{self.program} {name}'", details=[self.short_usage()])

    def _run_command(self, command: Command, words: list[str]) -> int:
        try:
            values = parse(words, command.parameters, command.positionals)
        except UsageError as e:
            raise self.refusal(command, e) from e
        return command.run(values)

    def refusal(self, command: Command, error: UsageError) -> CommandFailed:
        """A 400 with its details, as it is shown."""
        lines = [*error.lines, f"400 {error.message}", *error.details, self._usage(command)]
        return CommandFailed("\n".join(lines))

    def _usage(self, command: Command) -> str:
        return usage_line(f"{self.program} {command.name}", command.parameters, command.positionals)


def complete_from_environment(tree: CommandTree, environment: Mapping[str, str]) -> int:
    """``bashcomplete``: the words of COMP_LINE up to COMP_POINT, completed, one per line."""
    line = environment.get("COMP_LINE", "")
    point = environment.get("COMP_POINT", "")
    for word in tree.completions(line, int(point) if point.isdecimal() else len(line)):
        print(word)
    return 0


def run_program(argv: Sequence[str], seconds: float) -> int:
    """Run a program on our terminal, ended after ``seconds``; its exit status, 127 if there is none."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        pid = os.posix_spawnp(argv[0], list(argv), os.environ)
    except OSError as e:
        raise CommandFailed(f"unable to run {argv[0]} - {e.strerror}", 127) from e
    process = os.pidfd_open(pid)
    try:
        ended, _, _ = select.select([process], [], [], seconds)
        if not ended:
            os.kill(pid, signal.SIGKILL)
    finally:
        os.close(process)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if not ended:
        raise CommandFailed(f"{argv[0]}: got timeout ({seconds:g} s) - does corosync hang?", 1)
    return status if status >= 0 else 128 - status


def _unique(word: str, names: set[str]) -> str | None:
    if word in names:
        return word
    matching = [name for name in names if name.startswith(word)]
    return matching[0] if len(matching) == 1 else None


def _error(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
