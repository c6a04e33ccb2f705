"""Joining a cluster against a peer over real TLS, and every point at which it can fail (pvecm 3.2 to 3.5)."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from quorate.cluster import certificates as certs
from quorate.cluster.host import ClusterError
from quorate.cluster.join import JoinRequest, join
from quorate.cluster.peer import Peer
from quorate.corosync.conf_edit import Link
from quorate.tasks import steps_of
from tests.unit.cluster.joinstand import AUTHKEY, CONF, NOW, Cluster, Node, serve, usual_answers

PASSWORD = "secret&word"
REQUEST = JoinRequest(hostname="127.0.0.1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with serve(Cluster(), tmp_path_factory.mktemp("peer")) as cluster:
        yield cluster


@pytest.fixture
def cluster(server: Cluster) -> Cluster:
    server.asked.clear()
    server.headers.clear()
    server.answers.clear()
    usual_answers(server)
    return server


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    small = certs.new_key
    monkeypatch.setattr(certs, "new_key", lambda bits: small(2048))
    return Node(tmp_path)


def run(node: Node, cluster: Cluster, request: JoinRequest = REQUEST, *, pin: str | None = None) -> None:
    peer = Peer("127.0.0.1", pin=pin or cluster.fingerprint.lower(), port=cluster.port, timeout=10)
    join(node.host, request, peer, PASSWORD)


def test_a_node_joins(node: Node, cluster: Cluster) -> None:
    run(node, cluster, JoinRequest("127.0.0.1", links={0: Link("10.0.0.2")}))
    settings = node.settings
    assert settings.corosync_authkey.read_bytes() == AUTHKEY
    assert settings.corosync_authkey.stat().st_mode & 0o777 == 0o400
    assert settings.corosync_conf.read_bytes() == CONF
    assert settings.corosync_conf.stat().st_mode & 0o777 == 0o644
    assert not settings.database.exists()
    assert [path.name for path in settings.state_dir.iterdir()] == ["backup"]
    assert node.said.err == ["cluster: mind the gap"]
    assert [line for line in node.said.out if "undo" in line] == []
    assert node.said.out[:8] == [
        "Establishing API connection with host '127.0.0.1'",
        "Login succeeded.",
        "check cluster join API version",
        "Request addition of this node",
        "Join request OK, finishing setup locally",
        "stopping pve-cluster service",
        f"backup old database to '{settings.backup_dir}/config-{NOW}.sql.gz'",
        "(re)generate node files",
    ]
    assert node.said.out[-2:] == [
        "generated new node certificate, restart pveproxy and pvedaemon services",
        "successfully added node 'n2' to cluster.",
    ]
    assert (settings.mountpoint / "nodes/n2/pve-ssl.pem").exists()
    with gzip.open(settings.backup_dir / f"config-{NOW}.sql.gz") as dump:
        assert b"INSERT INTO tree VALUES(1,CAST(X'ff41' AS TEXT),X'0102');" in dump.read()


def test_its_steps_are_told_by_what_it_prints(node: Node, cluster: Cluster) -> None:
    run(node, cluster)
    reached = [
        next(
            step.name
            for step in steps_of("clusterjoin", node.said.out[:count], None)
            if step.state == "running"
        )
        for count in range(len(node.said.out) + 1)
    ]
    assert list(dict.fromkeys(reached)) == [
        "Check this node",
        "Log in to the peer",
        "Ask for the addition",
        "Take over configuration and key",
        "Stop the file system",
        "Set the old database aside",  # there is quorum at once
        "Make the node's files",
        "Restart the API",
    ]


def test_what_is_sent(node: Node, cluster: Cluster) -> None:
    links = {0: Link("10.0.0.2", 15), 1: Link("n2-ring1")}
    run(node, cluster, JoinRequest("127.0.0.1", links=links, nodeid=7, votes=0, force=True))
    assert cluster.requests() == [
        "POST /access/ticket",
        "GET /cluster/config/apiversion",
        "GET /cluster/config/nodes",
        "POST /cluster/config/nodes/n2",
    ]
    assert cluster.asked[0][2] == {"username": "root@pam", "password": PASSWORD}
    assert cluster.asked[3][2] == {
        "force": "1",
        "nodeid": "7",
        "votes": "0",
        "link0": "10.0.0.2,priority=15",
        "link1": "10.0.0.2",
        "apiversion": "1",
    }
    assert cluster.headers[3]["Cookie"] == "PVEAuthCookie=PVE%3Aroot%40pam%3A5%3A%3Asig%2B%2F%3D"
    assert cluster.headers[3]["CSRFPreventionToken"] == "5:csrf"


def test_an_old_cluster_gets_the_address_as_link(node: Node, cluster: Cluster) -> None:
    cluster.set("GET", "/cluster/config/apiversion", status=501, reason="no")
    run(node, cluster)
    assert cluster.asked[3][2] == {"link0": "10.0.0.2"}
    assert "No cluster network links passed explicitly, fallback to local node IP '10.0.0.2'" in node.said.out


def test_the_password_is_not_sent_to_the_wrong_peer(node: Node, cluster: Cluster) -> None:
    before = node.state()
    with pytest.raises(ClusterError, match=rf"^fingerprint '{cluster.fingerprint}' not verified, abort!$"):
        run(node, cluster, pin="AA:" * 31 + "AA")
    assert cluster.asked == []
    assert node.state() == before


@pytest.mark.parametrize("answer", [True, False])
def test_the_fingerprint_is_asked_for_before_anything_is_sent(cluster: Cluster, answer: bool) -> None:
    asked = []

    def ask(host: str, fingerprint: str) -> bool:
        asked.append((host, fingerprint, list(cluster.asked)))
        return answer

    peer = Peer("127.0.0.1", ask=ask, port=cluster.port, timeout=10)
    if answer:
        peer.login("root@pam", PASSWORD)
        assert peer.pin == cluster.fingerprint
    else:
        with pytest.raises(ClusterError, match=r"^Fingerprint not verified, abort!$"):
            peer.login("root@pam", PASSWORD)
        assert cluster.asked == []
    assert asked == [("127.0.0.1", cluster.fingerprint, [])]


def refuse_login(node: Node, cluster: Cluster) -> None:
    cluster.set("POST", "/access/ticket", status=401, reason="authentication failure")


def no_api(node: Node, cluster: Cluster) -> None:
    cluster.set("POST", "/access/ticket", status=501, reason="nothing")


def refuse_addition(node: Node, cluster: Cluster) -> None:
    cluster.set(
        "POST",
        "/cluster/config/nodes/n2",
        {"warning0": "w", "error0": "e"},
        status=500,
        reason="can't add existing node 'n2'",
    )


def no_answer(node: Node, cluster: Cluster) -> None:
    cluster.answers["POST", "/cluster/config/nodes/n2"] = (0, "", None)


def odd_answer(node: Node, cluster: Cluster) -> None:
    cluster.set("POST", "/cluster/config/nodes/n2", {"corosync_authkey": "\u20ac"})


def stop_fails(node: Node, cluster: Cluster) -> None:
    node.commands.fail.add("systemctl stop pve-cluster")


def start_fails(node: Node, cluster: Cluster) -> None:
    node.commands.fail.add("systemctl start corosync pve-cluster")


def no_quorum(node: Node, cluster: Cluster) -> None:
    node.commands.on["systemctl start corosync pve-cluster"] = lambda: None


def no_sync(node: Node, cluster: Cluster) -> None:
    node.commands.on["systemctl start corosync pve-cluster"] = node.mount_quorate


def other_daemon(node: Node, cluster: Cluster) -> None:
    del node.commands.on["systemctl stop pve-cluster"]


TAKEN_BACK = "DELETE /cluster/config/nodes/n2"


@pytest.mark.parametrize(
    ("breaks", "text", "taken_back"),
    [
        (refuse_login, r"^401 authentication failure$", False),
        (no_api, r"^Remote side is not able to use API for Cluster join!\nPass the 'use_ssh'", False),
        (refuse_addition, r"^Cluster join aborted!$", False),
        (no_answer, r"^Cluster join aborted!$", True),
        (odd_answer, r"^the cluster's answer to the join request is not as expected", True),
        (stop_fails, r"^can't stop pve-cluster service: .*made to fail", True),
        (other_daemon, r"^can't stop pve-cluster service: .* is still mounted", True),
        (start_fails, r"^starting pve-cluster failed: .*made to fail", True),
        (no_quorum, r"^no quorum within 120 s", True),
        (no_sync, r"^the cluster file system was not in sync within 60 s", True),
    ],
)
def test_a_failed_join_leaves_the_node_as_it_was(
    node: Node,
    cluster: Cluster,
    breaks: Callable[[Node, Cluster], None],
    text: str,
    taken_back: bool,
) -> None:
    before = node.state()
    breaks(node, cluster)
    with pytest.raises(ClusterError) as failed:
        run(node, cluster)
    assert re.search(text, str(failed.value), re.DOTALL)
    assert node.state() == before
    assert (TAKEN_BACK in cluster.requests()) == taken_back
    assert PASSWORD not in str(failed.value) + "".join(node.said.out + node.said.err)
    services = [line for line in node.commands.called if line.startswith("systemctl")]
    if any("stop" in line for line in services):
        assert services[-1] == "systemctl start pve-cluster"


@pytest.mark.parametrize("ends", [True, False])
def test_corosync_that_met_a_newer_cluster_starts_again_with_the_present_file(
    node: Node, cluster: Cluster, ends: bool
) -> None:
    """Another node joined in between: corosync ends itself or finds no peace; the cluster is asked again."""
    newer = CONF.replace(b"config_version: 2", b"config_version: 3")

    def start_with(cluster_came: bool) -> None:
        if cluster_came:
            node.mount_cluster()
            return
        if ends:
            node.commands.fail.add("systemctl is-active --quiet corosync")
        cluster.set(
            "POST",
            "/cluster/config/nodes/n2",
            {"corosync_authkey": AUTHKEY.decode("latin-1"), "corosync_conf": newer.decode(), "warnings": []},
        )

    node.commands.on["systemctl start corosync pve-cluster"] = lambda: start_with(False)
    node.commands.on["systemctl restart corosync"] = lambda: start_with(True)
    run(node, cluster)
    assert node.settings.corosync_conf.read_bytes() == newer
    asked = [form for _, path, form in cluster.asked if path == "/cluster/config/nodes/n2"]
    assert asked[1] == {**asked[0], "force": "1"}
    assert "successfully added node 'n2' to cluster." in node.said.out


def test_corosync_that_always_ends_is_not_started_for_ever(node: Node, cluster: Cluster) -> None:
    before = node.state()
    node.commands.on["systemctl start corosync pve-cluster"] = lambda: None
    node.commands.fail.add("systemctl is-active --quiet corosync")
    with pytest.raises(ClusterError, match=r"^no quorum: corosync ends itself soon after its start"):
        run(node, cluster)
    assert node.commands.called.count("systemctl restart corosync") == 10
    assert node.state() == before


def test_units_that_failed_are_not_left_failed(node: Node, cluster: Cluster) -> None:
    start_fails(node, cluster)
    with pytest.raises(ClusterError):
        run(node, cluster)
    services = [line for line in node.commands.called if line.startswith("systemctl")]
    assert services[-3:] == [
        "systemctl stop corosync pve-cluster",
        "systemctl reset-failed corosync pve-cluster",
        "systemctl start pve-cluster",
    ]


def test_a_request_that_never_left_has_nothing_to_be_taken_back(
    node: Node, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Peer.call

    def cut_off(self: Peer, method: str, path: str, params: Mapping[str, object] | None = None) -> object:
        if path == "/cluster/config/nodes/n2":
            self.port = 1  # nothing listens there
        return call(self, method, path, params)

    monkeypatch.setattr(Peer, "call", cut_off)
    with pytest.raises(ClusterError, match=r"^Cluster join aborted!$"):
        run(node, cluster)
    assert node.said.err == [
        "An error occurred on the cluster node: Can't connect to 127.0.0.1:1 (Connection refused)"
    ]


def test_an_error_after_the_entry_was_made_takes_it_back(
    node: Node, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The member was killed at its time limit, or could not read back what it had written."""
    cluster.set("POST", "/cluster/config/nodes/n2", status=500, reason="got timeout: no result within 120 s")
    call = Peer.call

    def entered(self: Peer, method: str, path: str, params: Mapping[str, object] | None = None) -> object:
        if (method, path) == ("POST", "/cluster/config/nodes/n2"):
            cluster.set("GET", "/cluster/config/nodes", [{"name": "n1"}, {"name": "n2"}])
        return call(self, method, path, params)

    monkeypatch.setattr(Peer, "call", entered)
    with pytest.raises(ClusterError, match=r"^Cluster join aborted!$"):
        run(node, cluster)
    assert TAKEN_BACK in cluster.requests()


