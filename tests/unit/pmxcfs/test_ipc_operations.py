"""Every operation against the recorded conversation, and the original's mistakes that are not made here."""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.ipc import codec, operations
from quorate.ipc.operations import Op
from quorate.pmxcfs.effects import Message
from quorate.pmxcfs.ipcconnection import Peer, respond
from quorate.pmxcfs.ipcops import Operations
from quorate.pmxcfs.status import MessageType
from tests.support.ipc_vectors import CLIENT_PID, IPC, Exchange, Fixture, exchanges, put

ROOT = Peer(CLIENT_PID, 0, 0, read_only=False)
READER = Peer(CLIENT_PID, 33, 33, read_only=True)


class Service:
    """Operations over the recorded fixture, and what they broadcast."""

    def __init__(self) -> None:
        self.fixture = Fixture()
        self.sent: list[Message] = []
        self.operations = Operations(self.fixture.status, lambda: self.fixture.tree, self.sent.append)

    def call(self, peer: Peer, op: int, body: bytes = b"") -> tuple[int, bytes]:
        request = codec.pack_request(op, body)
        response = respond(self.operations, peer, request, codec.MAX_MESSAGE)
        return codec.unpack_response(response).error, response[codec.RESPONSE_BYTES :]


def recorded(service: Service, peer: Peer, sequence: list[Exchange]) -> None:
    wrong = {
        label: (response, got)
        for label, request, response in sequence
        if (got := respond(service.operations, peer, request, codec.MAX_MESSAGE)) != response
        and not same_lines(got, response)
    }
    assert wrong == {}


def same_lines(got: bytes, expected: bytes) -> bool:
    """The order of guests and of members of tables is nobody's business."""
    return got[:24] == expected[:24] and sorted(got[24:].replace(b",", b"").split(b"\n")) == sorted(
        expected[24:].replace(b",", b"").split(b"\n")
    )


def test_the_recorded_conversation_of_root_then_of_www_data() -> None:
    service = Service()
    sequence = exchanges(IPC["sequence_root"])
    assert len(sequence) == 100
    recorded(service, ROOT, sequence)
    recorded(service, READER, exchanges(IPC["sequence_www_data"]))


def test_the_recorded_rrd_dumps() -> None:
    service = Service()
    assert service.call(ROOT, Op.SET_STATUS, operations.set_status("rrd/foo/bar", b"1:2:3\0"))[0] == 0
    recorded(service, ROOT, exchanges(IPC["rrd_dump"]["set"]))
    service.fixture.now += 3
    recorded(service, ROOT, exchanges(IPC["rrd_dump"]["then_3s_later"]))


@pytest.mark.parametrize(
    "path",
    [
        "priv",
        "//priv//token.cfg",
        "nodes/n3//priv/key",
        "nodes//n3/priv/key",
        "nodes//n3//priv//key",
        "///nodes/n3/priv",
        "nodes/n3/priv//",
    ],
)
def test_no_spelling_of_a_private_path_opens_it(path: str) -> None:
    """The original tests the text as it came, so a doubled slash opens private files to everybody."""
    assert Service().call(READER, Op.GET_CONFIG, operations.get_config(path)) == (-errno.EPERM, b"")


@given(
    st.lists(st.sampled_from(["/", "//", "nodes", "n3", "priv", "key", "token.cfg", ".", ".."]), max_size=10)
)
def test_no_path_shows_a_private_file_to_readers(parts: list[str]) -> None:
    _, payload = PRIVATE.call(READER, Op.GET_CONFIG, operations.get_config("".join(parts)))
    assert b"secret" not in payload
    assert b"1111" not in payload


PRIVATE = Service()


def test_root_reads_a_private_file_through_doubled_slashes() -> None:
    assert Service().call(ROOT, Op.GET_CONFIG, operations.get_config("nodes/n3//priv/key")) == (
        0,
        b"secret\n",
    )


