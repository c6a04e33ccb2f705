"""The privileged half's own job: the ticket key is renewed without a login."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from quorate.api.upkeep import CYCLE_SECONDS, Upkeep
from quorate.cfs import CfsError
from quorate.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(root=tmp_path)
    settings.mountpoint.mkdir(parents=True)
    (settings.mountpoint / "local").symlink_to("nodes/n1")
    return settings


def test_the_ticket_key_is_renewed_when_it_is_due(settings: Settings) -> None:
    (settings.mountpoint / "priv").mkdir()
    public = settings.mountpoint / "authkey.pub"
    public.write_text("old")
    os.utime(public, (1, 1))
    now = [100.0]
    upkeep = Upkeep(settings, lambda: now[0])
    upkeep.run_due()
    assert "PUBLIC KEY" in public.read_text()
    assert (settings.mountpoint / "authkey.pub.old").read_text() == "old"
    written = public.stat().st_mtime_ns
    now[0] += CYCLE_SECONDS
    upkeep.run_due()
    assert public.stat().st_mtime_ns == written


def test_a_failure_is_logged_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> bool:
        raise CfsError("no luck")

    monkeypatch.setattr("quorate.api.upkeep.rotate_if_due", fail)
    now = [100.0]
    upkeep = Upkeep(settings, lambda: now[0])
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            upkeep.run_due()
            now[0] += CYCLE_SECONDS
    assert caplog.messages == ["unable to renew the key that signs tickets: no luck"]
