"""The members' addresses follow the file system, and stay when it does not answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quorate.api.memberaddresses import MemberAddresses
from quorate.cfs import Cfs
from quorate.settings import Settings

NODES = {
    "n1": {"id": 1, "online": 1, "ip": "192.0.2.11"},
    "n2": {"id": 2, "online": 0, "ip": "2001:DB8:0::12"},
    "n3": {"id": 3, "online": 0},
}


@pytest.fixture
def members_file(tmp_path: Path) -> Path:
    mountpoint = Settings(root=tmp_path).mountpoint
    mountpoint.mkdir(parents=True)
    return mountpoint / ".members"


@pytest.fixture
def addresses(tmp_path: Path) -> MemberAddresses:
    return MemberAddresses(Cfs(Settings(root=tmp_path)))


def test_members_that_come_and_go(addresses: MemberAddresses, members_file: Path) -> None:
    assert addresses.known == frozenset()
    members_file.write_text(json.dumps({"nodename": "n1", "version": 3, "nodelist": NODES}))
    addresses.read()
    assert addresses.known == {"192.0.2.11", "2001:db8::12"}
    members_file.write_text(json.dumps({"nodename": "n1", "version": 4}))
    addresses.read()
    assert addresses.known == frozenset()


@pytest.mark.parametrize(
    "content", [None, "", "{", '{"nodelist": {"n1": {"id": 1, "online": 1, "ip": "x"}}}']
)
def test_what_was_known_stays_when_nothing_can_be_read(
    addresses: MemberAddresses, members_file: Path, content: str | None
) -> None:
    members_file.write_text(json.dumps({"nodelist": NODES}))
    addresses.read()
    members_file.unlink()
    if content is not None:
        members_file.write_text(content)
    addresses.read()
    assert addresses.known == {"192.0.2.11", "2001:db8::12"}
