"""The node's guests out of files, locks of backups, and what runs (guests 1, 8)."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pytest

from quorate.cfs import Cfs
from quorate.guests import local
from quorate.guests.local import local_guests, managed_guests, remove_backup_locks, without_backup_lock
from quorate.guests.power import GuestError, NoGuests
from quorate.guests.startup import LocalGuest, Startup
from quorate.settings import Settings

GUESTS = {
    "100": ("n1", "qemu", "onboot: 1\nstartup: order=2,up=5\n[snap]\ntemplate: 1\n"),
    "101": ("n1", "lxc", "onboot: 0\nstartup: first\nlock: backup\nmp0: x\n"),
    "102": ("n2", "qemu", "onboot: 1\nlock: backup\n"),
    "103": ("n1", "qemu", "template: 1\nlock: migrate\n"),
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(root=tmp_path)
    mount = settings.mountpoint
    ids = {}
    for vmid, (node, kind, text) in GUESTS.items():
        path = mount / "nodes" / node / {"qemu": "qemu-server", "lxc": "lxc"}[kind] / f"{vmid}.conf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        ids[vmid] = {"node": node, "type": kind, "version": 1}
    ids["104"] = {"node": "n1", "type": "qemu", "version": 1}  # goes away in this moment
    (mount / ".vmlist").write_text(json.dumps({"version": 1, "ids": ids}))
    return settings


def _conf(settings: Settings, path: str) -> str:
    return (settings.mountpoint / "nodes" / path).read_text()


def test_guests_of_this_node(settings: Settings) -> None:
    warnings: list[str] = []
    assert local_guests(Cfs(settings), "n1", warnings.append) == [
        LocalGuest(vmid=100, kind="qemu", onboot=True, startup=Startup(2, 5)),
        LocalGuest(vmid=101, kind="lxc"),
        LocalGuest(vmid=103, kind="qemu", template=True),
    ]
    assert warnings == ["guest 101: unable to parse startup options: 'first'"]


def test_managed_ones(settings: Settings) -> None:
    assert managed_guests(Cfs(settings)) == set()
    (settings.mountpoint / "ha").mkdir()
    (settings.mountpoint / "ha/resources.cfg").write_text("vm: 100\n\tstate started\n")
    assert managed_guests(Cfs(settings)) == {100}


def test_left_over_locks_go_and_nothing_else(settings: Settings) -> None:
    warnings: list[str] = []
    remove_backup_locks(settings, Cfs(settings), "n1", warnings.append)
    assert warnings == ["removed left over backup lock from '101'!"]
    assert _conf(settings, "n1/lxc/101.conf") == "onboot: 0\nstartup: first\nmp0: x\n"
    assert _conf(settings, "n2/qemu-server/102.conf") == GUESTS["102"][2]
    assert _conf(settings, "n1/qemu-server/103.conf") == GUESTS["103"][2]
    remove_backup_locks(settings, Cfs(settings), "n1", warnings.append)
    assert len(warnings) == 1


@pytest.mark.parametrize("path", ["/var/run/vzdump.lock", "/run/lock/lxc/pve-config-101.lock"])
def test_locks_of_a_backup_that_runs_stay(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(local, "LOCK_SECONDS", 0.0)
    lock = settings.at(path)
    lock.parent.mkdir(parents=True)
    warnings: list[str] = []
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        remove_backup_locks(settings, Cfs(settings), "n1", warnings.append)
    assert len(warnings) == 1
    assert warnings[0].startswith(f"left over backup locks were not removed: can't lock file '{lock}'")
    assert _conf(settings, "n1/lxc/101.conf") == GUESTS["101"][2]


def test_the_lock_of_a_snapshot_is_no_lock() -> None:
    text = "name: x\r\n[snap]\nlock: backup\n"
    assert without_backup_lock(text) == text
    assert without_backup_lock("lock: backup\r\nname: x") == "name: x"
    assert without_backup_lock("lock: backups\nunlock: backup\n") == "lock: backups\nunlock: backup\n"


def test_what_runs_is_seen_and_nothing_is_started(settings: Settings) -> None:
    pidfile = "/run/qemu-server/100.pid"
    for path, text in (
        (pidfile, "4711\n"),
        ("/run/qemu-server/105.pid", "4711\n"),
        ("/run/qemu-server/106.pid", "x/../4711\n"),
        ("/proc/4711/cmdline", f"/usr/bin/kvm\0-id\0100\0-pidfile\0{pidfile}\0"),
        ("/proc/net/unix", "Num: x\n0: 00000002 0 0 1 1 1 @/var/lib/lxc/101/command\n"),
    ):
        settings.at(path).parent.mkdir(parents=True, exist_ok=True)
        settings.at(path).write_text(text)
    power = NoGuests(settings)
    power.begin()

    def runs(vmid: int, kind: str) -> bool:
        return power.is_running(LocalGuest(vmid=vmid, kind=kind))

    assert [runs(vmid, "qemu") for vmid in (100, 101, 105, 106)] == [True, False, False, False]
    assert [runs(vmid, "lxc") for vmid in (100, 101)] == [False, True]
    with pytest.raises(GuestError, match="cannot start guests"):
        power.start(LocalGuest(vmid=100, kind="qemu"))
    with pytest.raises(GuestError, match="cannot stop guests"):
        power.shut_down(LocalGuest(vmid=100, kind="qemu"), 1, force=True)
