"""Access control over real TLS, through both halves: users, tokens, second factors (pvecm 6.7, 7)."""

from __future__ import annotations

import os
import time

import pytest

from quorate.access.keys import TicketKeys
from quorate.access.totp import TotpKey
from tests.real.api_host import PASSWORDS, ApiHost, Reply, Session

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

KEY = TotpKey(b"12345678901234567890", issuer="lab", account="bob@pve")


def _ok(reply: Reply) -> object:
    assert reply.status == 200, (reply.status, reply.reason, reply.body)
    return reply.data


def _login(host: ApiHost, **form: str) -> Reply:
    return host.api("POST", "/access/ticket", form=form)


def test_a_user_made_over_the_api_logs_in_and_acts(host: ApiHost, root: Session) -> None:
    new = {"userid": "carol@pve", "password": "a long secret", "comment": "50%: ü"}
    _ok(host.api("POST", "/access/users", root, form=new))
    carol = host.login("carol@pve", "a long secret")
    assert host.api("GET", "/access/users/carol@pve", carol).data["comment"] == "50%: ü"
    assert host.api("GET", "/cluster/status", carol).status == 403
    rule = {"path": "/", "roles": "PVEAuditor", "users": "carol@pve"}
    denied = host.api("PUT", "/access/acl", carol, form=rule)
    assert (denied.status, denied.reason) == (403, "Permission check failed (/, Permissions.Modify)")
    _ok(host.api("PUT", "/access/acl", root, form=rule))
    assert host.api("GET", "/cluster/status", carol).status == 200
    change = {"userid": "carol@pve", "password": "another secret", "confirmation-password": "a long secret"}
    _ok(host.api("PUT", "/access/password", carol, form=change))
    host.login("carol@pve", "another secret")
    _ok(host.api("DELETE", "/access/users/carol@pve", root))
    assert host.api("GET", "/version", carol).status == 401


def test_a_token_works_until_it_is_deleted(host: ApiHost, root: Session) -> None:
    path = "/access/users/alice@pve/token/ci"
    made = _ok(host.api("POST", path, root, form={"privsep": "0"}))
    assert isinstance(made, dict)

    def with_token(secret: str) -> Reply:
        return host.api(
            "GET", "/cluster/status", headers={"Authorization": f"PVEAPIToken=alice@pve!ci={secret}"}
        )

    assert with_token(made["value"]).status == 200
    assert with_token("0" * 36).status == 401
    _ok(host.api("DELETE", path, root))
    # The front may remember the secret, it never remembers that the token exists.
    assert with_token(made["value"]).status == 401
    logs = host.log("pvedaemon") + host.log("pveproxy")
    access = (host.settings.proxy_log_dir / "access.log").read_text(encoding="utf-8")
    assert made["value"] not in logs + access


def test_the_consent_text_is_there_before_a_login(host: ApiHost, root: Session) -> None:
    file = host.settings.mountpoint / "datacenter.cfg"
    assert (host.api("GET", "/access/consent").data, host.api("GET", "/cluster/options").status) == ("", 401)
    host.put(file, b"keyboard: de\nconsent-text: PGI+Rm9yIHVz\n", 0o640)
    try:
        reply = host.api("GET", "/access/consent")
        assert (reply.status, reply.data) == (200, "<b>For us")  # that option and no other
        page = host.request("GET", "/api2/html/access/consent")
        assert b"&lt;b&gt;For us" in page.body
        assert b"<b>For us" not in page.body
    finally:
        file.unlink()
    assert host.api("GET", "/access/consent").data == ""


def test_a_second_factor(host: ApiHost, root: Session) -> None:
    bob = {"username": "bob@pve", "password": PASSWORDS["bob"]}
    session = host.login(**bob)
    now = time.time()

    def code(step: int = 0) -> str:
        return KEY.code_at(int(now) // 30 + step)

    entry = {"type": "totp", "totp": KEY.uri(), "value": code(), "password": PASSWORDS["bob"]}
    _ok(host.api("POST", "/access/tfa/bob@pve", session, form=entry))
    half = _ok(_login(host, **bob))
    assert isinstance(half, dict)
    assert half["NeedTFA"] == 1
    opened = host.api("GET", "/version", Session(half["ticket"], half["CSRFPreventionToken"]))
    assert (opened.status, opened.reason) == (401, "Authentication failed!")
    second = {"username": "bob@pve", "tfa-challenge": half["ticket"]}
    wrong = _login(host, **second, password="totp:000000")
    assert (wrong.status, wrong.reason, wrong.json["data"]) == (401, "authentication failure", None)
    assert wrong.seconds >= 3
    done = _ok(_login(host, **second, password=f"totp:{code(1)}"))
    assert isinstance(done, dict)
    full = Session(done["ticket"], done["CSRFPreventionToken"])
    assert host.api("GET", "/access/tfa/bob@pve", full).data[0]["type"] == "totp"
    assert _login(host, **second, password=f"totp:{code(1)}").status == 401
    assert _login(host, username="bob@pve", password=done["ticket"]).status == 200
    listed = _ok(host.api("GET", "/access/tfa", root))
    assert isinstance(listed, list)
    assert [item["userid"] for item in listed] == ["bob@pve"]
    logs = host.log("pvedaemon") + host.log("pveproxy")
    assert "wrong TOTP code" in logs
    assert not [secret for secret in ("000000", code(1), half["ticket"], PASSWORDS["bob"]) if secret in logs]


def test_console_tickets(host: ApiHost) -> None:
    ticket = TicketKeys(host.settings).console_ticket("alice@pve", "/nodes/n1", 5900)
    form = {"authid": "alice@pve", "vncticket": ticket, "path": "/nodes/n1", "privs": "Sys.Audit"}
    assert _ok(host.api("POST", "/access/vncticket", form=form | {"port": "5900"})) is None
    refused = host.api("POST", "/access/vncticket", form=form | {"port": "5901"})
    assert refused.status == 401
    assert refused.seconds >= 3
