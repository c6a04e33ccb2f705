"""Content that leaves with its first write: who is taken to need one only, and what if he writes more."""

from __future__ import annotations

import errno
import os

import pytest

from quorate.fuse import requests as r
from quorate.pmxcfs.wire import FsMessage, FsOp
from quorate.pmxcfs.writers import MAX_WRITERS, Writers
from tests.unit.pmxcfs.test_mount import Kernel


def sent(kernel: Kernel) -> list[FsMessage]:
    return [message for message, _ in kernel.cluster.sent]


def store(kernel: Kernel, name: bytes, *parts: bytes) -> None:
    """A new file, written with these calls and closed."""
    _, _, fh = kernel.create(name)
    for number, part in enumerate(parts):
        kernel.write(fh, sum(map(len, parts[:number])), part)
    assert kernel.call("flush", 0, r.FlushIn(fh, 0)) == b""


def test_the_last_file_tells() -> None:
    writers = Writers()
    assert not writers.wrote(7, 1)
    writers.closed(7, 1)
    assert writers.wrote(7, 1)
    assert not writers.wrote(8, 1)
    writers.closed(7, 0)  # closed without a write
    assert writers.wrote(7, 1)
    assert not writers.wrote(7, 2)
    assert not writers.wrote(7, 1)


def test_a_file_closed_by_another_thread_tells_of_who_wrote_it() -> None:
    writers = Writers()
    writers.closed(7, 1)
    for number in (1, 2, 3):
        writers.wrote(7, number)
    writers.closed(8, 3)
    assert not writers.wrote(7, 1)
    assert not writers.wrote(8, 1)


def test_writes_that_nobody_asked_about_tell_at_the_close() -> None:
    writers = Writers()
    writers.closed(7, 1)
    writers.closed(7, 2)
    assert not writers.wrote(7, 1)


def test_writers_are_bounded() -> None:
    writers = Writers()
    for thread in range(MAX_WRITERS + 1):
        writers.closed(thread, 1)
    assert not writers.wrote(0, 1)
    assert writers.wrote(1, 1)
    assert writers.wrote(MAX_WRITERS, 1)


def test_the_second_file_of_a_single_write_leaves_with_it() -> None:
    kernel = Kernel()
    store(kernel, b"first", b"whole")
    _, _, fh = kernel.create(b"second", os.O_WRONLY | os.O_TRUNC)
    unique = kernel.write(fh, 0, b"whole")
    assert [(message.op, message.data) for message in sent(kernel)] == [
        (FsOp.CREATE, b""),
        (FsOp.WRITE, b"whole"),
    ]
    assert unique in kernel.session.replies  # the write itself waits for nothing
    flush = kernel.ask("flush", 0, r.FlushIn(fh, 0))
    assert flush not in kernel.session.replies
    assert len(sent(kernel)) == 2
    kernel.cluster.deliver()
    assert kernel.session.replies[flush] == b""


def test_content_is_overwritten_by_one_message_that_leaves_with_the_write() -> None:
    kernel = Kernel(b"f")
    store(kernel, b"first", b"whole")
    fh = kernel.open(kernel.look_up(b"f"), os.O_WRONLY | os.O_TRUNC)
    kernel.write(fh, 0, b"new")
    assert [(message.op, message.data, message.truncate) for message in sent(kernel)] == [
        (FsOp.WRITE, b"new", True)
    ]
    kernel.cluster.deliver()
    assert kernel.call("flush", 0, r.FlushIn(fh, 0)) == b""


def test_who_needs_several_writes_sends_one_message() -> None:
    kernel = Kernel()
    store(kernel, b"first", b"one", b"two")
    _, _, fh = kernel.create(b"second")
    kernel.write(fh, 0, b"one")
    kernel.write(fh, 3, b"two")
    assert sent(kernel) == []
    kernel.ask("flush", 0, r.FlushIn(fh, 0))
    assert [message.data for message in sent(kernel)] == [b"", b"onetwo"]


