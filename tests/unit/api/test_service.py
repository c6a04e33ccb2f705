"""The command lines of the two API processes: their words, and how they name themselves in the log."""

from __future__ import annotations

import os
import sys
import syslog
from pathlib import Path

import pytest

from quorate.api import service
from quorate.api.supervisor import ServiceError
from quorate.settings import Settings


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


_SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$CALLS"
[ "$1" != is-active ] || [ -e "$CALLS.active" ]
"""


@pytest.mark.parametrize("name", ["pveproxy", "pvedaemon"])
@pytest.mark.parametrize(
    ("word", "active", "asked", "printed"),
    [
        ("start", False, "start {}.service", ""),
        ("stop", True, "stop {}.service", ""),
        ("restart", True, "reload-or-restart {}.service", ""),
        ("status", True, "is-active --quiet {}.service", "running\n"),
        ("status", False, "is-active --quiet {}.service", "stopped\n"),
    ],
)
def test_the_four_words(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    word: str,
    active: bool,
    asked: str,
    printed: str,
) -> None:
    calls = tmp_path / "calls"
    (tmp_path / "systemctl").write_text(_SYSTEMCTL)
    (tmp_path / "systemctl").chmod(0o755)
    if active:
        (tmp_path / "calls.active").touch()
    monkeypatch.setattr(service, "set_process_name", lambda name: None)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(calls))
    monkeypatch.setattr(sys, "argv", [name, word])
    with pytest.raises(SystemExit) as ended:
        service.command_line(name, "text", lambda settings: pytest.fail("served"))
    assert ended.value.code == 0
    assert calls.read_text() == asked.format(name) + "\n"
    assert capsys.readouterr().out == printed


def test_without_systemd_the_words_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(service, "set_process_name", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["pveproxy", "restart"])
    with pytest.raises(SystemExit) as ended:
        service.command_line("pveproxy", "text", lambda settings: None)
    assert ended.value.code == 1
    assert "use 'start --foreground'" in capsys.readouterr().err


def test_the_privileged_half_wants_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 33)
    with pytest.raises(ServiceError, match="please run as root"):
        service.run_privileged(Settings())
