"""/cluster/status, nextid, options, tasks, log and /nodes over a small cluster (pvecm 6.6, 6.8, 8)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quorate.access.directory import directory_of
from quorate.api import cluster, cluster_options, cluster_resources, cluster_tasks, nodes
from quorate.replicated import Replicated
from quorate.schema import ApiError
from quorate.settings import Settings
from tests.unit.api.cluster_world import Api, World

USERS = """\
user:audit@pve:1:0::::::
user:bob@pve:1:0::::::
user:log@pve:1:0::::::
token:bob@pve!tk:0:0::
acl:1:/:audit@pve:PVEAuditor:
acl:1:/:log@pve:PVESysAdmin:
"""
UPID = "UPID:n1:000004D2:0000162E:6B02ED03:clusterjoin::root@pam:"
MEMBERS = {
    "nodename": "n1",
    "version": 5,
    "cluster": {"name": "lab", "version": 3, "nodes": 2, "quorate": 1},
    "nodelist": {
        "n2": {"id": 2, "online": 0},
        "n1": {"id": 1, "online": 1, "ip": "10.77.0.1"},
    },
}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    replicated = Replicated(world)
    for module in (cluster, cluster_options, nodes):
        monkeypatch.setattr(module, "replicated_of", lambda settings: replicated)
    monkeypatch.setattr(cluster_tasks, "Cfs", lambda settings: world)
    monkeypatch.setattr(
        cluster_resources,
        "lists_of",
        lambda settings: cluster_resources.ResourceLists(replicated, directory_of(settings)),
    )
    return world


@pytest.fixture
def api(tmp_path: Path, world: World) -> Api:
    settings = Settings(root=tmp_path)
    mount = settings.mountpoint
    (mount / "priv/lock").mkdir(parents=True)
    (mount / "nodes/n1").mkdir(parents=True)
    (mount / "local").symlink_to("nodes/n1")
    (mount / "user.cfg").write_text(USERS)
    (mount / ".members").write_text(json.dumps(MEMBERS))
    (mount / ".vmlist").write_text('{"version": 1, "ids": {"100": {"node": "n1", "type": "qemu"}}}')
    return Api(settings)


# -- status and numbers ---------------------------------------------------------------------------------


def test_status_of_a_cluster(api: Api) -> None:
    assert api("GET", "/cluster/status") == [
        {"type": "cluster", "id": "cluster", "name": "lab", "version": 3, "nodes": 2, "quorate": 1},
        {
            "type": "node",
            "id": "node/n1",
            "name": "n1",
            "nodeid": 1,
            "local": 1,
            "online": 1,
            "level": "c",
            "ip": "10.77.0.1",
        },
        {
            "type": "node",
            "id": "node/n2",
            "name": "n2",
            "nodeid": 2,
            "local": 0,
            "online": 0,
            "level": "",
        },
    ]


def test_status_is_told_also_when_the_daemon_tells_nothing_else(api: Api, world: World) -> None:
    world.down = True
    assert [entry["type"] for entry in api("GET", "/cluster/status")] == ["cluster", "node", "node"]


def test_status_without_a_cluster(api: Api) -> None:
    (api.settings.mountpoint / ".members").write_text('{"nodename": "n1", "version": 0}')
    (entry,) = api("GET", "/cluster/status")
    assert (entry["type"], entry["nodeid"], entry["local"], entry["online"]) == ("node", 0, 1, 1)


def test_next_id_is_a_text_in_the_configured_range(api: Api) -> None:
    assert api("GET", "/cluster/nextid") == "101"
    options = api.settings.mountpoint / "datacenter.cfg"
    options.write_text("next-id: lower=200,upper=300\n")
    assert api("GET", "/cluster/nextid") == "200"
    options.write_text("next-id: lower=100,upper=101\n")
    with pytest.raises(ApiError, match=r"^unable to get any free VMID in range \[100, 101\]$"):
        api("GET", "/cluster/nextid")


def test_next_id_checks_a_given_one(api: Api) -> None:
    assert api("GET", "/cluster/nextid", vmid="102") == "102"
    with pytest.raises(ApiError) as refused:
        api("GET", "/cluster/nextid", vmid="100")
    assert (refused.value.status, refused.value.errors) == (400, {"vmid": "VM 100 already exists"})


# -- options --------------------------------------------------------------------------------------------


def test_options_are_set_shown_and_deleted(api: Api) -> None:
    assert api("PUT", "/cluster/options", keyboard="de", migration="network=10.0.0.0/8,type=secure") is None
    api("PUT", "/cluster/options", next_id="lower=200", description="a\nb", delete="keyboard,language")
    text = (api.settings.mountpoint / "datacenter.cfg").read_text()
    assert text == "#a\n#b\n\nmigration: secure,network=10.0.0.0/8\nnext-id: lower=200\n"
    assert api("GET", "/cluster/options") == {
        "allowed-tags": ["a", "b"],
        "description": "a\nb",
        "mac_prefix": "BC:24:11",
        "migration": {"type": "secure", "network": "10.0.0.0/8"},
        "next-id": {"lower": "200"},
    }


def test_the_consent_text_is_told_decoded(api: Api) -> None:
    assert api("GET", "/access/consent") == ""
    api("PUT", "/cluster/options", **{"consent-text": "RsO8ciBCZWZ1Z3RlLg=="})
    assert api("GET", "/access/consent") == "Für Befugte."
    (api.settings.mountpoint / "datacenter.cfg").unlink()
    (api.settings.mountpoint / "datacenter.cfg").mkdir()
    with pytest.raises(ApiError, match=r"^unable to read the consent text: Is a directory$"):
        api("GET", "/access/consent")


def test_options_that_do_not_fit_change_nothing(api: Api) -> None:
    with pytest.raises(ApiError) as refused:
        api("PUT", "/cluster/options", next_id="lower=300,upper=200")
    assert refused.value.status == 500
    assert refused.value.message == "lower (300) <= upper (200) boundary rule broken"
    with pytest.raises(ApiError) as unknown:
        api("PUT", "/cluster/options", keyboard="xx")
    assert unknown.value.status == 400
    assert list(unknown.value.errors or ()) == ["keyboard"]
    assert not (api.settings.mountpoint / "datacenter.cfg").exists()
    assert list((api.settings.mountpoint / "priv/lock").iterdir()) == []


def test_options_for_those_without_audit(api: Api) -> None:
    api("PUT", "/cluster/options", keyboard="de", console="applet")
    assert api("GET", "/cluster/options", "bob@pve") == {"console": "html5", "allowed-tags": []}


def test_version_tells_the_console(api: Api) -> None:
    api("PUT", "/cluster/options", console="xtermjs")
    assert api("GET", "/version")["console"] == "xtermjs"


def test_allowed_tags() -> None:
    allowed = cluster_options.allowed_tags
    registered = {"registered-tags": "r"}
    assert allowed(registered, {"b", "a", "r"}, registered=False) == ["a", "b"]
    assert allowed(registered, {"b", "a"}, registered=True) == ["a", "b", "r"]
    listed = {"user-tag-access": {"user-allow": "list", "user-allow-list": "y;x"}}
    assert allowed(listed, {"a"}, registered=False) == ["x", "y"]
    assert allowed({"user-tag-access": {"user-allow": "none"}}, {"a"}, registered=False) == []


# -- tasks and log --------------------------------------------------------------------------------------


def _task(upid: str, start: int, user: str, token: str | None = None) -> dict[str, object]:
    task = {"upid": upid, "node": "n1", "type": "x", "id": "", "user": user, "starttime": start, "pid": 5}
    return task if token is None else {**task, "tokenid": token}


def test_tasks_of_all_nodes_newest_first(api: Api, world: World) -> None:
    world.values["tasklist"] = {
        "n1": json.dumps([_task("a", 30, "root@pam"), _task("b", 10, "bob@pve")]).encode() + b"\0",
        "n2": json.dumps([_task("c", 20, "bob@pve", "tk")]).encode() + b"\0",
        "n3": b"broken\0",
    }
    assert [task["upid"] for task in api("GET", "/cluster/tasks", "audit@pve")] == ["a", "c", "b"]
    assert [task["upid"] for task in api("GET", "/cluster/tasks", "bob@pve")] == ["c", "b"]
    assert [task["upid"] for task in api("GET", "/cluster/tasks", "bob@pve!tk")] == ["c"]


def test_log_is_everybodys_or_the_callers_own(api: Api, world: World) -> None:
    world.log = [
        {"uid": 2, "time": 9, "pri": 6, "tag": "t", "pid": 1, "node": "n1", "user": "bob@pve", "msg": "m"},
        {"uid": 1, "time": 8, "pri": 6, "tag": "t", "pid": 1, "node": "n2", "user": "root@pam", "msg": "m"},
    ]
    assert [entry["id"] for entry in api("GET", "/cluster/log", "log@pve")] == ["2:n1", "1:n2"]
    assert [entry["id"] for entry in api("GET", "/cluster/log", "log@pve", max="1")] == ["2:n1"]
    assert [entry["id"] for entry in api("GET", "/cluster/log", "bob@pve")] == ["2:n1"]
    world.down = True
    with pytest.raises(ApiError, match="nobody there"):
        api("GET", "/cluster/log")


# -- nodes ----------------------------------------------------------------------------------------------


def test_nodes_with_figures_for_those_who_may(api: Api) -> None:
    shown = {entry["node"]: entry for entry in api("GET", "/nodes", "audit@pve")}
    assert [(name, entry["status"]) for name, entry in shown.items()] == [
        ("n1", "online"),
        ("n2", "unknown"),
        ("n3", "offline"),
    ]
    assert (shown["n1"]["cpu"], shown["n1"]["mem"], shown["n1"]["uptime"]) == (0.25, 400, 1000)
    assert all("cpu" not in entry for entry in api("GET", "/nodes", "bob@pve"))


def test_nodes_are_listed_also_when_the_daemon_tells_nothing_else(api: Api, world: World) -> None:
    world.down = True
    assert [(entry["node"], entry["status"]) for entry in api("GET", "/nodes")] == [
        ("n1", "unknown"),
        ("n2", "offline"),
    ]


def test_resources_by_kind(api: Api) -> None:
    assert [entry["id"] for entry in api("GET", "/cluster/resources", type="vm")] == ["qemu/100", "lxc/101"]
    with pytest.raises(ApiError) as refused:
        api("GET", "/cluster/resources", type="cow")
    assert refused.value.status == 400
