"""Every procedure of docs/guide, done on real nodes word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.conftest import Laboratories
from tests.lab.guide import Command, perform, prepare, read_guide

PAGES = Path(__file__).resolve().parents[2] / "docs/guide"
PROCEDURES = [guide for file in sorted(PAGES.glob("*.md")) if (guide := read_guide(file)) is not None]
TOPICS = {
    "cold-start.md",
    "create-and-join.md",
    "edit-corosync-conf.md",
    "lost-quorum.md",
    "remove-a-node.md",
    "separate-a-node.md",
}


def test_all_procedures_are_there_and_have_commands() -> None:
    assert {guide.name for guide in PROCEDURES} == TOPICS
    for guide in PROCEDURES:
        commands = [step for step in guide.steps if isinstance(step, Command)]
        assert len(commands) >= 4, guide.name
        assert any(command.expected for command in commands), guide.name


@pytest.mark.parametrize("name", sorted(TOPICS))
def test_procedure(laboratories: Laboratories, name: str) -> None:
    guide = next(guide for guide in PROCEDURES if guide.name == name)
    nodes, links = int(guide.setting["nodes"]), int(guide.setting.get("links", "1"))
    with laboratories.lab(nodes=nodes, links=links) as lab:
        prepare(lab, guide.setting)
        perform(lab, guide)
