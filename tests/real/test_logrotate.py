"""The rotation of the front's access log, by logrotate itself where it is installed (pvecm 11)."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.layer import ROOT
from quorate.settings import GROUP, Settings

LOGROTATE = shutil.which("logrotate")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(LOGROTATE is None, reason="logrotate is not installed (apt-get install logrotate)"),
]
RELOAD = "/usr/bin/systemctl try-reload-or-restart pveproxy.service"


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_seven_days_are_kept_and_the_front_opens_the_file_anew(directory: Path) -> None:
    logs = directory / "pveproxy"
    logs.mkdir(mode=0o700)
    shutil.chown(logs, GROUP, GROUP)
    text = (ROOT / "debian/logrotate/pveproxy").read_text()
    assert str(Settings().proxy_log_dir) in text
    assert RELOAD in text
    config = directory / "config"
    text = text.replace(str(Settings().proxy_log_dir), str(logs))
    config.write_text(text.replace(RELOAD, f"id -u >> {directory}/reloads"))
    config.chmod(0o644)
    for day in range(10):
        (logs / "access.log").write_text(f"day {day}\n")
        shutil.chown(logs / "access.log", GROUP, GROUP)
        command = [str(LOGROTATE), "--force", "--state", str(directory / "state"), str(config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    kept = sorted(file.name for file in logs.iterdir())
    assert kept == ["access.log", "access.log.1", *(f"access.log.{number}.gz" for number in range(2, 8))]
    assert (logs / "access.log.1").read_text() == "day 9\n"
    new = (logs / "access.log").stat()
    assert (new.st_size, new.st_mode & 0o777, (logs / "access.log").owner()) == (0, 0o640, GROUP)
    assert (directory / "reloads").read_text() == "0\n" * 10  # as root, who may do that