def test_a_log_message_is_judged_by_its_own_last_byte() -> None:
    """The original looks at the byte after the request and so refuses good requests at random."""
    service = Service()
    good = operations.log(6, "root@pam", "tag", "text")
    assert service.call(ROOT, Op.LOG_CLUSTER_MSG, good) == (0, b"")
    assert service.call(ROOT, Op.LOG_CLUSTER_MSG, good[:-1]) == (
        0,
        b"",
    )  # unterminated: all of it is the text
    log = service.fixture.status.clusterlog()
    assert log.count(b'"msg": "text"') == 2


@pytest.mark.parametrize("lengths", [(0, 4), (9, 0), (0, 0)])
def test_a_log_entry_without_user_or_tag_field_is_refused(lengths: tuple[int, int]) -> None:
    body = bytes((6, *lengths)) + b"root@pam\0tag\0text\0"
    assert Service().call(ROOT, Op.LOG_CLUSTER_MSG, body) == (-errno.EINVAL, b"")


def test_a_log_entry_carries_the_clients_pid_and_is_broadcast() -> None:
    service = Service()
    service.call(Peer(4711, 0, 0, read_only=False), Op.LOG_CLUSTER_MSG, operations.log(6, "a@pam", "t", "m"))
    assert [message.subtype for message in service.sent] == [MessageType.LOG]
    assert b'"pid": 4711' in service.fixture.status.clusterlog()


def test_a_value_is_broadcast_once_and_a_refused_one_never() -> None:
    service = Service()
    assert service.call(ROOT, Op.SET_STATUS, operations.set_status("kv/x", b"v\0")) == (0, b"")
    assert [message.subtype for message in service.sent] == [MessageType.UPDATE]
    for key, value in (("kv/x", bytes(32769)), ("nodeip", b"1"), ("rrd/a", bytes(5000))):
        assert service.call(ROOT, Op.SET_STATUS, operations.set_status(key, value))[0] < 0
    assert service.call(READER, Op.SET_STATUS, operations.set_status("kv/x", b""))[0] == -errno.EPERM
    assert len(service.sent) == 1


def test_many_values_are_broadcast_one_by_one_in_their_order() -> None:
    """No other member knows of a message with several."""
    service = Service()
    values = [("rrd/pve2-storage/n1/a", b"1:2:3\0"), ("kv/x", bytes(32769)), ("kv/x", b"v"), ("nodeip", b"1")]
    body = operations.set_statuses(values)
    assert service.call(READER, Op.SET_STATUSES, body) == (-errno.EPERM, b"")
    assert service.sent == []
    assert service.call(ROOT, Op.SET_STATUSES, body) == (-errno.EFBIG, b"")
    keys = [message.payload[0].rstrip(b"\0") for message in service.sent]
    assert keys == [b"rrd/pve2-storage/n1/a", b"kv/x"]
    assert service.call(ROOT, Op.GET_STATUS, operations.get_status("kv/x")) == (0, b"v")
    assert service.call(ROOT, Op.SET_STATUSES, b"") == (0, b"")


@pytest.mark.parametrize(
    "spoilt",
    [
        struct.pack("<II", 0, 1) + b"v",
        struct.pack("<II", 256, 0) + b"k" * 256,
        struct.pack("<II", 4, 2) + b"kv/yv",
        struct.pack("<II", 4, 2**32 - 1) + b"kv/yv",
        struct.pack("<I", 4),
    ],
)
def test_of_a_spoilt_list_of_values_none_is_stored(spoilt: bytes) -> None:
    service = Service()
    body = operations.set_statuses([("kv/x", b"v")]) + spoilt
    assert service.call(ROOT, Op.SET_STATUSES, body) == (-errno.EINVAL, b"")
    assert service.sent == []
    assert service.call(ROOT, Op.GET_STATUS, operations.get_status("kv/x"))[0] == -errno.ENOENT


def test_an_rrd_value_is_broadcast_unmodified() -> None:
    """The original cuts surplus columns out of the very bytes that it sends on."""
    service = Service()
    value = b"1000:c:1795354124" + b":1" * 22 + b"\0"
    service.call(ROOT, Op.SET_STATUS, operations.set_status("rrd/pve-node-9.2/n3", value))
    assert service.sent[0].payload[1] == value


