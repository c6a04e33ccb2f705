"""A cluster of five: created and joined over the API, by two at the same time, by way of ssh."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from proxmoxer import ProxmoxAPI

from lab import Lab, Node, wait_for
from lab.base import ROOT_PASSWORD
from lab.cluster import fingerprint, is_writable, set_token, wait_api, wait_mounted, wait_writable
from lab.handmade import TEST_TOKEN, wait_quorate
from tests.lab.conftest import Laboratories
from tests.lab.support_network import outside, proxmoxer_of
from tests.lab.support_pvecm import (
    JOIN_LIMIT,
    Api,
    Terminal,
    can_ssh,
    configured,
    served_fingerprint,
    start_add,
    tree_digest,
    wait_members,
)

# the certificates are the cluster's own
pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")


@pytest.fixture(scope="module")
def lab(laboratories: Laboratories) -> Iterator[Lab]:
    with laboratories.lab(nodes=5, links=1) as made:
        for node in made.nodes:
            wait_mounted(node)
            wait_api(node)
        yield made


def by_proxmoxer(lab: Lab, server: Node, call: Callable[[ProxmoxAPI], str]) -> str:
    """What a call of a proxmoxer client of this node gives."""
    results: list[str] = []
    outside(lab, lambda: results.append(call(proxmoxer_of(server))))
    return results[0]


def test_create_over_the_api_is_a_task(lab: Lab, allow_warnings: Callable[[str], None]) -> None:
    n1, n5 = lab.node("n1"), lab.node("n5")
    api = Api(n5, n1)
    assert api.call("GET", "/cluster/config/nodes").data == []
    assert api.call("GET", "/cluster/config/join").status == 424
    refused = api.call("POST", "/cluster/config", {"clustername": "a_b"})
    assert (refused.status, set(refused.body["errors"])) == (400, {"clustername"})
    forged = api.call("POST", "/cluster/config", {"clustername": "five"}, without=["CSRFPreventionToken"])
    assert forged.status == 401
    upid = by_proxmoxer(
        lab, n1, lambda client: client.cluster.config.post(clustername="five", link0=n1.address())
    )
    assert upid.startswith("UPID:n1:")
    assert upid.endswith(":clustercreate:five:root@pam:")
    status = api.wait_task("n1", upid)
    assert status["exitstatus"] == "OK"
    log = api.task_log("n1", upid)
    assert "Writing corosync config to /etc/pve/corosync.conf" in log
    assert "Restart corosync and cluster filesystem" in log
    assert log.rstrip().endswith("TASK OK")
    again = api.call("POST", "/cluster/config", {"clustername": "five"})
    assert (again.status, again.reason) == (500, "cluster config '/etc/pve/corosync.conf' already exists")
    wait_quorate([n1])
    wait_writable(n1)
    set_token(n1, TEST_TOKEN)


def test_what_goes_wrong_with_a_join_over_the_api_is_in_its_task(
    lab: Lab, allow_warnings: Callable[[str], None]
) -> None:
    allow_warnings(
        "pvedaemon.service: <root@pam> end task UPID:n2:.*:clusterjoin::root@pam: 401 authentication failure"
    )
    allow_warnings("authentication failure; rhost=10.77.0.2 user=root@pam")
    n1, n2 = lab.node("n1"), lab.node("n2")
    api = Api(n1, n2)
    wanted = {"hostname": n1.address(), "password": ROOT_PASSWORD}
    refused = api.call("POST", "/cluster/config/join", wanted)
    assert refused.status == 400
    assert refused.body["errors"] == {"fingerprint": "property is missing and it is not optional"}
    wanted |= {"fingerprint": fingerprint(n1), "password": "wrong-password"}
    upid = api.call("POST", "/cluster/config/join", wanted).data
    assert api.wait_task("n2", upid)["exitstatus"] == "401 authentication failure"
    assert "wrong-password" not in api.task_log("n2", upid)
    assert n2.run(["test", "-e", "/etc/corosync/authkey"], check=False).returncode == 1
    lines = n2.journal(None, "-t", "pvedaemon")
    assert f"<root@pam> starting task {upid}" in lines


def test_join_over_the_api_of_the_joining_node(lab: Lab) -> None:
    n1, n2 = lab.node("n1"), lab.node("n2")
    information = Api(n2, n1).call("GET", "/cluster/config/join").data
    preferred = next(
        node for node in information["nodelist"] if node["name"] == information["preferred_node"]
    )
    assert (preferred["pve_addr"], preferred["pve_fp"]) == (n1.address(), served_fingerprint(n1))
    assert information["totem"]["cluster_name"] == "five"
    before = served_fingerprint(n2)
    wanted = {"hostname": preferred["pve_addr"], "fingerprint": preferred["pve_fp"]}
    wanted |= {"password": ROOT_PASSWORD, "link0": n2.address()}
    upid = by_proxmoxer(lab, n2, lambda client: client.cluster.config.join.post(**wanted))
    # The session at n2 ends with the join: tickets are of the cluster from then on, the certificate is new.
    wait_members(n1, "n1", "n2")
    wait_for(lambda: served_fingerprint(n2) not in ("", before), timeout=60, what="the new certificate of n2")
    assert served_fingerprint(n2) == fingerprint(n2)
    of_cluster = Api(n1, n1)
    status = of_cluster.wait_task("n2", upid)  # n1 hands the question on to n2
    assert status["exitstatus"] == "OK"
    log = of_cluster.task_log("n2", upid)
    assert "Establishing API connection with host '10.77.0.1'" in log
    assert "successfully added node 'n2' to cluster.\nTASK OK" in log
    assert ROOT_PASSWORD not in log
    assert of_cluster.call("GET", "/cluster/config/totem").data["cluster_name"] == "five"
    nodes = of_cluster.call("GET", "/cluster/config/nodes").data
    assert sorted((node["node"], node["ring0_addr"]) for node in nodes) == [
        ("n1", "10.77.0.1"),
        ("n2", "10.77.0.2"),
    ]


def test_two_nodes_join_at_the_same_time_by_different_members(
    lab: Lab, allow_warnings: Callable[[str], None]
) -> None:
    # until the one with the older file has the present one the membership forms anew again and again
    allow_warnings(r"\[(status|dcdb)\] cannot send \d+ message\(s\): flow control for 10 s")
    n1, n2, n3, n4, _ = lab.nodes
    with start_add(n3, n1) as first, start_add(n4, n2) as second:
        output = [process.stdout.read() for process in (first, second)]
        assert [process.wait(JOIN_LIMIT) for process in (first, second)] == [0, 0], output
    for node in (n1, n2, n3, n4):
        wait_members(node, "n1", "n2", "n3", "n4")
    entries = configured(n4)
    assert sorted(entry["nodeid"] for entry in entries.values()) == ["1", "2", "3", "4"]
    assert len({entry["ring0_addr"] for entry in entries.values()}) == 4


def test_join_by_way_of_ssh(lab: Lab) -> None:
    n1, n5 = lab.node("n1"), lab.node("n5")
    with Terminal(n5, f"pvecm add {n1.address()} --use_ssh") as terminal:
        terminal.expect("Are you sure you want to continue connecting")
        terminal.type("yes\n")
        terminal.expect("password:")
        terminal.type(f"{ROOT_PASSWORD}\n")
        terminal.expect("copy corosync auth key")
        terminal.expect("successfully added node 'n5' to cluster.")
        assert terminal.end() == 0, terminal.output
    assert n5.run(["sh", "-c", "ls -a /var/lib/pve-cluster"]).stdout.count(".pvecm_add") == 0


def test_five_members_are_one_cluster(lab: Lab) -> None:
    names = [node.name for node in lab.nodes]
    for node in lab.nodes:
        wait_members(node, *names)
    wait_for(
        lambda: len({tree_digest(node) for node in lab.nodes}) == 1,
        timeout=30,
        what="the same /etc/pve on all",
    )
    files = {node.read_file("/etc/corosync/corosync.conf") for node in lab.nodes}
    assert len(files) == 1
    assert [(a.name, b.name) for a in lab.nodes for b in lab.nodes if not can_ssh(a, b)] == []
    for node in lab.nodes:
        assert served_fingerprint(node) == fingerprint(node)
    lab.split([["n1", "n2", "n3"], ["n4", "n5"]])
    wait_members(lab.node("n1"), "n1", "n2", "n3")
    wait_members(lab.node("n5"), "n4", "n5")
    assert is_writable(lab.node("n2"))
    lab.heal()
    for node in lab.nodes:
        wait_members(node, *names)
