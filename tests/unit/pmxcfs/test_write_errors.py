"""Content that cannot be stored: whoever wrote it is told once, and nothing is lost without a word."""

from __future__ import annotations

import errno
import os

import pytest

from quorate.fuse import requests as r
from quorate.fuse.abi import Fattr
from quorate.pmxcfs.wire import FsMessage, FsOp
from tests.unit.pmxcfs.test_mount import NOW, Kernel, setattr_body


def fail(kernel: Kernel, code: int) -> None:
    """Everything under way is not delivered."""
    while kernel.cluster.sent:
        _, done = kernel.cluster.sent.pop(0)
        done(-code)
        kernel.cluster.changed()


def written(kernel: Kernel, name: bytes = b"f") -> int:
    """A handle with content that is kept back."""
    fh = kernel.open(kernel.look_up(name), os.O_WRONLY)
    kernel.write(fh, 0, b"CONTENT")
    return fh


def test_quorum_lost_between_write_and_close_tells_close() -> None:
    kernel = Kernel(b"f")
    fh = written(kernel)
    kernel.cluster.quorate = False
    flush = kernel.ask("flush", 0, r.FlushIn(fh, 0))
    fail(kernel, errno.EACCES)
    assert kernel.session.replies[flush] == errno.EACCES
    entry = kernel.tree.lookup(b"f")
    assert entry is not None
    assert entry.data == b"content"


def test_an_error_after_a_while_is_told_by_close() -> None:
    kernel = Kernel(b"f")
    fh = written(kernel)
    kernel.clock = 2.0
    kernel.mount.push_old()
    fail(kernel, errno.EBUSY)
    assert kernel.call("flush", 0, r.FlushIn(fh, 0)) == errno.EBUSY
    assert kernel.call("flush", 0, r.FlushIn(fh, 0)) == b""


def test_every_writer_is_told() -> None:
    kernel = Kernel(b"f")
    first, second = written(kernel), written(kernel)
    flushes = [kernel.ask("flush", 0, r.FlushIn(fh, 0)) for fh in (first, second)]
    fail(kernel, errno.EBUSY)
    assert [kernel.session.replies[unique] for unique in flushes] == [errno.EBUSY, errno.EBUSY]


def test_who_has_closed_is_not_taken_for_the_writer_of_what_was_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kernel = Kernel(b"f")
    first = written(kernel)
    assert kernel.call("flush", 0, r.FlushIn(first, 0)) == b""
    second = written(kernel)
    flush = kernel.ask("flush", 0, r.FlushIn(second, 0))
    fail(kernel, errno.ENOENT)
    kernel.call("release", 0, r.ReleaseIn(first, 0, 0, 0))
    assert kernel.session.replies[flush] == errno.ENOENT
    assert "is not stored" not in caplog.text


def test_what_fails_between_close_and_release_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    kernel = Kernel(b"f")
    first = written(kernel)
    assert kernel.call("flush", 0, r.FlushIn(first, 0)) == b""
    kernel.write(first, 0, b"by a mapping or another process")
    kernel.clock = 2.0
    kernel.mount.push_old()
    fail(kernel, errno.ENOENT)
    kernel.call("release", 0, r.ReleaseIn(first, 0, 0, 0))
    assert "is not stored" in caplog.text


def test_a_repeated_fsync_tells_the_error_of_the_interrupted_one() -> None:
    kernel = Kernel(b"f")
    fh = written(kernel)
    first = kernel.ask("fsync", 0, r.FsyncIn(fh, 0))
    kernel.mount.interrupted(r.Request(0, first, 0, 0, 0, 7, r.FsyncIn(fh, 0)))
    kernel.clock = 1.5
    kernel.mount.answer_interrupted()
    assert kernel.session.replies[first] == errno.EINTR
    second = kernel.ask("fsync", 0, r.FsyncIn(fh, 0))
    fail(kernel, errno.EBUSY)
    assert kernel.session.replies[second] == errno.EBUSY


def test_an_old_error_is_not_told_to_somebody_else() -> None:
    kernel = Kernel(b"f")
    fh = written(kernel)
    kernel.clock = 2.0
    kernel.mount.push_old()
    fail(kernel, errno.EBUSY)
    assert kernel.call("flush", 0, r.FlushIn(fh, 0)) == errno.EBUSY
    other = written(kernel)
    assert kernel.call("flush", 0, r.FlushIn(other, 0)) == b""


def test_an_error_that_nobody_can_be_told_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    kernel = Kernel(b"f")
    fh = written(kernel)
    kernel.clock = 2.0
    kernel.mount.push_old()
    fail(kernel, errno.EBUSY)
    kernel.call("release", 0, r.ReleaseIn(fh, 0, 0, 0))
    assert "what was written to 'f' is not stored" in caplog.text


def test_content_of_a_file_that_a_foreign_state_takes_away_is_not_lost_silently() -> None:
    kernel = Kernel(b"f")
    fh = written(kernel)
    other = Kernel().tree
    old = kernel.tree
    kernel.mount.taken_over(old, other)
    kernel.cluster.tree = other
    assert kernel.call("flush", 0, r.FlushIn(fh, 0)) == errno.EIO


def test_a_removed_file_takes_content_along_without_an_error() -> None:
    kernel = Kernel(b"f")
    fh = written(kernel)
    kernel.tree.delete(b"f", 2, NOW, NOW)
    kernel.cluster.changed()
    assert kernel.call("flush", 0, r.FlushIn(fh, 0)) == b""


def test_shortening_a_size_without_content_gives_it_content() -> None:
    kernel = Kernel()
    kernel.cluster.remote(FsMessage(FsOp.CREATE, b"phantom"))
    kernel.cluster.remote(FsMessage(FsOp.WRITE, b"phantom", offset=100, truncate=True))  # only originals do
    kernel.bytes_of("setattr", kernel.look_up(b"phantom"), setattr_body(Fattr.SIZE, size=50))
    entry = kernel.tree.lookup(b"phantom")
    assert entry is not None
    assert entry.data == bytes(50)
