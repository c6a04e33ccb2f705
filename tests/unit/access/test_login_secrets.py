"""Passwords, token secrets, realms, key files and key rotation (pvecm 4.6, 7.3, 7.5)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from quorate.access import login
from quorate.access.crypt import CryptError, check_password, hash_password
from quorate.access.directory import AuthenticationError, Directory
from quorate.access.domains import parse_domains
from quorate.access.keys import KeyFileError
from quorate.access.pam import PamError
from quorate.access.rotation import needs_rotation, rotate_if_due
from quorate.access.secrets import format_shadow, parse_shadow, parse_token_secrets, token_matches
from quorate.settings import Settings

NOW = 1_700_000_000.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(root=tmp_path)
    mount = settings.mountpoint
    (mount / "priv/lock").mkdir(parents=True)
    (mount / "nodes/n1").mkdir(parents=True)
    (mount / "local").symlink_to("nodes/n1")
    _new_keys(mount, PrivateFormat.TraditionalOpenSSL)
    (mount / "pve-www.key").write_text("abc\n")
    users = "user:bob@pve:1:0::::::\nuser:off@pve:0:0::::::\nuser:joe@pam:1:0::::::\ntoken:bob@pve!tk:0:0::\n"
    (mount / "user.cfg").write_text(users)
    (mount / "priv/shadow.cfg").write_text(f"bob:{hash_password('secret')}:\n")
    (mount / "priv/token.cfg").write_text("bob@pve!tk value\n")
    return settings


def _new_keys(mount: Path, form: PrivateFormat, *, mtime: float = NOW - 10_000) -> None:
    key = rsa.generate_private_key(65537, 2048)
    (mount / "priv/authkey.key").write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (mount / "authkey.pub").write_bytes(public)
    os.utime(mount / "authkey.pub", (mtime, mtime))


def _directory(settings: Settings, now: float = NOW) -> Directory:
    return Directory(settings, clock=lambda: now)


def test_password_hashes() -> None:
    stored = hash_password("pässword")
    assert stored.startswith("$5$")
    assert len(stored.split("$")[2]) == 8
    assert check_password("pässword", stored)
    assert not check_password("password", stored)
    assert not check_password("", "*")
    assert not check_password("x", "!$5$abc$def")
    with pytest.raises(CryptError):
        check_password("x", "$99$nonsense")
    with pytest.raises(CryptError):
        check_password("a\0b", stored)


def test_shadow_and_token_files() -> None:
    text = "bob:$5$x$y:\nbroken\n:nobody:\n"
    assert parse_shadow(text) == {"bob": "$5$x$y"}
    assert format_shadow({"b": "2", "a": "1"}) == "a:1:\nb:2:\n"
    secrets = parse_token_secrets("bob@pve!tk value\n\n")
    assert token_matches(secrets, "bob@pve!tk", "value")
    assert not token_matches(secrets, "bob@pve!tk", "valuE")
    assert not token_matches(secrets, "bob@pve!uk", "")


def test_invalid_token_lines_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    assert parse_token_secrets("nonsense\n") == {}
    assert caplog.messages == ["skipping invalid token.cfg entry"]


def test_realms() -> None:
    text = "pve: pve\n\tcomment Our own\n\tdefault 1\n\nldap: corp\n\tserver1 ldap.example\n"
    realms = parse_domains(text)
    assert list(realms) == ["corp", "pam", "pve"]
    assert realms["pve"].comment == "Our own"
    assert realms["pam"].comment == "Linux PAM standard authentication"
    assert realms["corp"].type == "ldap"


def test_login_with_the_pve_realm(settings: Settings) -> None:
    directory = _directory(settings)
    assert login.authenticate(settings, directory, "bob@pve", "secret") == "bob@pve"
    for name, password in (
        ("bob@pve", "wrong"),
        ("bob@pve", ""),
        ("off@pve", "secret"),
        ("eve@pve", "secret"),
        ("bob@nowhere", "secret"),
        ("bob", "secret"),
    ):
        with pytest.raises(AuthenticationError) as caught:
            login.authenticate(settings, directory, name, password)
        assert "secret" not in str(caught.value)


def test_login_with_pam_passes_the_address(settings: Settings) -> None:
    seen = []

    def check(user: str, password: str, client: str) -> None:
        seen.append((user, client))
        if password != "good":
            raise PamError("Authentication failure")

    directory = _directory(settings)
    user = login.authenticate(settings, directory, "joe@pam", "good", "10.0.0.9", pam_check=check)
    assert user == "joe@pam"
    with pytest.raises(AuthenticationError):
        login.authenticate(settings, directory, "joe@pam", "bad", "10.0.0.9", pam_check=check)
    assert seen == [("joe", "10.0.0.9")] * 2


def test_ticket_in_the_place_of_the_password(settings: Settings) -> None:
    directory = _directory(settings)
    bobs = directory.keys.login_ticket("bob@pve")
    assert login.authenticate(settings, directory, "bob@pve", bobs) == "bob@pve"
    with pytest.raises(AuthenticationError):
        login.authenticate(settings, directory, "joe@pam", bobs)
    roots = directory.keys.login_ticket("root@pam")
    assert login.authenticate(settings, directory, "joe@pam", roots) == "joe@pam"


def test_case_insensitive_realm(settings: Settings) -> None:
    (settings.mountpoint / "domains.cfg").write_text("pve: pve\n\tcase-sensitive 0\n")
    assert login.authenticate(settings, _directory(settings), "BOB@pve", "secret") == "bob@pve"


def test_tokens(settings: Settings) -> None:
    directory = _directory(settings)
    assert directory.user_of_token("bob@pve!tk=value") == "bob@pve!tk"
    for credential in ("bob@pve!tk=other", "bob@pve!uk=value", "bob@pve=value", "rubbish", ""):
        with pytest.raises(AuthenticationError):
            directory.user_of_token(credential)


def test_half_logins_open_nothing(settings: Settings) -> None:
    directory = _directory(settings)
    for data in ("!tfa!{}", "u2f!bob@pve!x", "tfa!bob@pve"):
        with pytest.raises(AuthenticationError):
            directory.user_of_ticket(directory.keys.login_ticket(data))


def test_both_private_key_formats_and_reload(settings: Settings) -> None:
    directory = _directory(settings)
    before = directory.keys.login_ticket("bob@pve")
    _new_keys(settings.mountpoint, PrivateFormat.PKCS8, mtime=NOW - 9000)
    after = directory.keys.login_ticket("bob@pve")
    assert directory.user_of_ticket(after) == "bob@pve"
    with pytest.raises(AuthenticationError):
        directory.user_of_ticket(before)


def test_a_key_with_the_marks_of_the_one_before_is_noticed(settings: Settings) -> None:
    """A node that joins finds the cluster's key, made in the same second, under the same inode number."""
    public = settings.mountpoint / "authkey.pub"
    directory = _directory(settings)
    directory.user_of_ticket(directory.keys.login_ticket("bob@pve"))
    before = public.stat()
    _new_keys(settings.mountpoint, PrivateFormat.TraditionalOpenSSL)
    after = public.stat()
    assert (after.st_mtime_ns, after.st_size, after.st_ino) == (
        before.st_mtime_ns,
        before.st_size,
        before.st_ino,
    )
    ticket = _directory(settings).keys.login_ticket("bob@pve")
    assert directory.user_of_ticket(ticket) == "bob@pve"


