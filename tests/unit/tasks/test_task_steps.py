"""How far a task of several steps is, by what it has printed."""

from __future__ import annotations

import pytest

from quorate.tasks.steps import steps_of

JOIN = [
    "Establishing API connection with host '10.0.0.1'",
    "Login succeeded.",
    "check cluster join API version",
    "Request addition of this node",
    "Join request OK, finishing setup locally",
    "stopping pve-cluster service",
    "backup old database to '/var/lib/pve-cluster/backup/config-1.sql.gz'",
    "waiting for quorum...OK",
    "(re)generate node files",
    "generated new node certificate, restart pveproxy and pvedaemon services",
]


def _states(lines: list[str], status: str | None = None) -> str:
    return "".join(step.state[0] for step in steps_of("clusterjoin", lines, status))


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (0, "rpppppppp"),
        (3, "drppppppp"),
        (4, "ddrpppppp"),
        (7, "dddddrppp"),
        (8, "ddddddrpp"),
        (10, "ddddddddr"),
    ],
)
def test_steps_follow_what_is_printed(printed: int, expected: str) -> None:
    assert _states(JOIN[:printed]) == expected


def test_a_step_that_had_nothing_to_do_is_over_when_a_later_one_begins() -> None:
    assert _states([line for line in JOIN[:9] if "quorum" not in line]) == "dddddddrp"


def test_the_step_in_which_a_task_failed() -> None:
    assert _states(JOIN[:4], "Cluster join aborted!") == "ddfpppppp"
    assert _states(JOIN[:7], "unexpected status") == "dddddfppp"


@pytest.mark.parametrize("status", ["OK", "WARNINGS: 2"])
def test_a_task_that_ended_well_has_done_all(status: str) -> None:
    assert _states([], status) == "ddddddddd"


def test_lines_of_former_steps_lead_nowhere_back() -> None:
    assert _states([*JOIN[:7], JOIN[3]]) == "dddddrppp"


@pytest.mark.parametrize(
    ("lines", "status", "expected"),
    [
        (["waiting for quorum ..."], None, "rp"),
        (["waiting for quorum ..."], "received interrupt", "fp"),
        (["waiting for quorum ...", "got quorum"], None, "dr"),
        (["Starting VM 100", "Waiting for 3 seconds (startup delay)"], None, "dr"),  # there was quorum
        (["Starting VM 100"], "cluster not ready - no quorum?", "df"),
        (["Starting VM 100", "Starting VM 100 failed: no such disk"], "OK", "dd"),
        ([], "OK", "dd"),  # no guests
    ],
)
def test_starting_all_guests(lines: list[str], status: str | None, expected: str) -> None:
    steps = steps_of("startall", lines, status)
    assert [step.name for step in steps] == ["Wait for quorum", "Start the guests"]
    assert "".join(step.state[0] for step in steps) == expected


def test_other_tasks_have_none() -> None:
    assert steps_of("srvrestart", ["Restart corosync and cluster filesystem"], None) == []
