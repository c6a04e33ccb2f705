"""/cluster/resources of a large cluster through both halves, and who sees what of it (pvecm 6.6)."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.real.api_host import PASSWORDS, ApiHost, Session
from tests.real.api_load import NODES, a_host, client

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

GUESTS = 1000


@pytest.fixture(scope="module")
def load() -> Iterator[tuple[ApiHost, Session]]:
    with a_host(GUESTS) as made:
        yield made


def test_a_thousand_guests_with_their_figures(load: tuple[ApiHost, Session]) -> None:
    host, root = load
    with closing(client(host, root, compressed=False)) as plain:
        entries = json.loads(plain.get("/cluster/resources")[1])["data"]
    guests = [entry for entry in entries if entry["type"] == "qemu"]
    assert len(guests) == GUESTS
    assert [entry["id"] for entry in entries if entry["type"] == "node"] == [
        f"node/n{number}" for number in range(1, NODES + 1)
    ]
    assert guests[0] == {
        "id": "qemu/100",
        "type": "qemu",
        "vmid": 100,
        "node": "n5",
        "name": "guest-100",
        "status": "running",
        "template": 0,
        "uptime": 86400,
        "maxcpu": 4,
        "cpu": 0.03125,
        "maxmem": 8589934592,
        "mem": 4123456789,
        "maxdisk": 34359738368,
        "disk": 0,
        "netin": 123456789,
        "netout": 23456789,
        "diskread": 3456789,
        "diskwrite": 456789,
        "tags": "prod;web",
    }
    with closing(client(host, root, compressed=True)) as compressed:
        body = compressed.get("/cluster/resources?type=vm")[1]
    assert [entry["id"] for entry in json.loads(gzip.decompress(body))["data"]] == [
        entry["id"] for entry in guests
    ]


def test_the_front_answers_it_itself(load: tuple[ApiHost, Session]) -> None:
    host, root = load
    host.kill("pvedaemon")
    try:
        assert host.api("GET", "/cluster/resources?type=node", root).status == 200
        assert host.api("GET", "/nodes", root).data[0]["maxcpu"] == 64
    finally:
        host.start_daemon("pvedaemon")


def test_both_halves_tell_the_same(load: tuple[ApiHost, Session]) -> None:
    host, root = load
    path = "/cluster/resources?type=vm"
    assert host.api("GET", path, root, direct=True).data == host.api("GET", path, root).data


def test_only_nodes_without_figures_for_who_has_no_rights(load: tuple[ApiHost, Session]) -> None:
    host, _ = load
    bob = host.login("bob@pve", PASSWORDS["bob"])
    entries = host.api("GET", "/cluster/resources", bob).data
    assert [entry["type"] for entry in entries] == ["node"] * NODES
    assert "cpu" not in entries[0]