def test_a_file_of_the_greatest_size_is_refused_where_no_client_can_take_it() -> None:
    service = Service()
    put(service.fixture.tree, b"big", bytes(1 << 20))
    put(service.fixture.tree, b"fits", bytes((1 << 20) - 24))
    assert service.call(ROOT, Op.GET_CONFIG, operations.get_config("big")) == (-errno.ENOBUFS, b"")
    assert len(service.call(ROOT, Op.GET_CONFIG, operations.get_config("fits"))[1]) == (1 << 20) - 24


def test_a_token_is_compared_line_by_line() -> None:
    service = Service()
    put(service.fixture.tree, b"x", b"")
    token = "root@pam!t1 11111111-2222-3333-4444-555555555555"
    assert service.call(READER, Op.VERIFY_TOKEN, operations.verify_token(token)) == (0, b"")
    assert service.call(READER, Op.VERIFY_TOKEN, operations.verify_token(token[1:]))[0] == -errno.ENOENT
    service.fixture.tree.delete(b"priv/token.cfg", 1, 0, 0)
    assert service.call(READER, Op.VERIFY_TOKEN, operations.verify_token(token))[0] == -errno.ENOENT


def test_all_tokens_are_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long the answer takes must not tell where in the file the token is, or how much of it fits."""
    service = Service()
    service.fixture.tree.delete(b"priv/token.cfg", 1, 0, 0)
    put(service.fixture.tree, b"priv/token.cfg", b"a@pve!x one\nb@pve!x two\nc@pve!x three\n")
    compared: list[bytes] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return one == other

    monkeypatch.setattr("quorate.pmxcfs.ipcops.hmac.compare_digest", compare)
    for token in ("a@pve!x one", "c@pve!x three", "nobody@pve!x four"):
        compared.clear()
        service.call(READER, Op.VERIFY_TOKEN, operations.verify_token(token))
        assert compared == [b"a@pve!x one", b"b@pve!x two", b"c@pve!x three", b""]


@pytest.mark.parametrize("op", [Op.GET_GUEST_CONFIG_PROPERTY, Op.GET_GUEST_CONFIG_PROPERTIES])
def test_requests_for_properties_that_are_too_short_are_refused(op: Op) -> None:
    """Of these the original computes nonsense lengths."""
    whole = {
        Op.GET_GUEST_CONFIG_PROPERTY: operations.guest_property(100, "n"),
        Op.GET_GUEST_CONFIG_PROPERTIES: operations.guest_properties(100, ["n"]),
    }[op]
    service = Service()
    assert service.call(READER, op, whole)[0] == 0
    for length in range(len(whole) - 1):
        assert service.call(READER, op, whole[:length]) == (-errno.EINVAL, b"")


def test_a_size_field_that_lies_is_refused() -> None:
    service = Service()
    for op in Op:
        for claimed in (15, 17 + (1 << 20), -1):
            request = struct.pack("<i4xi4x", op, claimed) + b"x"
            response = respond(service.operations, ROOT, request, codec.MAX_MESSAGE)
            assert codec.unpack_response(response).error == -errno.EINVAL


def test_what_pads_an_answer_is_zero() -> None:
    """The original leaves there what was on its stack."""
    response = respond(
        Service().operations, ROOT, codec.pack_request(Op.GET_FS_VERSION, b""), codec.MAX_MESSAGE
    )
    assert response[4:8] + response[12:16] + response[20:24] == bytes(12)


ANY = st.one_of(
    st.binary(max_size=64),
    st.builds(
        lambda op, body, delta: struct.pack("<i4xi4x", op, 16 + len(body) + delta) + body,
        st.integers(-5, 20),
        st.one_of(st.binary(max_size=40), st.binary(min_size=520, max_size=540)),
        st.integers(-3, 3),
    ),
)


@given(ANY, st.booleans())
def test_any_message_is_answered_with_its_id_and_a_true_size(data: bytes, read_only: bool) -> None:
    peer = READER if read_only else ROOT
    response = respond(FUZZED.operations, peer, data, codec.MAX_MESSAGE)
    header = codec.unpack_response(response)
    assert header.operation == codec.operation_of(data)
    assert header.error <= 0
    assert header.error == 0 or len(response) == codec.RESPONSE_BYTES


FUZZED = Service()
