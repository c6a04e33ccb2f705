"""What slow, dead, strange and hostile clients can do to the server and to others: nothing (status 6)."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from quorate.ipc import codec, operations
from quorate.ipc.client import Client
from quorate.ipc.operations import Op
from tests.real.ipc_host import (
    DEAR_PORTIONS,
    OP_BYTES,
    OP_DEAR,
    OP_SLOW,
    OP_STATE,
    WWW_DATA,
    Host,
    RawClient,
    an_ipc_host,
    as_user,
    end,
    user,
    wait_for,
)
from tests.real.libqb import QbClient

pytestmark = pytest.mark.real

NOBODY = user(65534, 65534)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with an_ipc_host(tmp_path, HANDSHAKE_SECONDS=0.3, RESPONSE_SECONDS=0.5) as one:
        yield one


def request_bytes(number: int) -> bytes:
    return codec.pack_request(OP_BYTES, struct.pack("<I", number))


def works(host: Host) -> bool:
    with QbClient(host.service) as client:
        return all(len(client.call(request_bytes(number), 10)) == number + 24 for number in range(20))


def ended(client: RawClient) -> bool:
    """Whether the server hung up, within the socket's limit."""
    try:
        return client.stream.recv(1) == b""
    except ConnectionResetError:
        return True


def test_others_are_answered_while_one_dear_request_is_worked_on(host: Host) -> None:
    dear = RawClient(host)
    dear.bind()
    dear.socket.send(codec.pack_request(OP_DEAR, b""))
    dear.socket.setblocking(False)
    answered = 0
    with QbClient(host.service) as other:
        while answered < 10_000:
            other.call(request_bytes(0), 10)
            answered += 1
            with suppress(BlockingIOError):
                assert len(dear.socket.recv(1024)) == codec.RESPONSE_BYTES
                break
    # One for each portion, where the system gave the other client its turn.
    assert DEAR_PORTIONS / 2 < answered < 10_000
    dear.close()


def test_a_client_that_goes_away_takes_its_dear_request_along(host: Host) -> None:
    dear = RawClient(host)
    dear.bind()
    dear.socket.send(codec.pack_request(OP_DEAR, b""))
    dear.close()
    assert works(host)
    wait_for(lambda: not list(host.directory.iterdir()), "the control file to be gone")
    assert works(host)


def test_who_does_not_take_answers_is_cut_off_and_delays_nobody(host: Host) -> None:
    slow = RawClient(host)
    slow.bind()
    slow.socket.setblocking(False)
    sent = 0
    with suppress(BlockingIOError):
        while sent < 2000:
            slow.socket.send(request_bytes(600_000))
            sent += 1
    assert sent > 2  # more than one answer's room: the server must hold some back
    assert works(host)
    assert ended(slow)
    assert works(host)
    slow.close()
    wait_for(lambda: not list(host.directory.iterdir()), "the control file to be gone")


def test_who_takes_them_late_gets_them_all_in_order(host: Host) -> None:
    late = RawClient(host)
    late.bind()
    sizes = [600_000, 1, 500_000, 2, 900_000]
    for size in sizes:
        late.socket.send(request_bytes(size))
    assert works(host)
    assert [len(late.socket.recv(1 << 20)) - 24 for _ in sizes] == sizes
    late.close()


def test_dear_requests_of_many_do_not_make_one_wait_for_all(host: Host) -> None:
    crowd = [RawClient(host) for _ in range(20)]
    for client in crowd:
        client.bind()
        for _ in range(8):
            client.socket.send(codec.pack_request(OP_SLOW, b""))
    last = RawClient(host)  # with the highest descriptors
    last.bind()
    answered = json.loads(last.call(codec.pack_request(OP_STATE, b""))[24:])["slow"]
    assert answered < 80  # of 160: it had its turn after one turn of everybody
    for client in (*crowd, last):
        client.close()
    assert works(host)


def test_who_says_nothing_is_disconnected(host: Host) -> None:
    for said in (b"", b"\xff\xff"):
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(10)
            stream.connect(codec.address(host.service))
            stream.sendall(said)
            assert works(host)
            assert stream.recv(1) == b""


def test_who_says_nonsense_is_disconnected(host: Host) -> None:
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(10)
        stream.connect(codec.address(host.service))
        stream.sendall(b"GET / HTTP/1.1\r\n\r\n......")
        assert stream.recv(1) == b""
    assert works(host)


