"""Which tickets count at which age of key and ticket, to the second (pvecm 4.6, 7.1); with a fake clock."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from quorate.access.keys import TicketKeys
from quorate.access.rotation import rotate_if_due
from quorate.access.tickets import TicketError
from quorate.cfs import Cfs, CfsError
from quorate.settings import Settings

START = 1_700_000_000
DAY = 86400
BOB = "bob@pve"

_KEYS = [rsa.generate_private_key(65537, 2048) for _ in range(2)]


class Node:
    """Key files with chosen ages, and the time."""

    def __init__(self, root: Path) -> None:
        self.settings = Settings(root=root)
        self.mount = self.settings.mountpoint
        (self.mount / "priv/lock").mkdir(parents=True)
        (self.mount / "nodes/n1").mkdir(parents=True)
        (self.mount / "local").symlink_to("nodes/n1")
        self.now = START
        self.keys = TicketKeys(self.settings, lambda: self.now)
        self.store(0, at=START)

    def store(self, number: int, *, at: int) -> None:
        key = _KEYS[number]
        private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        (self.mount / "priv/authkey.key").write_bytes(private)
        self._public(number, "authkey.pub", at)

    def store_old(self, number: int, *, at: int) -> None:
        self._public(number, "authkey.pub.old", at)

    def _public(self, number: int, name: str, at: int) -> None:
        public = _KEYS[number].public_key()
        path = self.mount / name
        path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        os.utime(path, (at, at))

    def ticket(self, at: int) -> str:
        before, self.now = self.now, at
        try:
            return self.keys.login_ticket(BOB)
        finally:
            self.now = before

    def accepts(self, ticket: str, at: int) -> bool:
        self.now = at
        try:
            return self.keys.verify_login_ticket(ticket) == BOB
        except TicketError:
            return False


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_ticket_lives_two_hours(node: Node) -> None:
    made = START + 40_000
    ticket = node.ticket(made)
    for age, good in ((-300, False), (-299, True), (0, True), (7199, True), (7200, False)):
        assert node.accepts(ticket, made + age) is good, age


def test_no_ticket_is_older_than_its_key(node: Node) -> None:
    """A key of 1000 s accepts ages below 1300 s."""
    for age, good in ((1299, True), (1300, False), (5000, False)):
        ticket = node.ticket(START + 1000 - age)
        assert node.accepts(ticket, START + 1000) is good, age
    # From two hours on the ticket's own life counts.
    for age, good in ((7199, True), (7200, False)):
        assert node.accepts(node.ticket(START + 7200 - age), START + 7200) is good, age
    for age, good in ((7498, True), (7499, False)):
        assert node.accepts(node.ticket(START + 7199 - age), START + 7199) is good, age


def test_a_key_signs_for_a_day_only(node: Node) -> None:
    """From then on tickets have to be older than what the key is too old."""
    now = START + DAY
    assert node.accepts(node.ticket(now), now)
    now = START + DAY + 1000
    for age, good in ((999, False), (1000, False), (1001, True), (7199, True), (7200, False)):
        assert node.accepts(node.ticket(now - age), now) is good, age
    now = START + DAY + 7200
    for age in (0, 7199, 7200, 7201):
        assert not node.accepts(node.ticket(now - age), now), age


def test_without_quorum_keys_live_on(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.access.keys.is_quorate", lambda local: False)
    now = START + 30 * DAY
    for age, good in ((-299, True), (0, True), (7199, True), (7200, False)):
        assert node.accepts(node.ticket(now - age), now) is good, age


def test_the_key_before(node: Node) -> None:
    """Made before the change (or 300 s after it, clocks differ) and younger than two hours."""
    changed = START + DAY
    tickets = {offset: node.ticket(changed + offset) for offset in (-7000, -100, 0, 299, 300, 301)}
    node.store(1, at=changed)
    node.store_old(0, at=changed)
    now = changed + 400
    wanted = {-7000: False, -100: True, 0: True, 299: True, 300: False, 301: False}
    assert {offset: node.accepts(ticket, now) for offset, ticket in tickets.items()} == wanted
    assert node.accepts(tickets[-7000], changed + 199)
    assert not node.accepts(tickets[-7000], changed + 200)
    # The last second of the old key: min = 7500 - 300 is its maximum.
    late = changed + 7499
    assert node.accepts(node.ticket(late), late)
    assert not node.accepts(tickets[299], changed + 7499)
    assert not node.accepts(tickets[299], changed + 7501)


def test_a_rotation_keeps_all_sessions(node: Node) -> None:
    now = START + DAY
    old = [node.ticket(now - age) for age in (7000, 3600, 10, 0)]
    public = (node.mount / "authkey.pub").read_bytes()
    assert not rotate_if_due(node.settings, lambda: now - 1)
    assert rotate_if_due(node.settings, lambda: now)
    assert (node.mount / "authkey.pub.old").read_bytes() == public
    for name in ("authkey.pub", "authkey.pub.old"):
        os.utime(node.mount / name, (now, now))  # as the cluster file system would have it
    assert not rotate_if_due(node.settings, lambda: now)
    node.now = now
    assert node.accepts(node.keys.login_ticket(BOB), now)
    assert [node.accepts(ticket, now + 100) for ticket in old] == [True] * 4
    assert [node.accepts(ticket, now + 3700) for ticket in old] == [False, False, True, True]


def test_a_key_from_the_future_is_replaced(node: Node) -> None:
    assert not rotate_if_due(node.settings, lambda: START - 300)
    assert rotate_if_due(node.settings, lambda: START - 301)


def test_when_the_new_key_cannot_be_stored(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    public = (node.mount / "authkey.pub").read_bytes()
    store = Cfs.write
    refused: list[str] = []

    def write(self: Cfs, path: str, content: bytes, *, mode: int = 0o640) -> None:
        if path in refused:
            raise CfsError(f"unable to write '{path}' - no space")
        store(self, path, content, mode=mode)

    monkeypatch.setattr(Cfs, "write", write)

    def refuse_once(path: str) -> None:
        refused[:] = [path]
        with pytest.raises(CfsError):
            rotate_if_due(node.settings, lambda: START + DAY)

    def write_public_again(self: Cfs, path: str, content: bytes, *, mode: int = 0o640) -> None:
        if path == "authkey.pub" and content != public:
            raise CfsError("unable to write 'authkey.pub' - no space")
        store(self, path, content, mode=mode)

    monkeypatch.setattr(Cfs, "write", write_public_again)
    with pytest.raises(CfsError):
        rotate_if_due(node.settings, lambda: START + DAY)
    assert (node.mount / "authkey.pub").read_bytes() == public
    monkeypatch.setattr(Cfs, "write", write)
    os.utime(node.mount / "authkey.pub", (START, START))
    (node.mount / "authkey.pub.old").unlink()
    refuse_once("priv/authkey.key")
    # Without its private half the new key is of no use: both go, and the next try makes new ones.
    assert not (node.mount / "authkey.pub").exists()
    assert not (node.mount / "authkey.pub.old").exists()
    refused.clear()
    assert rotate_if_due(node.settings, lambda: START + DAY)


def test_console_tickets(node: Node) -> None:
    made = START + 1000
    node.now = made
    ticket = node.keys.console_ticket(BOB, "/nodes/n1", 5900)
    assert (ticket[:7], ticket.count(":")) == ("PVEVNC:", 3)

    def accepts(at: int, user: str = BOB, path: str = "/nodes/n1", port: int | None = 5900) -> bool:
        node.now = at
        try:
            node.keys.verify_console_ticket(ticket, user, path, port)
        except TicketError:
            return False
        return True

    for age, good in ((-20, False), (-19, True), (0, True), (39, True), (40, False)):
        assert accepts(made + age) is good, age
    assert not accepts(made, user="eve@pve")
    assert not accepts(made, path="/nodes/n2")
    assert not accepts(made, port=None)
    # Only the current key, and only for a day.
    node.now = START + DAY
    ticket = node.keys.console_ticket(BOB, "/nodes/n1", 5900)
    assert accepts(START + DAY)
    assert not accepts(START + DAY + 1)
    node.store_old(0, at=START + DAY)
    node.store(1, at=START + DAY)
    assert not accepts(START + DAY)
