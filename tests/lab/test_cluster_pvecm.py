"""pvecm on three real nodes, from creation to the last node left. The tests follow one another."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest

from lab import Lab, wait_for
from lab.base import ROOT_PASSWORD
from lab.cluster import create, fingerprint, is_writable, set_token, wait_api, wait_mounted, wait_read_only
from lab.handmade import TEST_TOKEN, wait_quorate
from lab.node import Node
from tests.lab.conftest import Laboratories
from tests.lab.support_pvecm import (
    Terminal,
    add,
    assert_as_before,
    can_ssh,
    configured,
    served_fingerprint,
    state,
    tree_digest,
    wait_members,
)

USAGE_STATUS = 255


@pytest.fixture(scope="module")
def lab(laboratories: Laboratories) -> Iterator[Lab]:
    """Three nodes; the first is a cluster, the tests let the others join."""
    with laboratories.lab(nodes=3, links=1) as made:
        create(made.node("n1"), "lab", links=1)
        set_token(made.node("n1"), TEST_TOKEN)
        for node in made.nodes:
            wait_mounted(node)
            wait_api(node)
        yield made


def pvecm(node: Node, *words: str) -> tuple[int, str, str]:
    done = node.run(["pvecm", *words], check=False, timeout=120)
    return done.returncode, done.stdout, done.stderr


def test_join_asks_at_the_terminal_and_a_no_sends_nothing(lab: Lab) -> None:
    n1, n2 = lab.node("n1"), lab.node("n2")
    before, requests = state(n2), ticket_requests(n1)
    with Terminal(n2, "pvecm add 10.77.0.1") as terminal:
        terminal.expect("Please enter superuser (root) password for '10.77.0.1': ")
        terminal.type(f"{ROOT_PASSWORD}\r")
        terminal.expect("The authenticity of host '10.77.0.1' can't be established.\n")
        terminal.expect(f"X509 SHA256 key fingerprint is {fingerprint(n1)}.\n")
        terminal.expect("Are you sure you want to continue connecting (yes/no)? ")
        terminal.type("no\n")
        terminal.expect("Fingerprint not verified, abort!")
        assert terminal.end() == USAGE_STATUS
    assert ROOT_PASSWORD not in terminal.output
    assert ticket_requests(n1) == requests
    assert_as_before(n2, before)


def test_join_asks_at_the_terminal_and_a_yes_joins(lab: Lab) -> None:
    n1, n2 = lab.node("n1"), lab.node("n2")
    with Terminal(n2, "pvecm add n1") as terminal:
        terminal.expect("Please enter superuser (root) password for 'n1': ")
        terminal.type(f"{ROOT_PASSWORD}\r")
        terminal.expect("(yes/no)? ")
        terminal.type(" YES \n")
        terminal.expect("Login succeeded.")
        terminal.expect("No cluster network links passed explicitly, fallback to local node IP '10.77.0.2'")
        terminal.expect("Request addition of this node")
        terminal.expect("Join request OK, finishing setup locally")
        terminal.expect("stopping pve-cluster service")
        terminal.expect("backup old database to '/var/lib/pve-cluster/backup/config-")
        terminal.expect("(re)generate node files\n")
        terminal.expect("generate new node certificate\n")
        terminal.expect("merge authorized SSH keys\n")
        terminal.expect("generated new node certificate, restart pveproxy and pvedaemon services\n")
        terminal.expect("successfully added node 'n2' to cluster.\n")
        assert terminal.end() == 0, terminal.output
    assert ROOT_PASSWORD not in terminal.output
    wait_members(n1, "n1", "n2")


def test_join_with_a_fingerprint_and_the_password_from_standard_input(lab: Lab) -> None:
    n2, n3 = lab.node("n2"), lab.node("n3")
    status, output = add(n3, n2)  # any member is as good as the first
    assert status == 0, output
    assert "password" not in output
    for node in lab.nodes:
        wait_members(node, "n1", "n2", "n3")


def test_status_and_nodes_read_like_corosyncs_own(lab: Lab) -> None:
    n2 = lab.node("n2")
    status, output, errors = pvecm(n2, "status")
    assert (status, errors) == (0, "")
    shape = r"""Cluster information
