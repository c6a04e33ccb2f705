"""The writing thread against a stand-in for rrdcached: order, errors, limits. Files are in tests/real."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from quorate.pmxcfs import librrd, rrdwriter
from quorate.pmxcfs.librrd import LibrrdError
from quorate.pmxcfs.rrdcached import Rrdcached, RrdcachedError
from quorate.pmxcfs.rrdwriter import RrdWriter
from tests.support.ipc_vectors import VECTORS

T = TypeVar("T")
LOG = logging.getLogger("test.rrd")
KEY, VALUE = b"pve2-storage/n1/local", b"1795354124:1000:10\0"


class Daemon:
    """Answers each line as told; counts connections."""

    def __init__(self, path: Path, answer: Callable[[str], bytes | None]) -> None:
        self.lines: list[str] = []
        self.connections = 0
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with stream, stream.makefile("rb") as lines:
                for line in lines:
                    self.lines.append(line.decode().rstrip("\n"))
                    answer = self._answer(self.lines[-1])
                    if answer is None:
                        break
                    stream.sendall(answer)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


class Files:
    """Stands for librrd."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.created: list[str] = []
        self.updated: list[tuple[str, str]] = []
        monkeypatch.setattr(librrd, "create", self._create)
        monkeypatch.setattr(librrd, "update", lambda path, text: self.updated.append((path, text)))

    def _create(self, path: str, step: int, start: int, arguments: list[str]) -> None:
        self.created.append(path)
        Path(path).touch()


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Files:
    return Files(monkeypatch)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Callable[[Callable[[str], bytes | None]], Daemon]]:
    started: list[Daemon] = []

    def start(answer: Callable[[str], bytes | None]) -> Daemon:
        started.append(Daemon(tmp_path / "sock", answer))
        return started[-1]

    yield start
    for one in started:
        one.close()


def writer_in(tmp_path: Path, **options: int) -> RrdWriter:
    return RrdWriter(tmp_path, tmp_path / "sock", LOG, **options)  # type: ignore[arg-type]


def ok(line: str) -> bytes:
    return str(VECTORS["rrd"]["rrdcached_reply_ok"]).encode()


def test_the_recorded_lines(
    tmp_path: Path, files: Files, daemon: Callable[[Callable[[str], bytes | None]], Daemon]
) -> None:
    cached = daemon(ok)
    writer = writer_in(tmp_path)
    calls = VECTORS["rrd"]["calls_recorded_from_original"]
    expected = list(VECTORS["rrd"]["rrdcached_lines"])
    expected[3] += "5"  # the original cut a character there
    for call in calls[:4]:
        writer.submit(call["key"].encode(), call["data"].encode() + b"\0")
    writer.stop(10)
    assert [line.replace(str(tmp_path), "/var/lib/rrdcached/db") for line in cached.lines] == expected
    assert cached.connections == 1
    assert files.updated == []
    assert len(files.created) == 4


def test_without_rrdcached_the_file_is_written(tmp_path: Path, files: Files) -> None:
    writer = writer_in(tmp_path)
    writer.submit(KEY, VALUE)
    writer.stop(10)
    path = tmp_path / "pve-storage-9.0/n1/local"
    assert files.updated == [(str(path), "1795354124:1000:10")]
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.parent.stat().st_mode & 0o777 == 0o750
    assert path.parent.parent.stat().st_mode & 0o777 == 0o750


