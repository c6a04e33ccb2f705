"""The command lines of the two API processes: how they name themselves in the log."""

from __future__ import annotations

import sys
import syslog

import pytest

from quorate.api import service


@pytest.mark.parametrize(("variable", "expected"), [(None, "pvedaemon"), ("elsewhere", "elsewhere")])
def test_lines_in_the_system_log_carry_the_services_name(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, expected: str
) -> None:
    opened: list[tuple[object, ...]] = []
    monkeypatch.setattr(service, "set_process_name", lambda name: None)
    monkeypatch.setattr(syslog, "openlog", lambda *words: opened.append(words))
    monkeypatch.setattr(sys, "argv", ["pvedaemon.py", "start", "--foreground"])
    monkeypatch.delenv("PVE_LOG_ID", raising=False)
    if variable:
        monkeypatch.setenv("PVE_LOG_ID", variable)
    service.command_line("pvedaemon", "text", lambda settings: None)
    assert opened == [(expected, 0, syslog.LOG_DAEMON)]
