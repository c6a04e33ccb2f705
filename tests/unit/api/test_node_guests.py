"""startall and stopall as tasks (pvecm 10, guests 7.7)."""

from __future__ import annotations

import json
import syslog
from pathlib import Path
from typing import Any

import pytest

from quorate.api import node_guests
from quorate.schema import ApiError
from quorate.settings import Settings
from tests.unit.api.cluster_world import Api


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(root=tmp_path)
    mount = settings.mountpoint
    for vmid, text in (("100", "onboot: 1\n"), ("101", "lock: backup\n"), ("102", "onboot: 1\nstartup: 1\n")):
        path = mount / "nodes/n1/qemu-server" / f"{vmid}.conf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    ids = {vmid: {"node": "n1", "type": "qemu", "version": 1} for vmid in ("100", "101", "102")}
    (mount / ".vmlist").write_text(json.dumps({"version": 1, "ids": ids}))
    (mount / "local").symlink_to("nodes/n1")
    return settings


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    tasks: list[tuple[Any, ...]] = []

    def start(kind: str, ident: str, user: str, work: Any, settings: Settings) -> str:
        tasks.append((kind, ident, user))
        work("UPID")
        return "UPID"

    monkeypatch.setattr(node_guests, "start_worker", start)
    return tasks


FAILED = "failed: this version manages the cluster and cannot start guests"


def test_startall_is_a_task(
    settings: Settings, started: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    api = Api(settings)
    assert api("POST", "/nodes/n1/startall") == "UPID"
    assert started == [("startall", "", "root@pam")]
    assert capsys.readouterr().err.splitlines() == [
        "WARN: removed left over backup lock from '101'!",
        "Starting VM 102",
        f"Starting VM 102 {FAILED}",
        "Starting VM 100",
        f"Starting VM 100 {FAILED}",
    ]
    api("POST", "/nodes/n1/startall", vms="101,102", force="1")
    assert capsys.readouterr().err.splitlines() == [
        "Starting VM 102",
        f"Starting VM 102 {FAILED}",
        "Starting VM 101",
        f"Starting VM 101 {FAILED}",
    ]


def test_stopall_is_a_task(
    settings: Settings,
    started: list[tuple[Any, ...]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(syslog, "syslog", lambda level, text: logged.append(text))
    for path, text in (
        ("/run/qemu-server/100.pid", "7"),
        ("/proc/7/cmdline", "kvm\0-pidfile\0/run/qemu-server/100.pid\0"),
    ):
        settings.at(path).parent.mkdir(parents=True, exist_ok=True)
        settings.at(path).write_text(text)
    api = Api(settings)
    given: dict[str, Any] = {"timeout": "5", "force-stop": "0", "max-workers": "2"}
    assert api("POST", "/nodes/n1/stopall", **given) == "UPID"
    assert started == [("stopall", "", "root@pam")]
    assert capsys.readouterr().err.splitlines() == [
        "Stopping VM 100 (timeout = 5 seconds)",
        "Stopping VM 100 failed: this version manages the cluster and cannot stop guests",
    ]
    assert logged == ["<root@pam> all VMs and CTs stopped"]


@pytest.mark.parametrize(
    ("path", "params", "wrong"),
    [
        ("startall", {"max-workers": "0"}, "max-workers"),
        ("startall", {"max-workers": "65"}, "max-workers"),
        ("startall", {"vms": "1"}, "vms"),
        ("stopall", {"timeout": "7201"}, "timeout"),
        ("stopall", {"force": "1"}, "force"),
    ],
)
def test_values_that_are_refused(settings: Settings, path: str, params: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ApiError) as refused:
        Api(settings)("POST", f"/nodes/n1/{path}", **params)
    assert (refused.value.status, list(refused.value.errors or ())) == (400, [wrong])
