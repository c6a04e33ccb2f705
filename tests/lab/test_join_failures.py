"""Joins that are refused or fail in the middle: the node stays as it was, its entry is taken back, and the
same command succeeds once the cause is gone.

The cluster runs on link 1, its API answers on link 0: so one can be broken without the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lab import Lab, wait_for
from lab.base import ROOT_PASSWORD
from lab.cluster import (
    CREATE_SECONDS,
    fingerprint,
    is_writable,
    set_token,
    wait_api,
    wait_mounted,
    wait_writable,
)
from lab.handmade import TEST_TOKEN
from lab.node import Node
from tests.lab.conftest import Laboratories
from tests.lab.support_corosync import wait_reloaded
from tests.lab.support_pvecm import (
    Terminal,
    add,
    assert_as_before,
    configured,
    start_add,
    state,
    wait_members,
)

LINK = ("--link0", "10.77.1.2")
LOCK = "/etc/pve/priv/lock/file-corosync_conf"


@pytest.fixture(scope="module")
def lab(laboratories: Laboratories) -> Iterator[Lab]:
    """n1 and n3 are a cluster on link 1; n2 wants to join it."""
    with laboratories.lab(nodes=3, links=2) as made:
        n1, n2, n3 = made.nodes
        for node in made.nodes:
            wait_mounted(node)
            wait_api(node)
        n1.run(["pvecm", "create", "lab", "--link0", "10.77.1.1"], timeout=CREATE_SECONDS)
        wait_writable(n1)
        wait_api(n1)
        set_token(n1, TEST_TOKEN)
        status, output = add(n3, n1, "--link0", "10.77.1.3")
        assert status == 0, output
        wait_members(n1, "n1", "n3")
        wait_api(n2)
        yield made


@pytest.fixture(autouse=True)
def failed_tasks_are_announced(allow_warnings: Callable[[str], None]) -> None:
    allow_warnings("pvecm: <root@pam> end task UPID:n2:.*:clusterjoin::root@pam: ")


@pytest.fixture
def unchanged(lab: Lab) -> Iterator[None]:
    """The node is as before after the test, and the cluster has no trace of it."""
    n1, n2, n3 = lab.nodes
    before = state(n2)
    nodes = n1.run(["ls", "/etc/pve/nodes"]).stdout
    yield
    assert_as_before(n2, before)
    assert n1.run(["ls", "/etc/pve/nodes"]).stdout == nodes
    assert set(configured(n1)) == {"n1", "n3"}
    wait_members(n1, "n1", "n3")
    assert is_writable(n3)


def drop_in(node: Node, unit: str, text: str) -> None:
    node.run(["mkdir", "-p", f"/run/systemd/system/{unit}.service.d"])
    node.write_file(f"/run/systemd/system/{unit}.service.d/broken.conf", f"[Service]\n{text}\n")
    node.systemctl("daemon-reload")


def remove_drop_in(node: Node, unit: str) -> None:
    node.run(["rm", "-r", f"/run/systemd/system/{unit}.service.d"])
    node.systemctl("daemon-reload")


@pytest.mark.usefixtures("unchanged")
def test_with_a_wrong_fingerprint_no_password_leaves_the_node(lab: Lab) -> None:
    n1, n2 = lab.node("n1"), lab.node("n2")
    log = n1.read_file("/var/log/pveproxy/access.log")
    status, output = add(n2, n1, *LINK, pin=":".join(["0F"] * 32))
    assert status == 255
    assert f"fingerprint '{fingerprint(n1)}' not verified, abort!" in output
    assert n1.read_file("/var/log/pveproxy/access.log") == log


@pytest.mark.usefixtures("unchanged")
def test_a_wrong_password_is_refused_by_the_cluster(lab: Lab, allow_warnings: Callable[[str], None]) -> None:
    allow_warnings("authentication failure; rhost=10.77.0.2 user=root@pam")
    status, output = add(lab.node("n2"), lab.node("n1"), *LINK, password="not-it")
    assert status == 255
    assert "401 authentication failure" in output
    assert "not-it" not in output


@pytest.mark.usefixtures("unchanged")
def test_a_peer_that_is_not_there_is_named(lab: Lab) -> None:
    done = lab.node("n2").run(
        ["pvecm", "add", "10.77.0.99", "--fingerprint", ":".join(["0F"] * 32)],
        input="x\n",
        check=False,
        timeout=90,
    )
    assert done.returncode == 255
    assert "Can't connect to 10.77.0.99:8006" in done.stderr


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--link0", "10.77.1.99"), "* link0: cannot use IP '10.77.1.99', not found on local node!\n"),
        (
            ("--link0", "nowhere.invalid"),
            "* link0: cannot use 'nowhere.invalid': it does not resolve to an IP address\n",
        ),
        (
            ("--link0", "10.77.1.2", "--link1", "10.77.0.2"),
            "corosync: link 1 specified for new node doesn't exist in cluster config",
        ),
        (
            ("--link1", "10.77.1.2"),
            "corosync: link 0 exists in cluster config but wasn't specified for new node",
        ),
        ((*LINK, "--nodeid", "1"), "nodeid 1 already used by node 'n1'"),
    ],
)
def test_links_and_numbers_that_do_not_fit(lab: Lab, options: tuple[str, ...], text: str) -> None:
    status, output = add(lab.node("n2"), lab.node("n1"), *options)
    assert status == 255
    assert text in output


def test_a_node_with_guests_is_refused(lab: Lab) -> None:
    n1, n2 = lab.node("n1"), lab.node("n2")
    n2.write_file("/etc/pve/qemu-server/100.conf", "memory: 512\n")
    before = state(n2)
    status, output = add(n2, n1, *LINK)
    assert status == 255
    assert "* this host already contains virtual guests\n" in output
    assert_as_before(n2, before)
    n2.run(["rm", "/etc/pve/qemu-server/100.conf"])
    assert set(configured(n1)) == {"n1", "n3"}


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (("n2", "--link0", "10.77.1.77"), "can't add existing node 'n2'"),
        (
            ("n4", "--link0", "10.77.1.2"),
            "corosync: address '10.77.1.2' already used on link ring0_addr by node 'n4'",
        ),
    ],
)
def test_a_name_or_address_that_is_taken_stays_with_its_owner(
    lab: Lab, entry: tuple[str, ...], text: str
) -> None:
    n1, n2 = lab.node("n1"), lab.node("n2")
    before = state(n2)
    n1.run(["pvecm", "addnode", *entry, "--apiversion", "1"])
    wait_reloaded(n1)
    with_entry = n1.read_file("/etc/pve/corosync.conf")
    status, output = add(n2, n1, *LINK)
    assert status == 255
    assert f"An error occurred on the cluster node: {text}" in output
    assert "Cluster join aborted!" in output
    assert_as_before(n2, before)
    assert n1.read_file("/etc/pve/corosync.conf") == with_entry
    n1.run(["pvecm", "delnode", entry[0]])
    wait_reloaded(n1)
    n1.run(["rm", "-r", f"/etc/pve/nodes/{entry[0]}"])


@pytest.mark.usefixtures("unchanged")
def test_corosync_that_does_not_start_on_the_joining_node(
    lab: Lab, allow_warnings: Callable[[str], None]
) -> None:
    n1, n2 = lab.node("n1"), lab.node("n2")
    allow_warnings("quorum_initialize|corosync")
    drop_in(n2, "corosync", "ExecStartPre=/bin/sh -c 'echo no network today; exit 1'")
    status, output = add(n2, n1, *LINK)
    remove_drop_in(n2, "corosync")
    assert status == 255
    assert "starting pve-cluster failed" in output
    assert "corosync.service" in output
    assert "except for" not in output


@pytest.mark.usefixtures("unchanged")
def test_a_file_system_that_does_not_start_on_the_joining_node(
    lab: Lab, allow_warnings: Callable[[str], None]
) -> None:
    allow_warnings("pve-cluster.service: (Failed with result|Start request repeated too quickly)")
    allow_warnings("Failed to start pve-cluster.service")
    n1, n2 = lab.node("n1"), lab.node("n2")
    drop_in(n2, "pve-cluster", "ExecStartPre=/bin/sh -c 'test ! -e /etc/corosync/corosync.conf'")
    status, output = add(n2, n1, *LINK)
    remove_drop_in(n2, "pve-cluster")
    assert status == 255
    assert "starting pve-cluster failed" in output
    assert "except for" not in output


@pytest.mark.usefixtures("unchanged")
def test_ctrl_c_while_it_waits_for_quorum_takes_everything_back(lab: Lab) -> None:
    n1, n2 = lab.node("n1"), lab.node("n2")
    lab.split([["n1", "n3"], ["n2"]], link=1)
    with Terminal(
        n2, f"pvecm add {n1.address()} --fingerprint {fingerprint(n1)} {' '.join(LINK)}"
    ) as terminal:
        terminal.expect("password for")
        terminal.type(f"{ROOT_PASSWORD}\r")
        terminal.expect("waiting for quorum...")
        terminal.type("\x03")
        terminal.expect("undo: ")
        assert terminal.end() not in (0, None)
    lab.heal()
    assert "except for" not in terminal.output


@pytest.mark.usefixtures("unchanged")
def test_no_quorum_within_the_limit(lab: Lab) -> None:
    n1, n2 = lab.node("n1"), lab.node("n2")
    lab.split([["n1", "n3"], ["n2"]], link=1)
    status, output = add(n2, n1, *LINK)
    lab.heal()
    assert status == 255
    assert "no quorum within 120 s: corosync runs, but does not reach the other members." in output
    assert "except for" not in output


def test_a_peer_that_dies_before_it_answers(lab: Lab) -> None:
    """It holds the request while another change of the configuration goes on; then its plug is pulled."""
    n1, n2, n3 = lab.nodes
    before = state(n2)
    n1.run(["mkdir", LOCK])
    with start_add(n2, n3, *LINK) as joining:
        wait_for(
            lambda: n3.run(["flock", "-n", "/var/lock/pvecm.lock", "true"], check=False).returncode == 1,
            timeout=30,
            what="n3 to work on the request",
        )
        n3.power_cut()
        output = joining.stdout.read()
        assert joining.wait() == 255
    assert "An error occurred on the cluster node: no answer from '10.77.0.3'" in output
    # it cannot know whether the entry was made, and says what to do about it
    assert "The join was taken back, except for:" in output
    assert "run 'pvecm delnode n2' on any member of the cluster" in output
    assert_as_before(n2, before)
    assert set(configured(n1)) == {"n1", "n3"}
    n3.power_on()
    wait_members(n1, "n1", "n3")
    wait_api(n3)
    wait_for(lambda: is_writable(n1), timeout=30, what="n1 to be writable again")
    n1.run(["rmdir", LOCK])


def test_the_same_command_succeeds_even_if_the_peer_dies_after_it_let_the_node_in(lab: Lab) -> None:
    n1, n2, n3 = lab.nodes
    with start_add(n2, n3, *LINK) as joining:
        # the peer is the one that makes the others' corosync read the new list, a second after its answer
        wait_for(
            lambda: "10.77.1.2" in n1.run(["corosync-cmapctl", "-b", "nodelist.node"], check=False).stdout,
            timeout=60,
            what="corosync on n1 to know n2",
        )
        n3.power_cut()
        output = joining.stdout.read()
        assert joining.wait() == 0, output
    assert output.endswith("successfully added node 'n2' to cluster.\n")
    wait_members(n2, "n1", "n2")
    n3.power_on()
    wait_members(n1, "n1", "n2", "n3")
    assert configured(n1)["n2"] == {
        "name": "n2",
        "nodeid": "2" if configured(n1)["n3"]["nodeid"] != "2" else "3",
        "quorum_votes": "1",
        "ring0_addr": "10.77.1.2",
    }
