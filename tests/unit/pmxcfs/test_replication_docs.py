"""``docs/state-machine.md`` is made from the tables; run this file as a program to write it anew."""

from __future__ import annotations

from pathlib import Path

from quorate.pmxcfs.effects import Mode
from quorate.pmxcfs.transitions import MODE_CHANGES, OTHERWISE, Action, action_for
from quorate.pmxcfs.wire import MessageType

PAGE = Path(__file__).parents[3] / "docs" / "state-machine.md"
COLUMNS = (Mode.START, Mode.START_SYNC, Mode.UPDATE, Mode.SYNCED)


def page() -> str:
    """The whole page."""
    lines = [
        "# The replicated state machine",
        "",
        "Generated from `quorate.pmxcfs.transitions`; a test keeps it current. Do not edit.",
        "",
        "One machine per group (configuration database, status). It does no I/O: events in, effects out.",
        "",
        "## Modes",
        "",
        "```mermaid",
        "stateDiagram-v2",
        "    [*] --> START",
    ]
    lines += [f"    {old.name} --> {new.name}: {why}" for old, why, new in MODE_CHANGES]
    lines += [
        "```",
        "",
        "LEAVE, VERSION_ERROR and ERROR are outside the group; what arrives there is dropped.",
        "",
        "## Messages",
        "",
        "State messages of another epoch than the current one are ignored, but for SYNC_START.",
        "Messages of an older protocol version are ignored, a newer one leads to VERSION_ERROR,",
        "too short ones to LEAVE.",
        "",
        "| message | " + " | ".join(mode.name for mode in COLUMNS) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for kind in MessageType:
        cells = [action_for(mode, kind).name for mode in COLUMNS]
        lines.append(f"| {kind.name} | " + " | ".join(cells) + " |")
    lines.append("| any other | " + " | ".join(OTHERWISE[mode].name for mode in COLUMNS) + " |")
    lines += ["", "| action | meaning |", "|---|---|"]
    lines += [f"| {action.name} | {action.value} |" for action in Action]
    return "\n".join(lines) + "\n"


def test_page_is_current() -> None:
    assert PAGE.read_text() == page(), f"write it anew: PYTHONPATH=src .venv/bin/python {Path(__file__)}"


if __name__ == "__main__":
    PAGE.write_text(page())
