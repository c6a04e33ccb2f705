"""The database under SIGKILL and power loss: every start passes all checks and has what was acknowledged."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from quorate.pmxcfs.store import Store
from quorate.pmxcfs.tree import Tree
from tests.real.store_victim import NOW, VERSION_BYTES, run, step

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

KILLS = 200
POWER_LOSSES = 40
TORN = 40


class Victim:
    """A child that writes; it is forked, because two hundred interpreters would take minutes to start."""

    def __init__(self, path: Path, *, durable: bool) -> None:
        self._reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.close(self._reader)
                run(str(path), writer, durable)
            finally:
                os._exit(code)
        os.close(writer)
        self._ended = False

    def acknowledged(self, at_least: int) -> int:
        """The last version that the child said was stored, after so many such answers."""
        data = b""
        while len(data) < at_least * VERSION_BYTES:
            piece = os.read(self._reader, 65536)
            assert piece, "the writing process has ended by itself"
            data += piece
        whole = len(data) // VERSION_BYTES * VERSION_BYTES
        return int.from_bytes(data[whole - VERSION_BYTES : whole], "little")

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def rest(self) -> int:
        """What is in the pipe of a child that runs no more; 0 for nothing."""
        os.set_blocking(self._reader, False)
        version = 0
        try:
            while piece := os.read(self._reader, 65536):
                version = int.from_bytes(piece[-VERSION_BYTES:], "little")
        except BlockingIOError:
            pass
        os.set_blocking(self._reader, True)
        return version

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        assert os.WIFSIGNALED(status), f"the writing process had ended with status {status}"
        self._ended = True

    def close(self) -> None:
        if not self._ended:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._reader)


@contextmanager
def victim(path: Path, *, durable: bool) -> Iterator[Victim]:
    child = Victim(path, durable=durable)
    try:
        yield child
    finally:
        child.close()


def load(path: Path) -> Tree:
    """As a daemon starts: all checks; then the same file is closed properly."""
    store = Store(path, durable=True)
    try:
        return Tree.load(store.open(), NOW)
    finally:
        store.close()


def expect(reference: Tree, found: Tree) -> Tree:
    """``found`` is exactly what the reference becomes on the way to that version."""
    while reference.root.version < found.root.version:
        step(reference)
    reference.take_changes()
    assert reference.index() == found.index(), "the database holds no state that there ever was"
    return found


def files_of(path: Path) -> list[Path]:
    return [path, Path(f"{path}-wal")]


def test_killed_at_any_instant(tmp_path: Path) -> None:
    random = Random(1)
    path = tmp_path / "config.db"
    tree = load(path)
    acknowledged_in_all = 0
    for _ in range(KILLS):
        with victim(path, durable=True) as child:
            acknowledged = child.acknowledged(random.randint(1, 60))
            time.sleep(random.random() * 0.004)  # the instant is random; nothing is waited for
            child.kill()
            acknowledged = max(acknowledged, child.rest())
        before = tree.root.version
        tree = expect(tree, load(path))
        assert tree.root.version >= acknowledged, "an acknowledged change is lost"
        acknowledged_in_all += acknowledged - before
    assert acknowledged_in_all > KILLS


def test_power_lost_at_any_moment(tmp_path: Path) -> None:
    """The files as they were at one moment; what was acknowledged before that is in them."""
    random = Random(2)
    path = tmp_path / "config.db"
    tree = load(path)
    for _ in range(POWER_LOSSES):
        with victim(path, durable=True) as child:
            acknowledged = child.acknowledged(random.randint(1, 60))
            time.sleep(random.random() * 0.004)
            child.stop()
            acknowledged = max(acknowledged, child.rest())
            for file in files_of(path):
                shutil.copyfile(file, f"{file}.then")
            os.kill(child.pid, signal.SIGCONT)
            child.acknowledged(random.randint(1, 60))
            child.kill()
        for file in (*files_of(path), Path(f"{path}-shm")):
            file.unlink(missing_ok=True)
        for file in files_of(path):
            Path(f"{file}.then").rename(file)
        tree = expect(tree, load(path))
        assert tree.root.version >= acknowledged, "an acknowledged change is lost"


def test_power_lost_with_the_end_of_the_log_not_on_disk(tmp_path: Path) -> None:
    """A member of a cluster does not wait for the disk: it comes back older, but as it was at some time."""
    random = Random(3)
    path = tmp_path / "config.db"
    tree = load(path)
    older = 0
    for _ in range(TORN):
        untouched = path.read_bytes()
        with victim(path, durable=False) as child:
            acknowledged = child.acknowledged(random.randint(5, 60))
            child.kill()
        log = Path(f"{path}-wal")
        if path.read_bytes() == untouched:  # else the log was synced before it went into the database
            os.truncate(log, random.randint(0, log.stat().st_size))
        Path(f"{path}-shm").unlink(missing_ok=True)
        tree = expect(tree, load(path))
        older += tree.root.version < acknowledged
    assert older > TORN // 4, "nothing was ever lost, so nothing was tested"
