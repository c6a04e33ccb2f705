"""The CA, node certificates and the ticket key (pvecm 4.5, 4.6)."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from quorate.cfs import LockError
from quorate.cluster import certificates as certs
from quorate.cluster import nodefiles, ssh
from quorate.cluster.host import ClusterError, Host
from tests.unit.cluster.joinstand import NOW, Node

START = datetime.datetime.fromtimestamp(NOW, datetime.UTC) - datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def key() -> bytes:
    return certs.new_key(2048)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: bytes) -> Node:
    monkeypatch.setattr(certs, "new_key", lambda bits: key)
    found = Node(tmp_path)
    (tmp_path / "etc/resolv.conf").write_text("domain a.test\nsearch lab.test other.test\n")
    return found


def load(node: Node, path: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(node.host.cfs.read(path))


def test_everything_a_node_needs_is_made_once(node: Node) -> None:
    nodefiles.generate_node_files(node.host)
    mount = node.settings.mountpoint
    before = {path: path.read_bytes() for path in mount.rglob("*") if path.is_file()}
    nodefiles.generate_node_files(node.host)
    assert {path: path.read_bytes() for path in before} == before
    made = sorted(str(path.relative_to(mount)) for path in before if not path.name.startswith("."))
    assert made == [
        "authkey.pub",
        "nodes/n2/pve-ssl.key",
        "nodes/n2/pve-ssl.pem",
        "priv/authkey.key",
        "priv/pve-root-ca.key",
        "priv/pve-root-ca.srl",
        "pve-root-ca.pem",
        "pve-www.key",
    ]
    assert all(not (mount / name).stat().st_mode & 0o077 for name in made if name.startswith("priv/"))


def test_the_ca(node: Node) -> None:
    nodefiles.generate_node_files(node.host)
    ca = load(node, certs.CA_CERTIFICATE)
    names = [(attribute.rfc4514_attribute_name, attribute.value) for attribute in ca.subject]
    assert names[0] == ("CN", "Proxmox Virtual Environment")
    assert names[1][0] == "OU"
    assert names[2] == ("O", "PVE Cluster Manager CA")
    assert ca.subject == ca.issuer
    assert ca.not_valid_before_utc == START
    assert ca.not_valid_after_utc - ca.not_valid_before_utc == datetime.timedelta(days=3650)
    basic = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert basic.value.ca


def test_the_node_certificate(node: Node) -> None:
    nodefiles.generate_node_files(node.host)
    found = load(node, certs.node_certificate("n2"))
    assert [(a.rfc4514_attribute_name, a.value) for a in found.subject] == [
        ("OU", "PVE Cluster Node"),
        ("O", "Proxmox Virtual Environment"),
        ("CN", "n2.lab.test"),
    ]
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == [
        "127.0.0.1",
        "::1",
        "localhost",
        "10.0.0.2",
        "n2",
        "n2.lab.test",
    ]
    assert found.serial_number == 1
    assert found.not_valid_before_utc == START
    assert found.not_valid_after_utc - found.not_valid_before_utc == datetime.timedelta(days=730)
    assert {extension.oid for extension in found.extensions} == {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    }
    found.verify_directly_issued_by(load(node, certs.CA_CERTIFICATE))


def test_openssl_verifies_the_chain(node: Node) -> None:
    nodefiles.generate_node_files(node.host)
    mount = node.settings.mountpoint
    argv = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "10.0.0.2"]
    argv += ["-attime", str(NOW), "-CAfile", str(mount / certs.CA_CERTIFICATE)]
    done = subprocess.run(
        [*argv, str(mount / certs.node_certificate("n2"))], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_serials_count_up_and_force_signs_anew(node: Node) -> None:
    nodefiles.generate_node_files(node.host)
    nodefiles.generate_node_files(node.host, force_certificate=True)
    assert load(node, certs.node_certificate("n2")).serial_number == 2
    assert node.host.cfs.read(certs.CA_SERIAL) == b"0000000000000002\n"


def test_a_new_ca_signs_the_node_anew(node: Node) -> None:
    nodefiles.generate_node_files(node.host)
    node.host.cfs.remove(certs.CA_CERTIFICATE)
    nodefiles.generate_node_files(node.host)
    load(node, certs.node_certificate("n2")).verify_directly_issued_by(load(node, certs.CA_CERTIFICATE))


def test_a_broken_serial_file_stops_signing(node: Node) -> None:
    nodefiles.generate_node_files(node.host)
    node.host.cfs.write(certs.CA_SERIAL, b"zz\n", mode=0o600)
    with pytest.raises(ClusterError, match="holds no hexadecimal number: 'zz'"):
        nodefiles.generate_node_files(node.host, force_certificate=True)


def test_a_ca_at_its_end_signs_nothing(key: bytes) -> None:
    now = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    with pytest.raises(
        ClusterError, match=r"^CA expires in less than 2 weeks, unable to generate certificate"
    ):
        certs.new_node_certificate(
            ca_pem=certs.new_ca(key, now - datetime.timedelta(days=3640)),
            ca_key_pem=key,
            key_pem=key,
            node="n1",
            ip="10.0.0.1",
            domain=None,
            serial=1,
            now=now,
        )


def test_the_public_ticket_key_fits(node: Node, key: bytes) -> None:
    nodefiles.generate_node_files(node.host)
    assert node.host.cfs.read(certs.AUTH_PUBLIC_KEY) == certs.public_key(key)
    assert node.host.cfs.read(certs.AUTH_KEY).startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    assert not list((node.settings.mountpoint / "priv/lock").iterdir())


@pytest.mark.parametrize(
    ("lock", "change"),
    [
        (certs.SERIAL_LOCK, lambda host: nodefiles.generate_node_files(host, force_certificate=True)),
        (ssh.AUTHORIZED_KEYS_LOCK, ssh.merge_shared_keys),
        (ssh.KNOWN_HOSTS_LOCK, lambda host: ssh.merge_host_keys(host, create_link=False)),
    ],
)
def test_nodes_that_join_together_do_not_overwrite_each_other(
    node: Node, lock: str, change: Callable[[Host], object]
) -> None:
    """What all nodes read, add to and write back is changed under a lock of the cluster."""
    nodefiles.generate_node_files(node.host)
    before = node.host.cfs.read(certs.CA_SERIAL)
    held = node.settings.mountpoint / "priv/lock" / lock
    held.mkdir(parents=True, exist_ok=True)
    with pytest.raises(LockError, match="got lock request timeout"):
        change(node.host)
    assert node.host.cfs.read(certs.CA_SERIAL) == before
    held.rmdir()
    change(node.host)
    assert not held.exists()
