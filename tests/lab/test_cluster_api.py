"""Clients of a real cluster: proxmoxer through n1 about n2, forwarding, metrics, events, pvesh, restarts."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from proxmoxer.core import AuthenticationError, ResourceException
from proxmoxer.tools import Tasks

from lab import Lab, Node, wait_for
from lab.cluster import wait_api
from quorate.access.totp import TotpKey
from tests.lab.conftest import Laboratories
from tests.lab.support_keys import keys_of, renew_on, sees
from tests.lab.support_network import Answer, ask, open_connection, outside, proxmoxer_of

pytestmark = [
    pytest.mark.timeout(1200),
    # the certificates are the cluster's own
    pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"),
]

TOTP = TotpKey(b"12345678901234567890", issuer="lab", account="carol@pve")
CAROL = "a password of carol's"


@pytest.fixture(scope="module")
def lab(laboratories: Laboratories) -> Iterator[Lab]:
    with laboratories.cluster(nodes=3, links=2) as made:
        for node in made.nodes:
            wait_api(node)
        yield made


@pytest.fixture(scope="module")
def token(lab: Lab) -> dict[str, str]:
    """A token of an administrator, made on n3."""
    made: dict[str, str] = {}

    def use() -> None:
        admin = proxmoxer_of(lab.node("n3"))
        admin.access.users.post(userid="script@pve")
        admin.access.acl.put(path="/", roles="Administrator", users="script@pve")
        made["value"] = admin.access.users("script@pve").token("t1").post(privsep=0)["value"]

    outside(lab, use)
    return {"Authorization": f"PVEAPIToken=script@pve!t1={made['value']}"}


# -- proxmoxer --------------------------------------------------------------------------------------------


def test_the_cluster_through_one_node(lab: Lab) -> None:
    n1, n2 = lab.node("n1"), lab.node("n2")

    def use() -> None:
        client = proxmoxer_of(n1)
        (cluster,) = [entry for entry in client.cluster.status.get() if entry["type"] == "cluster"]
        assert (cluster["name"], cluster["nodes"], cluster["quorate"]) == ("lab", 3, 1)
        online = {
            entry["name"]: entry["online"] for entry in client.cluster.status.get() if entry["type"] == "node"
        }
        assert online == {"n1": 1, "n2": 1, "n3": 1}
        nodes = [entry["node"] for entry in client.cluster.resources.get(type="node")]
        assert sorted(nodes) == ["n1", "n2", "n3"]
        assert sorted(entry["node"] for entry in client.nodes.get()) == ["n1", "n2", "n3"]
        assert {"clusterjoin", "clustercreate"} & {entry["type"] for entry in client.cluster.tasks.get()}
        assert any("n2" in entry["msg"] for entry in client.cluster.log.get(max=200))
        join = client.cluster.config.join.get(node="n2")
        assert join["preferred_node"] == "n2"
        assert {entry["name"] for entry in join["nodelist"]} == {"n1", "n2", "n3"}
        assert len(join["nodelist"][0]["pve_fp"]) == 95
        assert {entry["node"] for entry in client.cluster.config.nodes.get()} == {"n1", "n2", "n3"}
        assert client.cluster.config.totem.get()["cluster_name"] == "lab"
        assert int(client.cluster.config.apiversion.get()) == 1
        assert client.cluster.config.qdevice.get() == {}  # there is none
        client.cluster.options.put(keyboard="de", max_workers=7)
        options = proxmoxer_of(n2).cluster.options.get()  # told to the others
        assert (options["keyboard"], options["max_workers"]) == ("de", "7")
        client.cluster.options.put(delete="keyboard,max_workers")
        assert "keyboard" not in client.cluster.options.get()

    outside(lab, use)


def test_another_node_through_the_first(lab: Lab) -> None:
    n1, n2 = lab.node("n1"), lab.node("n2")

    def use() -> None:
        client = proxmoxer_of(n1)
        node = client.nodes("n2")
        release = n2.run(["uname", "-r"]).stdout.strip()
        assert node.status.get()["current-kernel"]["release"] == release
        assert node.version.get() == client.version.get()
        addresses = [entry.get("address") for entry in node.network.get()]
        assert isinstance(addresses, list)
        services = {entry["service"]: entry["state"] for entry in node.services.get()}
        assert services["corosync"] == "running"
        assert node.services("corosync").state.get()["active-state"] == "active"
        assert node.time.get()["timezone"]
        assert node.syslog.get(limit=5)
        file = ["test", "-s", "/var/lib/rrdcached/db/pve-node-9.0/n2"]
        wait_for(lambda: n2.run(file, check=False).returncode == 0, timeout=60, what="figures of n2")
        assert node.rrddata.get(timeframe="hour", cf="AVERAGE")[-1]["time"] > 0
        upid = node.services("sshd").restart.post()
        assert upid.startswith("UPID:n2:")
        done = Tasks.blocking_status(client, upid, timeout=60, polling_interval=0.5)
        assert (done["status"], done["node"]) == ("stopped", "n2")
        lines = node.tasks(upid).log.get()
        assert lines[-1]["t"].startswith("TASK ")
        assert node.tasks(upid).log.get(start=len(lines) - 1, limit=1) == lines[-1:]
        assert upid in [entry["upid"] for entry in node.tasks.get(typefilter="srvrestart")]
        wait_for(
            lambda: upid in [entry["upid"] for entry in client.cluster.tasks.get()],
            timeout=60,
            what="n1 to hear of n2's task",
        )
        with pytest.raises(ResourceException) as unknown:
            client.nodes("n9").status.get()
        assert unknown.value.status_code == 500
        assert "unable to get remote IP address for node 'n9'" in str(unknown.value)
        with pytest.raises(ResourceException) as wrong:
            node.tasks.get(limit="x")
        assert (wrong.value.status_code, "limit" in wrong.value.errors) == (400, True)

    outside(lab, use)


def test_a_member_is_entered_and_removed(lab: Lab) -> None:
    """What a joining node asks for, and what an administrator does with a node that is gone."""
    n1 = lab.node("n1")

    def use() -> None:
        client = proxmoxer_of(n1)
        elsewhere = proxmoxer_of(lab.node("n3")).cluster.config.nodes
        links = {f"link{number}": f"10.77.{number}.99" for number in range(2)}
        admitted = client.cluster.config.nodes("n9").post(**links, apiversion=1)
        try:
            assert len(admitted["corosync_authkey"]) == 256
            assert "name: n9" in admitted["corosync_conf"]
            entries = {entry["node"]: entry["ring1_addr"] for entry in elsewhere.get()}
            assert sorted(entries) == ["n1", "n2", "n3", "n9"]
            assert entries["n9"] == links["link1"]
        finally:
            assert client.cluster.config.nodes("n9").delete() is None
        assert sorted(entry["node"] for entry in elsewhere.get()) == ["n1", "n2", "n3"]

    outside(lab, use)


def test_tickets_are_renewed_on_any_node(lab: Lab) -> None:
    def use() -> None:
        client = proxmoxer_of(lab.node("n1"))
        first, _ = client.get_tokens()
        client._backend.auth.renew_age = 0  # proxmoxer does so once an hour: with the ticket as password

        def renewed() -> bool:
            assert client.version.get()["version"]
            return bool(client.get_tokens()[0] != first)  # a ticket's time is in seconds

        wait_for(renewed, timeout=60, what="another ticket")
        # The one of n1 is good on n2 as well, also to become another one there
        other = ask(lab.node("n2"), "GET", "/api2/json/version", {"Cookie": f"PVEAuthCookie={first}"})
        assert other.status == 200

    outside(lab, use)


def _listens(node: Node) -> bool:
    return node.run(["test", "-S", "/run/pvedaemon/api.sock"], check=False).returncode == 0


def test_two_nodes_renew_the_key_of_the_tickets_at_the_same_time(lab: Lab) -> None:
    n1, n2, n3 = lab.nodes
    tickets: list[str] = []

    def log_in() -> None:
        tickets.append(proxmoxer_of(n1).get_tokens()[0])

    outside(lab, log_in)
    for node in lab.nodes:  # they look as well: who made the key is to be known
        node.systemctl("stop", "pvestatd", "pvedaemon")
    try:
        before = keys_of(n3).public

        def let_it_be_due() -> None:
            n3.run(["rm", "-f", "/etc/pve/authkey.pub.old"])  # of the key that the lab began with
            n3.run(["touch", "-m", "-d", "25 hours ago", "/etc/pve/authkey.pub"])

        assert sorted(renew_on([n1, n2], let_it_be_due)) == [0, 1]
    finally:
        for node in lab.nodes:
            node.systemctl("start", "pvedaemon", "pvestatd")
            wait_for(partial(_listens, node), timeout=20, what=f"pvedaemon on {node.name} to listen")
    wait_for(lambda: keys_of(n1).of_private == keys_of(n1).public, timeout=20, what="both halves on n1")
    seen = keys_of(n1)
    # A second new key would have left the first one as the previous one
    assert (seen.previous, seen.of_private) == (before, seen.public)
    assert seen.public != before
    for node in lab.nodes:
        wait_for(partial(sees, node, seen), timeout=20, what=f"the new key on {node.name}")
        wait_api(node)

    def use() -> None:
        log_in()
        assert len(set(tickets)) == 2
        for node in lab.nodes:
            for ticket in tickets:
                headers = {"Cookie": f"PVEAuthCookie={ticket}"}
                assert ask(node, "GET", "/api2/json/version", headers).status == 200, (node.name, ticket)
                assert ask(node, "GET", "/api2/json/nodes", headers).data

    outside(lab, use)


def test_a_second_factor(lab: Lab, allow_warnings: Callable[[str], None]) -> None:
    allow_warnings("authentication failure; rhost=.* user=carol@pve")
    n1, n3 = lab.node("n1"), lab.node("n3")

    def use() -> None:
        client = proxmoxer_of(n1)
        client.access.users.post(userid="carol@pve", password=CAROL)
        now = int(time.time()) // 30
        client.access.tfa("carol@pve").post(
            type="totp", totp=TOTP.uri(), value=TOTP.code_at(now), description="phone"
        )
        with pytest.raises((AuthenticationError, TypeError)):  # NeedTFA, and no code
            proxmoxer_of(n3, user="carol@pve", password=CAROL)
        wait_for(lambda: int(time.time()) // 30 > now, timeout=60, what="the next code")
        code = TOTP.code_at(int(time.time()) // 30)
        carol = proxmoxer_of(n3, user="carol@pve", password=CAROL, otp=code)
        assert carol.access.permissions.get() is not None
        client.access.users("carol@pve").delete()

    outside(lab, use)


def test_a_token_through_one_node_about_another(lab: Lab, token: dict[str, str]) -> None:
    secret = token["Authorization"].rpartition("=")[2]

    def use() -> None:
        client = proxmoxer_of(lab.node("n1"), user="script@pve", token_name="t1", token_value=secret)
        node = client.nodes("n2")
        assert node.status.get()["uptime"] > 0
        assert node.services.get()
        with pytest.raises(ResourceException) as refused:
            client.cluster.config.post(clustername="x")
        assert (refused.value.status_code, "user != root@pam" in str(refused.value)) == (403, True)

    outside(lab, use)


# -- forwarding -------------------------------------------------------------------------------------------


def test_bodies_and_queries_arrive_as_they_were(lab: Lab, token: dict[str, str]) -> None:
    n1, n2 = lab.node("n1"), lab.node("n2")
    before = n2.read_file("/etc/resolv.conf")

    def use() -> None:
        body = json.dumps({"search": "example.org", "dns1": "10.77.0.1"}).encode()
        json_type = {**token, "Content-Type": "application/json"}
        assert ask(n1, "PUT", "/api2/json/nodes/n2/dns", json_type, body).data is None
        shown = ask(n1, "GET", "/api2/json/nodes/n2/dns", token).data
        assert (shown["search"], shown["dns1"]) == ("example.org", "10.77.0.1")
        broken = ask(n1, "PUT", "/api2/json/nodes/n2/dns", json_type, b'{"search": ')
        assert (broken.status, "unable to parse the JSON body" in broken.reason) == (500, True)
        made = ask(n1, "POST", "/api2/json/nodes/n2/services/sshd/restart", token, b"").data
        wait_for(
            lambda: (
                ask(n1, "GET", f"/api2/json/nodes/n2/tasks/{made}/status", token).data["status"] == "stopped"
            ),
            timeout=60,
            what="the end of the task",
        )
        query = "typefilter=srvrestart&limit=1&source=all"
        listed = ask(n1, "GET", f"/api2/json/nodes/n2/tasks?{query}", token).data
        assert [entry["upid"] for entry in listed] == [made]
        deleted = ask(n1, "DELETE", f"/api2/json/nodes/n2/tasks/{made}?_dc=1", token)
        assert deleted.data is None
        refused = ask(n1, "DELETE", f"/api2/json/nodes/n2/tasks/{made}?more=1", token)
        assert (refused.status, list(json.loads(refused.body)["errors"])) == (400, ["more"])

    try:
        outside(lab, use)
    finally:
        n2.write_file("/etc/resolv.conf", before)
    assert "10.77.0.1" not in n2.read_file("/etc/resolv.conf") or "10.77.0.1" in before


def test_a_node_that_cannot_be_asked(
    lab: Lab, token: dict[str, str], allow_warnings: Callable[[str], None]
) -> None:
    allow_warnings("passing a request on failed: ")
    n1, n2 = lab.node("n1"), lab.node("n2")
    answers: dict[str, Answer] = {}

    def note(name: str, path: str) -> Callable[[], None]:
        def use() -> None:
            answers[name] = ask(n1, "GET", f"/api2/json/nodes/n2/{path}", token)

        return use

    # 595: nobody listens
    n2.systemctl("stop", "pveproxy")
    outside(lab, note("refused", "version"))
    n2.systemctl("start", "pveproxy")
    wait_api(n2)
    assert (answers["refused"].status, answers["refused"].reason) == (595, "Connection refused")

    # 596: it shows another certificate than the one in the cluster's directory
    n1.run(["cp", "/etc/pve/nodes/n3/pve-ssl.pem", "/etc/pve/nodes/n2/pveproxy-ssl.pem"])
    outside(lab, note("certificate", "version"))
    n1.run(["rm", "/etc/pve/nodes/n2/pveproxy-ssl.pem"])
    assert answers["certificate"].status == 596
    assert "certificate of node 'n2' is not the one in" in answers["certificate"].reason

    # 599: its front takes the call, and then nothing comes
    def in_vain() -> None:
        client = proxmoxer_of(n1)
        with pytest.raises(ResourceException, match="n2: got timeout") as silent:
            client.nodes("n2").services.get()
        assert silent.value.status_code == 599

    n2.systemctl("kill", "--signal=STOP", "pvedaemon")
    try:
        outside(lab, in_vain)
    finally:
        n2.systemctl("kill", "--signal=CONT", "pvedaemon")

    def use() -> None:
        assert ask(n1, "GET", "/api2/json/nodes/n2/services", token).data

    outside(lab, use)


# -- what the cluster does --------------------------------------------------------------------------------


def test_metrics_with_a_link_down(lab: Lab, token: dict[str, str]) -> None:
    n1 = lab.node("n1")
    found: dict[str, float] = {}

    def read() -> None:
        answer = ask(n1, "GET", "/metrics", token)
        assert answer.status == 200
        found.clear()
        for name, value in re.findall(r"^(\w+(?:{[^}]*})?) (\S+)$", answer.body.decode(), re.MULTILINE):
            found[name] = float(value)

    def state(node: str, link: int) -> float:
        outside(lab, read)
        (value,) = [
            value
            for name, value in found.items()
            if name.startswith("quorate_link_connected{")
            and f'node="{node}"' in name
            and f'link="{link}"' in name
        ]
        return value

    assert (state("n2", 0), state("n2", 1), found["quorate_cluster_quorate"]) == (1, 1, 1)
    assert found['quorate_votes{kind="expected"}'] == 3
    lab.cut("n2", link=1)
    try:
        wait_for(lambda: state("n2", 1) == 0, timeout=60, what="link 1 to n2 to be down in the metrics")
        assert (state("n2", 0), state("n3", 1), found["quorate_cluster_quorate"]) == (1, 1, 1)
        assert found['quorate_node_online{node="n2"}'] == 1
    finally:
        lab.heal()
    wait_for(lambda: state("n2", 1) == 1, timeout=60, what="link 1 to n2 to be up again")


def test_events_of_a_change_on_another_node(lab: Lab, token: dict[str, str]) -> None:
    n1, n2 = lab.node("n1"), lab.node("n2")

    def use() -> None:
        connection = open_connection(n1)
        try:
            connection.request("GET", "/api2/events", headers=token)
            response = connection.getresponse()
            assert response.status == 200
            assert "config" in _next(response, "hello")["topics"]
            n2.run(["pvesh", "set", "/cluster/options", "--keyboard", "fr"])
            while True:
                change = _next(response, "change")
                if "datacenter.cfg" in change.get("paths", ()):
                    break
            assert "config" in change["topics"]
        finally:
            connection.close()
        assert ask(n1, "GET", "/api2/json/cluster/options", token).data["keyboard"] == "fr"

    try:
        outside(lab, use)
    finally:
        n1.run(["pvesh", "set", "/cluster/options", "--delete", "keyboard"])


def _next(response: Any, kind: str) -> dict[str, Any]:
    """The data of the next event of this kind; the connection's time-out bounds the wait."""
    while True:
        line = response.readline().decode()
        assert line, "the stream ended"
        if line.strip() == f"event: {kind}":
            found: dict[str, Any] = json.loads(response.readline().decode().removeprefix("data: "))
            return found