-------------------
Name:             lab
Config Version:   \d+
Transport:        knet
Secure auth:      on

Quorum information
------------------
Date:             \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}
Quorum provider:  corosync_votequorum
Nodes:            3
Node ID:          0x00000002
Ring ID:          1\.[0-9a-f]+
Quorate:          Yes

Votequorum information
----------------------
Expected votes:   3
Highest expected: 3
Total votes:      3
Quorum:           2 {2}
Flags:            Quorate ?

Membership information
----------------------
    Nodeid      Votes Name
0x00000001          1 10\.77\.0\.1
0x00000002          1 10\.77\.0\.2 \(local\)
0x00000003          1 10\.77\.0\.3
"""
    assert re.fullmatch(shape, output), output
    status, output, errors = pvecm(n2, "nodes")
    assert (status, errors) == (0, "")
    assert output == (
        "\nMembership information\n----------------------\n    Nodeid      Votes Name\n"
        "         1          1 n1\n         2          1 n2 (local)\n         3          1 n3\n"
    )


def test_status_as_data(lab: Lab) -> None:
    n3 = lab.node("n3")
    status, output, _ = pvecm(n3, "status", "--output-format", "json")
    data = json.loads(output)
    assert status == 0
    assert data["cluster"]["name"] == "lab"
    assert data["quorum"]["quorate"] is True
    assert [(each["name"], each["nodeid"], each["local"]) for each in data["members"]] == [
        ("n1", 1, False),
        ("n2", 2, False),
        ("n3", 3, True),
    ]
    assert data["offline"] == []
    status, output, _ = pvecm(n3, "status", "--output-format=yaml")
    assert status == 0
    read = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.argv[1])))"
    other = json.loads(n3.python(read, output))
    other["quorum"].pop("date"), data["quorum"].pop("date")
    assert other == data


def test_every_node_has_its_certificate_of_the_clusters_authority_and_shows_it(lab: Lab) -> None:
    for node in lab.nodes:
        certificate = f"/etc/pve/nodes/{node.name}/pve-ssl.pem"
        node.run(["openssl", "verify", "-CAfile", "/etc/pve/pve-root-ca.pem", certificate])
        text = node.run(
            ["openssl", "x509", "-in", certificate, "-noout", "-subject", "-ext", "subjectAltName"]
        ).stdout
        assert f"CN = {node.name}" in text
        assert f"IP Address:{node.address()}" in text
        assert f"DNS:{node.name}" in text
        wait_for(
            lambda node=node: served_fingerprint(node) == fingerprint(node),  # type: ignore[misc]
            timeout=30,
            what=f"the API of {node.name} to show its new certificate",
        )
    serials = {
        lab.node("n1")
        .run(["openssl", "x509", "-in", f"/etc/pve/nodes/n{i}/pve-ssl.pem", "-noout", "-serial"])
        .stdout
        for i in (1, 2, 3)
    }
    assert len(serials) == 3


def test_root_gets_from_every_member_to_every_member_by_name_and_by_address(lab: Lab) -> None:
    refused = [
        (source.name, name)
        for source in lab.nodes
        for target in lab.nodes
        for name in (target.name, target.address())
        if not can_ssh(source, target, name)
    ]
    assert refused == []
    for node in lab.nodes:
        assert (
            node.run(["readlink", "/root/.ssh/authorized_keys"]).stdout == "/etc/pve/priv/authorized_keys\n"
        )


def test_the_file_system_is_the_same_on_all_and_secrets_are_private(lab: Lab) -> None:
    digests = {tree_digest(node) for node in lab.nodes}
    assert len(digests) == 1
    names = (
        lab.node("n3").run(["sh", "-c", "cd /etc/pve; find . -printf '%m %u:%g %p\\n'"]).stdout.splitlines()
    )
    assert "600 root:www-data ./priv/pve-root-ca.key" in names
    assert "600 root:www-data ./priv/authkey.key" in names
    assert "640 root:www-data ./pve-root-ca.pem" in names
    assert {f"755 root:www-data ./nodes/n{number}/qemu-server" for number in (1, 2, 3)} <= set(names)
    keys = {node.run(["sha256sum", "/etc/corosync/authkey"]).stdout for node in lab.nodes}
    assert len(keys) == 1
    for node in lab.nodes:
        assert node.run(["stat", "-c", "%a %U %s", "/etc/corosync/authkey"]).stdout == "400 root 256\n"
        assert node.read_file("/etc/corosync/corosync.conf") == lab.node("n1").read_file(
            "/etc/pve/corosync.conf"
        )


@pytest.mark.parametrize(
    ("words", "status", "out", "err"),
    [
        (["stat"], 0, "Name:             lab\n", ""),
        (["no"], 0, "Membership information\n", ""),
        (["status", "-output-format", "json"], 0, '"name": "lab"', ""),
        (["status", "-output=json"], 0, '"name": "lab"', ""),
        (["apiver"], 0, "1\n", ""),
        (["help", "expected"], 0, "USAGE: pvecm expected <expected>\n", ""),
        (["help", "create"], 0, "--link[n]  [address=]<IP> [,priority=<integer>]", ""),
        (["help", "--verbose", "0"], 0, "pvecm delnode <node>", ""),
        ([], 255, "", "ERROR: no command specified\nUSAGE: pvecm <COMMAND> [ARGS] [OPTIONS]\n"),
        (["frobnicate"], 255, "", "ERROR: unknown command 'pvecm frobnicate'\n"),
        (["qdevice"], 255, "", "ERROR: incomplete command 'pvecm qdevice'\n"),
        (["help", "frobnicate"], 255, "", "ERROR: unknown command 'frobnicate'\n"),
        (["delnode"], 255, "", "400 not enough arguments\npvecm delnode <node>\n"),
        (["nodes", "x"], 255, "", "400 too many arguments\n"),
        (["add", "n1", "--link9", "x"], 255, "", "Unknown option: link9\n400 unable to parse option\n"),
        (["add", "n1", "--link", "10.77.0.1"], 255, "", "Option link is ambiguous (link0, link1"),
        (["create", "x", "--nodeid", "0"], 255, "", "nodeid: value must have a minimum value of 1\n"),
        (
            ["create", "a-name-of-16-bytes"],
            255,
            "",
            (
                "400 Parameter verification failed.\nclustername: value may only be 15 characters long\n"
                "pvecm create <clustername> [OPTIONS]\n"
            ),
        ),
        (["create", "other"], 255, "", "cluster config '/etc/pve/corosync.conf' already exists\n"),
        (
            ["delnode", "10.77.0.2"],
            255,
            "",
            "node: invalid format - value does not look like a valid node name\n",
        ),
        (["delnode", "n9"], 255, "", "Node/IP: n9 is not a known host of the cluster.\n"),
        (["delnode", "n1"], 255, "", "Cannot delete myself from cluster!\n"),
        (["expected", "0"], 255, "", "expected: value must have a minimum value of 1\n"),
        (["addnode", "n3"], 255, "", "no links and no fallback ip (new_node_ip) given, cannot join cluster"),
        (
            ["addnode", "n2", "--link0", "10.77.0.2", "--apiversion", "1"],
            255,
            "",
            "can't add existing node 'n2'\n",
        ),
        (
            ["addnode", "n4", "--link0", "10.77.0.3", "--apiversion", "1"],
            255,
            "",
            "corosync: address '10.77.0.3' already used on link ring0_addr by node 'n3'\n",
        ),
        (
            ["addnode", "n4", "--link0", "n3", "--apiversion", "1"],
            255,
            "",
            "corosync: address '10.77.0.3' already used on link ring0_addr by node 'n3'\n",
        ),
        (
            ["addnode", "n4", "--new_node_ip", "10.77.0.3", "--apiversion", "1"],
            255,
            "",
            "corosync: address '10.77.0.3' already used on link ring0_addr by node 'n3'\n",
        ),
        (
            ["addnode", "n4", "--link1", "10.77.0.4", "--apiversion", "1"],
            255,
            "",
            "corosync: link 0 exists in cluster config but wasn't specified for new node\n",
        ),
        (
            ["addnode", "n4", "--link0", "10.77.0.4", "--apiversion", "-1"],
            255,
            "",
            "unsupported old API version",
        ),
    ],
)
def test_words_and_what_is_said_to_them(lab: Lab, words: list[str], status: int, out: str, err: str) -> None:
    n1 = lab.node("n1")
    conf = n1.read_file("/etc/pve/corosync.conf")
    found = pvecm(n1, *words)
    assert (found[0], out in found[1], err in found[2]) == (status, True, True), found
    assert n1.read_file("/etc/pve/corosync.conf") == conf


def test_a_join_of_a_member_is_refused_with_every_reason_and_from_inside_the_file_system(
    lab: Lab, allow_warnings: Callable[[str], None]
) -> None:
    allow_warnings("pvecm: .* end task UPID:n3:")
    n1, n3 = lab.node("n1"), lab.node("n3")
    before = state(n3)
    status, output = add(n3, n1)
    assert status == 255
    assert (
        "detected the following error(s):\n"
        "* authentication key '/etc/corosync/authkey' already exists\n"
        "* cluster config '/etc/pve/corosync.conf' already exists\n"
        "* corosync is already running, is this node already in a cluster?!\n"
    ) in output
    assert "Check if node may join a cluster failed!" in output
    done = n3.run(["sh", "-c", "cd /etc/pve/nodes && exec pvecm add n1"], check=False)
    assert (done.returncode, done.stdout) == (255, "")
    assert done.stderr == (
        "Navigate out of /etc/pve before running 'pvecm add', for example by running 'cd'.\n"
    )
    assert_as_before(n3, before)


def test_only_root_and_only_with_the_file_system_except_for_what_needs_neither(
    lab: Lab, laboratories: Laboratories
) -> None:
    n3 = lab.node("n3")
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    for words, status, text in (
        (["status"], 255, "please run as root\n"),
        (["add", "n1"], 255, "please run as root\n"),
        (["keygen", "/tmp/key"], 255, "Error: Authorization key must be generated as root user.\n"),
        (["apiver"], 0, ""),
        (["help"], 0, ""),
    ):
        done = n3.run([*nobody, "pvecm", *words], check=False)
        assert (words, done.returncode, done.stderr) == (words, status, text)
    n3.systemctl("stop", "pve-cluster")
    try:
        for words, status, text in (
            (["status"], 255, "pve configuration filesystem (pmxcfs) not mounted\n"),
            (["delnode", "n1"], 255, "pve configuration filesystem (pmxcfs) not mounted\n"),
            (["apiver"], 0, ""),
            (["help"], 0, ""),
            (["keygen", "/tmp/keys/unmounted"], 0, ""),
        ):
            done = n3.run(["pvecm", *words], check=False)
            assert (words, done.returncode, done.stderr) == (words, status, text)
    finally:
        n3.systemctl("start", "pve-cluster")
    wait_for(lambda: is_writable(n3), timeout=60, what="n3 to be back")


def test_keygen_makes_a_key_of_256_private_bytes_once(lab: Lab) -> None:
    n1 = lab.node("n1")
    status, output, errors = pvecm(n1, "keygen", "/root/keys/deep/key")
    assert (status, errors) == (0, "")
    assert output.splitlines() == [
        "Corosync Cluster Engine Authentication key generator.",
        "Gathering 2048 bits for key from /dev/urandom.",
        "Writing corosync key to /root/keys/deep/key.",
    ]
    assert n1.run(["stat", "-c", "%a %U %s", "/root/keys/deep/key"]).stdout == "400 root 256\n"
    again = pvecm(n1, "keygen", "/root/keys/deep/key")
    assert again == (255, "", "key file '/root/keys/deep/key' already exists\n")


def test_updatecerts_makes_what_is_missing_and_with_force_a_new_certificate(lab: Lab) -> None:
    n2 = lab.node("n2")
    before = fingerprint(n2)
    assert pvecm(n2, "updatecerts", "--silent") == (0, "", "")
    assert fingerprint(n2) == before
    n2.run(["rm", "/etc/pve/nodes/n2/pve-ssl.pem", "/etc/pve/nodes/n2/ssh_known_hosts"])
    n2.run(["rmdir", "/etc/pve/virtual-guest"])
    assert pvecm(n2, "updatecerts") == (
        0,
        (
            "(re)generate node files\nmerge authorized SSH keys\n"
            "creating directory '/etc/pve/virtual-guest' for observed files\n"
        ),
        "",
    )
    missing = fingerprint(n2)
    assert missing != before
    assert n2.read_file("/etc/pve/nodes/n2/ssh_known_hosts").startswith("n2 ssh-rsa AAAA")
    assert pvecm(n2, "updatecerts", "-force") == (
        0,
        "(re)generate node files\ngenerate new node certificate\nmerge authorized SSH keys\n",
        "",
    )
    assert fingerprint(n2) != missing
    n2.run(["openssl", "verify", "-CAfile", "/etc/pve/pve-root-ca.pem", "/etc/pve/local/pve-ssl.pem"])
    n2.systemctl("reload-or-restart", "pveproxy")
    wait_for(lambda: served_fingerprint(n2) == fingerprint(n2), timeout=30, what="the new certificate")


def test_updatecerts_brings_a_new_host_key_to_the_whole_cluster(lab: Lab) -> None:
    """As the manual has it for a node that was installed anew."""
    n1, n3 = lab.node("n1"), lab.node("n3")
    n3.run(
        ["sh", "-c", "rm /etc/ssh/ssh_host_rsa_key*; ssh-keygen -q -t rsa -N '' -f /etc/ssh/ssh_host_rsa_key"]
    )
    n3.run(["sh", "-c", "rm -f /etc/ssh/ssh_host_ed25519_key*; systemctl restart ssh"])
    assert not can_ssh(n1, n3)
    assert pvecm(n3, "updatecerts")[0] == 0
    wait_for(lambda: can_ssh(n1, n3), timeout=20, what="n1 to know the new key of n3")


def test_a_node_that_is_off_is_removed(lab: Lab) -> None:
    n1, n2, n3 = lab.nodes
    n3.power_cut()
    wait_members(n1, "n1", "n2")
    status, output, errors = pvecm(n1, "delnode", "n3")
    assert status == 0
    assert output in ("Killing node 3\n", "")
    assert errors in ("", "Could not kill node (error = CS_ERR_NOT_EXIST)\n")
    for node in (n1, n2):
        wait_for(lambda node=node: set(configured(node)) == {"n1", "n2"}, timeout=20, what="the removal")  # type: ignore[misc]
    text = "Expected votes:   2\nHighest expected: 2\n"
    wait_for(lambda: text in pvecm(n2, "status")[1], timeout=20, what="corosync to expect two votes")
    # what an administrator cleans up by hand, as the manual says
    assert n1.run(["ls", "/etc/pve/nodes"]).stdout.split() == ["n1", "n2", "n3"]
    assert "root@n3" in n1.read_file("/etc/pve/priv/authorized_keys")


def test_the_last_node_without_quorum_is_told_to_expect_one_vote_and_removes_the_other(lab: Lab) -> None:
    n1, n2, _ = lab.nodes
    n2.power_cut()
    wait_read_only(n1)
    status, output, _ = pvecm(n1, "status")
    assert status == 2
    assert "Quorate:          No\n" in output
    assert "Quorum:           2 Activity blocked\n" in output
    status, _, errors = pvecm(n1, "delnode", "n2")
    assert status == 255
    assert errors.startswith("cluster not ready - no quorum?")
    assert pvecm(n1, "expected", "1") == (0, "", "")
    wait_for(lambda: is_writable(n1), timeout=20, what="n1 to be writable on its own")
    status, _, errors = pvecm(n1, "delnode", "n2")
    assert (status, errors) in ((0, ""), (0, "Could not kill node (error = CS_ERR_NOT_EXIST)\n"))
    wait_quorate([n1])
    assert set(configured(n1)) == {"n1"}
    assert is_writable(n1)


def test_what_needs_a_cluster_says_that_there_is_none(laboratories: Laboratories) -> None:
    with laboratories.lab(nodes=1) as alone:
        n1 = alone.node("n1")
        wait_mounted(n1)
        text = "Error: Corosync config '/etc/pve/corosync.conf' does not exist"
        text += " - is this node part of a cluster?\n"
        for words in (["status"], ["nodes"], ["expected", "1"]):
            assert pvecm(n1, *words) == (2, "", text)


def ticket_requests(node: Node) -> int:
    """How many logins the node's API has answered."""
    return node.read_file("/var/log/pveproxy/access.log").count("/access/ticket")
