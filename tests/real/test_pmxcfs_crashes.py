"""A whole pmxcfs under SIGKILL and power loss, in the middle of its work: every start passes the check, and
everything acknowledged is there (G5). ``test_store_crashes`` does the same for the database alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from quorate.cli import pmxcfs_check
from quorate.settings import Settings
from tests.real.crash_writers import Writer, difference
from tests.real.pmxcfs_world import World, a_world

KILLS = int(os.environ.get("QUORATE_TEST_KILLS", "40"))
"""A round takes about a second, most of it the start; ``./dev history`` makes 200."""
POWER_LOSS = 4
"""Every so many rounds the disk is as it was some moments before the end."""
LOAD_SECONDS = 0.25
STILL_SECONDS = 0.03
WRITERS = 3

pytestmark = [pytest.mark.real, pytest.mark.timeout(120 + 3 * KILLS)]


@pytest.fixture
def world() -> Iterator[World]:
    with a_world() as world:
        yield world


def files_of(world: World) -> list[Path]:
    database = world.root / "var/lib/pve-cluster/config.db"
    return [database, Path(f"{database}-wal")]


def checked(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert pmxcfs_check.main([], Settings(world.root), 0) == pmxcfs_check.CLEAN, capsys.readouterr()


def wait_until_nobody_moves(writers: list[Writer]) -> None:
    """The daemon is stopped: soon everybody waits for an answer, and what he knows does not change."""
    deadline = time.monotonic() + 5
    before: list[int] = []
    while (now := [writer.under_way for writer in writers]) != before:
        assert time.monotonic() < deadline, "a stopped daemon answers"
        before = now
        time.sleep(STILL_SECONDS)


def stopped(daemon: subprocess.Popen[bytes]) -> None:
    daemon.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, daemon.pid, os.WSTOPPED | os.WNOWAIT)


def test_killed_and_powerless_at_any_instant(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    random = Random(5)
    world.expected.append("dead mount")
    writers = [Writer(world.mount, f"w{number}", f"5/{number}") for number in range(WRITERS)]
    for kill in range(KILLS):
        daemon = world.start("-l")
        for writer in writers:
            if kill == 0:
                writer.make_directory()
            found = writer.found()
            assert found in writer.possible, f"before kill {kill}: {difference(found, writer.possible)}"
            writer.adopt(found)
        for writer in writers:
            writer.start()
        time.sleep(random.random() * LOAD_SECONDS)  # the instant is random; nothing is waited for
        disk: list[tuple[Path, bytes]] = []
        if kill % POWER_LOSS == POWER_LOSS - 1:
            stopped(daemon)
            wait_until_nobody_moves(writers)
            disk = [(file, file.read_bytes()) for file in files_of(world)]
            then = [(list(writer.possible), writer.known) for writer in writers]
            daemon.send_signal(signal.SIGCONT)
            time.sleep(random.random() * LOAD_SECONDS)
        daemon.kill()
        daemon.wait()
        for writer in writers:
            writer.join()
        if disk:
            shutil.rmtree(world.root / "var/lib/pve-cluster/backup", ignore_errors=True)
            for file in (*files_of(world), Path(f"{files_of(world)[0]}-shm")):
                file.unlink(missing_ok=True)
            for file, data in disk:
                file.write_bytes(data)
            for writer, (possible, known) in zip(writers, then, strict=True):
                writer.known, writer.possible = known, possible
        checked(world, capsys)
    daemon = world.start("-l")
    for writer in writers:
        found = writer.found()
        assert found in writer.possible, difference(found, writer.possible)
    assert world.stop(daemon) == 0
    checked(world, capsys)
    assert sum(writer.acknowledged for writer in writers) > KILLS, "too little was going on"