def test_strangers_in_numbers_do_not_keep_others_out(host: Host) -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            NOBODY()
            streams = [socket.socket(socket.AF_UNIX) for _ in range(100)]
            for stream in streams:
                stream.connect(codec.address(host.service))
            os.write(writer, b"1")
            time.sleep(10)
        finally:
            os._exit(0)
    assert os.read(reader, 1) == b"1"
    assert works(host)
    end(pid)
    os.close(reader)
    os.close(writer)


def test_messages_of_others_on_a_connections_socket_are_ignored(host: Host) -> None:
    """Abstract sockets have no permissions: a stranger finds the name and is faster than the client."""
    root = RawClient(host)
    name = root.welcome.response
    steal = codec.pack_request(Op.GET_CONFIG, operations.get_config("priv/token.cfg"))

    def thief() -> str:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(1)
            sock.bind(codec.address(name + codec.RESPONSE_SUFFIX))
            sock.sendto(steal, codec.address(name + codec.REQUEST_SUFFIX))
            try:
                return sock.recv(4096).decode("latin-1")
            except OSError as error:
                return errno.errorcode[error.errno] if error.errno else "nothing"

    assert "1111" not in as_user(thief, ids=NOBODY)
    assert "1111" not in as_user(thief, ids=user(WWW_DATA, WWW_DATA))
    root.bind()
    assert len(root.call(request_bytes(1))) == 25
    root.close()


def test_nobody_else_can_write_to_a_connection_in_use(host: Host) -> None:
    root = RawClient(host)
    root.bind()
    root.call(request_bytes(1))
    change = codec.pack_request(Op.SET_STATUS, operations.set_status("kv/evil", b"1"))

    def intrude() -> int:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(change, codec.address(root.welcome.response + codec.REQUEST_SUFFIX))
        return 0

    assert as_user(intrude, ids=NOBODY) == -errno.EPERM
    asked = codec.pack_request(Op.GET_STATUS, operations.get_status("kv/evil"))
    assert codec.unpack_response(root.call(asked)).error == -errno.ENOENT
    root.close()


def test_the_names_of_connections_cannot_be_guessed(host: Host) -> None:
    names = set()
    for _ in range(3):
        client = RawClient(host)
        names.add(client.welcome.response)
        client.close()
    assert len(names) == 3
    assert all(re.search(r"-[0-9a-f]{16}/", name) for name in names)


def test_what_a_client_does_to_its_files_hurts_itself_alone(host: Host) -> None:
    """Memory shared with clients could be cut under the server's feet; there is none."""

    def vandal() -> int:
        client = RawClient(host)
        client.bind()
        control = Path(client.welcome.request)
        os.truncate(control, 0)
        control.unlink()
        control.symlink_to("/etc/passwd")
        (control.parent / "more").write_text("x")
        return len(client.call(request_bytes(5)))

    assert as_user(vandal, ids=user(WWW_DATA, WWW_DATA)) == 29
    assert works(host)
    assert Path("/etc/passwd").exists()
    host.stop()
    assert not host.directory.exists()


def test_a_control_file_is_its_clients_alone(host: Host) -> None:
    def look() -> list[int]:
        client = RawClient(host)
        found = Path(client.welcome.request).stat()
        client.close()
        return [found.st_uid, found.st_gid, found.st_mode & 0o777, found.st_size]

    assert as_user(look, ids=user(WWW_DATA, WWW_DATA)) == [WWW_DATA, WWW_DATA, 0o600, 24]
    kept = RawClient(host)
    assert Path(kept.welcome.request).stat().st_uid == 0
    assert as_user(lambda: len(Path(kept.welcome.request).read_bytes()), ids=NOBODY) == -errno.EACCES
    kept.close()


@pytest.mark.parametrize(
    "message",
    [b"", b"\x01", b"\x01\0\0\0" + bytes(8), bytes(16), b"\xff" * 4000, bytes(1 << 20)],
    ids=["empty", "one", "short", "zeros", "ones", "long"],
)
def test_malformed_messages_are_answered_and_the_connection_lives(host: Host, message: bytes) -> None:
    client = RawClient(host)
    client.bind()
    client.socket.setsockopt(socket.SOL_SOCKET, 32, 4 << 20)  # SO_SNDBUFFORCE
    header = codec.unpack_response(client.call(message))
    assert header.error == -errno.EINVAL
    assert len(client.call(request_bytes(3))) == 27
    client.close()