def test_a_second_value_of_one_second_is_left_out(
    tmp_path: Path, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    """A status daemon that was started anew tells its figures again; librrd would refuse them, loudly."""
    writer = writer_in(tmp_path)
    for value in (VALUE, VALUE, b"1795354125:1000:11\0"):
        writer.submit(KEY, value)
    writer.stop(10)
    assert [text for _, text in files.updated] == ["1795354124:1000:10", "1795354125:1000:11"]
    assert caplog.text == ""


@pytest.mark.parametrize("answer", [b"-1 unknown file\n", b"nonsense\n", None])
def test_after_an_error_of_rrdcached_the_file_is_written_and_the_connection_made_anew(
    tmp_path: Path,
    files: Files,
    daemon: Callable[[Callable[[str], bytes | None]], Daemon],
    answer: bytes | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cached = daemon(lambda line: answer)
    writer = writer_in(tmp_path)
    writer.submit(KEY, VALUE)
    writer.submit(KEY, b"1795354134:1000:11\0")
    writer.stop(10)
    assert [text for _, text in files.updated] == ["1795354124:1000:10", "1795354134:1000:11"]
    assert cached.connections == 2
    assert "writing the file instead" in caplog.text


def test_an_answer_of_several_lines_is_read_to_its_end(
    tmp_path: Path, daemon: Callable[[Callable[[str], bytes | None]], Daemon]
) -> None:
    daemon(lambda line: b"2 errors\nfirst\nsecond\n" if "bad" in line else ok(line))
    with Rrdcached(tmp_path / "sock") as cached:
        with pytest.raises(RrdcachedError, match="second"):
            cached.update("/bad", "1:2")
        cached.update("/good", "1:2")


def test_a_silent_rrdcached_is_given_up_in_time(
    tmp_path: Path, daemon: Callable[[Callable[[str], bytes | None]], Daemon]
) -> None:
    daemon(lambda line: b"")
    with Rrdcached(tmp_path / "sock", timeout=0.05) as cached, pytest.raises(RrdcachedError, match="time"):
        cached.update("/x", "1:2")


def test_a_full_queue_drops_the_oldest_and_says_so(
    tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    entered, go = threading.Event(), threading.Event()

    def update(path: str, text: str) -> None:
        entered.set()
        go.wait(10)
        files.updated.append((path, text))

    monkeypatch.setattr(librrd, "update", update)
    writer = writer_in(tmp_path, limit=2)
    writer.submit(KEY, b"1:0:0\0")
    assert entered.wait(10)
    for number in range(2, 6):
        writer.submit(KEY, b"%d:0:0\0" % number)
    go.set()
    writer.stop(10)
    assert [text[0] for _, text in files.updated] == ["1", "4", "5"]
    assert "2 RRD values were dropped" in caplog.text


class Watched(threading.Condition):
    """Says when somebody waits with a limit of time: the writer does, while it gathers."""

    def __init__(self) -> None:
        super().__init__()
        self.gathers = threading.Event()

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        if timeout is not None:
            self.gathers.set()
        return super().wait_for(predicate, timeout)


def test_a_burst_is_gathered_within_the_limit(
    tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rrdwriter, "GATHER_SECONDS", 600.0)
    writer = writer_in(tmp_path, limit=3)
    writer._condition = watched = Watched()
    submit_all(writer, [1])
    assert watched.gathers.wait(10)
    submit_all(writer, [2, 3, 4, 5])
    assert files.updated == []
    writer.stop(10)  # no burst is gathered any more
    assert [text[0] for _, text in files.updated] == ["3", "4", "5"]
    assert "2 RRD values were dropped" in caplog.text


def test_values_that_keep_coming_do_not_put_off_the_writing(
    tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = threading.Event()
    monkeypatch.setattr(librrd, "update", lambda path, text: written.set())
    monkeypatch.setattr(rrdwriter, "GATHER_SECONDS", 0.05)
    writer = writer_in(tmp_path)
    came = 0
    while came < 10_000 and not written.wait(0.001):
        submit_all(writer, [came])
        came += 1
    writer.stop(10)
    assert came < 10_000


def test_as_many_may_wait_as_are_being_written(
    tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    entered, go = threading.Semaphore(0), threading.Semaphore(0)

    def update(path: str, text: str) -> None:
        entered.release()
        assert go.acquire(timeout=10)
        files.updated.append((path, text))

    monkeypatch.setattr(librrd, "update", update)
    monkeypatch.setattr(rrdwriter, "GATHER_SECONDS", 0.0)
    writer = writer_in(tmp_path, limit=3)
    submit_all(writer, [0])
    assert entered.acquire(timeout=10)
    submit_all(writer, [1, 2, 3])
    go.release()
    assert entered.acquire(timeout=10)  # writes the first of three
    submit_all(writer, [4, 5, 6, 7])
    go.release(7)
    writer.stop(10)
    assert [text[0] for _, text in files.updated] == ["0", "1", "2", "3", "5", "6", "7"]
    assert "1 RRD values were dropped" in caplog.text


def submit_all(writer: RrdWriter, numbers: Iterable[int]) -> None:
    for number in numbers:
        writer.submit(KEY, b"%d:0:0\0" % number)


def test_errors_do_not_end_the_thread_and_do_not_flood_the_log(
    tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def update(path: str, text: str) -> None:
        raise LibrrdError("RRD update error: disk full")

    monkeypatch.setattr(librrd, "update", update)
    writer = writer_in(tmp_path)
    writer.submit(b"foo", b"1\0")
    for _ in range(50):
        writer.submit(KEY, VALUE)
    assert writer.wait_idle(10)
    monkeypatch.setattr(librrd, "update", lambda path, text: files.updated.append((path, text)))
    writer.submit(KEY, VALUE)
    writer.stop(10)
    assert len(files.updated) == 1
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 1


def test_the_base_directory_is_made(tmp_path: Path, files: Files) -> None:
    """A node without rrdcached has nobody else who makes it."""
    base = tmp_path / "rrdcached/db"
    writer = RrdWriter(base, tmp_path / "sock", LOG)
    writer.submit(KEY, VALUE)
    writer.stop(10)
    assert base.stat().st_mode & 0o777 == 0o755
    assert len(files.created) == 1


def test_a_node_without_the_library_says_so_once_and_not_as_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(librrd, "SONAME", "libnot-there.so.8")
    monkeypatch.setattr(librrd, "_library", None)
    monkeypatch.setattr(librrd, "_missing", None)
    writer = writer_in(tmp_path)
    for _ in range(3):
        writer.submit(KEY, VALUE)
    writer.stop(10)
    found = [record.levelname for record in caplog.records if "librrd8 is not installed" in record.message]
    assert found == ["INFO"]
    assert len(caplog.records) == 1


def test_a_base_directory_that_cannot_be_made_is_said_once(
    tmp_path: Path, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    writer = RrdWriter(tmp_path / "file/db", tmp_path / "sock", LOG)
    for _ in range(3):
        writer.submit(KEY, VALUE)
    writer.stop(10)
    assert files.created == []
    assert caplog.text.count("no RRD files") == 1
