"""corosync.conf on its way to the host (core 8.3)."""

from __future__ import annotations

import functools
import logging
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from quorate.pmxcfs.propagation import decide, syntax_fault, write_host_copy
from quorate.pmxcfs.propagator import Propagator


def conf(version: int, extra: str = "") -> bytes:
    return f"totem {{\n  version: 2\n  config_version: {version}\n{extra}}}\n".encode()


@pytest.mark.parametrize(
    ("new", "old", "write", "reload"),
    [
        (None, conf(1), False, False),
        (b"", conf(1), False, False),
        (conf(1), conf(1), False, False),
        (conf(2), conf(1), True, True),
        (conf(1, "  x: y\n"), conf(1), True, True),  # equal versions, different text
        (conf(1), conf(2), False, False),
        (conf(1), None, True, False),
        (conf(1), b"no version here", True, False),
        (b"totem {\n}\n", conf(1), False, False),
        (b"\xff" + conf(5), conf(1), False, False),
    ],
)
def test_decision(new: bytes | None, old: bytes | None, write: bool, reload: bool) -> None:
    decision = decide(new, old)
    assert (decision.write, decision.reload) == (write, reload)


def test_refusals_say_why() -> None:
    assert "no config_version" in (decide(b"totem {\n}\n", None).problem or "")
    assert "older than version 2" in (decide(conf(1), conf(2)).problem or "")
    assert "not closed" in (decide(conf(3)[:-3], conf(2)).problem or "")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"# comment\n\ntotem {\n  a: b:c {d}\n  interface {\n    x: 1\n  }\n}\n", None),
        (b"totem{\n}\n", None),
        (b"}\n", "line 1"),
        (b"totem {\n  word\n}\n", "line 2"),
        (b"totem {\n", "not closed"),
    ],
)
def test_syntax(text: bytes, fault: str | None) -> None:
    found = syntax_fault(text)
    assert found is None if fault is None else found is not None and fault in found


def test_the_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "corosync.conf"
    path.write_bytes(b"old")
    write_host_copy(path, conf(1))
    assert path.read_bytes() == conf(1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [each.name for each in tmp_path.iterdir()] == ["corosync.conf"]


def test_the_file_and_its_name_are_on_disk_in_this_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a power failure leaves an empty file under the name (W15)."""
    path = tmp_path / "corosync.conf"
    synced: list[tuple[str, bool]] = []

    def note(fd: int) -> None:
        synced.append((str(Path(f"/proc/self/fd/{fd}").readlink()), path.exists()))

    monkeypatch.setattr(os, "fsync", note)
    write_host_copy(path, conf(1))
    (file, renamed_before), directory = synced
    assert Path(file).parent == tmp_path
    assert Path(file) != path
    assert not renamed_before
    assert directory == (str(tmp_path), True)


class Lines(logging.Handler):
    """Collects lines and lets a test wait for one."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._changed = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._changed:
            self.lines.append(f"{record.levelname} {record.getMessage()}")
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[list[str]], bool]) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: condition(self.lines), 10)


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def log(lines: Lines) -> logging.Logger:
    log = logging.Logger("propagator")
    log.addHandler(lines)
    return log


def test_reload_on_the_node_that_changed_it_only(tmp_path: Path, lines: Lines, log: logging.Logger) -> None:
    path = tmp_path / "corosync.conf"
    path.write_bytes(conf(1))
    propagator = Propagator(path, log, command=("false",), delay=0.01)
    propagator.submit(conf(2), notify=False)
    assert lines.wait_for(lambda lines: len(lines) == 1)
    propagator.submit(conf(3), notify=True)
    assert lines.wait_for(lambda lines: len(lines) == 3)
    propagator.submit(conf(1), notify=True)
    assert lines.wait_for(lambda lines: len(lines) == 4)
    propagator.stop()
    assert [line.split()[0] for line in lines.lines] == ["INFO", "INFO", "WARNING", "WARNING"]
    assert "'false' failed" in lines.lines[2]
    assert lines.lines[3].startswith("WARNING the cluster's corosync.conf has version 1")
    assert path.read_bytes() == conf(3)


def test_what_is_newer_when_corosync_is_to_reload_is_what_it_reads(
    tmp_path: Path, lines: Lines, log: logging.Logger
) -> None:
    path, read = tmp_path / "corosync.conf", tmp_path / "read"
    path.write_bytes(conf(1))
    propagator = Propagator(path, log, command=("sh", "-c", f"cat {path} >> {read}; false"), delay=0.5)
    propagator.submit(conf(2), notify=True)
    assert lines.wait_for(lambda lines: len(lines) == 1)
    propagator.submit(conf(3), notify=True)
    assert lines.wait_for(lambda lines: len(lines) == 3)
    propagator.stop()
    assert read.read_bytes() == conf(3)


def test_at_the_start_the_file_is_written_before_corosync_may_start(
    tmp_path: Path, lines: Lines, log: logging.Logger
) -> None:
    path = tmp_path / "corosync.conf"
    propagator = Propagator(path, log, command=("false",), delay=0.01)
    propagator.bring_now(conf(2))
    assert path.read_bytes() == conf(2)
    propagator.bring_now(conf(3))
    assert path.read_bytes() == conf(3)
    # There was an older one: a Corosync that runs already reads it anew, but nobody waits for that.
    assert lines.wait_for(lambda lines: any("'false' failed" in line for line in lines))
    propagator.stop()


def test_a_failing_reload_is_logged(tmp_path: Path, lines: Lines, log: logging.Logger) -> None:
    path = tmp_path / "corosync.conf"
    for runs, level in ((True, "WARNING"), (False, "INFO")):
        lines.lines.clear()
        path.write_bytes(conf(1))
        propagator = Propagator(
            path, log, command=("false",), delay=0.01, corosync_runs=functools.partial(bool, runs)
        )
        propagator.submit(conf(2), notify=True)
        assert lines.wait_for(lambda lines: len(lines) == 2)
        assert lines.lines[1].startswith(f"{level} 'false' failed (exit status 1)")
        propagator.stop()