def test_texts_of_the_cluster_are_shown(node: Node, cluster: Cluster) -> None:
    refuse_addition(node, cluster)
    with pytest.raises(ClusterError):
        run(node, cluster)
    assert node.said.err == [
        "An error occurred on the cluster node: can't add existing node 'n2'",
        "! e",
        "* w",
    ]


def test_an_entry_that_was_there_before_is_not_taken_back(node: Node, cluster: Cluster) -> None:
    cluster.set("GET", "/cluster/config/nodes", [{"name": "n1"}, {"name": "n2"}])
    start_fails(node, cluster)
    with pytest.raises(ClusterError, match="starting pve-cluster failed"):
        run(node, cluster, JoinRequest("127.0.0.1", force=True))
    assert TAKEN_BACK not in cluster.requests()


def test_what_cannot_be_taken_back_is_said(node: Node, cluster: Cluster) -> None:
    cluster.set("DELETE", "/cluster/config/nodes/n2", status=500, reason="cluster not ready - no quorum?")
    start_fails(node, cluster)
    with pytest.raises(ClusterError) as failed:
        run(node, cluster)
    assert "The join was taken back, except for:" in str(failed.value)
    assert "run 'pvecm delnode n2' on any member of the cluster" in str(failed.value)


def test_after_the_join_the_error_says_how_to_resume(node: Node, cluster: Cluster) -> None:
    node.commands.fail.add("systemctl reload-or-restart pvedaemon pveproxy")
    with pytest.raises(ClusterError, match="run 'pvecm updatecerts --force'"):
        run(node, cluster)
    assert TAKEN_BACK not in cluster.requests()
    assert node.settings.corosync_authkey.exists()


