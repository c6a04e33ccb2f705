"""How far a task of several steps is, told from what it has printed. Pure; knows the line that begins each.

The lines are those that the original prints and that other programs parse: so the steps of a task that runs
in a terminal are known as well, nothing is kept beside the log, and no output is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from quorate.tasks.log import status_kind

MAX_LINES: Final = 1000
"""Of a log are looked at; tasks of these types print some twenty."""

StepState = Literal["pending", "running", "done", "failed"]


class Step(NamedTuple):
    """A step for people, and how far it is."""

    name: str
    state: StepState


_STEPS: Final[Mapping[str, Sequence[tuple[str, str | tuple[str, ...]]]]] = {
    "clustercreate": (
        ("Prepare keys and SSH", ""),
        ("Write the configuration", "Writing corosync config to "),
        ("Restart Corosync and the file system", "Restart corosync and cluster filesystem"),
    ),
    "clusterjoin": (
        ("Check this node", ""),
        ("Log in to the peer", "Establishing API connection with host "),
        ("Ask for the addition", "Request addition of this node"),
        ("Take over configuration and key", "Join request OK, finishing setup locally"),
        ("Stop the file system", "stopping pve-cluster service"),
        ("Set the old database aside", "backup old database to "),
        ("Wait for quorum", "waiting for quorum..."),
        ("Make the node's files", "(re)generate node files"),
        ("Restart the API", "generated new node certificate, restart "),
    ),
    # The one wait without a limit. Which guests follow is not known before, so each is no step of its own.
    "startall": (
        ("Wait for quorum", ""),
        ("Start the guests", ("got quorum", "Starting ")),
    ),
}
"""By type of task: name of the step, and the beginning of the line (or of one of several) that begins it.
The first begins at once; one whose line is not printed, since there was nothing to do, is over when a later
one has begun."""


def steps_of(kind: str, lines: Iterable[str], status: str | None) -> list[Step]:
    """The steps of a task of type ``kind``; none where its type has none.

    ``status``: how it ended, None while it runs.
    """
    known = _STEPS.get(kind, ())
    if status is not None and status_kind(status) in ("ok", "warning"):
        return [Step(name, "done") for name, _ in known]
    present = 0
    for line in lines:
        for number in range(present + 1, len(known)):
            if line.startswith(known[number][1]):
                present = number
    reached: StepState = "running" if status is None else "failed"
    return [
        Step(name, "done" if number < present else reached if number == present else "pending")
        for number, (name, _) in enumerate(known)
    ]
