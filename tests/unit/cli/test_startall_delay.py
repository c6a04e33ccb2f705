"""The pause at boot before guests are started (pvecm 10)."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.cli.startall_delay import main
from quorate.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(root=tmp_path)
    (settings.mountpoint / "nodes/n1").mkdir(parents=True)
    return settings


def _run(settings: Settings) -> list[float]:
    slept: list[float] = []
    assert main(settings, "n1", slept.append) == 0
    return slept


def test_as_long_as_the_node_says(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    (settings.mountpoint / "nodes/n1/config").write_text("startall-onboot-delay: 30\n")
    assert _run(settings) == [30]
    assert capsys.readouterr().out == "Delaying on-boot 'startall' command for 30 second(s).\n"


@pytest.mark.parametrize("text", [None, "", "startall-onboot-delay: 0\n", "startall-onboot-delay: 9999\n"])
def test_not_at_all(settings: Settings, capsys: pytest.CaptureFixture[str], text: str | None) -> None:
    if text is not None:
        (settings.mountpoint / "nodes/n1/config").write_text(text)
    assert _run(settings) == []
    assert capsys.readouterr().out == ""


def test_a_file_that_cannot_be_read(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    (settings.mountpoint / "nodes/n1/config").mkdir()
    assert _run(settings) == []
    assert "starting guests without a delay: unable to read" in capsys.readouterr().err
