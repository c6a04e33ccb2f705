"""What the QDevice daemon says of itself, over a socket of the test's (pvecm 5.5)."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quorate.api import corosync_view
from quorate.cluster import qdevice
from quorate.cluster.host import ClusterError
from quorate.cluster.qdevice import STATUS_KEYS, configured, daemon_status, parse_status
from quorate.schema import ApiError
from quorate.settings import Settings
from tests.unit.api.cluster_world import Api
from tests.unit.cluster.joinstand import Node

VERBOSE = """\
Qdevice information
-------------------
Model:\t\t\tNet
Node ID:\t\t1
HB interval:\t\t8000ms
Sync HB interval:\t24000ms
Configured node list:
    0\tNode ID = 1
    1\tNode ID = 2
Heuristics:\t\tDisabled
Ring ID:\t\t1.5
Membership node list:\t1, 2
Quorate:\t\tYes

Qdevice-net information
----------------------
Cluster name:\t\tlab
QNetd host:\t\t10.0.0.9:5403
Connect timeout:\t8000ms
Force IP version:\tNot set (0)
TLS:\t\t\tRequired
Algorithm:\t\tFifty-Fifty split
Tie-breaker:\t\tNode with lowest node ID
KAP Tie-breaker:\tEnabled
Poll timer running:\tYes (cast vote)
State:\t\t\tConnected
 State:\t\t\tan indented line
TLS active:\t\tYes (client certificate sent)
Connected since:\t2021-09-14T11:00:00
Echo reply received:\t2021-09-14T11:06:46
Last poll call:\t\t2021-09-14T11:06:47 (cast vote)
"""
"""In the form of the daemon's answer to ``status verbose``: tabs as separators, lists indented."""
EXPECTED = {
    "Model": "Net",
    "Algorithm": "Fifty-Fifty split",
    "State": "Connected",
    "QNetd host": "10.0.0.9:5403",
    "Tie-breaker": "Node with lowest node ID",
    "Last poll call": "2021-09-14T11:06:47 (cast vote)",
}
"""The specification's example."""

DEVICE = b"""totem { version: 2 cluster_name: lab config_version: 4 }
nodelist { node { name: n1 nodeid: 1 ring0_addr: 10.0.0.1 } node { name: n2 nodeid: 2 ring0_addr: 10.0.0.2 } }
quorum { provider: corosync_votequorum
device { model: net net { algorithm: ffsplit host: 10.0.0.9 tls: on } votes: 1 } }
"""
NO_DEVICE = DEVICE.partition(b"device {")[0] + b"}\n"


@pytest.fixture
def node() -> Iterator[Node]:
    # The path of a socket has 107 bytes: pytest's own directories are too deep
    with tempfile.TemporaryDirectory(prefix="quorate-") as directory:
        yield Node(Path(directory))