def test_pvesh_about_another_node(lab: Lab) -> None:
    n1, n2 = lab.node("n1"), lab.node("n2")
    text = n1.run(["pvesh", "get", "/nodes/n2/status", "--output-format", "json"]).stdout
    assert json.loads(text)["current-kernel"]["release"] == n2.run(["uname", "-r"]).stdout.strip()
    listed = n1.run(["pvesh", "get", "/nodes/n2/services", "--output-format", "json"]).stdout
    assert "pve-cluster" in [entry["service"] for entry in json.loads(listed)]
    refused = n1.run(["pvesh", "get", "/nodes/n2/tasks/nonsense/status"], check=False)
    assert refused.returncode != 0
    assert refused.stderr.startswith("400 Parameter verification failed")


# -- services ---------------------------------------------------------------------------------------------


def _property(node: Node, service: str, name: str) -> str:
    return node.systemctl("show", service, f"--property={name}", "--value").strip()


def _workers(node: Node, service: str) -> set[str]:
    main = _property(node, service, "MainPID")
    return set(node.run(["pgrep", "-P", main], check=False).stdout.split())


@pytest.mark.parametrize("service", ["pveproxy", "pvedaemon"])
def test_the_four_words(lab: Lab, token: dict[str, str], service: str) -> None:
    node = lab.node("n3")
    path = "/api2/json/version" if service == "pveproxy" else "/api2/json/nodes/n3/services"
    assert node.run([service, "status"]).stdout == "running\n"
    main, before = _property(node, service, "MainPID"), _workers(node, service)
    pidfile = f"/run/{'pveproxy/' if service == 'pveproxy' else ''}{service}.pid"
    assert node.read_file(pidfile) == f"{main}\n"

    def use() -> None:
        assert ask(node, "GET", path, token).status == 200
        node.run([service, "restart"])
        replaced = False
        while not replaced:  # all the time, until the workers of before are gone
            assert ask(node, "GET", path, token).status == 200
            now = _workers(node, service)
            replaced = bool(now) and not now & before

    outside(lab, use)
    assert _property(node, service, "MainPID") == main
    assert node.run([service, "status"]).stdout == "running\n"
    node.run([service, "stop"])
    assert node.run([service, "status"]).stdout == "stopped\n"
    assert node.run(["test", "-e", pidfile], check=False).returncode == 1
    node.run([service, "start"])
    assert node.run([service, "status"]).stdout == "running\n"
    wait_api(node)

    def again() -> None:
        assert ask(node, "GET", path, token).status == 200

    outside(lab, again)
    assert _property(node, service, "MainPID") != main


