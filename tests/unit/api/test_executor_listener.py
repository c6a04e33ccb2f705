"""Calls in processes of their own; the redirect of plain HTTP; the access log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from asyncio import sslproto
from pathlib import Path
from typing import Any

import pytest

from quorate.api.accesslog import AccessLog
from quorate.api.listener import client_address, redirect, unsent_bytes

_SCRIPT = """
import asyncio, json, os, sys, time
from quorate.api import executor
from quorate.api.executor import Executor, ExecutorError
def work(job):
    if job["do"] == "die":
        os._exit(1)
    if job["do"] == "hang":
        open(job["file"], "w").write(str(os.getpid()))
        time.sleep(600)
    return {"pid": os.getpid(), "echo": job["do"]}
async def main():
    out = []
    for do in ("one", "two", "die", "hang", "three"):
        executor.CALL_SECONDS = 1.0 if do == "hang" else 60.0  # a busy machine needs its time to fork
        try:
            out.append(await calls.call({"do": do, "file": sys.argv[1]}))
        except ExecutorError as err:
            out.append(str(err))
    out.append(len({r["pid"] for r in await asyncio.gather(*(calls.call({"do": "x"}) for _ in range(40)))}))
    calls.close()
    print(json.dumps(out))
calls = Executor(work)
calls.start()
asyncio.run(main())
"""


def test_each_call_has_its_process_and_none_harms_another(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(pid_file)],
        check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    one, two, die, hang, three, many = json.loads(done.stdout)
    assert (one["echo"], two["echo"], three["echo"]) == ("one", "two", "three")
    assert one["pid"] != two["pid"]
    assert die == "the process of the call died without a result"
    assert hang.startswith("got timeout")
    assert many == 40
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)  # the hung one was killed


_NO_FORK = """
import asyncio, errno, json, os
from quorate.api.executor import Executor, ExecutorError
calls = Executor(lambda job: {"echo": job["do"]})
fork, left = os.fork, [0]
def failing_fork():
    left[0] += 1
    if left[0] == 2:  # the first call; before it comes the helper's own
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()
os.fork = failing_fork
async def main():
    out = []
    for do in ("one", "two"):
        try:
            out.append(await calls.call({"do": do}))
        except ExecutorError as err:
            out.append(str(err))
    calls.close()
    print(json.dumps(out))
calls.start()
asyncio.run(main())
"""


def test_a_call_that_finds_no_process_harms_no_later_one() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _NO_FORK], check=True, capture_output=True, text=True, timeout=60
    )
    one, two = json.loads(done.stdout)
    assert "could not be started" in one
    assert two == {"echo": "two"}


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"GET /x?y HTTP/1.1\r\nHost: n1:8006\r\n\r\n", b"301 Moved Permanently\r\nLocation: https://n1:8006/x?y\r\n"),
        (b"POST / HTTP/1.1\r\nA: b\r\nhost: [::1]:8006\r\n\r\n", b"308 Permanent Redirect\r\nLocation: https://[::1]:8006/\r\n"),
    ],
)  # fmt: skip
def test_redirect(head: bytes, expected: bytes) -> None:
    assert redirect(head).startswith(b"HTTP/1.1 " + expected)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"\x00\x01",
        b"SSH-2.0-x\r\n",
        b"GET /\x01 HTTP/1.1\r\nHost: n1\r\n\r\n",
    ],
)
def test_no_redirect_for_what_is_no_http(head: bytes) -> None:
    assert redirect(head) == b""


def test_addresses_as_people_write_them() -> None:
    assert client_address("::ffff:10.0.0.1") == "10.0.0.1"
    assert client_address("fe80::1%eth0") == "fe80::1"


def test_access_log(tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "access.log")
    log.record("10.0.0.1", "bob@pve", 'GET /"x"\r\n HTTP/1.1', 200, 12)
    log.record("", "", "GET / HTTP/1.1", 401, 0)
    first, second = (tmp_path / "access.log").read_text().splitlines()
    assert first.startswith("10.0.0.1 - bob@pve [")
    assert first.endswith('] "GET /?x??? HTTP/1.1" 200 12')
    assert second.startswith("- - - [")
    (tmp_path / "access.log").rename(tmp_path / "access.log.1")
    log.record("10.0.0.1", "", "GET / HTTP/1.1", 200, 0)
    assert len((tmp_path / "access.log.1").read_text().splitlines()) == 3  # ours, until we end
    log.close()


def test_missing_log_directory_is_no_obstacle(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = AccessLog(tmp_path / "none" / "access.log")
    log.record("10.0.0.1", "", "GET / HTTP/1.1", 200, 0)
    assert "no access log" in caplog.text


def test_a_connection_that_was_closed_twice_does_not_end_the_sweep() -> None:
    """Without the sweep no ended connection is counted off, and soon no new one is taken."""

    class Below:
        def _start_shutdown(self) -> None: ...

    kind: Any = sslproto._SSLProtocolTransport
    transport = kind(None, Below())
    transport.close()
    transport.close()
    with pytest.raises(AttributeError):
        transport.get_write_buffer_size()
    assert unsent_bytes(transport) == 0