def _path(settings: Settings) -> Path:
    path = settings.at("/var/run/corosync-qdevice/corosync-qdevice.sock")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def daemon(node: Node) -> Iterator[Callable[[bytes], list[bytes]]]:
    """Starts a daemon that answers one question with the given bytes; what it was asked."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    threads: list[threading.Thread] = []

    def start(answer: bytes) -> list[bytes]:
        asked: list[bytes] = []

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                asked.append(connection.recv(100))
                with contextlib.suppress(ConnectionError):  # cut, when it is too much
                    connection.sendall(answer)

        listening.bind(str(_path(node.settings)))
        listening.listen()
        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return asked

    yield start
    for thread in threads:
        thread.join(10)
    listening.close()


def test_the_example_of_the_specification(node: Node, daemon: Callable[[bytes], list[bytes]]) -> None:
    asked = daemon(VERBOSE.encode())
    assert daemon_status(node.host) == EXPECTED
    assert asked == [b"status verbose\n"]


def test_the_operation_gives_it(node: Node, daemon: Callable[[bytes], list[bytes]]) -> None:
    daemon(VERBOSE.encode())
    assert Api(node.settings)("GET", "/cluster/config/qdevice") == EXPECTED


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("State:\t\t\tConnect failed", {"State": "Connect failed"}),
        ("Last poll call:\t\tNever", {"Last poll call": "Never"}),
        ("QNetd host:\t\t[fe80::1]:5403", {"QNetd host": "[fe80::1]:5403"}),
        ("Algorithm: LMS", {"Algorithm": "LMS"}),
        ("Echo reply received:\tx", {}),
        ("\tState:\tConnected", {}),
        ("State", {}),
        ("Something:\telse", {}),
        ("", {}),
    ],
)
def test_lines_of_the_daemon(line: str, expected: dict[str, str]) -> None:
    assert parse_status(f"{line}\n") == expected
    assert expected.keys() <= STATUS_KEYS


def test_no_daemon(node: Node) -> None:
    assert daemon_status(node.host) == {}
    _path(node.settings).write_text("a file is no socket")
    assert daemon_status(node.host) == {}
    assert Api(node.settings)("GET", "/cluster/config/qdevice") == {}


def test_a_daemon_that_died_and_left_its_socket(node: Node) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(_path(node.settings)))
    with pytest.raises(ClusterError, match=r"unable to ask the QDevice daemon at .* - Connection refused"):
        daemon_status(node.host)
    with pytest.raises(ApiError) as failed:
        Api(node.settings)("GET", "/cluster/config/qdevice")
    assert failed.value.status == 500


def test_a_daemon_that_says_nothing_is_given_up(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qdevice, "SOCKET_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind(str(_path(node.settings)))
        silent.listen()
        with pytest.raises(ClusterError, match="timed out"):
            daemon_status(node.host)


def test_a_daemon_that_does_not_end_is_cut(node: Node, daemon: Callable[[bytes], list[bytes]]) -> None:
    daemon(b"State:\tConnected\n" + b"x: y\n" * (qdevice.MAX_ANSWER // 5))
    assert daemon_status(node.host) == {"State": "Connected"}


# -- configured, and does it run? -------------------------------------------------------------------------


def test_what_is_configured(node: Node) -> None:
    assert configured(node.host) is None
    node.settings.cluster_conf.write_bytes(NO_DEVICE)
    assert configured(node.host) is None
    node.settings.cluster_conf.write_bytes(DEVICE)
    assert configured(node.host) == {
        "model": "net",
        "host": "10.0.0.9",
        "algorithm": "ffsplit",
        "votes": 1,
    }
    node.settings.cluster_conf.write_bytes(DEVICE.replace(b"votes: 1", b"").replace(b"ffsplit", b"lms"))
    assert configured(node.host) == {"model": "net", "host": "10.0.0.9", "algorithm": "lms"}


def test_a_device_whose_daemon_does_not_run_is_not_none(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """`/cluster/config/qdevice` is empty in both cases, as the original's clients expect it."""
    one = {"votes": 2, "expected": 3, "highest_expected": 3, "needed": 2, "spare": 0}
    counted = {"quorate": True, **one, "flags": [], "nodes": []}
    monkeypatch.setattr(corosync_view, "read_quorum", lambda: dict(counted))
    api = Api(node.settings)
    node.settings.cluster_conf.write_bytes(NO_DEVICE)
    assert "qdevice" not in api("GET", "/cluster/quorum")
    node.settings.cluster_conf.write_bytes(DEVICE)
    said = {"configured": 1, "model": "net", "host": "10.0.0.9", "algorithm": "ffsplit", "votes": 1}
    unseen = {"registered": 0, "alive": 0, "votes_for_us": 0}
    assert api("GET", "/cluster/quorum")["qdevice"] == said | unseen
    node.settings.cluster_conf.write_bytes(b"quorum {")
    assert "qdevice" not in api("GET", "/cluster/quorum")  # Corosync counts all the same


def test_the_device_is_the_same_in_the_cluster_s_quorum_and_for_a_node(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = {"votes": 3, "expected": 3, "highest_expected": 3, "needed": 2, "spare": 1}
    seen = {"votes": 1, "registered": True, "alive": True, "votes_for_us": True}
    corosync = {"name": "Qdevice", **seen, "master_wins": False}
    counted = {"quorate": True, **one, "flags": [], "nodes": [], "qdevice": corosync}
    monkeypatch.setattr(corosync_view, "read_quorum", lambda: dict(counted))
    api = Api(node.settings)
    node.settings.cluster_conf.write_bytes(DEVICE)
    whole = api("GET", "/cluster/quorum")["qdevice"]
    view = api("GET", "/nodes/n1/corosync/qdevice")
    assert view == {key: whole[key] for key in whole if key not in ("name", "master_wins")} | {"daemon": {}}
    assert (whole["configured"], whole["host"], whole["registered"]) == (1, "10.0.0.9", 1)
    # Corosync goes on with a device that corosync.conf has no more, until it reads the file
    node.settings.cluster_conf.write_bytes(NO_DEVICE)
    assert api("GET", "/cluster/quorum")["qdevice"]["configured"] == 0
    assert api("GET", "/nodes/n1/corosync/qdevice") == {"configured": 0}