def test_every_obstacle_is_named_at_once(node: Node, cluster: Cluster) -> None:
    settings = node.settings
    settings.corosync_dir.mkdir(parents=True)
    settings.corosync_authkey.write_bytes(b"k")
    settings.cluster_conf.write_bytes(b"")
    (settings.mountpoint / ".vmlist").write_text(
        '{"ids": {"100": {"node": "n2", "type": "qemu", "version": 1}}}'
    )
    with pytest.raises(ClusterError, match=r"^Check if node may join a cluster failed!$"):
        run(node, cluster)
    assert node.said.err == [
        (
            "detected the following error(s):\n"
            f"* authentication key '{settings.corosync_authkey}' already exists\n"
            f"* cluster config '{settings.cluster_conf}' already exists\n"
            "* this host already contains virtual guests"
        )
    ]
    assert cluster.asked == []


def test_a_database_that_cannot_be_saved_is_kept(node: Node, cluster: Cluster) -> None:
    node.settings.database.write_bytes(b"not a database, and long enough to be looked at" * 100)
    run(node, cluster)
    assert any(text.startswith("WARN: failed to create backup of pre-join") for text in node.said.err)
    kept = [path.name for path in node.settings.state_dir.iterdir() if path.is_file()]
    assert kept == [f"config.db.{int(node.host.clock.now())}.bak"]
