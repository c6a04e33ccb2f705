"""proxmoxer, a client written for the original, unchanged against our API: by password and by token."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quorate.access.crypt import hash_password
from tests.real.api_host import TOKEN_SECRET, USERS, ApiHost

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.filterwarnings("ignore:Unverified HTTPS request"),
]

PASSWORD = "an administrator"


@pytest.fixture(scope="module")
def host() -> Iterator[ApiHost]:
    api = ApiHost()
    mount = api.settings.mountpoint
    (api.root / "proc").symlink_to("/proc")
    (mount / "user.cfg").write_text(
        USERS + "user:admin@pve:1:0::::::\ntoken:admin@pve!tk:0:0::\nacl:1:/:admin@pve:Administrator:\n"
    )
    for name, line in (
        ("shadow.cfg", f"admin:{hash_password(PASSWORD)}:\n"),
        ("token.cfg", f"admin@pve!tk {TOKEN_SECRET}\n"),
    ):
        with (mount / "priv" / name).open("a") as file:
            file.write(line)
    with api:
        yield api


def _client(host: ApiHost, **credentials: Any) -> Any:
    from proxmoxer import ProxmoxAPI

    return ProxmoxAPI("127.0.0.1", port=host.port, verify_ssl=False, user="admin@pve", **credentials)


@pytest.fixture(scope="module", params=["password", "token"])
def client(host: ApiHost, request: pytest.FixtureRequest) -> Any:
    if request.param == "password":
        return _client(host, password=PASSWORD)
    return _client(host, token_name="tk", token_value=TOKEN_SECRET)


def test_wrong_password(host: ApiHost) -> None:
    from proxmoxer.core import AuthenticationError

    with pytest.raises(AuthenticationError):
        _client(host, password="wrong")


def test_version_and_cluster(host: ApiHost, client: Any) -> None:
    assert client.version.get()["release"].count(".") == 1
    assert {"name": "status"} in client.cluster.get()
    assert [entry["name"] for entry in client.cluster.status.get() if entry["type"] == "node"] == [host.node]
    assert int(client.cluster.nextid.get()) >= 100
    assert client.cluster.config.nodes.get() == []
    assert isinstance(client.cluster.options.get(), dict)
    assert client.cluster.config.totem.get() is None  # it is in no cluster
    assert int(client.cluster.config.apiversion.get()) == 1
    assert client.cluster.config.qdevice.get() == {}


def test_nodes(host: ApiHost, client: Any) -> None:
    from proxmoxer.core import ResourceException

    assert [entry["node"] for entry in client.nodes.get()] == [host.node]
    node = client.nodes(host.node)
    assert node.version.get()["version"]
    assert node.status.get()["memory"]["total"] > 0
    assert isinstance(node.network.get(), list)
    assert isinstance(node.tasks.get(limit=3, source="all"), list)
    with pytest.raises(ResourceException, match="there are no figures of node") as none:
        node.rrddata.get(timeframe="hour", cf="AVERAGE")
    assert none.value.status_code == 500


def test_errors_are_those_that_scripts_expect(host: ApiHost, client: Any) -> None:
    from proxmoxer.core import ResourceException

    for call, status, text in (
        # There is no daemon of the file system here, only its files.
        (client.cluster.resources.get, 500, "is pmxcfs running?"),
        (client.cluster.tasks.get, 500, "is pmxcfs running?"),
        (client.nosuch.get, 501, "not implemented"),
        (lambda: client.cluster.nextid.get(vmid="x"), 400, "Parameter verification failed."),
        (lambda: client.cluster.config.post(clustername="x"), 403, "user != root@pam"),
        (lambda: client.nodes(host.node).tasks("UPID:x").status.get(), 400, "unable to parse worker upid"),
    ):
        with pytest.raises(ResourceException) as caught:
            call()
        assert caught.value.status_code == status
        assert text in str(caught.value)


def test_users_groups_tokens_and_rules(host: ApiHost, client: Any) -> None:
    client.access.groups.post(groupid="ops", comment="made by a script")
    client.access.users.post(userid="carol@pve", groups="ops", password="carol's password")
    try:
        assert client.access.users("carol@pve").get()["groups"] == ["ops"]
        assert "carol@pve" in [user["userid"] for user in client.access.users.get(full=1)]
        client.access.acl.put(path="/nodes", roles="PVEAuditor", groups="ops", propagate=1)
        assert {entry["ugid"] for entry in client.access.acl.get()} >= {"ops"}
        made = client.access.users("carol@pve").token("t1").post(privsep=0)
        assert made["full-tokenid"] == "carol@pve!t1"
        from proxmoxer import ProxmoxAPI

        carol = ProxmoxAPI(
            "127.0.0.1",
            port=host.port,
            verify_ssl=False,
            user="carol@pve",
            token_name="t1",
            token_value=made["value"],
        )
        assert "/nodes" in carol.access.permissions.get()
        client.access.users("carol@pve").token("t1").delete()
    finally:
        client.access.users("carol@pve").delete()
        client.access.acl.put(path="/nodes", roles="PVEAuditor", groups="ops", delete=1)
        client.access.groups("ops").delete()


def test_roles_and_realms(client: Any) -> None:
    client.access.roles.post(roleid="Looker", privs="VM.Audit,Sys.Audit")
    try:
        assert set(client.access.roles("Looker").get()) == {"VM.Audit", "Sys.Audit"}
        client.access.roles("Looker").put(privs="Sys.Syslog", append=1)
        assert set(client.access.roles("Looker").get()) == {"VM.Audit", "Sys.Audit", "Sys.Syslog"}
        assert {entry["roleid"] for entry in client.access.roles.get()} >= {"Looker", "Administrator"}
    finally:
        client.access.roles("Looker").delete()
    ldap = {"server1": "10.0.0.8", "base_dn": "dc=lab", "user_attr": "uid"}
    client.access.domains.post(realm="corp", type="ldap", **ldap)
    try:
        client.access.domains("corp").put(comment="a directory")
        assert client.access.domains("corp").get()["comment"] == "a directory"
        assert {entry["realm"] for entry in client.access.domains.get()} == {"pam", "pve", "corp"}
    finally:
        client.access.domains("corp").delete()


def test_a_password_is_set_with_ones_own(host: ApiHost) -> None:
    from proxmoxer import ProxmoxAPI
    from proxmoxer.core import AuthenticationError, ResourceException

    client = _client(host, password=PASSWORD)
    client.access.users.post(userid="dora@pve", password="the first one")
    try:
        change = {"userid": "dora@pve", "password": "the second one"}
        with pytest.raises(ResourceException, match="confirmation-password"):
            client.access.password.put(**change)
        client.access.password.put(**change, **{"confirmation-password": PASSWORD})
        address = {"host": "127.0.0.1", "port": host.port, "verify_ssl": False, "user": "dora@pve"}
        with pytest.raises(AuthenticationError):
            ProxmoxAPI(**address, password="the first one")
        assert ProxmoxAPI(**address, password="the second one").version.get()["version"]
        with pytest.raises(ResourceException, match="not available with API token"):
            _client(host, token_name="tk", token_value=TOKEN_SECRET).access.password.put(**change)
    finally:
        client.access.users("dora@pve").delete()


def test_a_task_is_watched_to_its_end(host: ApiHost, client: Any) -> None:
    from quorate.tasks import start_worker

    upid = str(start_worker("test", "", "admin@pve", lambda upid: print("hello\nagain"), host.settings))
    node = client.nodes(host.node)
    from proxmoxer.tools import Tasks

    done = Tasks.blocking_status(client, upid, timeout=30, polling_interval=0.1)
    assert (done["status"], done["exitstatus"]) == ("stopped", "OK")
    assert [line["t"] for line in node.tasks(upid).log.get()] == ["hello", "again", "TASK OK"]
    assert node.tasks(upid).log.get(start=1, limit=1) == [{"n": 2, "t": "again"}]


def test_a_task_is_stopped(host: ApiHost, client: Any) -> None:
    from proxmoxer.tools import Tasks

    from quorate.tasks import start_worker

    upid = str(start_worker("test", "", "admin@pve", lambda upid: time.sleep(600), host.settings))
    node = client.nodes(host.node)
    assert node.tasks(upid).status.get()["status"] == "running"
    assert node.tasks(upid).delete() is None
    done = Tasks.blocking_status(client, upid, timeout=30, polling_interval=0.1)
    assert (done["status"], done["exitstatus"]) == ("stopped", "received interrupt")


def test_the_local_back_end_through_pvesh(
    host: ApiHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from proxmoxer import ProxmoxAPI
    from proxmoxer.core import ResourceException

    pvesh = tmp_path / "pvesh"
    pvesh.write_text(
        f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\nfrom quorate.cli.pvesh import main\n"
        "from quorate.settings import Settings\n"
        f"sys.exit(main(sys.argv[1:], Settings(Path({str(host.root)!r}))))\n"
    )
    pvesh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    local = ProxmoxAPI(backend="local", service="PVE")
    assert local.version.get()["release"]
    assert [entry["name"] for entry in local.cluster.status.get()] == [host.node]
    local.access.groups.post(groupid="shell", comment="with blanks and 'quotes'")
    assert local.access.groups("shell").get()["comment"] == "with blanks and 'quotes'"
    assert local.access.groups("shell").delete() is None
    with pytest.raises(ResourceException, match=r"^400 .*Parameter verification failed"):
        local.cluster.nextid.get(vmid="x")
    with pytest.raises(ResourceException, match="No 'get' handler defined for '/nosuch'"):
        local.nosuch.get()