def test_a_message_beyond_the_greatest_size_is_refused(host: Host) -> None:
    client = RawClient(host, max_message=4 << 20)
    client.bind()
    client.socket.setsockopt(socket.SOL_SOCKET, 32, 8 << 20)
    header = codec.unpack_response(client.call(codec.pack_request(Op.GET_FS_VERSION, bytes(2 << 20))))
    assert header == (Op.GET_FS_VERSION, 24, -errno.EINVAL)
    client.close()


def test_the_disconnect_message_ends_the_connection(host: Host) -> None:
    client = RawClient(host)
    client.bind()
    client.socket.send(codec.pack_request(codec.DISCONNECT, b""))
    assert ended(client)
    client.close()


def test_descriptors_are_not_taken_from_clients(host: Host) -> None:
    client = RawClient(host)
    client.bind()

    def opened() -> int:
        return len(list(Path(f"/proc/{host.pid}/fd").iterdir()))

    before = opened()
    with Path("/dev/null").open("rb") as file:
        for _ in range(20):
            socket.send_fds(client.socket, [request_bytes(1)], [file.fileno()] * 10)
            client.socket.recv(100)
        socket.send_fds(client.stream, [b"x"], [file.fileno()] * 10)
    assert works(host)
    wait_for(lambda: opened() <= before, "no descriptor to be left")
    client.close()


def test_no_more_than_the_limit_connect(tmp_path: Path) -> None:
    with an_ipc_host(tmp_path, MAX_CLIENTS=6, MAX_UNPRIVILEGED=3) as host:

        def crowd() -> int:
            kept: list[RawClient] = []
            while not kept or not kept[-1].welcome.error:
                kept.append(RawClient(host))
            assert kept[-1].welcome.error == -errno.EAGAIN
            for client in kept:
                client.close()
            return len(kept) - 1

        assert as_user(crowd, ids=user(WWW_DATA, WWW_DATA)) == 3
        wait_for(lambda: not list(host.directory.iterdir()), "the crowd to be gone")
        assert crowd() == 6


def test_our_client_waits_no_longer_than_told_for_a_hanging_daemon(host: Host) -> None:
    with Client(service=host.service, timeout=0.3) as client:
        client.version()
        os.kill(host.pid, 19)  # SIGSTOP
        try:
            with pytest.raises(OSError, match="does not answer"):
                client.version()
            with pytest.raises(OSError, match="does not answer"):
                client.version()
        finally:
            os.kill(host.pid, 18)  # SIGCONT
        assert client.version()["vmlist"] == 7


def test_our_client_makes_its_own_connection_after_a_fork(host: Host) -> None:
    client = Client(service=host.service, timeout=10)
    before = client.version()
    assert as_user(lambda: client.version() == before, ids=user(WWW_DATA, WWW_DATA)) is True
    assert client.version() == before
    client.close()


def test_our_clients_calls(host: Host) -> None:
    with Client(service=host.service, timeout=10) as client:
        assert client.members() == {"nodename": "n3", "version": 0}
        assert set(client.guests()["ids"]) == {"100", "101", "102", "103"}
        client.set_status("kv/a", b"1\0")
        assert client.get_status("kv/a") == client.get_status("kv/a", "n3") == b"1\0"
        client.set_status("kv/a", b"")
        assert client.get_status("kv/a") is None
        assert client.get_config("priv/token.cfg") is not None
        client.log("said", ident="root@pam", tag="test")
        assert client.cluster_log(user="root@pam")[0]["msg"] == "said"
        assert client.guest_properties(["lock", "tags"], 100) == {100: {"lock": "backup", "tags": "a;b"}}
        assert set(client.guest_properties(["lock"])) == {100, 101}
        assert client.verify_token("root@pam!t1 11111111-2222-3333-4444-555555555555")
        assert not client.verify_token("root@pam!t1 1")
        with pytest.raises(OSError, match="File too large"):
            client.set_status("kv/a", bytes(40000))


def test_many_values_at_once_of_which_one_is_refused(host: Host) -> None:
    """In several calls, as they are too much for one."""
    values = [(f"kv/{number}", b"%d" % number + bytes(30000)) for number in range(20)]
    with Client(service=host.service, timeout=10) as client:
        client.set_statuses(values)
        assert [client.get_status(key) for key, _ in values] == [value for _, value in values]
        anew = [(key, b"new") for key, _ in values]
        anew[7] = (anew[7][0], bytes(40000))
        with pytest.raises(OSError, match="SET_STATUSES: File too large"):
            client.set_statuses(anew)
        told = [client.get_status(key) for key, _ in values]
        assert told == [b"new"] * 7 + [values[7][1]] + [b"new"] * 12
        client.set_statuses([])
