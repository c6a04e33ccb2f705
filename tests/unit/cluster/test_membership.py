"""The cluster's side of joining and leaving, on files (pvecm 3.6 to 3.8, 4.1)."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from quorate.cfs import LockError, file_lock_id
from quorate.cluster import conffile, membership
from quorate.cluster.backup import KEPT_BACKUPS, backup_database
from quorate.cluster.host import AddressError, ClusterError, Host
from quorate.cluster.locks import local_lock
from quorate.corosync.conf import CorosyncConf, parse
from quorate.corosync.conf_edit import NewNode
from tests.unit.cluster.joinstand import Node

CONF = b"""totem { version: 2 secauth: on cluster_name: lab config_version: 4 interface { linknumber: 0 } }
nodelist { node { name: n1 nodeid: 1 quorum_votes: 1 ring0_addr: 10.0.0.1 }
node { name: n2 nodeid: 2 quorum_votes: 1 ring0_addr: 10.0.0.2 } }"""
NEW = NewNode("n3", fallback_ip="10.0.0.3")


@pytest.fixture
def node(tmp_path: Path) -> Node:
    found = Node(tmp_path)
    (found.settings.mountpoint / "nodes/n2").mkdir(parents=True)
    found.settings.cluster_conf.write_bytes(CONF)
    found.settings.corosync_dir.mkdir(parents=True)
    found.settings.corosync_authkey.write_bytes(b"key")
    return found


def test_a_node_is_admitted(node: Node) -> None:
    admitted = membership.add(node.host, NEW)
    assert admitted.authkey == b"key"
    assert "key" not in repr(admitted)
    assert admitted.conf == node.settings.cluster_conf.read_bytes()
    conf = parse(admitted.conf)
    assert conf.config_version == 5
    assert conf.nodes["n3"] == {"name": "n3", "nodeid": "3", "quorum_votes": "1", "ring0_addr": "10.0.0.3"}
    assert (node.settings.mountpoint / "nodes/n3/qemu-server").is_dir()
    assert not node.settings.cluster_conf.with_name("corosync.conf.new").exists()


def test_the_same_request_once_more_gives_the_present_file_and_does_not_write(node: Node) -> None:
    first = membership.add(node.host, NEW)
    again = membership.add(node.host, NewNode("n3", fallback_ip="10.0.0.3", force=True))
    assert again.conf == first.conf
    with pytest.raises(membership.RefusedError, match=r"^can't add existing node 'n3'$"):
        membership.add(node.host, NEW)


def test_every_fault_of_the_request_is_handed_back(node: Node) -> None:
    with pytest.raises(membership.RefusedError) as refused:
        membership.add(node.host, NewNode("n3", fallback_ip="10.0.0.1", nodeid=2))
    assert str(refused.value) == "corosync: address '10.0.0.1' already used on link ring0_addr by node 'n1'"
    assert refused.value.errors["error1"] == "corosync: nodeid 2 already used by node 'n2'"
    assert node.settings.cluster_conf.read_bytes() == CONF


def test_a_broken_configuration_is_not_extended(node: Node) -> None:
    node.settings.cluster_conf.write_bytes(CONF.replace(b"ring0_addr: 10.0.0.2", b""))
    with pytest.raises(membership.RefusedError, match=r"^invalid corosync.conf$") as refused:
        membership.add(node.host, NEW)
    assert refused.value.errors == {"error0": "node 'n2' is missing address for interface number 0"}


def test_a_joiner_from_the_future_past_is_refused(node: Node) -> None:
    with pytest.raises(ClusterError, match=r"^error: unsupported old API version on joining node \(-1\)"):
        membership.add(node.host, NewNode("n3", fallback_ip="10.0.0.3", api_version=-1))


@pytest.mark.parametrize("take_back", [True, False])
def test_quorum_that_goes_while_an_entry_is_taken_back_is_regained(
    node: Node, monkeypatch: pytest.MonkeyPatch, take_back: bool
) -> None:
    """Corosync counts the entry from a second after it was written, which is when a join may fail."""
    quorate = [True]
    regained: list[str] = []
    activate = conffile.activate

    def refused_once(host: Host, conf: CorosyncConf) -> CorosyncConf:
        if regained:
            return activate(host, conf)
        quorate[0] = False
        raise ClusterError("activating corosync.conf.new failed - Permission denied")

    def regain(_: Host, name: str) -> None:
        regained.append(name)
        quorate[0] = True

    monkeypatch.setattr(type(node.host.cfs), "quorate", lambda _: quorate[0])
    monkeypatch.setattr(conffile, "activate", refused_once)
    monkeypatch.setattr(membership, "_regain_quorum", regain)
    if take_back:
        membership.remove(node.host, "n1", take_back=True)
    else:
        with pytest.raises(ClusterError, match="Permission denied"):
            membership.remove(node.host, "n1")
    assert regained == (["n1"] if take_back else [])
    assert ("n1" in parse(node.settings.cluster_conf.read_bytes()).nodes) is not take_back


def test_without_quorum_nothing_is_admitted_or_removed(node: Node) -> None:
    node.unmount()
    for call in (lambda: membership.add(node.host, NEW), lambda: membership.remove(node.host, "n1")):
        with pytest.raises(Exception, match=r"^cluster not ready - no quorum\?$"):
            call()


def test_a_node_is_removed_by_name_or_address(node: Node) -> None:
    membership.remove(node.host, "10.0.0.1")
    assert "corosync-cfgtool -k 1" in node.commands.called
    conf = parse(node.settings.cluster_conf.read_bytes())
    assert (list(conf.nodes), conf.config_version) == (["n2"], 5)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("n2", "Cannot delete myself from cluster!"),
        ("10.0.0.2", "Cannot delete myself from cluster!"),
        ("n9", "Node/IP: n9 is not a known host of the cluster."),
    ],
)
def test_removals_that_are_refused(node: Node, name: str, text: str) -> None:
    with pytest.raises(ClusterError, match=f"^{text}$"):
        membership.remove(node.host, name)
    assert node.settings.cluster_conf.read_bytes() == CONF


@pytest.mark.parametrize(
    ("online", "leaving", "may"),
    [
        ({"n1"}, "n2", True),
        ({"n1", "n2"}, "n2", False),
        (set(), "n2", False),
        ({"n1"}, "n9", False),
    ],
)
def test_quorum_is_regained_only_if_no_other_partition_can_exist(
    online: set[str], leaving: str, may: bool
) -> None:
    assert membership.may_regain_quorum(parse(CONF), online, leaving) is may


def test_join_information_needs_a_cluster_and_a_member(node: Node) -> None:
    with pytest.raises(ClusterError, match=r"^unknown node 'n9'$"):
        membership.join_info(node.host, "n9")
    node.settings.cluster_conf.unlink()
    with pytest.raises(membership.NotClusteredError, match=r"^node is not in a cluster"):
        membership.join_info(node.host)
    assert membership.nodes(node.host) == []
    assert membership.totem(node.host) is None


def test_a_cluster_lock_is_taken_by_one(node: Node) -> None:
    lock_id = file_lock_id("corosync.conf")
    assert lock_id == "file-corosync_conf"
    waits: list[str] = []
    with node.host.cfs.lock(lock_id) as held:
        assert held.remaining() == 60
        with (
            pytest.raises(
                LockError, match=r"^cfs-lock 'file-corosync_conf' error: got lock request timeout$"
            ),
            node.host.cfs.lock(lock_id, waiting=waits.append),
        ):
            pass
        node.time.wait(61)
        with pytest.raises(LockError, match=r"^'file-corosync_conf'-locked command timed out - aborting$"):
            held.remaining()
    assert 9 <= len(waits) <= 11
    assert set(waits) == {"trying to acquire cfs lock 'file-corosync_conf' ..."}
    assert list((node.settings.mountpoint / "priv/lock").iterdir()) == []


def test_a_lock_that_became_anothers_is_left_alone(node: Node) -> None:
    directory = node.settings.mountpoint / "priv/lock/x"
    with node.host.cfs.lock("x"):
        directory.rename(directory.with_name("old"))
        directory.mkdir()
    assert directory.is_dir()


def test_without_quorum_there_are_no_locks(node: Node) -> None:
    node.unmount()
    with pytest.raises(LockError, match=r"^cfs-lock 'x' error: no quorum!$"), node.host.cfs.lock("x"):
        pass


def test_the_local_lock_is_waited_for_and_given_up(node: Node) -> None:
    path = node.settings.pvecm_lock
    path.parent.mkdir(parents=True)
    with path.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with (
            pytest.raises(ClusterError, match=rf"^can't lock file '{path}' - got timeout$"),
            local_lock(node.host, path),
        ):
            pass
    assert node.said.err == ["trying to acquire lock..."]
    with local_lock(node.host, path):
        assert path.exists()


def test_only_the_newest_backups_are_kept(node: Node) -> None:
    made = []
    for _ in range(KEPT_BACKUPS + 2):
        made.append(backup_database(node.host))
        node.time.wait(1)
    assert sorted(node.settings.backup_dir.iterdir()) == made[2:]
    assert node.settings.backup_dir.stat().st_mode & 0o777 == 0o700
    assert f"delete old backup '{made[0]}'" in node.said.out


def test_the_own_address_is_found_by_member_list_then_by_name(node: Node) -> None:
    (node.settings.mountpoint / ".members").write_text(
        '{"nodename":"n2","version":3,"cluster":{"name":"lab","version":4,"nodes":2,"quorate":1},'
        '"nodelist":{"n2":{"id":2,"online":1,"ip":"10.9.9.9"},"n1":{"id":1,"online":0}}}'
    )
    assert node.host.local_ip() == "10.9.9.9"
    assert node.host.cfs.members().nodes["n1"].online is False
    assert node.host.node_ip("n1") == "10.0.0.2"
    object.__setattr__(node.host, "lookup", lambda name: ["127.0.1.1", "::1"])
    with pytest.raises(AddressError, match=r"^address lookup for 'n1' did not find any IP address$"):
        node.host.node_ip("n1")
