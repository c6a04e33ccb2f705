"""A file system that does not answer, as a dead network share: the other storages are told as ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.layer import ROOT
from lab.waiting import wait_for
from quorate.fuse.mountpoint import unmount_lazily
from quorate.statd.figures import Space
from quorate.statd.prober import Prober
from quorate.statd.space import SpaceError
from quorate.statd.storages import parse_mounts, spaces, storages
from tests.support.private_mounts import private_mounts

pytestmark = [pytest.mark.real, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

MOUNTPOINT = "/mnt/pve/nas"
WAIT_SECONDS = 60.0


@pytest.fixture
def share(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    path = tmp_path / MOUNTPOINT.lstrip("/")
    path.mkdir(parents=True)
    (tmp_path / "var/lib/vz").mkdir(parents=True)
    command = [sys.executable, "-m", "tests.support.memoryfs_daemon", str(path)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    with private_mounts():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield path, process
        finally:
            process.kill()
            process.communicate()
            unmount_lazily(path)


def test_a_dead_share_holds_up_nothing(share: tuple[Path, subprocess.Popen[str]], tmp_path: Path) -> None:
    path, process = share
    found = storages(f"nfs: nas\n\tserver x\n\texport /y\n\tpath {MOUNTPOINT}\n", "n1")
    later = [0.0]
    prober = Prober(lambda: time.monotonic() + later[0], wait_seconds=WAIT_SECONDS)

    def look() -> dict[str, Space | SpaceError]:
        mounted = {MOUNTPOINT} if str(path) in parse_mounts(Path("/proc/mounts").read_text()) else set()
        return {storage.name: space for storage, space in spaces(found, mounted, tmp_path, prober.ask)}

    assert {name for name, space in look().items() if isinstance(space, Space)} == {"local", "nas"}

    process.send_signal(signal.SIGSTOP)
    later[0] += 1000.0  # what is known is too old now
    prober._wait_seconds = 0.5
    look()
    prober._wait_seconds = WAIT_SECONDS  # the test would take so long if the dead one were waited for again
    wait_for(lambda: isinstance(look()["local"], Space), timeout=WAIT_SECONDS, what="the other storage")
    dead = look()["nas"]
    assert isinstance(dead, SpaceError)
    assert dead.late

    process.send_signal(signal.SIGCONT)
    wait_for(lambda: isinstance(look()["nas"], Space), timeout=WAIT_SECONDS, what="the share's answer")
    prober.close()