def test_a_wrong_guess_costs_one_message_and_is_learned_from() -> None:
    kernel = Kernel()
    store(kernel, b"first", b"whole")
    _, _, fh = kernel.create(b"second")
    for number in range(5):
        kernel.write(fh, number, b"x")
    assert [message.data for message in sent(kernel)] == [b"", b"x"]
    flush = kernel.ask("flush", 0, r.FlushIn(fh, 0))
    assert [(message.data, message.offset) for message in sent(kernel)[2:]] == [(b"xxxx", 1)]
    kernel.cluster.deliver()
    assert kernel.session.replies[flush] == b""
    entry = kernel.tree.lookup(b"second")
    assert entry is not None
    assert entry.data == b"xxxxx"
    _, _, fh = kernel.create(b"third")
    kernel.write(fh, 0, b"x")
    assert sent(kernel) == []


def test_an_error_that_comes_before_the_close_is_told_by_it() -> None:
    kernel = Kernel(b"f")
    store(kernel, b"first", b"whole")
    fh = kernel.open(kernel.look_up(b"f"), os.O_WRONLY)
    kernel.write(fh, 0, b"new")
    _, done = kernel.cluster.sent.pop(0)
    done(-errno.EBUSY)
    assert kernel.call("flush", 0, r.FlushIn(fh, 0)) == errno.EBUSY


def test_after_a_flush_the_next_write_is_the_first_again() -> None:
    kernel = Kernel(b"f")
    fh = kernel.open(kernel.look_up(b"f"), os.O_WRONLY)
    kernel.write(fh, 0, b"new")
    assert kernel.call("flush", 0, r.FlushIn(fh, 0)) == b""
    kernel.write(fh, 3, b"er")
    assert [message.data for message in sent(kernel)] == [b"er"]


def lost_race(kernel: Kernel) -> int:
    """The handle of a new file under way; another node gives its name to a file that the kernel knows."""
    kernel.look_up(b"known")
    store(kernel, b"first", b"whole")
    _, _, fh = kernel.create(b"f", os.O_WRONLY | os.O_TRUNC)
    kernel.write(fh, 0, b"mine")
    kernel.cluster.remote(FsMessage(FsOp.RENAME, b"known", b"f"))
    return fh


def test_a_close_waits_for_content_sent_before_its_file_became_another() -> None:
    kernel = Kernel(b"known")
    fh = lost_race(kernel)
    kernel.cluster.deliver(1)  # the CREATE; its WRITE takes another rotation
    flush = kernel.ask("flush", 0, r.FlushIn(fh, 0))
    assert flush not in kernel.session.replies
    kernel.cluster.deliver()
    assert kernel.session.replies[flush] == b""
    entry = kernel.tree.lookup(b"f")
    assert entry is not None
    assert entry.data == b"mine"


@pytest.mark.parametrize("closed_first", [True, False])
def test_content_that_is_lost_after_its_file_became_another_is_told(closed_first: bool) -> None:
    kernel = Kernel(b"known")
    fh = lost_race(kernel)
    flush = kernel.ask("flush", 0, r.FlushIn(fh, 0)) if closed_first else 0
    kernel.cluster.deliver(1)
    flush = flush or kernel.ask("flush", 0, r.FlushIn(fh, 0))
    _, done = kernel.cluster.sent.pop(0)
    done(-errno.EBUSY)
    assert kernel.session.replies[flush] == errno.EBUSY
    assert kernel.call("flush", 0, r.FlushIn(fh, 0)) == b""


def test_files_that_need_no_message_any_more_are_not_looked_at_again() -> None:
    """What is kept back is bounded by counting these, and each is pushed four times a second."""
    kernel = Kernel(b"removed")
    _, _, fh = kernel.create(b"listed")
    kernel.ask("readdir", 1, r.ReadIn(0, 0, 4096, 0, 0, 0))  # announces it
    kernel.cluster.deliver()
    assert kernel.call("flush", 0, r.FlushIn(fh, 0)) == b""
    fh = kernel.open(kernel.look_up(b"removed"), os.O_WRONLY)
    kernel.write(fh, 0, b"x")
    kernel.cluster.remote(FsMessage(FsOp.DELETE, b"removed"))
    kernel.call("flush", 0, r.FlushIn(fh, 0))
    kernel.clock += 10
    kernel.mount.push_old()
    assert not kernel.mount._unsent


def test_a_node_on_its_own_guesses_nothing() -> None:
    kernel = Kernel()
    kernel.cluster.gathers = False
    store(kernel, b"first", b"whole")
    _, _, fh = kernel.create(b"second")
    kernel.cluster.deliver()
    kernel.write(fh, 0, b"whole")
    assert sent(kernel) == []
