"""Tickets and CSRF tokens (pvecm 7.1, 7.2)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from quorate.access import tickets
from quorate.access.tickets import AgeWindow, TicketError

KEY = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
NOW = 0x60000000
WINDOW = AgeWindow(-300, 7200)


def _verify(ticket: str, now: int = NOW, secret: str | None = None) -> str:
    return tickets.verify("PVE", ticket, now, KEY.public_key(), WINDOW, secret)


def test_text_of_a_ticket() -> None:
    ticket = tickets.assemble("PVE", "bob@pve", NOW, KEY)
    assert ticket.startswith("PVE:bob@pve:60000000::")
    assert _verify(ticket) == "bob@pve"
    assert tickets.assemble("PVEVNC", "", NOW, KEY, "s").startswith("PVEVNC:60000000::")


def test_colons_are_escaped() -> None:
    ticket = tickets.assemble("PVE", '!tfa!{"a":1}', NOW, KEY, "bob@pve")
    assert ticket.startswith('PVE:!tfa!{"a"%3A1}:60000000::')
    assert _verify(ticket, secret="bob@pve") == '!tfa!{"a":1}'
    with pytest.raises(TicketError):
        _verify(ticket)
    with pytest.raises(TicketError):
        _verify(ticket, secret="eve@pve")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_openssl_verifies_it(tmp_path: Path) -> None:
    import base64

    plain, _, signature = tickets.assemble("PVE", "bob@pve", NOW, KEY).partition("::")
    (tmp_path / "plain").write_text(plain)
    (tmp_path / "signature").write_bytes(base64.b64decode(signature))
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key").write_bytes(public)
    done = subprocess.run(
        ["openssl", "dgst", "-sha1", "-verify", "key", "-signature", "signature", "plain"],
        cwd=tmp_path, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "Verified OK\n"


def test_sha256_is_accepted_too() -> None:
    import base64

    plain = "PVE:bob@pve:60000000"
    signature = KEY.sign(plain.encode(), padding.PKCS1v15(), hashes.SHA256())
    assert _verify(f"{plain}::{base64.b64encode(signature).decode()}") == "bob@pve"


@pytest.mark.parametrize(("age", "good"), [(-300, False), (-299, True), (7199, True), (7200, False)])
def test_age(age: int, good: bool) -> None:
    ticket = tickets.assemble("PVE", "bob@pve", NOW, KEY)
    if good:
        assert _verify(ticket, NOW + age) == "bob@pve"
    else:
        with pytest.raises(TicketError, match="age"):
            _verify(ticket, NOW + age)


def test_foreign_key_and_prefix_are_refused() -> None:
    with pytest.raises(TicketError):
        _verify(tickets.assemble("PVE", "bob@pve", NOW, OTHER))
    with pytest.raises(TicketError):
        _verify(tickets.assemble("PVEVNC", "bob@pve", NOW, KEY))


@given(st.text(max_size=200))
def test_rubbish_is_refused(text: str) -> None:
    for ticket in (text, f"PVE:{text}::AAAA", f"PVE:bob@pve:60000000::{text}"):
        with pytest.raises(TicketError):
            _verify(ticket)


@given(st.integers(0, 60), st.characters())
def test_any_change_invalidates(position: int, char: str) -> None:
    ticket = tickets.assemble("PVE", "bob@pve", NOW, KEY)
    changed = ticket[:position] + char + ticket[position + 1 :]
    if changed != ticket:
        with pytest.raises(TicketError):
            _verify(changed)


def test_windows_of_the_current_key() -> None:
    assert tickets.current_key_window(50_000, quorate=True) == (-300, 7200)
    assert tickets.current_key_window(100, quorate=True) == (-300, 400)
    assert tickets.current_key_window(86_500, quorate=True) == (100, 7200)
    assert tickets.current_key_window(86_500, quorate=False) == (-300, 7200)


def test_windows_of_the_old_key() -> None:
    assert tickets.old_key_window(1000) == (700, 7200)
    assert tickets.old_key_window(7500) == (7200, 7200)
    assert tickets.old_key_window(7501) is None


def test_csrf_vector() -> None:
    secret = tickets.csrf_secret(b"abc\n")
    assert secret == b"AaCdrxXhDfdGv7h5BeF1/S0noorsENJzK2KTTVvmo08"
    token = "60000000:C6G/vRnVk6LL4mqC/0DqYIRA7AwyWb10Qzc7RpRaZQ0"
    assert tickets.csrf_token("root@pam", NOW, secret) == token
    assert tickets.check_csrf_token(token, "root@pam", NOW + 7199, secret)
    assert not tickets.check_csrf_token(token, "root@pam", NOW + 7200, secret)
    assert not tickets.check_csrf_token(token, "root@pam", NOW - 300, secret)
    assert not tickets.check_csrf_token(token, "eve@pve", NOW, secret)
    assert not tickets.check_csrf_token("ZZZZZZZZ:x", "root@pam", NOW, secret)
