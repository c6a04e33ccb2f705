"""The daily look at the node's certificate (pvecm 4.5), and the command that takes it (pvecm 11)."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509

from quorate.cli import pveupdate
from quorate.cluster import certificates as certs
from quorate.cluster import nodefiles, renewal
from quorate.cluster.host import ClusterError
from quorate.tasks import TaskStore, TaskStoreError
from tests.unit.cluster.joinstand import NOW, Node

START = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
DAY = datetime.timedelta(days=1)
RELOAD = "systemctl reload-or-restart pveproxy"


@pytest.fixture(scope="module")
def key() -> bytes:
    return certs.new_key(2048)


@pytest.fixture(scope="module")
def ca(key: bytes) -> bytes:
    return certs.new_ca(key, START)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: bytes) -> Node:
    monkeypatch.setattr(certs, "new_key", lambda bits: key)
    found = Node(tmp_path)
    nodefiles.generate_node_files(found.host)
    return found


def made(ca: bytes, key: bytes, when: datetime.datetime = START) -> bytes:
    return certs.new_node_certificate(
        ca_pem=ca, ca_key_pem=key, key_pem=key, node="n2", ip="10.0.0.2", domain=None, serial=1, now=when
    )


@pytest.mark.parametrize(
    ("days", "renew", "reason"),
    [
        (0, False, "it is valid until 2025-11-12"),
        (-1, False, "it is valid until 2025-11-12"),
        (-2, True, "it is valid for more than 2 years, until 2025-11-12"),
        (729 - 15, False, "it is valid until 2025-11-12"),
        (729 - 14, True, "it expires on 2025-11-12"),
        (728, True, "it expires on 2025-11-12"),
        (729, True, "it expired on 2025-11-12"),
        (3000, True, "it expired on 2025-11-12"),
    ],
)
def test_when_a_certificate_is_due(ca: bytes, key: bytes, days: int, renew: bool, reason: str) -> None:
    """Made at day 0, backdated by one day, for 730 days."""
    assert renewal.judge(made(ca, key), ca, START + days * DAY) == renewal.Verdict(renew, reason)


def test_certificates_of_others_are_left_alone(ca: bytes, key: bytes) -> None:
    other_key = certs.new_key(2048)
    after = START + 3000 * DAY
    strange = renewal.judge(made(certs.new_ca(other_key, START), other_key), ca, after)
    assert strange == renewal.Verdict(False, "it was not issued by the cluster's CA")
    forged = renewal.judge(made(ca, other_key), ca, after)
    assert forged == renewal.Verdict(False, "its signature is not that of the cluster's CA")
    with pytest.raises(ClusterError, match="unable to read the node's certificate"):
        renewal.judge(b"nothing", ca, after)


def test_a_due_certificate_is_replaced_and_served(node: Node) -> None:
    path = certs.node_certificate("n2")
    before = node.host.cfs.read(path)
    assert not renewal.renew_if_due(node.host)
    assert node.host.cfs.read(path) == before
    assert RELOAD not in node.commands.called
    node.time.wait(720 * 86400)
    assert renewal.renew_if_due(node.host)
    found = x509.load_pem_x509_certificate(node.host.cfs.read(path))
    assert found.not_valid_after_utc == START + (720 + 729) * DAY
    assert node.commands.called.count(RELOAD) == 1
    assert not renewal.renew_if_due(node.host)


def test_a_ca_that_ends_soon_is_an_error(node: Node) -> None:
    node.time.wait(3640 * 86400)
    with pytest.raises(ClusterError, match="CA expires in less than 2 weeks"):
        renewal.renew_if_due(node.host)
    assert RELOAD not in node.commands.called


def test_without_quorum_or_files_nothing_is_done(node: Node) -> None:
    node.time.wait(720 * 86400)
    (node.settings.mountpoint / certs.CA_CERTIFICATE).unlink()
    assert not renewal.renew_if_due(node.host)
    assert "'pvecm updatecerts' makes it" in node.said.out[-1]
    node.unmount()
    assert not renewal.renew_if_due(node.host)
    assert node.said.out[-1] == "no quorum: leaving the certificate as it is"


def test_a_job_that_fails_hinders_no_other(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned: list[TaskStore] = []

    def clean(store: TaskStore) -> int:
        cleaned.append(store)
        return 3

    monkeypatch.setattr(TaskStore, "clean", clean)
    node.host.cfs.write(certs.node_certificate("n2"), b"nothing")
    assert pveupdate.update(node.host) == 1
    assert len(cleaned) == 1
    assert node.said.err[0].startswith(
        "unable to renew the certificate: unable to read the node's certificate"
    )
    assert node.said.out[-1] == "removed 3 old task logs"


def test_both_jobs(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pveupdate.update(node.host) == 0
    assert node.said.err == []

    def fail(store: TaskStore) -> int:
        raise TaskStoreError("no luck")

    monkeypatch.setattr(TaskStore, "clean", fail)
    assert pveupdate.update(node.host) == 1
    assert node.said.err == ["unable to remove old task logs: no luck"]


def test_the_command_takes_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert pveupdate.main(["--help"]) == 2
    assert capsys.readouterr().err == "usage: pveupdate\n"