def test_a_service_is_stopped_started_and_reloaded(lab: Lab) -> None:
    n2 = lab.node("n2")

    def use() -> None:
        client = proxmoxer_of(lab.node("n1"))
        node = client.nodes("n2")

        def finished(upid: str) -> str:
            done = Tasks.blocking_status(client, upid, timeout=60, polling_interval=0.2)
            assert done["exitstatus"] == "OK"
            return str(node.services("sshd").state.get()["active-state"])

        assert finished(node.services("sshd").stop.post()) == "inactive"
        assert finished(node.services("sshd").start.post()) == "active"
        main = _property(n2, "ssh", "MainPID")
        assert finished(node.services("sshd").reload.post()) == "active"
        assert _property(n2, "ssh", "MainPID") == main
        with pytest.raises(ResourceException, match="refusing to stop essential service"):
            node.services("pvedaemon").stop.post()

    outside(lab, use)


def test_a_node_is_restarted_from_another(lab: Lab) -> None:
    n3 = lab.node("n3")
    boots = n3.boots

    def use() -> None:
        client = proxmoxer_of(lab.node("n1"))
        node = client.nodes("n3")
        for upid in (node.stopall.post(), node.startall.post()):  # it has no guests: nothing to be done
            done = Tasks.blocking_status(client, upid, timeout=60, polling_interval=0.2)
            assert (done["node"], done["exitstatus"]) == ("n3", "OK")
        assert node.status.post(command="reboot") is None
        wait_for(lambda: n3.boots > boots and n3.is_on, timeout=120, what="the restart of n3")
        n3.wait_booted()
        wait_api(n3)
        client = proxmoxer_of(lab.node("n1"))  # the connection of before has been idle for long
        assert client.nodes("n3").status.get()["uptime"] >= 0
        wait_for(
            lambda: all(entry.get("online", 1) for entry in client.cluster.status.get()),
            timeout=60,
            what="n3 to be online again",
        )

    outside(lab, use)
