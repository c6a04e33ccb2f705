"""What changes a node, through both halves: the front as www-data, the change as root (pvecm 6.8, 10).

All of it happens below a temporary root: the machine's own network, names, clock and guests are not touched.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from quorate.pmxcfs import librrd, rrd
from tests.real.api_host import PASSWORDS, ApiHost, Session

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

INTERFACES = """\
auto lo
iface lo inet loopback

iface eno1 inet manual

auto vmbr0
iface vmbr0 inet static
	address 10.0.0.1/24
	bridge-ports eno1
	post-up echo up
"""


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[ApiHost, Session]]:
    host = ApiHost()
    for path, text in (
        ("/etc/network/interfaces", INTERFACES),
        ("/etc/resolv.conf", "search example.org\nnameserver 10.0.0.53\noptions edns0\n"),
        ("/etc/hosts", "127.0.0.1 localhost\n"),
        ("/usr/share/zoneinfo/Europe/Vienna", "TZif2"),
        *((f"/sys/class/net/{name}/flags", "0x1003\n") for name in ("eno1", "eno2")),
    ):
        host.settings.at(path).parent.mkdir(parents=True, exist_ok=True)
        host.settings.at(path).write_text(text)
    guests = {"100": "qemu", "101": "lxc"}
    vmlist = {vmid: {"node": host.node, "type": kind, "version": 1} for vmid, kind in guests.items()}
    (host.settings.mountpoint / ".vmlist").write_text(json.dumps({"version": 1, "ids": vmlist}))
    for vmid, directory in (("100", "qemu-server"), ("101", "lxc")):
        conf = host.settings.mountpoint / "nodes" / host.node / directory / f"{vmid}.conf"
        conf.parent.mkdir(exist_ok=True)
        conf.write_text("onboot: 1\n")
    try:
        host.start()
        yield host, host.root_session()
    finally:
        host.close()


def _finished(host: ApiHost, session: Session, upid: str) -> tuple[str, list[str]]:
    """How a task ended, and its log without the last line."""
    task = f"/nodes/{host.node}/tasks/{quote(upid)}"
    deadline = time.monotonic() + 30
    while True:
        status = host.api("GET", f"{task}/status", session).data
        if status["status"] == "stopped":
            break
        assert time.monotonic() < deadline, status
        time.sleep(0.05)
    lines = host.api("GET", f"{task}/log?limit=0", session).data
    return status["exitstatus"], [line["t"] for line in lines][:-1]


def test_names_and_time_zone(made: tuple[ApiHost, Session]) -> None:
    host, root = made
    dns = {"search": "example.com", "dns1": "10.0.0.54"}
    assert host.api("PUT", f"/nodes/{host.node}/dns", root, form=dns).json == {"data": None}
    assert host.api("GET", f"/nodes/{host.node}/dns", root).data == dns
    assert host.settings.at("/etc/resolv.conf").read_text().endswith("options edns0\n")
    zone = {"timezone": "Europe/Vienna"}
    assert host.api("PUT", f"/nodes/{host.node}/time", root, form=zone).status == 200
    assert host.api("GET", f"/nodes/{host.node}/time", root).data["timezone"] == "Europe/Vienna"
    before = host.api("GET", f"/nodes/{host.node}/hosts", root).data
    form = {"data": "127.0.0.1 localhost\n10.0.0.1 n1\n", "digest": before["digest"]}
    assert host.api("POST", f"/nodes/{host.node}/hosts", root, form=form).status == 200
    refused = host.api("POST", f"/nodes/{host.node}/hosts", root, form=form)
    assert (refused.status, refused.reason) == (
        500,
        "detected modified configuration - file changed by other user? Try again.",
    )


def test_an_auditor_reads_and_changes_nothing(made: tuple[ApiHost, Session]) -> None:
    host, _ = made
    alice = host.login("alice@pve", PASSWORDS["alice"])
    assert host.api("GET", f"/nodes/{host.node}/config", alice).status == 200
    denied = host.api("PUT", f"/nodes/{host.node}/network", alice, form={})
    assert (denied.status, denied.reason) == (
        403,
        f"Permission check failed (/nodes/{host.node}, Sys.Modify)",
    )
    denied = host.api("POST", f"/nodes/{host.node}/startall", alice, form={})
    assert denied.reason == "Permission check failed (/, VM.PowerMgmt)"


def test_network_from_the_change_to_its_application(made: tuple[ApiHost, Session]) -> None:
    host, root = made
    active, pending = (host.settings.at(f"/etc/network/interfaces{end}") for end in ("", ".new"))
    bridge = {"iface": "vmbr1", "type": "bridge", "bridge_ports": "eno2", "cidr": "10.1.0.1/24"}
    assert host.api("POST", f"/nodes/{host.node}/network", root, form=bridge).json == {"data": None}
    again = host.api("POST", f"/nodes/{host.node}/network", root, form=bridge)
    assert (again.status, again.json["errors"]) == (400, {"iface": "interface already exists"})
    one = host.api("GET", f"/nodes/{host.node}/network/vmbr1", root).data
    change = {"type": "bridge", "mtu": "1400", "digest": one["digest"]}
    assert host.api("PUT", f"/nodes/{host.node}/network/vmbr1", root, form=change).status == 200
    changes = host.api("GET", f"/nodes/{host.node}/network", root).json["changes"]
    assert "+iface vmbr1 inet static\n" in changes
    assert "+\tmtu 1400\n" in changes
    used = host.api("DELETE", f"/nodes/{host.node}/network/eno1", root)
    assert used.json["errors"] == {"iface": "interface 'eno1' is used by 'vmbr0'"}
    # Without ifupdown2 nothing is touched.
    refused = host.api("PUT", f"/nodes/{host.node}/network", root, form={})
    assert (refused.status, "needs ifupdown2" in refused.reason) == (500, True)
    assert active.read_text() == INTERFACES
    wanted = pending.read_text()
    program = host.settings.at("/usr/sbin/ifreload")
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text('#!/bin/sh\necho "called with $*"\n')
    program.chmod(0o755)
    upid = host.api("PUT", f"/nodes/{host.node}/network", root, form={}).data
    assert upid.split(":")[5:7] == ["srvreload", "networking"]
    ended, lines = _finished(host, root, upid)
    assert (ended, lines[-2:]) == ("OK", ["ifreload -a", "called with -a"])
    assert (active.read_text(), pending.exists()) == (wanted, False)
    assert "changes" not in host.api("GET", f"/nodes/{host.node}/network", root).json
    # And back: removed, then forgotten.
    assert host.api("DELETE", f"/nodes/{host.node}/network/vmbr1", root).status == 200
    assert pending.read_text() == INTERFACES
    assert host.api("DELETE", f"/nodes/{host.node}/network", root).json == {"data": None}
    assert (active.read_text(), pending.exists()) == (wanted, False)


def test_settings_of_the_node(made: tuple[ApiHost, Session]) -> None:
    host, root = made
    form = {"startall-onboot-delay": "30", "description": "Rack 4"}
    assert host.api("PUT", f"/nodes/{host.node}/config", root, form=form).json == {"data": None}
    found = host.api("GET", f"/nodes/{host.node}/config", root).data
    assert (found["startall-onboot-delay"], found["description"]) == (30, "Rack 4")
    refused = host.api("PUT", f"/nodes/{host.node}/config", root, form={"startall-onboot-delay": "301"})
    assert refused.json["errors"] == {"startall-onboot-delay": "value must have a maximum value of 300"}


def test_all_guests_are_started_as_far_as_anybody_can(made: tuple[ApiHost, Session]) -> None:
    host, root = made
    upid = host.api("POST", f"/nodes/{host.node}/startall", root, form={}).data
    assert upid.split(":")[5:8] == ["startall", "", "root@pam"]
    failed = "failed: this version manages the cluster and cannot start guests"
    assert _finished(host, root, upid) == (
        "OK",
        ["Starting VM 100", f"Starting VM 100 {failed}", "Starting CT 101", f"Starting CT 101 {failed}"],
    )
    upid = host.api("POST", f"/nodes/{host.node}/stopall", root, form={}).data
    assert _finished(host, root, upid) == ("OK", [])  # none runs


def test_startall_waits_for_quorum(made: tuple[ApiHost, Session]) -> None:
    host, root = made
    local = host.settings.mountpoint / "local"
    local.unlink()  # as without the file system, where nothing is quorate
    upid = host.api("POST", f"/nodes/{host.node}/startall", root, form={"vms": "999"}).data
    task = f"/nodes/{host.node}/tasks/{quote(upid)}"
    deadline = time.monotonic() + 30
    while host.api("GET", f"{task}/log", root).data[0]["t"] != "waiting for quorum ...":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert host.api("GET", f"{task}/status", root).data["status"] == "running"
    local.symlink_to(f"nodes/{host.node}")
    assert _finished(host, root, upid) == ("OK", ["waiting for quorum ...", "got quorum"])


def test_figures_as_points_and_as_an_image(made: tuple[ApiHost, Session]) -> None:
    host, root = made
    begin = int(time.time()) - 600
    node, guest, storage = rrd.KINDS
    for kind, name in ((node, host.node), (guest, "100"), (guest, "101"), (storage, f"{host.node}/local")):
        path = host.settings.rrd_dir / kind.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        librrd.create(str(path), rrd.STEP, begin, kind.creation_arguments())
    hour = "timeframe=hour"
    assert host.api("GET", f"/nodes/{host.node}/rrddata?{hour}", root).status == 200
    assert host.api("GET", f"/nodes/{host.node}/qemu/100/rrddata?{hour}", root).status == 200
    assert host.api("GET", f"/nodes/{host.node}/lxc/101/rrddata?{hour}", root).status == 200
    assert host.api("GET", f"/nodes/{host.node}/storage/local/rrddata?{hour}", root).status == 200
    for reply in (
        host.api("GET", f"/nodes/{host.node}/rrd?ds=cpu,iowait&{hour}", root),
        host.api("GET", f"/nodes/{host.node}/qemu/100/rrd?ds=cpu&{hour}", root),
        host.api("GET", f"/nodes/{host.node}/lxc/101/rrd?ds=mem&{hour}", root),
        host.api("GET", f"/nodes/{host.node}/storage/local/rrd?ds=used&{hour}", root),
    ):
        assert reply.status == 200, reply.reason
        with open(reply.data["filename"], "rb") as file:  # noqa: PTH123
            assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    image = host.request("GET", f"/api2/png/nodes/{host.node}/rrd?ds=cpu&{hour}", session=root)
    assert (image.status, image.headers["content-type"]) == (200, "image/png")
    assert image.body.startswith(b"\x89PNG\r\n\x1a\n")
    other = host.request("GET", f"/api2/png/nodes/{host.node}/status", session=root)
    assert (other.status, other.reason) == (501, f"no formatter for uri /nodes/{host.node}/status, png")
    wrong = host.request("GET", f"/api2/png/nodes/{host.node}/rrd?ds=bogus&{hour}", session=root)
    assert (wrong.status, list(wrong.json["errors"])) == (400, ["ds"])