def test_missing_keys_say_what_to_do(settings: Settings) -> None:
    (settings.mountpoint / "authkey.pub").unlink()
    with pytest.raises(KeyFileError, match="pvecm updatecerts"):
        _directory(settings).user_of_ticket("PVE:bob@pve:00000000::AAAA")


def test_when_a_key_is_due() -> None:
    assert needs_rotation(None, None, NOW)
    assert not needs_rotation(NOW - 86_399, None, NOW)
    assert needs_rotation(NOW - 86_400, None, NOW)
    assert not needs_rotation(NOW + 300, None, NOW)
    assert needs_rotation(NOW + 301, None, NOW)
    assert not needs_rotation(NOW - 86_400, NOW - 86_400 - 7199, NOW)
    assert needs_rotation(NOW - 86_400, NOW - 86_400 - 7200, NOW)


def test_rotation_keeps_old_tickets_valid(settings: Settings) -> None:
    now = (settings.mountpoint / "priv/authkey.key").stat().st_mtime + 10
    public = settings.mountpoint / "authkey.pub"
    os.utime(public, (now - 90_000, now - 90_000))
    directory = _directory(settings, now)
    # Made while the key was young enough, by the rule for the current key: older than its surplus age.
    ticket = Directory(settings, clock=lambda: now - 5000).keys.login_ticket("bob@pve")
    assert directory.user_of_ticket(ticket) == "bob@pve"
    assert rotate_if_due(settings, clock=lambda: now)
    assert not rotate_if_due(settings, clock=lambda: now)
    assert directory.user_of_ticket(ticket) == "bob@pve"
    fresh = directory.keys.login_ticket("bob@pve")
    assert directory.user_of_ticket(fresh) == "bob@pve"


def test_no_rotation_without_quorum(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.cfs.Cfs.quorate", lambda self: False)
    (settings.mountpoint / "authkey.pub").unlink()
    assert not rotate_if_due(settings)
