"""What a node says of itself through both halves: the front as www-data, tasks as root (pvecm 6.8)."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.real.api_host import ApiHost, Session
from tests.real.api_load import a_host

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[ApiHost, Session]]:
    with a_host(5) as (host, session):
        (host.root / "proc").symlink_to("/proc")
        (host.root / "sys").symlink_to("/sys")
        yield host, session


def test_status_of_this_machine(made: tuple[ApiHost, Session]) -> None:
    host, root = made
    status = host.api("GET", f"/nodes/{host.node}/status", root).data
    assert status["current-kernel"]["release"] == platform.release()
    assert status["cpuinfo"]["cpus"] == os.cpu_count()
    assert 0 <= status["cpu"] <= 1
    memory = status["memory"]
    assert memory["total"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert memory["used"] == memory["total"] - memory["available"]
    assert status["pveversion"].startswith("pve-manager/")


def test_network_cards_of_this_machine(made: tuple[ApiHost, Session]) -> None:
    host, root = made
    shown = host.api("GET", f"/nodes/{host.node}/network?type=eth", root).data
    assert all(interface["exists"] == 1 and interface["type"] == "eth" for interface in shown)


_OTHER_NAMES = """
ip link add card0 type veth peer name card1
ip link property add dev card0 altname enp9s9
ip link property add dev card0 altname second
exec "$0" -c "from quorate.host.altnames import alternative_names; print(alternative_names())"
"""


def test_other_names_of_cards_as_the_kernel_tells_them() -> None:
    done = subprocess.run(
        ["unshare", "-n", "sh", "-ec", _OTHER_NAMES, sys.executable],
        check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "{'card0': ['enp9s9', 'second']}\n"


def test_certificate_and_localhost(made: tuple[ApiHost, Session]) -> None:
    host, root = made
    (certificate,) = host.api("GET", "/nodes/localhost/certificates/info", root).data
    assert (certificate["filename"], certificate["subject"]) == ("pve-ssl.pem", f"/CN={host.node}")


def test_options_are_written_by_root_and_read_by_the_front(made: tuple[ApiHost, Session]) -> None:
    host, root = made
    form = {"keyboard": "de", "next-id": "upper=300,lower=200"}
    assert host.api("PUT", "/cluster/options", root, form=form).json == {"data": None}
    assert host.api("GET", "/cluster/options", root).data["next-id"] == {"lower": "200", "upper": "300"}
    assert host.api("GET", "/cluster/nextid", root).data == "200"
    refused = host.api("PUT", "/cluster/options", root, form={"next-id": "upper=1,lower=200"})
    assert (refused.status, refused.reason) == (500, "lower (200) <= upper (1) boundary rule broken")
    assert host.api("PUT", "/cluster/options", root, form={"delete": "keyboard,next-id"}).status == 200
    assert host.api("GET", "/cluster/nextid", root).data == "105"


def test_a_service_command_is_a_task_whose_log_can_be_downloaded(made: tuple[ApiHost, Session]) -> None:
    host, root = made
    base = f"/nodes/{host.node}"
    refused = host.api("POST", f"{base}/services/pvedaemon/stop", root, form={})
    assert refused.reason == "invalid service cmd 'pvedaemon stop': refusing to stop essential service!"
    upid = host.api("POST", f"{base}/services/ksmtuned/reload", root, form={}).data
    assert upid.split(":")[5:7] == ["srvreload", "ksmtuned"]
    task = f"{base}/tasks/{quote(upid)}"
    deadline = time.monotonic() + 30
    while host.api("GET", f"{task}/status", root).data["status"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    log = host.api("GET", f"{task}/log?download=1", root)
    assert log.headers["content-type"].startswith("text/plain")
    assert log.body.startswith(b"systemctl reload ksmtuned.service\n")
    assert log.body.splitlines()[-1].startswith(b"TASK ")
