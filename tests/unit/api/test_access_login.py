"""Logging in with a second factor, renewing, console tickets, and setting factors up (pvecm 6.7, 7.1)."""

from __future__ import annotations

import json
import logging
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from quorate.access import factor_store
from quorate.access.directory import AuthenticationError
from quorate.access.second_factor import MAX_TOTP_FAILURES, SecondFactorError
from quorate.access.tickets import TicketError
from quorate.access.totp import TotpKey
from quorate.schema import ApiError
from tests.unit.api.access_world import PASSWORD, AccessWorld

KEY = TotpKey(b"12345678901234567890", issuer="lab", account="bob@pve")
LOGIN = "POST /access/ticket"
BOB = {"username": "bob@pve", "password": PASSWORD}


class Clock:
    """The time that all of access control sees, and that the code of the telephone is made of."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.time()
        monkeypatch.setattr("quorate.api.access_tfa.time.time", lambda: self.now)

    def code(self, steps: int = 0) -> str:
        return KEY.code_at(int(self.now) // 30 + steps)

    def pass_step(self) -> None:
        self.now += 30


@pytest.fixture
def world(tmp_path: Path) -> AccessWorld:
    return AccessWorld(tmp_path)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def _refused(world: AccessWorld, name: str, user: str = "root@pam", **parameters: Any) -> int:
    with pytest.raises(ApiError) as caught:
        world.call(name, user, **parameters)
    if caught.value.status == 401:
        assert caught.value.message == "authentication failure"
    return caught.value.status


def _set_up(world: AccessWorld, clock: Clock) -> str:
    added: Any = world.call(
        "POST /access/tfa/{userid}",
        userid="bob@pve",
        type="totp",
        totp=KEY.uri(),
        value=clock.code(),
        description="telephone",
    )
    return str(added["id"])


def _half(world: AccessWorld) -> str:
    data: Any = world.call(LOGIN, **BOB)
    assert data["NeedTFA"] == 1
    assert "cap" not in data
    return str(data["ticket"])


def test_without_a_second_factor(world: AccessWorld) -> None:
    data: Any = world.call(LOGIN, **BOB)
    assert data["username"] == "bob@pve"
    assert "NeedTFA" not in data
    assert set(data["cap"]) == {"access", "dc", "mapping", "nodes", "sdn", "storage", "vms"}
    assert data["cap"]["vms"] == {"VM.Audit": 1}
    assert world.directory.user_of_ticket(data["ticket"]) == "bob@pve"
    assert world.directory.keys.check_csrf_token(data["CSRFPreventionToken"], "bob@pve")


def test_the_password_is_half_a_login(world: AccessWorld, clock: Clock) -> None:
    _set_up(world, clock)
    assert ":x:\n" in world.text("user.cfg").splitlines(keepends=True)[1]
    half = _half(world)
    assert json.loads(unquote(half.split(":")[1]).removeprefix("!tfa!")) == {"totp": True}
    with pytest.raises(AuthenticationError):
        world.directory.user_of_ticket(half)
    assert _refused(world, LOGIN, username="bob@pve", password=half) == 401
    second = {"username": "bob@pve", "tfa_challenge": half}
    assert _refused(world, LOGIN, **second, password="totp:000000") == 401
    assert _refused(world, LOGIN, **second, password=PASSWORD) == 401
    data: Any = world.call(LOGIN, **second, password=f"totp:{clock.code()}")
    assert world.directory.user_of_ticket(data["ticket"]) == "bob@pve"
    assert "cap" in data
    # Neither the code nor a full ticket in the place of the half one opens again.
    assert _refused(world, LOGIN, **second, password=f"totp:{clock.code()}") == 401
    full = {"username": "bob@pve", "tfa_challenge": data["ticket"]}
    assert _refused(world, LOGIN, **full, password=f"totp:{clock.code(1)}") == 401
    # The full ticket renews itself without another code.
    renewed: Any = world.call(LOGIN, username="bob@pve", password=data["ticket"])
    assert world.directory.user_of_ticket(renewed["ticket"]) == "bob@pve"


def test_a_half_login_is_for_its_user_only_and_for_minutes(world: AccessWorld, clock: Clock) -> None:
    _set_up(world, clock)
    half = _half(world)
    keys = world.directory.keys
    keys.verify_challenge_ticket(half, "bob@pve")
    with pytest.raises(TicketError):
        keys.verify_challenge_ticket(half, "alice@pve")
    keys._clock = lambda: time.time() + 299
    keys.verify_challenge_ticket(half, "bob@pve")
    keys._clock = lambda: time.time() + 301
    with pytest.raises(TicketError):
        keys.verify_challenge_ticket(half, "bob@pve")


def test_a_code_with_the_password(world: AccessWorld, clock: Clock) -> None:
    _set_up(world, clock)
    data: Any = world.call(LOGIN, **BOB, otp=clock.code())
    assert "NeedTFA" not in data
    assert _refused(world, LOGIN, **BOB, otp=clock.code()) == 401
    assert _refused(world, LOGIN, username="bob@pve", password="wrong", otp=clock.code(1)) == 401
    checked: Any = world.call(LOGIN, **BOB, otp=clock.code(1), path="/vms/100", privs="VM.Audit")
    assert "ticket" not in checked
    assert _refused(world, LOGIN, **BOB, path="/vms/100", privs="VM.Audit") == 401


def test_recovery_keys(world: AccessWorld, clock: Clock) -> None:
    _set_up(world, clock)
    made: Any = world.call("POST /access/tfa/{userid}", userid="bob@pve", type="recovery")
    key = made["recovery"][0]
    assert world.mode("priv/tfa.cfg") == 0o600
    assert key not in world.text("priv/tfa.cfg")
    second = {"username": "bob@pve", "tfa_challenge": _half(world), "password": f"recovery:{key}"}
    assert world.call(LOGIN, **second)
    assert _refused(world, LOGIN, **second) == 401
    assert _refused(world, "POST /access/tfa/{userid}", userid="bob@pve", type="recovery") == 500


def test_lock_out_and_the_way_back(world: AccessWorld, clock: Clock) -> None:
    _set_up(world, clock)
    second = {"username": "bob@pve", "tfa_challenge": _half(world)}
    for _ in range(MAX_TOTP_FAILURES):
        assert _refused(world, LOGIN, **second, password="totp:000000") == 401
    assert _refused(world, LOGIN, **second, password=f"totp:{clock.code()}") == 401
    listed: Any = world.call("GET /access/tfa")
    assert (listed[0]["userid"], listed[0]["totp-locked"]) == ("bob@pve", 1)
    assert world.call("PUT /access/users/{userid}/unlock-tfa", userid="bob@pve") == 1
    assert world.call("PUT /access/users/{userid}/unlock-tfa", userid="bob@pve") == 0
    assert world.call(LOGIN, **second, password=f"totp:{clock.code()}")


def test_without_quorum_a_code_still_opens_once(
    world: AccessWorld, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_up(world, clock)
    keys: Any = world.call("POST /access/tfa/{userid}", userid="bob@pve", type="recovery")
    before = world.text("priv/tfa.cfg")
    monkeypatch.setattr("quorate.cfs.Cfs.quorate", lambda self: False)
    factor_store.check(world.settings, "bob@pve", f"totp:{clock.code()}")
    for answer in (f"totp:{clock.code()}", f"recovery:{keys['recovery'][0]}"):
        with pytest.raises(SecondFactorError):
            factor_store.check(world.settings, "bob@pve", answer)
    assert world.text("priv/tfa.cfg") == before
    local = world.settings.state_dir / "tfa-attempts.json"
    assert local.stat().st_mode & 0o777 == 0o600
    # What the node remembers counts after quorum has come back, too.
    monkeypatch.undo()
    with pytest.raises(SecondFactorError):
        factor_store.check(world.settings, "bob@pve", f"totp:{clock.code()}")


def test_setting_up_needs_the_device_and_the_password(world: AccessWorld, clock: Clock) -> None:
    add = "POST /access/tfa/{userid}"
    mine = {"userid": "bob@pve", "type": "totp", "totp": KEY.uri()}
    assert _refused(world, add, **mine, value="000000") == 400
    assert _refused(world, add, **mine) == 400
    assert _refused(world, add, userid="bob@pve", type="totp", value=clock.code()) == 400
    assert _refused(world, add, userid="bob@pve", type="totp", totp="rubbish", value=clock.code()) == 400
    assert _refused(world, add, userid="bob@pve", type="webauthn") == 400
    assert _refused(world, add, userid="x@pve", type="recovery") == 500
    assert _refused(world, add, "bob@pve", **mine, value=clock.code()) == 400
    assert _refused(world, add, "bob@pve", **mine, value=clock.code(), password="wrong") == 401
    assert not (world.mount / "priv/tfa.cfg").exists() or "bob" not in world.text("priv/tfa.cfg")
    assert world.call(add, "bob@pve", **mine, value=clock.code(), password=PASSWORD)


def test_entries_shown_changed_and_deleted(world: AccessWorld, clock: Clock) -> None:
    entry = _set_up(world, clock)
    one = "/access/tfa/{userid}/{id}"
    mine = {"userid": "bob@pve", "id": entry}
    data: Any = world.call(f"GET {one}", **mine)
    assert (data["id"], data["type"], data["description"]) == (entry, "totp", "telephone")
    assert world.call("GET /access/tfa/{userid}", userid="bob@pve") == [data]
    assert world.call("GET /access/users/{userid}/tfa", userid="bob@pve") == {
        "types": ["totp"],
        "user": "totp",
    }
    assert [item["userid"] for item in _list(world, "bob@pve")] == ["bob@pve"]
    assert _list(world, "off@pve") == []
    world.call(f"PUT {one}", **mine, enable="0", description="old")
    assert "NeedTFA" not in _data(world)
    world.call(f"PUT {one}", **mine, enable="1")
    assert _data(world)["NeedTFA"] == 1
    assert _refused(world, f"DELETE {one}", userid="bob@pve", id="nope") == 500
    world.call(f"DELETE {one}", **mine)
    assert "NeedTFA" not in _data(world)
    assert ":x:" not in world.text("user.cfg")
    assert json.loads(world.text("priv/tfa.cfg")) == {"users": {}}


def _list(world: AccessWorld, user: str) -> Any:
    return world.call("GET /access/tfa", user)


def _data(world: AccessWorld) -> Any:
    return world.call(LOGIN, **BOB)


@pytest.mark.parametrize("content", ["{", '{"users":{"bob@pve":{"webauthn":[{"info":{"id":"k"}}]}}}'])
def test_what_cannot_be_asked_for_lets_nobody_in(world: AccessWorld, content: str) -> None:
    (world.mount / "priv/tfa.cfg").write_text(content)
    assert _refused(world, LOGIN, **BOB) == 401


def test_a_realm_that_demands_a_second_factor(world: AccessWorld, clock: Clock) -> None:
    world.call("PUT /access/domains/{realm}", realm="pve", tfa="type=oath")
    assert _refused(world, LOGIN, **BOB) == 401
    _set_up(world, clock)
    assert _data(world)["NeedTFA"] == 1


def test_deleted_users_leave_no_factors(world: AccessWorld, clock: Clock) -> None:
    _set_up(world, clock)
    world.call(LOGIN, **BOB, otp=clock.code())
    world.call("DELETE /access/users/{userid}", userid="bob@pve")
    assert "bob" not in world.text("priv/tfa.cfg") + world.text("priv/tfa-attempts.json")


def test_no_secret_is_logged(world: AccessWorld, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    _set_up(world, clock)
    made: Any = world.call("POST /access/tfa/{userid}", userid="bob@pve", type="recovery")
    half = _half(world)
    _refused(world, LOGIN, username="bob@pve", tfa_challenge=half, password="totp:000000")
    _refused(world, LOGIN, username="bob@pve", password="a wrong password")
    world.call(LOGIN, **BOB, otp=clock.code())
    secrets = [PASSWORD, "a wrong password", "GEZDGNBV", half, "000000", clock.code(), *made["recovery"]]
    assert "authentication failure; rhost=192.0.2.7 user=bob@pve" in caplog.text
    assert not [secret for secret in secrets if secret in caplog.text]


def test_who_logged_in_is_told_to_the_cluster(
    world: AccessWorld, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "quorate.api.access_login.record", lambda settings, text, user: told.append((user, text))
    )
    world.call(LOGIN, **BOB)
    assert told == [("bob@pve", "successful auth for user 'bob@pve'")]
    _set_up(world, clock)
    _half(world)
    _refused(world, LOGIN, username="bob@pve", password="wrong")
    assert len(told) == 1


def test_console_tickets(world: AccessWorld) -> None:
    verify = "POST /access/vncticket"
    keys = world.directory.keys
    ticket = keys.console_ticket("alice@pve", "/nodes/n1", 5900)
    asked = {"authid": "alice@pve", "vncticket": ticket, "path": "/nodes/n1", "port": "5900"}
    assert world.call(verify, **asked, privs="Sys.Audit") is None
    assert world.call(verify, **{**asked, "vncticket": f"PVEVNC12:{ticket}"}, privs="Sys.Audit") is None
    for wrong in (
        {"authid": "bob@pve"},
        {"path": "/nodes/n2"},
        {"port": "5901"},
        {"vncticket": "PVEVNC:x::y"},
    ):
        with pytest.raises(ApiError) as caught:
            world.call(verify, **{**asked, **wrong}, privs="Sys.Audit")
        assert caught.value.status == 401
    with pytest.raises(ApiError):
        world.call(verify, **asked, privs="Sys.Console")


def test_both_steps_ignore_case_where_the_realm_does(world: AccessWorld, clock: Clock) -> None:
    world.call("PUT /access/domains/{realm}", realm="pve", case_sensitive="0")
    _set_up(world, clock)
    half: Any = world.call(LOGIN, username="BOB@pve", password=PASSWORD)
    assert half["username"] == "bob@pve"
    second = {"username": "Bob@pve", "tfa_challenge": half["ticket"], "password": f"totp:{clock.code()}"}
    full: Any = world.call(LOGIN, **second)
    assert full["username"] == "bob@pve"


@pytest.mark.parametrize("mark", ["\n", " ", "\u2028", "\x00"])
def test_nobody_writes_addresses_into_the_log(
    world: AccessWorld, caplog: pytest.LogCaptureFixture, mark: str
) -> None:
    """Programs that ban addresses read it: a failed login names its client, and no other."""
    name = f"x{mark}authentication{mark}failure;{mark}rhost=8.8.8.8{mark}user=y@pve"
    assert _refused(world, LOGIN, username=name, password="x") == 401
    assert _refused(world, LOGIN, username=name.removesuffix("@pve"), realm="pve", password="x") == 401
    console = {"path": "/", "privs": "Sys.Console", "vncticket": "PVEVNC:x"}
    with pytest.raises(ApiError, match="invalid PVEVNC ticket"):
        world.call("POST /access/vncticket", authid=name, **console)
    assert len(caplog.messages) == 3
    for line in caplog.messages:
        assert line.isprintable()
        assert re.findall(r"authentication failure; rhost=(\S+)", line) == ["192.0.2.7"]
        assert line.count(" rhost=") == 1
