"""/cluster/resources: entries, permissions, and how little is done when nothing changed (pvecm 6.6)."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from quorate.access.directory import Directory
from quorate.api.cluster_resources import ResourceLists
from quorate.api.protocol import plain, success
from quorate.cfs import CfsUnavailableError
from quorate.replicated import Replicated, Storage, parse_storages
from quorate.settings import Settings
from tests.unit.api.cluster_world import World

USERS = """\
user:bob@pve:1:0::::::
user:eve@pve:1:0::::::
pool:dev:notes:101:share:
acl:1:/vms/100:bob@pve:PVEAuditor:
acl:1:/nodes/n1:bob@pve:PVEAuditor:
"""


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lists(tmp_path: Path, world: World, clock: Clock) -> ResourceLists:
    settings = Settings(root=tmp_path)
    settings.mountpoint.mkdir(parents=True)
    (settings.mountpoint / "user.cfg").write_text(USERS)
    return ResourceLists(Replicated(world, clock), Directory(settings))


def _of(lists: ResourceLists, user: str = "root@pam", kind: str | None = None) -> dict[str, Any]:
    entries = json.loads(lists.of(user, kind).data)
    return {entry["id"]: entry for entry in entries}


def test_everything_for_root(lists: ResourceLists) -> None:
    assert list(_of(lists)) == [
        *("/pool/dev", "qemu/100", "lxc/101", "node/n1", "node/n2", "node/n3"),
        *("storage/n1/local", "storage/n2/local", "storage/n3/local", "storage/n1/share"),
        *(f"network/{node}/zone/localnetwork" for node in ("n1", "n2", "n3")),
    ]


def test_a_node_with_figures(lists: ResourceLists) -> None:
    assert _of(lists)["node/n1"] == {
        "id": "node/n1",
        "type": "node",
        "node": "n1",
        "level": "c",
        "status": "online",
        "uptime": 1000,
        "maxcpu": 8,
        "cpu": 0.25,
        "maxmem": 1000,
        "mem": 400,
        "maxdisk": 5000,
        "disk": 600,
    }


def test_a_node_without_figures_is_unknown_and_an_absent_one_offline(lists: ResourceLists) -> None:
    nodes = _of(lists, kind="node")
    assert nodes["node/n2"]["status"] == "unknown"
    assert "cpu" not in nodes["node/n2"]
    # From the key of the old format; the load of a node that is off is nothing.
    assert nodes["node/n3"]["status"] == "offline"
    assert "cpu" not in nodes["node/n3"]
    assert nodes["node/n3"]["maxmem"] == 1000


def test_guests(lists: ResourceLists) -> None:
    guests = _of(lists, kind="vm")
    assert guests["qemu/100"] == {
        "id": "qemu/100",
        "type": "qemu",
        "vmid": 100,
        "node": "n1",
        "name": "web",
        "status": "running",
        "template": 0,
        "uptime": 60,
        "maxcpu": 4,
        "cpu": 0.5,
        "maxmem": 2000,
        "mem": 900,
        "maxdisk": 10000,
        "disk": 0,
        "netin": 11,
        "netout": 12,
        "diskread": 13,
        "diskwrite": 14,
    }
    assert guests["lxc/101"] == {
        "id": "lxc/101",
        "type": "lxc",
        "vmid": 101,
        "node": "n2",
        "name": "db",
        "status": "unknown",
        "template": 0,
        "tags": "a;b",
        "lock": "backup",
        "pool": "dev",
    }


def test_storages(lists: ResourceLists) -> None:
    storages = _of(lists, kind="storage")
    assert storages["storage/n1/local"] == {
        "id": "storage/n1/local",
        "type": "storage",
        "node": "n1",
        "storage": "local",
        "status": "available",
        "plugintype": "dir",
        "content": "iso",
        "shared": 0,
        "maxdisk": 5000,
        "disk": 600,
    }
    assert storages["storage/n2/local"]["status"] == "unknown"
    assert storages["storage/n1/share"]["shared"] == 1
    assert "storage/n2/share" not in storages


def test_every_node_has_its_own_network(lists: ResourceLists) -> None:
    networks = _of(lists, kind="sdn")
    assert list(networks) == [f"network/{node}/zone/localnetwork" for node in ("n1", "n2", "n3")]
    assert networks["network/n1/zone/localnetwork"] == {
        "id": "network/n1/zone/localnetwork",
        "type": "network",
        "node": "n1",
        "network": "localnetwork",
        "network-type": "zone",
        "status": "ok",
    }
    assert networks["network/n3/zone/localnetwork"]["status"] == "unknown"  # it is off
    assert _of(lists, "eve@pve", kind="sdn") == {}


@pytest.mark.parametrize("role", ["PVEAuditor", "PVESDNUser"])
def test_who_sees_networks(lists: ResourceLists, tmp_path: Path, role: str) -> None:
    users = Settings(root=tmp_path).mountpoint / "user.cfg"
    users.write_text(USERS + f"acl:1:/sdn/zones/localnetwork:eve@pve:{role}:\n")
    assert len(_of(lists, "eve@pve", kind="sdn")) == 3


def test_who_sees_what(lists: ResourceLists) -> None:
    bob = _of(lists, "bob@pve")
    assert list(bob) == ["qemu/100", "node/n1", "node/n2", "node/n3"]
    assert "cpu" in bob["node/n1"]
    eve = _of(lists, "eve@pve")
    assert list(eve) == ["node/n1", "node/n2", "node/n3"]
    assert "cpu" not in eve["node/n1"]
    assert eve["node/n1"]["status"] == "online"


def test_nothing_is_read_or_made_again_while_nothing_changes(lists: ResourceLists, world: World) -> None:
    first = lists.of("root@pam", None)
    world.asked.clear()
    assert lists.of("root@pam", None) is first
    assert world.asked == ["changes"]


def test_nor_is_it_where_no_user_was_ever_made(lists: ResourceLists, tmp_path: Path) -> None:
    file = Settings(root=tmp_path).mountpoint / "user.cfg"
    file.unlink()
    first = lists.of("root@pam", None)
    assert lists.of("root@pam", None) is first
    file.write_text("pool:made::101::\n")
    assert "/pool/made" in _of(lists)


def test_figures_are_read_again_after_two_seconds(lists: ResourceLists, world: World, clock: Clock) -> None:
    first = lists.of("root@pam", None)
    clock.now += 2
    world.asked.clear()
    assert lists.of("root@pam", None) is first  # read, and the same
    assert world.asked == ["changes", "rrd_dump"]
    world.figures["pve-node-9.0/n1"] = world.figures["pve-node-9.0/n1"].replace(":0.25:", ":0.75:")
    assert _of(lists)["node/n1"]["cpu"] == 0.25
    clock.now += 2
    assert _of(lists)["node/n1"]["cpu"] == 0.75


def test_changes_of_members_guests_and_storages_show_at_once(lists: ResourceLists, world: World) -> None:
    _of(lists)
    del world.found[100]
    world.vmlist += 1
    del world.nodes["n3"]
    world.clinfo += 1
    world.files["storage.cfg"] = b""
    world.storage += 1
    assert list(_of(lists)) == [
        *("/pool/dev", "lxc/101", "node/n1", "node/n2"),
        *("network/n1/zone/localnetwork", "network/n2/zone/localnetwork"),
    ]


def test_changed_permissions_show_at_once(lists: ResourceLists, tmp_path: Path) -> None:
    assert "lxc/101" not in _of(lists, "bob@pve")
    users = Settings(root=tmp_path).mountpoint / "user.cfg"
    users.write_text(USERS + "acl:1:/vms:bob@pve:PVEAuditor:\n")
    assert "lxc/101" in _of(lists, "bob@pve")


def test_a_node_without_a_cluster(lists: ResourceLists, world: World) -> None:
    world.nodes = {}
    assert list(_of(lists, kind="node")) == ["node/n1"]


def test_a_daemon_that_is_away(lists: ResourceLists, world: World) -> None:
    world.down = True
    with pytest.raises(CfsUnavailableError):
        lists.of("root@pam", None)


def test_a_daemon_that_hangs_is_not_asked_by_every_thread(
    lists: ResourceLists, world: World, clock: Clock
) -> None:
    world.down = True
    for _ in range(3):
        with pytest.raises(CfsUnavailableError):
            lists.of("root@pam", None)
    assert world.asked == ["changes"]
    world.down = False
    clock.now += 0.5
    assert "node/n1" in _of(lists)


def test_answer_is_encoded_once_for_all_formats(lists: ResourceLists) -> None:
    result = lists.of("root@pam", "node")
    answer = success(result, "json")
    assert json.loads(answer.body) == {"data": plain(result)}
    assert answer.compressed is not None
    assert gzip.decompress(answer.compressed) == answer.body
    assert success(result, "json").body is answer.body
    assert json.loads(success(result, "extjs").body) == {"data": plain(result), "success": 1}


def test_storage_sections() -> None:
    text = "# mine\nrbd: ceph\n\tcontent images,rootdir\n\tdisable\n\nlvm: x\n  nodes a, b\n  shared 1\nodd\n"
    assert parse_storages(text) == {
        "ceph": Storage("rbd", "images,rootdir", shared=True, disabled=True),
        "x": Storage("lvm", shared=True, nodes=frozenset({"a", "b"})),
    }
