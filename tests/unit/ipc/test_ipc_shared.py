"""What programs ask the daemon through `Cfs`: answers, what it costs, and errors that say what to do."""

from __future__ import annotations

import errno
import gc
import os
import re
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.cfs import Cfs, CfsError, CfsUnavailableError
from quorate.corosync.address import Address
from quorate.ipc import logtext
from quorate.ipc.client import IpcError
from quorate.ipc.operations import Op
from quorate.ipc.shared import Changes, SharedClient, shared_client
from quorate.pmxcfs import status
from quorate.pmxcfs.clinfo import ClusterInfo, Node
from quorate.pmxcfs.effects import Clock
from quorate.pmxcfs.kvstore import Update
from quorate.settings import Settings
from tests.support.direct_client import DirectClient
from tests.support.ipc_vectors import NODE, STARTED, Fixture

PEER = Address(4, 77)


@pytest.fixture
def fixture() -> Fixture:
    return Fixture()


@pytest.fixture
def client(fixture: Fixture) -> DirectClient:
    return DirectClient(fixture)


@pytest.fixture
def cfs(client: DirectClient) -> Cfs:
    return Cfs(Settings(), daemon=SharedClient(lambda: client))


def tell(fixture: Fixture, key: bytes, value: bytes) -> None:
    """The other node tells something."""
    payload = b"".join(Update(key, value).parts())
    kind = status.MessageType.UPDATE
    clock = Clock(STARTED, 0.0)
    fixture.status.deliver(PEER, kind, STARTED, payload, clock, own=False, lowest=False)


def with_peer(fixture: Fixture) -> None:
    nodes = {3: Node(3, NODE, 1), 4: Node(4, "n4", 1)}
    fixture.status.set_cluster_info(ClusterInfo("lab", 1, nodes))


def test_values_of_all_nodes_cost_one_call_while_nothing_changes(
    fixture: Fixture, client: DirectClient, cfs: Cfs
) -> None:
    with_peer(fixture)
    tell(fixture, b"tasklist", b"old\0")
    tell(fixture, b"tasklist", b"[]\0")
    for _ in range(2):
        cfs.status_set("tasklist", b"[1]\0")
    assert cfs.status_of_all("tasklist") == {NODE: b"[1]\0", "n4": b"[]\0"}
    client.calls.clear()
    assert cfs.status_of_all("tasklist") == {NODE: b"[1]\0", "n4": b"[]\0"}
    assert client.calls == [Op.GET_FS_VERSION]

    tell(fixture, b"tasklist", b"[2]\0")
    client.calls.clear()
    assert cfs.status_of_all("tasklist")["n4"] == b"[2]\0"
    assert client.calls == [Op.GET_FS_VERSION, Op.GET_STATUS]
    assert cfs.status_of_all("nothing") == {}


def test_a_key_that_was_removed_and_told_again_is_not_taken_for_the_old_one(
    fixture: Fixture, client: DirectClient, cfs: Cfs
) -> None:
    with_peer(fixture)
    tell(fixture, b"kv/x", b"one")
    assert cfs.status_of_all("kv/x") == {"n4": b"one"}
    tell(fixture, b"kv/x", b"")
    tell(fixture, b"kv/x", b"two")  # with the same counter
    assert cfs.status_of_all("kv/x") == {"n4": b"two"}
    tell(fixture, b"kv/x", b"")
    assert cfs.status_of_all("kv/x") == {}


def test_another_daemon_or_another_cluster_info_makes_everything_asked_again(
    fixture: Fixture, client: DirectClient, cfs: Cfs
) -> None:
    with_peer(fixture)
    for value in (b"a", b"b"):
        tell(fixture, b"kv/x", value)
    assert cfs.status_of_all("kv/x") == {"n4": b"b"}
    with_peer(fixture)
    client.calls.clear()
    assert cfs.status_of_all("kv/x") == {"n4": b"b"}
    assert Op.GET_STATUS in client.calls


def test_single_values_and_counters(fixture: Fixture, cfs: Cfs) -> None:
    before = cfs.changes()
    assert before.paths["user.cfg"] > 0
    assert before.starttime == STARTED
    cfs.status_set("kv/x", b"value\0")
    assert cfs.status_get("kv/x") == b"value\0"
    assert cfs.status_get("kv/y") is None
    assert cfs.status_get("kv/x", "nobody") is None
    assert cfs.changes().status == {NODE: {"kv/x": 0}}
    cfs.status_set("kv/x", b"")
    assert cfs.changes() == before


