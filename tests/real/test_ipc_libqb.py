"""libqb's real client against the server: the recorded conversation, sizes, credentials, ends (status 6)."""

from __future__ import annotations

import errno
import json
import os
import signal
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quorate.ipc import codec
from tests.real.ipc_host import OP_BYTES, OP_STATE, WWW_DATA, Host, an_ipc_host, as_user, end, user, wait_for
from tests.real.libqb import QbClient, QbError
from tests.support.ipc_vectors import CLIENT_PID, IPC, exchanges

pytestmark = pytest.mark.real


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with an_ipc_host(tmp_path) as one:
        yield one


def bytes_of(number: int) -> bytes:
    return codec.pack_request(OP_BYTES, struct.pack("<I", number))


def state(client: QbClient) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.call(codec.pack_request(OP_STATE, b""), 10)[24:])
    return found


def differences(host: Host, sequence: str) -> dict[str, list[str]]:
    """What one connection hears differently from the record; the client's pid is ours."""
    found = {}
    with QbClient(host.service) as client:
        for label, request, expected in exchanges(IPC[sequence]):
            response = client.call(request, 10)
            got = response[24:].replace(b'"pid": %d' % os.getpid(), b'"pid": %d' % CLIENT_PID)
            got = got.replace(b'"pid": %d' % os.getppid(), b'"pid": %d' % CLIENT_PID)
            same = sorted(got.replace(b",", b"").split()) == sorted(expected[24:].replace(b",", b"").split())
            heads = response[:8] == expected[:8] and response[16:20] == expected[16:20]
            if not same or not heads or len(response) != codec.unpack_response(response).size:
                found[label] = [response.hex(), expected.hex()]
    return found


def test_the_recorded_conversation(host: Host) -> None:
    assert differences(host, "sequence_root") == {}
    reader = as_user(lambda: differences(host, "sequence_www_data"), ids=user(WWW_DATA, WWW_DATA))
    assert reader == {}


@pytest.mark.parametrize("size", [0, 1, 1000, 212_000, 213_000, 500_000, (1 << 20) - 24])
def test_responses_of_all_sizes(host: Host, size: int) -> None:
    with QbClient(host.service) as client:
        for _ in range(3):
            assert len(client.call(bytes_of(size), 10)) == size + 24


def test_a_response_that_no_client_can_take_is_an_error_and_the_connection_lives(host: Host) -> None:
    with QbClient(host.service) as client:
        response = client.call(bytes_of((1 << 20) - 23), 10)
        assert codec.unpack_response(response) == (OP_BYTES, 24, -errno.ENOBUFS)
        assert len(client.call(bytes_of(1), 10)) == 25


def test_requests_of_the_greatest_size_and_above(host: Host) -> None:
    with QbClient(host.service) as client:
        body = bytes(codec.MAX_MESSAGE - 16)
        assert codec.unpack_response(client.call(codec.pack_request(4, body), 10)).error == -errno.EFBIG
        with pytest.raises(QbError) as refused:
            client.call(codec.pack_request(4, body + b"x"), 10)
        assert refused.value.errno == errno.EMSGSIZE


def test_a_client_that_wants_little_gets_the_librarys_least(host: Host) -> None:
    with QbClient(host.service, 128) as client:
        assert len(client.call(bytes_of(codec.MIN_MESSAGE - 24), 10)) == codec.MIN_MESSAGE
        too_long = client.call(bytes_of(codec.MIN_MESSAGE), 10)
        assert codec.unpack_response(too_long).error == -errno.ENOBUFS


READ_ONLY, FULL = True, False


@pytest.mark.parametrize(
    ("ids", "read_only"),
    [
        (user(0, 0), FULL),
        (user(0, WWW_DATA), READ_ONLY),
        (user(WWW_DATA, WWW_DATA), READ_ONLY),
        (user(65534, WWW_DATA), READ_ONLY),
        (user(0, WWW_DATA, effective_gid=0), READ_ONLY),
        (user(0, 0, groups=[WWW_DATA]), FULL),
    ],
    ids=["root", "root-www", "www", "other-www", "real-not-effective", "supplementary"],
)
def test_who_may_what(host: Host, ids: Any, read_only: bool) -> None:
    assert as_user(lambda: state(QbClient(host.service))["read_only"], ids=ids) is read_only


@pytest.mark.parametrize(
    "ids",
    [user(65534, 65534), user(65534, 65534, groups=[WWW_DATA, 0]), user(65534, 0), user(0, 65534)],
    ids=["nobody", "supplementary", "group-root", "root-of-another-group"],
)
def test_who_may_not(host: Host, ids: Any) -> None:
    # libqb hands the handshake's 1 on as errno -1.
    assert as_user(lambda: state(QbClient(host.service)), ids=ids) == 1
    with QbClient(host.service) as client:  # and nothing of it is left
        wait_for(lambda: state(client)["clients"] == 1, "the refused connection to be gone")
    wait_for(lambda: not list(host.directory.iterdir()), "the control file to be gone")


def test_the_pid_is_the_clients(host: Host) -> None:
    child = as_user(lambda: [state(QbClient(host.service))["pid"], os.getpid()], ids=user(0, 0))
    assert child[0] == child[1] != os.getpid()


def test_many_clients_at_once(host: Host) -> None:
    clients = [QbClient(host.service) for _ in range(120)]
    for turn in range(3):
        for number, client in enumerate(clients):
            assert len(client.call(bytes_of(number + turn), 10)) == 24 + number + turn
    assert state(clients[0])["clients"] == 120
    for client in clients[1:]:
        client.close()
    wait_for(lambda: state(clients[0])["clients"] == 1, "the others to be gone")
    clients[0].close()
    wait_for(lambda: not list(host.directory.iterdir()), "the control files to be gone")


def test_a_client_that_dies_leaves_nothing(host: Host) -> None:
    for uid in (0, WWW_DATA):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                user(uid, uid)()
                client = QbClient(host.service)
                client.call(bytes_of(10), 10)
                client.send(bytes_of(900_000))
                os.write(writer, b"1")
                signal.pause()
            finally:
                os._exit(1)
        assert os.read(reader, 1) == b"1"
        assert len(list(host.directory.iterdir())) == 1
        end(pid)
        wait_for(lambda: not list(host.directory.iterdir()), "the control file to be gone")
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_clients_notice_the_servers_end_and_connect_again(host: Host, number: signal.Signals) -> None:
    with QbClient(host.service) as client:
        client.call(bytes_of(1), 10)
        host.stop(number)
        with pytest.raises(QbError) as lost:
            client.call(bytes_of(1), 10)
        assert lost.value.errno in (errno.ENOTCONN, errno.ECONNRESET, errno.ECONNREFUSED, errno.EPIPE)
        host.start()
        with QbClient(host.service) as again:
            assert len(again.call(bytes_of(1), 10)) == 25
