"""What a node says of itself, over a temporary root: /nodes/{node}/... (pvecm 6.8)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from quorate.api import corosync_view, node_journal, node_network, node_services, node_status
from quorate.api.results import Page
from quorate.cluster.commands import CommandError, Result
from quorate.corosync.errors import LibraryError
from quorate.host.journal import JournalError
from quorate.schema import ApiError
from quorate.settings import Settings
from tests.unit.api.cluster_world import Api

USERS = """\
user:net@pve:1:0::::::
acl:1:/sdn/zones/localnetwork/vmbr0:net@pve:PVESDNUser:
"""
INTERFACES = "iface eth0 inet manual\niface vmbr0 inet static\n address 10.0.0.1/8\n bridge-ports eth0\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(root=tmp_path)
    (settings.mountpoint / "nodes/n1").mkdir(parents=True)
    (settings.mountpoint / "user.cfg").write_text(USERS)
    for path, text in (
        ("/etc/network/interfaces", INTERFACES),
        ("/etc/resolv.conf", "search example.org\nnameserver 10.0.0.53\n"),
        ("/etc/hosts", "127.0.0.1 localhost\n"),
        ("/sys/class/net/eth0/flags", "0x1003\n"),
        ("/sys/class/net/lo/flags", "0x9\n"),
    ):
        settings.at(path).parent.mkdir(parents=True, exist_ok=True)
        settings.at(path).write_text(text)
    return settings


@pytest.fixture
def api(settings: Settings) -> Api:
    return Api(settings)


# -- small ones -----------------------------------------------------------------------------------------


def test_names_clock_and_hosts(api: Api) -> None:
    assert api("GET", "/nodes/n1/dns") == {"search": "example.org", "dns1": "10.0.0.53"}
    hosts = api("GET", "/nodes/n1/hosts")
    assert hosts["data"] == "127.0.0.1 localhost\n"
    assert len(hosts["digest"]) == 40
    clock = api("GET", "/nodes/n1/time")
    assert (clock["timezone"], clock["localtime"]) == ("UTC", clock["time"])


def test_status_says_what_it_could_not_read(api: Api) -> None:
    with pytest.raises(ApiError, match="unable to read this node's figures"):
        api("GET", "/nodes/n1/status")


def test_index_lists_every_part(api: Api) -> None:
    names = [entry["name"] for entry in api("GET", "/nodes/n1")]
    assert names == sorted(names)
    assert {"network", "services", "status", "syslog", "tasks", "time", "rrddata", "corosync"} <= set(names)
    assert api("GET", "/nodes/n1/certificates") == [{"name": "info"}]
    assert api("GET", "/nodes/n1/corosync") == [{"name": "links"}, {"name": "qdevice"}]
    assert api("GET", "/nodes/n1/tasks/UPID") == [{"name": "log"}, {"name": "status"}]
    assert {"name": "resources"} in api("GET", "/cluster")
    assert {"name": "join"} in api("GET", "/cluster/config")
    assert {"subdir": "nodes"} in api("GET", "/")


def test_a_node_without_certificates(api: Api) -> None:
    assert api("GET", "/nodes/n1/certificates/info") == []


@pytest.mark.parametrize(("command", "action"), [("reboot", "reboot"), ("shutdown", "poweroff")])
def test_power(api: Api, monkeypatch: pytest.MonkeyPatch, command: str, action: str) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("subprocess.Popen", lambda argv, **options: started.append(argv))
    assert api("POST", "/nodes/n1/status", command=command) is None
    assert started == [["/bin/sh", "-c", f"sleep 2; exec systemctl {action}"]]
    with pytest.raises(ApiError) as refused:
        api("POST", "/nodes/n1/status", command="explode")
    assert list(refused.value.errors or ()) == ["command"]


# -- network --------------------------------------------------------------------------------------------


def test_network(api: Api) -> None:
    eth0, vmbr0 = api("GET", "/nodes/n1/network")
    assert (eth0["iface"], eth0["active"], eth0["exists"]) == ("eth0", 1, 1)
    assert (vmbr0["iface"], vmbr0["cidr"], vmbr0.get("active")) == ("vmbr0", "10.0.0.1/8", None)
    one = api("GET", "/nodes/n1/network/vmbr0")
    assert len(one.pop("digest")) == 40
    assert one == vmbr0
    with pytest.raises(ApiError) as refused:
        api("GET", "/nodes/n1/network/vmbr9")
    assert refused.value.errors == {"iface": "interface does not exist"}


def test_network_cards_have_other_names(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_network, "alternative_names", lambda: {"eth0": ["enp1s0"], "gone": ["x"]})
    eth0, vmbr0 = api("GET", "/nodes/n1/network")
    assert (eth0["altnames"], vmbr0.get("altnames")) == (["enp1s0"], None)
    assert api("GET", "/nodes/n1/network/eth0")["altnames"] == ["enp1s0"]


def test_bridges_only_for_those_who_may(api: Api, settings: Settings) -> None:
    with settings.at("/etc/network/interfaces").open("a") as file:
        file.write("iface vmbr1 inet manual\n bridge-ports none\n")
    shown = api("GET", "/nodes/n1/network", "net@pve", type="any_bridge")
    assert [interface["iface"] for interface in shown] == ["vmbr0"]


def test_pending_changes_are_shown_with_their_difference(settings: Settings) -> None:
    settings.at("/etc/network/interfaces.new").write_text(INTERFACES.replace("10.0.0.1/8", "10.0.0.2/8"))
    api = Api(settings)
    page = api.raw("GET", "/nodes/n1/network")
    assert isinstance(page, Page)
    assert "- address 10.0.0.1/8\n+ address 10.0.0.2/8\n" in page.changes
    assert api("GET", "/nodes/n1/network")[1]["cidr"] == "10.0.0.2/8"


# -- services -------------------------------------------------------------------------------------------


def _systemctl(monkeypatch: pytest.MonkeyPatch, text: str) -> list[list[str]]:
    asked: list[list[str]] = []

    def run(argv: list[str], **_options: object) -> Result:
        asked.append(argv)
        if not text:
            raise CommandError(argv, "exit code 1", "Failed to connect to bus\n")
        return Result(0, text)

    monkeypatch.setattr(node_services, "run_command", run)
    return asked


def test_state_of_a_service(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "Description=Cluster\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n"
    )
    asked = _systemctl(monkeypatch, text)
    state = api("GET", "/nodes/n1/services/corosync/state")
    assert (state["service"], state["state"], state["unit-state"]) == ("corosync", "running", "enabled")
    assert asked[0][-1] == "corosync.service"
    # systemd answers in the order in which it was asked: this one block is the first service's.
    assert [entry["service"] for entry in api("GET", "/nodes/n1/services")] == ["chrony"]
    assert [entry["subdir"] for entry in api("GET", "/nodes/n1/services/corosync")] == [
        *("state", "start", "stop", "restart", "reload")
    ]


def test_services_without_systemd(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    _systemctl(monkeypatch, "")
    with pytest.raises(
        ApiError, match=r"^unable to read the state of 'corosync' - systemctl: Failed to connect"
    ):
        api("GET", "/nodes/n1/services/corosync/state")
    with pytest.raises(ApiError) as unknown:
        api("GET", "/nodes/n1/services/emacs/state")
    assert unknown.value.status == 400


def test_commands_to_services_are_tasks(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[Any, ...]] = []

    def start(kind: str, ident: str, user: str, work: Any, settings: Settings) -> str:
        started.append((kind, ident, user))
        work("UPID")
        return "UPID"

    asked = _systemctl(monkeypatch, "done\n")
    monkeypatch.setattr(node_services, "start_worker", start)
    assert api("POST", "/nodes/n1/services/sshd/restart") == "UPID"
    assert api("POST", "/nodes/n1/services/sshd/start") == "UPID"
    assert api("POST", "/nodes/n1/services/cron/reload") == "UPID"
    assert started == [
        ("srvrestart", "sshd", "root@pam"),
        ("srvstart", "sshd", "root@pam"),
        ("srvreload", "cron", "root@pam"),
    ]
    assert [argv[1:] for argv in asked] == [
        ["restart", "ssh.service"],
        ["start", "ssh.service"],
        ["reload", "cron.service"],
    ]


def test_essential_services_are_not_stopped_by_the_api(api: Api) -> None:
    text = r"^invalid service cmd 'pve-cluster stop': refusing to stop essential service!$"
    with pytest.raises(ApiError, match=text):
        api("POST", "/nodes/n1/services/pve-cluster/stop")


# -- logs -----------------------------------------------------------------------------------------------


def test_lines_of_the_system_log(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def lines(arguments: list[str], start: int | None, limit: int) -> tuple[int, list[dict[str, object]]]:
        asked.append((arguments, start, limit))
        return 9, [{"n": 3, "t": "x"}]

    monkeypatch.setattr(node_journal, "lines", lines)
    page = api.raw("GET", "/nodes/n1/syslog", start="2", limit="1", since="2026-01-02 03:04", service="sshd")
    assert isinstance(page, Page)
    assert (page.total, page.data) == (9, [{"n": 3, "t": "x"}])
    assert asked == [(["--since=2026-01-02 03:04", "--unit=ssh.service"], 2, 1)]
    api("GET", "/nodes/n1/syslog")
    api("GET", "/nodes/n1/syslog", start="0", limit="0")
    api("GET", "/nodes/n1/syslog", since="2026-01-02")
    assert asked[1:] == [([], None, 50), ([], 0, 5000), (["--since=2026-01-02"], 0, 50)]
    with pytest.raises(ApiError) as refused:
        api("GET", "/nodes/n1/syslog", since="--rotate", service="a b")
    assert sorted(refused.value.errors or ()) == ["service", "since"]


def test_entries_of_the_journal(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def entries(arguments: list[str], *, last: int | None, after: str | None) -> list[dict[str, object]]:
        asked.append((arguments, last, after))
        return []

    monkeypatch.setattr(node_journal, "entries", entries)
    api("GET", "/nodes/n1/journal")
    api("GET", "/nodes/n1/journal", startcursor="s=1;i=2", priority="3")
    api("GET", "/nodes/n1/journal", since="5", until="6")
    assert asked == [
        ([], 500, None),
        (["--priority=3"], None, "s=1;i=2"),
        (["--since=@5", "--until=@6"], None, None),
    ]

    def failing(*_arguments: object, **_options: object) -> None:
        raise JournalError("unable to read the journal: broken")

    monkeypatch.setattr(node_journal, "entries", failing)
    with pytest.raises(ApiError, match=r"^unable to read the journal: broken$"):
        api("GET", "/nodes/n1/journal")


# -- corosync -------------------------------------------------------------------------------------------


def test_corosync_without_a_cluster(api: Api) -> None:
    assert api("GET", "/nodes/n1/corosync/links") == []
    quorum = api("GET", "/cluster/quorum")
    assert (quorum["clustered"], quorum["quorate"], quorum["needed"]) == (0, 1, 1)
    assert api("GET", "/nodes/n1/corosync/qdevice") == {"configured": 0}


DEVICE = (
    "quorum {\n  device {\n    model: net\n    votes: 1\n    net {\n      host: 10.0.0.9\n    }\n  }\n}\n"
)


def test_the_qdevice_as_a_node_sees_it(api: Api, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configured, and no daemon on this node: not the same as none."""
    seen = {"name": "Qdevice", "votes": 1, "registered": False, "alive": False, "votes_for_us": False}
    monkeypatch.setattr(corosync_view, "read_quorum", lambda: {"qdevice": seen})
    settings.cluster_conf.write_text("quorum {\n  provider: corosync_votequorum\n}\n")
    assert api("GET", "/nodes/n1/corosync/qdevice") == {"configured": 0}
    settings.cluster_conf.write_text(DEVICE)
    assert api("GET", "/nodes/n1/corosync/qdevice") == {
        "configured": 1,
        "model": "net",
        "host": "10.0.0.9",
        "daemon": {},
        "votes": 1,
        "registered": 0,
        "alive": 0,
        "votes_for_us": 0,
    }


def test_corosync_that_does_not_run(api: Api, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.cluster_conf.write_text("totem {\n}\n")

    def fail() -> None:
        raise LibraryError("cmap_initialize", 2)

    monkeypatch.setattr(corosync_view, "read_links", fail)
    monkeypatch.setattr(corosync_view, "read_quorum", fail)
    for path in ("/nodes/n1/corosync/links", "/cluster/quorum"):
        with pytest.raises(ApiError, match=r"unable to read the state of .* - cmap_initialize.*corosync"):
            api("GET", path)


def test_history_that_is_not_there(api: Api) -> None:
    with pytest.raises(ApiError, match="no figures of node 'n1' yet"):
        api("GET", "/nodes/n1/rrddata", timeframe="hour")


def test_report_is_a_text(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_status, "run_command", lambda argv, **options: Result(0, "out\n"))
    assert "nameserver 10.0.0.53" in Api(settings)("GET", "/nodes/n1/report")
