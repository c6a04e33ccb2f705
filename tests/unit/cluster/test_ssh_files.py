"""Merging keys and known hosts, and the files of secure shell on a node (pvecm 4.3)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from quorate.cluster import ssh
from quorate.cluster.host import ClusterError
from tests.unit.cluster.joinstand import Node


def hashed(name: str) -> str:
    salt = b"0123456789abcdef0123"
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Port 22\nPermitRootLogin yes\n", "Port 22\nPermitRootLogin yes\n"),
        ("#PermitRootLogin prohibit-password\nX 1\n", "PermitRootLogin yes\nX 1\n"),
        ("PermitRootLogin no\n", "PermitRootLogin yes\n"),
        ("Port 22", "Port 22\nPermitRootLogin yes\n"),
        ("", "PermitRootLogin yes\n"),
    ],
)
def test_root_may_log_in(before: str, after: str) -> None:
    assert ssh.permit_root_login(before) == after
    assert ssh.permit_root_login(after) == after


def test_keys_are_kept_once() -> None:
    merged = ssh.merge_authorized_keys(
        [
            "# ssh-rsa AAA not a key\nssh-rsa AAA root@n1\nssh-ed25519 EEE me\n",
            'ssh-rsa BBB root@n2\nfrom="x" ssh-rsa AAA again\n',
            "ssh-rsa BBB root@n2",
        ]
    )
    assert merged == (
        "# ssh-rsa AAA not a key\nssh-rsa AAA root@n1\nssh-ed25519 EEE me\nssh-rsa BBB root@n2\n"
    )


def test_own_host_key_is_added_once() -> None:
    first = ssh.merge_known_hosts("n1 ssh-rsa K1\n", "", "N2", "10.0.0.2", "K2")
    assert first == "n1 ssh-rsa K1\nN2 ssh-rsa K2\n10.0.0.2 ssh-rsa K2\n"
    assert ssh.merge_known_hosts(first, "", "N2", "10.0.0.2", "K2") == first


def test_stale_entries_of_the_own_name_go_whether_plain_or_hashed() -> None:
    shared = (
        f"n2 ssh-rsa OLD\n10.0.0.2 ssh-rsa OLD\n{hashed('n2')} ssh-rsa OLD\n{hashed('n9')} ssh-rsa K9\n"
        "@cert-authority * ssh-ed25519 X\n"
    )
    merged = ssh.merge_known_hosts(shared, "", "n2", "10.0.0.2", "K2")
    assert merged == (
        f"{hashed('n9')} ssh-rsa K9\n@cert-authority * ssh-ed25519 X\nn2 ssh-rsa K2\n10.0.0.2 ssh-rsa K2\n"
    )


def test_a_hashed_entry_with_the_own_key_counts() -> None:
    shared = f"{hashed('n2')} ssh-rsa K2\n"
    assert ssh.merge_known_hosts(shared, "", "n2", "10.0.0.2", "K2") == f"{shared}10.0.0.2 ssh-rsa K2\n"


def test_of_the_local_file_only_rsa_lines_come_in() -> None:
    merged = ssh.merge_known_hosts(
        "n1 ssh-rsa K1\n", "n1 ssh-rsa OTHER\nn3 ssh-rsa K3\nn4 ssh-ed25519 K4\n", "n2", "10.0.0.2", "K2"
    )
    assert merged.splitlines()[:2] == ["n1 ssh-rsa K1", "n3 ssh-rsa K3"]
    assert "n4" not in merged


def test_the_shared_key_file(tmp_path: Path) -> None:
    node = Node(tmp_path)
    own = node.settings.root_ssh_dir / "authorized_keys"
    own.parent.mkdir(parents=True)
    own.write_text("ssh-rsa ME admin@home\n")
    ssh.setup_root_client(node.host)
    ssh.setup_shared_keys(node.host)
    ssh.merge_shared_keys(node.host)
    assert own.is_symlink()
    assert own.readlink() == node.settings.mountpoint / "priv/authorized_keys"
    shared = node.settings.mountpoint / "priv/authorized_keys"
    assert shared.read_text() == "ssh-rsa ME admin@home\nssh-rsa OWN root@n2\n"
    assert shared.stat().st_mode & 0o777 == 0o600
    assert not own.with_name("authorized_keys.org").exists()


def test_keys_of_the_node_survive_where_the_shared_file_was_there_first(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.host.cfs.make_directory("priv")
    node.host.cfs.write("priv/authorized_keys", b"ssh-rsa OTHER root@n1\n", mode=0o600)
    own = node.settings.root_ssh_dir / "authorized_keys"
    own.parent.mkdir(parents=True)
    own.write_text("ssh-rsa ME admin@home\n")
    ssh.setup_shared_keys(node.host)
    assert own.with_name("authorized_keys.org").exists()
    ssh.merge_shared_keys(node.host)
    assert own.read_text() == "ssh-rsa OTHER root@n1\nssh-rsa ME admin@home\n"
    assert not own.with_name("authorized_keys.org").exists()


def test_known_hosts_become_a_link_and_a_file_again(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.host.cfs.make_directory("priv")
    local = node.settings.ssh_dir / "ssh_known_hosts"
    local.write_text("old ssh-rsa KO\n")
    ssh.merge_host_keys(node.host, create_link=True)
    text = "old ssh-rsa KO\nn2 ssh-rsa HOSTKEY\n10.0.0.2 ssh-rsa HOSTKEY\n"
    assert local.is_symlink()
    assert local.read_text() == text
    ssh.unlink_known_hosts(node.host)
    assert not local.is_symlink()
    assert local.read_text() == text


def test_a_node_without_host_key_is_named(tmp_path: Path) -> None:
    node = Node(tmp_path)
    path = node.settings.ssh_dir / "ssh_host_rsa_key.pub"
    path.write_text("ssh-ed25519 X\n")
    with pytest.raises(ClusterError, match=f"^can't parse {path}$"):
        ssh.write_node_host_key(node.host, "n2")


def test_the_command_between_members(tmp_path: Path) -> None:
    node = Node(tmp_path)
    usual = ["-e", "none", "-o", "BatchMode=yes", "-o", "HostKeyAlias=n1"]
    assert ssh.member_command(node.host, "n1", "10.0.0.1") == ["/usr/bin/ssh", *usual, "root@10.0.0.1"]
    node.host.cfs.make_directory("nodes/n1")
    node.host.cfs.write("nodes/n1/ssh_known_hosts", b"x")
    known = f"UserKnownHostsFile={node.settings.mountpoint}/nodes/n1/ssh_known_hosts"
    assert known in ssh.member_command(node.host, "n1", "10.0.0.1")
