"""Reads the procedures in docs/guide and carries them out on lab nodes, so that they cannot go stale.

A page begins with a comment that says where it starts: ``<!-- lab: nodes=3 links=1 cluster=n1,n2,n3 -->``.
Fenced ``console`` blocks hold ``n1# COMMAND`` and, below it, what it prints: each line must appear in that
order, ``...`` stands for anything. What a person does with a power button or a cable is a comment between the
blocks (``<!-- lab: power_cut n3 -->``), as is ``<!-- lab: fails -->`` before a command that must fail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from lab.base import ROOT_PASSWORD
from lab.cluster import create, join, set_token, wait_api, wait_mounted, wait_writable
from lab.handmade import TEST_TOKEN, wait_quorate
from lab.laboratory import Lab
from lab.waiting import wait_for
from tests.lab.support_pvecm import JOIN_LIMIT, Terminal

SETTLE_SECONDS = 60.0
"""How long a look at the state may need to show what the page says: elections, restarts, propagation."""
LOOKS = re.compile(
    r"(pvecm (status|nodes)|cat|ls|grep|systemctl (is-active|status)|corosync-cfgtool -s|corosync-cmapctl"
    r"|journalctl|touch|mountpoint|ssh)\b"
)
"""Commands that may be repeated until they show what they should."""

_COMMENT = re.compile(r"<!-- lab: (.*?) -->")
_COMMAND = re.compile(r"(n\d+)# (.+)")


class GuideError(AssertionError):
    """A page is not as it must be, or a node did not do what the page says."""


@dataclass(slots=True)
class Command:
    node: str
    line: str
    number: int
    fails: bool = False
    expected: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Action:
    words: list[str]
    number: int


@dataclass(slots=True)
class Guide:
    """One page. ``setting``: the words of its first comment."""

    name: str
    setting: dict[str, str]
    steps: list[Command | Action]


def read_guide(file: Path) -> Guide | None:
    """The procedure in a page; None if it has none (no comment with a setting)."""
    setting: dict[str, str] | None = None
    steps: list[Command | Action] = []
    inside = False
    fails = False
    for number, line in enumerate(file.read_text().splitlines(), 1):
        comment = None if inside else _COMMENT.fullmatch(line.strip())
        if comment and "=" in comment[1]:
            setting = dict(word.split("=", 1) for word in comment[1].split())
        elif comment and comment[1] == "fails":
            fails = True
        elif comment:
            steps.append(Action(comment[1].split(), number))
        elif line.startswith("```"):
            inside = line == "```console"
            fails = fails and inside
        elif inside:
            command = _COMMAND.fullmatch(line)
            if command:
                steps.append(Command(command[1], command[2], number, fails))
                fails = False
            elif line.strip():
                if not steps or not isinstance(steps[-1], Command):
                    raise GuideError(f"{file.name}:{number}: output without a command: {line}")
                steps[-1].expected.append(line.rstrip())
    if setting is None:
        if steps:
            raise GuideError(f"{file.name}: console blocks, but no '<!-- lab: nodes=... -->' on top")
        return None
    return Guide(file.name, setting, steps)


def matches(expected: list[str], output: str) -> bool:
    """Whether the expected lines appear in the output in this order; blanks count as one."""
    lines = iter(_squeeze(line) for line in output.splitlines())
    patterns = [
        re.compile(".*".join(re.escape(part) for part in _squeeze(line).split("...")))
        for line in expected
        if line.strip() != "..."
    ]
    return all(any(pattern.fullmatch(line) for line in lines) for pattern in patterns)


def prepare(lab: Lab, setting: dict[str, str]) -> None:
    """Bring the lab to where the page starts: booted nodes, or a cluster of some on their first links."""
    for node in lab.nodes:
        wait_mounted(node)
        wait_api(node)
    names = [name for name in setting.get("cluster", "").split(",") if name]
    if not names:
        return
    members = [lab.node(name) for name in names]
    links = int(setting.get("cluster_links", "1"))
    create(members[0], "demo", links=links)
    set_token(members[0], TEST_TOKEN)
    for node in members[1:]:
        join(node, members[0], links=links)
    wait_quorate(members)
    for node in members:
        wait_writable(node)


def perform(lab: Lab, guide: Guide) -> None:
    """Do what the page says, step by step. Raises GuideError with the page's line."""
    for step in guide.steps:
        where = f"{guide.name}:{step.number}"
        if isinstance(step, Action):
            _act(lab, step, where)
        elif any(_answer_to(line) for line in step.expected):
            _converse(lab, step, where)
        else:
            _run(lab, step, where)


def _act(lab: Lab, action: Action, where: str) -> None:
    verb, *words = action.words
    if verb in ("power_cut", "power_off", "power_on"):
        for name in words:
            getattr(lab.node(name), verb)()
    elif verb in ("cut", "heal"):
        link = int(words[1]) if len(words) > 1 else None
        getattr(lab, verb)(words[0], link)
    else:
        raise GuideError(f"{where}: unknown action {verb!r}")


def _run(lab: Lab, command: Command, where: str) -> None:
    node = lab.node(command.node)
    last = ""

    def attempt() -> bool:
        nonlocal last
        done = node.run(["bash", "-lc", command.line], check=False, timeout=JOIN_LIMIT)
        last = f"{done.stdout}{done.stderr}(exit status {done.returncode})"
        return (done.returncode != 0) == command.fails and matches(
            command.expected, done.stdout + done.stderr
        )

    if LOOKS.match(command.line):
        wait_for(
            attempt,
            timeout=SETTLE_SECONDS,
            what=f"{where}: {command.node}# {command.line} to show {command.expected}",
            seen=lambda: last,
        )
    elif not attempt():
        wanted = "\n".join(command.expected)
        raise GuideError(
            f"{where}: {command.node}# {command.line}\n"
            f"should {'fail' if command.fails else 'succeed'} and show\n{wanted}\nbut it said\n{last}"
        )


def _converse(lab: Lab, command: Command, where: str) -> None:
    """A command that asks: what stands behind its questions on the page is typed."""
    with Terminal(lab.node(command.node), command.line) as terminal:
        for line in command.expected:
            answer = _answer_to(line)
            if answer:
                question, typed = answer
                terminal.expect(question)
                terminal.type(typed)
        status = terminal.end()
        if (status != 0) != command.fails or not matches(
            [line for line in command.expected if not _answer_to(line)], terminal.output
        ):
            raise GuideError(
                f"{where}: {command.node}# {command.line}\nended with {status} and said\n{terminal.output}"
            )


def _answer_to(line: str) -> tuple[str, str] | None:
    if " password for " in line:
        return line.rpartition(":")[0], f"{ROOT_PASSWORD}\r"
    question, mark, answer = line.partition("(yes/no)? ")
    return (question + mark, f"{answer}\n") if mark and answer else None


def _squeeze(line: str) -> str:
    return " ".join(line.split())
