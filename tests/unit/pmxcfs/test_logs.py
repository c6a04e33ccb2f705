"""Log lines: domain, priority, the debug switch, and a socket that is not there."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorate.pmxcfs import logs
from quorate.pmxcfs.virtual import write_debug


@pytest.fixture
def syslog(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as receiver:
        receiver.bind(str(tmp_path / "log"))
        yield receiver


@pytest.fixture
def handler(tmp_path: Path) -> Iterator[logs.SyslogHandler]:
    handler = logs.SyslogHandler(tmp_path / "log")
    handler.setFormatter(logs.DomainFormatter())
    top = logging.getLogger(logs.TOP)
    level = top.level
    top.addHandler(handler)
    logs.set_debug(False)
    yield handler
    top.removeHandler(handler)
    handler.close()
    top.setLevel(level)


def received(receiver: socket.socket) -> str:
    priority, _, rest = receiver.recv(65536).decode().partition(">")
    return f"{priority}> {rest.partition(': ')[2]}"


def test_domain_and_priority(syslog: socket.socket, handler: logs.SyslogHandler) -> None:
    logs.domain("dcdb").warning("careful: %s", "x")
    assert received(syslog) == "<28> [dcdb] careful: x"
    logs.domain("main").info("two\nlines")
    assert received(syslog) == "<30> [main] two | lines"
    logging.getLogger("quorate.pmxcfs.store").critical("[database] broken")
    assert received(syslog) == "<26> [database] broken"
    logging.getLogger("quorate.pmxcfs.store").error("broken")
    assert received(syslog) == "<27> [database] broken"


def test_debug_switch(syslog: socket.socket, handler: logs.SyslogHandler) -> None:
    logs.domain("main").debug("not yet")
    assert write_debug(0, b"1\nrest") == 2
    assert logs.debug_enabled()
    logs.domain("main").debug("now")
    assert received(syslog) == "<31> [main] now"
    assert write_debug(0, b"0\n") == 2
    assert not logs.debug_enabled()
    for offset, data in ((1, b"1\n"), (0, b"1"), (0, b"2\n"), (0, b"")):
        assert write_debug(offset, data) < 0


def test_no_syslog_is_no_error(handler: logs.SyslogHandler) -> None:
    logs.domain("main").error("nobody hears this")


def test_syslog_that_comes_back(tmp_path: Path, handler: logs.SyslogHandler) -> None:
    path = tmp_path / "log"
    for text in ("one", "two"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
            receiver.bind(str(path))
            logs.domain("main").info(text)
            assert received(receiver) == f"<30> [main] {text}"
        path.unlink()