def test_log_entries_come_back_even_with_lone_backslashes(cfs: Cfs) -> None:
    cfs.log(r'the file "C:\temp" has gone', user="root@pam", tag="quorate", priority=3)
    cfs.log("größer", user="bob@pve", tag="quorate")
    first, second = cfs.cluster_log(2)
    assert (first["msg"], first["user"], first["pri"]) == ("größer", "bob@pve", 6)
    assert second["msg"] == r'the file "C:\temp" has gone'
    assert [entry["msg"] for entry in cfs.cluster_log(user="bob@pve")] == ["größer"]


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0xD7FF), max_size=80))
def test_every_text_comes_back_as_it_was_logged(text: str) -> None:
    """Characters below U+0020 and above U+FFFF are not kept by the format (status 2.3)."""
    LOGGING.log(text, tag="t")
    (entry,) = LOGGING.cluster_log(1)
    assert entry["msg"] == re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text).replace(
        "\x7f", "#127"
    )


LOGGING = Cfs(Settings(), daemon=SharedClient(lambda: DirectClient(Fixture())))


def test_a_log_that_is_none_is_refused() -> None:
    assert logtext.parse('{\n"data": [\n{"uid": x}\n]\n}\n') == []
    with pytest.raises(ValueError, match="begins with"):
        logtext.parse("[]")


def test_figures_are_split_into_columns(fixture: Fixture, cfs: Cfs) -> None:
    fixture.now += 10
    cfs.status_set("rrd/pve2-node/n3", b"1::5:0.5\0")
    assert cfs.rrd_dump()["pve2-node/n3"] == ["1", "", "5", "0.5"]


def test_guests_properties_and_tokens(cfs: Cfs) -> None:
    properties = cfs.guest_properties(["name", "tags", "lock"])
    assert 100 in properties
    assert set(properties[100]) <= {"name", "tags", "lock"}
    assert cfs.verify_token("nobody@pve!x", "secret") is False


class Older(DirectClient):
    """Talks to a daemon that knows nothing of many values in one request."""

    def call(self, operation: int, body: bytes = b"") -> bytes:
        if operation == Op.SET_STATUSES:
            raise IpcError(errno.ECHRNG, os.strerror(errno.ECHRNG))
        return super().call(operation, body)


def test_an_older_daemon_is_told_one_value_after_the_other(fixture: Fixture) -> None:
    cfs = Cfs(Settings(), daemon=SharedClient(lambda: Older(fixture)))
    cfs.status_set_many([("kv/a", b"1"), ("kv/b", b"2")])
    assert [cfs.status_get("kv/a"), cfs.status_get("kv/b")] == [b"1", b"2"]


def test_nothing_is_told_of_values_with_a_key_that_does_not_fit(cfs: Cfs) -> None:
    for key in ("", "k" * 300):
        with pytest.raises(CfsError, match="unable to tell some of 'kv/a' to"):
            cfs.status_set_many(
                [("kv/a", bytes(30000)), ("kv/b", bytes(30000)), ("kv/c", bytes(30000)), (key, b"")]
            )
    assert cfs.status_get("kv/a") is None


def test_errors_say_what_was_tried_and_what_to_do(client: DirectClient, fixture: Fixture, cfs: Cfs) -> None:
    reader = Cfs(Settings(), daemon=SharedClient(lambda: DirectClient(fixture, read_only=True)))
    with pytest.raises(CfsError, match=r"unable to tell 'kv/x' - .*Operation not permitted"):
        reader.status_set("kv/x", b"1")
    with pytest.raises(CfsError, match="more than 255 bytes"):
        cfs.status_set("k" * 300, b"1")
    client.away = True
    with pytest.raises(CfsUnavailableError, match=r"unable to read the cluster log - .*pve-cluster"):
        cfs.cluster_log()


@pytest.mark.parametrize("found", [{}, {"kvstore": []}, {"starttime": 1, "clinfo": "x", "vmlist": 0}])
def test_counters_that_make_no_sense_are_refused(found: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="counters"):
        Changes.of(found)


def test_all_objects_of_a_process_share_one_connection(tmp_path: Path) -> None:
    assert shared_client(Settings(tmp_path)) is shared_client(Settings(tmp_path))
    with pytest.raises(CfsUnavailableError):
        Cfs(Settings(tmp_path)).changes()


def test_a_child_neither_uses_nor_closes_what_is_its_parents(fixture: Fixture) -> None:
    """A task closes all descriptors; numbers that it then uses must not be closed by an old connection."""

    class Connected(DirectClient):
        def __init__(self) -> None:
            super().__init__(fixture)
            self.socket: socket.socket | None = None

        def call(self, operation: int, body: bytes = b"") -> bytes:
            self.socket = self.socket or socket.socket(socket.AF_UNIX)
            return super().call(operation, body)

        def abandon(self) -> None:
            if self.socket is not None:
                self.socket.close()
                self.socket = None

    shared = SharedClient(Connected)
    shared.changes()
    with shared._lock:  # another thread is in the middle of a call
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.closerange(3, 64)
                number = os.open("/dev/null", os.O_RDONLY)
                shared.changes()
                gc.collect()
                os.fstat(number)
                code = 0
            finally:
                os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    shared.use(lambda client: client.abandon())
