"""How the daemon ends when something is not as it should be: bounded, and never without a word."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from quorate.pmxcfs import daemon
from quorate.pmxcfs.loop import Loop
from quorate.pmxcfs.services import ConfigurationService, QuorumService, Services
from quorate.pmxcfs.startup import Identity
from quorate.settings import Settings

IDENTITY = Identity("node1", "10.0.0.1", 33)


class HangingGroup:
    """Of a Corosync that is stopped: leaving it is never answered."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.answer = threading.Event()

    def stop(self) -> None:
        self.asked.set()
        self.answer.wait(10)


def services(*groups: object) -> Services:
    loop = Loop()
    log = logging.getLogger("quorate.pmxcfs.domains.test")
    quorum = QuorumService(loop, log, changed=lambda: None, notified=lambda: None)
    return Services(loop, quorum, ConfigurationService(loop, log, lambda info: None), list(groups))  # type: ignore[arg-type]


def test_a_corosync_that_hangs_does_not_hold_up_the_end() -> None:
    group = HangingGroup()
    assert not services(group).stop(limit=0.05)
    assert group.asked.is_set()
    group.answer.set()


def test_a_corosync_that_answers_is_left() -> None:
    group = HangingGroup()
    group.answer.set()
    assert services(group).stop()


class FakeNode:
    """A node that ends at once, or fails."""

    failure: Exception | None = None
    closed = False
    log = logging.getLogger("daemon-end")

    def __init__(self, *arguments: object, **options: object) -> None:
        FakeNode.closed = False

    def open(self) -> None: ...

    def mount(self) -> None: ...

    def run(self) -> None:
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        FakeNode.closed = True


def serve(monkeypatch: pytest.MonkeyPatch, root: Path) -> int:
    monkeypatch.setattr(daemon, "Node", FakeNode)
    monkeypatch.setattr(daemon, "_catch_signals", lambda node: None)
    settings = Settings(root)
    settings.pidfile.parent.mkdir(parents=True)
    return daemon._serve(settings, IDENTITY, local=True, ready=None)


def test_an_internal_error_is_logged_with_its_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(FakeNode, "failure", ZeroDivisionError("of all things"))
    with pytest.raises(ZeroDivisionError):
        serve(monkeypatch, tmp_path)
    assert "internal error" in caplog.text
    assert "of all things" in caplog.text


def test_a_restart_flag_that_cannot_be_written_does_not_keep_it_mounted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert serve(monkeypatch, tmp_path) == 0  # its directory does not exist
    assert FakeNode.closed
    assert "cfs-restart-flag" in caplog.text
    assert not Settings(tmp_path).pidfile.exists()
