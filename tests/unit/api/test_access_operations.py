"""Users, tokens, groups, roles, rules, realms, pools: what the operations do to the files (pvecm 6.7, 7)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from quorate.access.users import format_user_config, parse_user_config
from quorate.schema import ApiError
from tests.unit.api.access_world import PASSWORD, USERS, AccessWorld

LOCKS_HELD = "priv/lock"


@pytest.fixture
def world(tmp_path: Path) -> AccessWorld:
    return AccessWorld(tmp_path)


def _refused(world: AccessWorld, name: str, **parameters: Any) -> tuple[int, str, dict[str, str]]:
    with pytest.raises(ApiError) as caught:
        world.call(name, **parameters)
    return caught.value.status, caught.value.message, caught.value.errors or {}


def test_order_and_escaping_of_the_file() -> None:
    config = parse_user_config(USERS)[0]
    assert format_user_config(config) == (
        "user:alice@pve:1:0::::::\n"
        "user:bob@pve:1:0:Bob:Baker:bob@example.org:a %C3%A4 comment::\n"
        "token:bob@pve!tk:0:1::\n"
        "user:off@pve:0:0::::::\n"
        "user:root@pam:1:0::::::\n"
        "\n"
        "group:dev:alice@pve:the developers:\n"
        "group:ops:bob@pve::\n"
        "\n"
        "pool:web:Web servers:100,101:local:\n"
        "\n"
        "role:Reader:VM.Audit:\n"
        "\n"
        "acl:1:/:alice@pve:PVEAuditor:\n"
        "acl:1:/vms:@ops,bob@pve!tk:Reader:\n"
    )


def test_a_user_from_beginning_to_end(world: AccessWorld) -> None:
    world.call(
        "POST /access/users",
        userid="carol@pve",
        password="a long secret",
        comment="50% of: us\nall",
        groups="ops,dev",
        expire="2000000000",
    )
    assert "user:carol@pve:1:2000000000::::50%25 of%3A us%0Aall::\n" in world.text("user.cfg")
    assert "group:ops:bob@pve,carol@pve::\n" in world.text("user.cfg")
    assert re.search(r"^carol:\$5\$[./0-9A-Za-z]{8}\$.*:$", world.text("priv/shadow.cfg"), re.MULTILINE)
    assert world.mode("priv/shadow.cfg") == 0o600
    assert world.call("POST /access/ticket", username="carol@pve", password="a long secret")
    world.call("PUT /access/users/{userid}", userid="carol@pve", enable="0", groups="ops")
    data: Any = world.call("GET /access/users/{userid}", userid="carol@pve")
    assert (data["enable"], data["groups"], data["comment"]) == (0, ["ops"], "50% of: us\nall")
    world.call("PUT /access/users/{userid}", userid="carol@pve", groups="dev", append="1")
    data = world.call("GET /access/users/{userid}", userid="carol@pve")
    assert data["groups"] == ["dev", "ops"]
    world.call("PUT /access/acl", path="/nodes", roles="PVEAuditor", users="carol@pve")
    world.call("POST /access/users/{userid}/token/{tokenid}", userid="carol@pve", tokenid="t1")
    world.call("DELETE /access/users/{userid}", userid="carol@pve")
    for path in ("user.cfg", "priv/shadow.cfg", "priv/token.cfg"):
        assert "carol" not in world.text(path)
    assert list((world.mount / LOCKS_HELD).iterdir()) == []


def test_what_users_cannot_be(world: AccessWorld) -> None:
    create, update = "POST /access/users", "PUT /access/users/{userid}"
    assert _refused(world, create, userid="bob@pve")[:2] == (
        500,
        "create user failed: user 'bob@pve' already exists",
    )
    assert _refused(world, create, userid="x@pve", groups="nope")[1].endswith("no such group 'nope'")
    assert "realm 'nowhere' does not exist" in _refused(world, create, userid="x@nowhere")[1]
    assert _refused(world, create, userid="x@pve", password="short")[0] == 400
    assert _refused(world, create, userid="x", comment="y")[0] == 400
    assert _refused(world, create, userid="x@pve", email="nonsense")[0] == 400
    assert "no such user ('x@pve')" in _refused(world, update, userid="x@pve")[1]
    assert _refused(world, "GET /access/users/{userid}", userid="x@pve")[:2] == (
        500,
        "no such user ('x@pve')",
    )
    assert _refused(world, update, userid="bob@pve", append="1")[2] == {
        "groups": "missing property required by 'append'"
    }
    assert "cannot be deleted" in _refused(world, "DELETE /access/users/{userid}", userid="root@pam")[1]
    assert "neither be disabled" in _refused(world, update, userid="root@pam", enable="0")[1]
    for name in ("x,root@pam", "@ops@pve", "root@pam!x@pve", "%72oot@pam", "a;b@pve", "a\x01b@pve"):
        assert "cannot have the character" in _refused(world, create, userid=name, groups="ops")[1], name
    assert "x@pve" not in world.text("user.cfg")


def test_whom_one_sees(world: AccessWorld) -> None:
    def seen(user: str, **options: Any) -> list[str]:
        data: Any = world.call("GET /access/users", user, **options)
        return [entry["userid"] for entry in data]

    assert seen("root@pam") == ["alice@pve", "bob@pve", "off@pve", "root@pam"]
    assert seen("alice@pve") == ["alice@pve", "bob@pve", "off@pve", "root@pam"]  # Sys.Audit
    assert seen("bob@pve") == ["bob@pve"]
    assert seen("root@pam", enabled="0") == ["off@pve"]
    world.call("PUT /access/acl", path="/access/groups/dev", roles="PVEUserAdmin", users="bob@pve")
    assert seen("bob@pve") == ["alice@pve", "bob@pve"]
    data: Any = world.call("GET /access/users", full="1")
    bob = data[1]
    assert (bob["groups"], bob["realm-type"], bob["email"]) == ("ops", "pve", "bob@example.org")
    assert bob["tokens"] == [{"tokenid": "tk", "expire": 0, "privsep": 1}]


def test_old_secrets_are_not_shown_to_auditors(world: AccessWorld) -> None:
    world.call("PUT /access/users/{userid}", userid="bob@pve", keys="OLDSECRET")
    shown: Any = world.call("GET /access/users/{userid}", "alice@pve", userid="bob@pve")
    assert "keys" not in shown
    shown = world.call("GET /access/users/{userid}", userid="bob@pve")
    assert shown["keys"] == "OLDSECRET"


def test_a_token_from_beginning_to_end(world: AccessWorld) -> None:
    one = "/access/users/{userid}/token/{tokenid}"
    mine = {"userid": "bob@pve", "tokenid": "ci"}
    made: Any = world.call(f"POST {one}", **mine, comment="for builds")
    assert made["full-tokenid"] == "bob@pve!ci"
    assert made["info"] == {"expire": 0, "privsep": 1, "comment": "for builds"}
    secret = made["value"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", secret)
    assert world.text("priv/token.cfg") == f"bob@pve!ci {secret}\nbob@pve!tk value\n"
    assert world.mode("priv/token.cfg") == 0o600
    assert secret not in world.text("user.cfg")
    assert world.directory.user_of_token(f"bob@pve!ci={secret}") == "bob@pve!ci"
    assert _refused(world, f"POST {one}", **mine)[::2] == (400, {"tokenid": "Token already exists."})
    assert world.call(f"GET {one}", **mine) == made["info"]
    listed: Any = world.call("GET /access/users/{userid}/token", userid="bob@pve")
    assert [entry["tokenid"] for entry in listed] == ["ci", "tk"]
    changed: Any = world.call(f"PUT {one}", **mine, privsep="0", delete="comment", regenerate="1")
    assert (changed["privsep"], "comment" in changed) == (0, False)
    assert changed["value"] != secret
    with pytest.raises(Exception, match="invalid token value"):
        world.directory.user_of_token(f"bob@pve!ci={secret}")
    assert world.directory.user_of_token(f"bob@pve!ci={changed['value']}")
    world.call(f"PUT {one}", **mine, expire="1000")
    with pytest.raises(Exception, match="token 'ci' access expired"):
        world.directory.user_of_token(f"bob@pve!ci={changed['value']}")
    assert "value" not in str(world.call(f"PUT {one}", **mine, delete="expire"))
    world.call(f"DELETE {one}", **mine)
    assert "bob@pve!ci" not in world.text("priv/token.cfg") + world.text("user.cfg")
    text = "no such token 'ci' for user 'bob@pve'"
    assert _refused(world, f"GET {one}", **mine)[:2] == (500, text)
    assert _refused(world, f"PUT {one}", **mine, delete="privsep")[0] == 400
    assert _refused(world, f"PUT {one}", **mine)[1].endswith(text)


def test_groups(world: AccessWorld) -> None:
    world.call("POST /access/groups", groupid="new", comment="x")
    assert (
        _refused(world, "POST /access/groups", groupid="new")[1]
        == "create group failed: group 'new' already exists"
    )
    world.call("PUT /access/groups/{groupid}", groupid="ops", comment="operations")
    one: Any = world.call("GET /access/groups/{groupid}", groupid="ops")
    assert one == {"members": ["bob@pve"], "comment": "operations"}
    data: Any = world.call("GET /access/groups")
    assert [entry["groupid"] for entry in data] == ["dev", "new", "ops"]
    assert world.call("GET /access/groups", "bob@pve") == []
    world.call("DELETE /access/groups/{groupid}", groupid="ops")
    assert "ops" not in world.text("user.cfg")
    assert "acl:1:/vms:bob@pve!tk:Reader:" in world.text("user.cfg")
    assert "no such group 'ops'" in _refused(world, "DELETE /access/groups/{groupid}", groupid="ops")[1]
    assert _refused(world, "POST /access/groups", groupid="a b")[0] == 400


def test_roles(world: AccessWorld) -> None:
    world.call("POST /access/roles", roleid="Ops", privs="VM.PowerMgmt VM.Console")
    assert "role:Ops:VM.Console,VM.PowerMgmt:\n" in world.text("user.cfg")
    world.call("PUT /access/roles/{roleid}", roleid="Ops", privs="VM.Audit", append="1")
    assert world.call("GET /access/roles/{roleid}", roleid="Ops") == {
        "VM.Audit": 1,
        "VM.Console": 1,
        "VM.PowerMgmt": 1,
    }
    world.call("PUT /access/roles/{roleid}", roleid="Ops", privs="VM.Audit")
    listed: Any = world.call("GET /access/roles")
    assert {"roleid": "Ops", "privs": "VM.Audit", "special": 0} in listed
    assert {entry["roleid"] for entry in listed if entry["special"]} >= {"Administrator", "NoAccess"}
    assert "invalid privilege 'Nope'" in _refused(world, "POST /access/roles", roleid="X", privs="Nope")[1]
    assert "built-in" in _refused(world, "PUT /access/roles/{roleid}", roleid="PVEAdmin", privs="VM.Audit")[1]
    assert "built-in" in _refused(world, "DELETE /access/roles/{roleid}", roleid="PVEAdmin")[1]
    world.call("DELETE /access/roles/{roleid}", roleid="Reader")
    assert "Reader" not in world.text("user.cfg")


def test_access_rules(world: AccessWorld) -> None:
    acl = "PUT /access/acl"
    world.call(acl, path="/nodes//n1/", roles="PVEAuditor,PVESysAdmin", users="bob@pve", propagate="0")
    world.call(acl, path="/nodes/n1", roles="PVEAuditor", groups="ops", tokens="bob@pve!tk")
    assert (
        "acl:0:/nodes/n1:bob@pve:PVEAuditor,PVESysAdmin:\nacl:1:/nodes/n1:@ops,bob@pve!tk:PVEAuditor:\n"
    ) in world.text("user.cfg")
    listed: Any = world.call("GET /access/acl")
    assert {
        "path": "/nodes/n1",
        "type": "group",
        "ugid": "ops",
        "roleid": "PVEAuditor",
        "propagate": 1,
    } in listed
    assert world.call("GET /access/acl", "bob@pve") == []
    assert world.call("GET /access/acl", "alice@pve") == listed
    world.call(
        acl, path="/nodes/n1", roles="PVEAuditor,PVESysAdmin", users="bob@pve", groups="ops", delete="1"
    )
    assert "acl:1:/nodes/n1:bob@pve!tk:PVEAuditor:\n" in world.text("user.cfg")
    assert "acl:0:" not in world.text("user.cfg")
    assert _refused(world, acl, path="/nope", roles="PVEAuditor", users="bob@pve")[2] == {
        "path": "invalid ACL path '/nope'"
    }
    assert set(_refused(world, acl, path="/", roles="PVEAuditor")[2]) == {"users", "groups", "tokens"}
    assert "role 'No' does not exist" in _refused(world, acl, path="/", roles="No", users="bob@pve")[1]
    assert "no such user" in _refused(world, acl, path="/", roles="NoAccess", users="x@pve")[1]
    # Rules for root@pam mean nothing and are not kept.
    world.call(acl, path="/", roles="NoAccess", users="root@pam")
    assert "root@pam:NoAccess" not in world.text("user.cfg")


def test_permissions(world: AccessWorld) -> None:
    mine: Any = world.call("GET /access/permissions", "bob@pve")
    assert mine == {"/vms": {"VM.Audit": 1}}
    token: Any = world.call("GET /access/permissions", userid="bob@pve!tk")
    assert token == {"/vms": {"VM.Audit": 1}}
    assert world.call("GET /access/permissions", userid="bob@pve", path="/nodes") == {}
    root: Any = world.call("GET /access/permissions", path="/")
    assert root["/"]["Sys.Modify"] == 1
    assert "no such user" in _refused(world, "GET /access/permissions", userid="x@pve")[1]
    assert "no such token" in _refused(world, "GET /access/permissions", userid="bob@pve!zz")[1]


def test_realms(world: AccessWorld) -> None:
    world.call("PUT /access/domains/{realm}", realm="pve", comment="Our users", default="1")
    assert world.text("domains.cfg") == (
        "pam: pam\n\tcomment Linux PAM standard authentication\n\n"
        "pve: pve\n\tcomment Our users\n\tdefault 1\n"
    )
    world.call("PUT /access/domains/{realm}", realm="pam", default="1", tfa="type=oath")
    listed: Any = world.call("GET /access/domains")
    assert listed[0] == {
        "realm": "pam",
        "type": "pam",
        "comment": "Linux PAM standard authentication",
        "default": 1,
        "tfa": "oath",
    }
    assert "default" not in listed[1]
    world.call("POST /access/domains", realm="corp", type="ldap", server1="ldap.example.org", base_dn="dc=x")
    one: Any = world.call("GET /access/domains/{realm}", realm="corp")
    assert (one["type"], one["server1"]) == ("ldap", "ldap.example.org")
    stale = {"realm": "corp", "comment": "x", "digest": "0" * 40}
    assert "modified configuration" in _refused(world, "PUT /access/domains/{realm}", **stale)[1]
    world.call("PUT /access/domains/{realm}", realm="corp", delete="base_dn", digest=one["digest"])
    assert "base_dn" not in world.text("domains.cfg")
    for kind in ("pam", "pve"):
        assert _refused(world, "POST /access/domains", realm=kind, type=kind)[0] == 500
        assert "cannot be deleted" in _refused(world, "DELETE /access/domains/{realm}", realm=kind)[1]
    assert _refused(world, "PUT /access/domains/{realm}", realm="pve", server1="x")[0] == 400
    assert _refused(world, "POST /access/domains", realm="c2", type="ldap", filter="a\nb: c")[0] == 400
    assert _refused(world, "POST /access/domains", realm="c2", type="ldap", comment="a\npve: x")[0] == 500
    world.call("DELETE /access/domains/{realm}", realm="corp")
    assert "corp" not in world.text("domains.cfg")


def test_providers_of_logins_are_refused_by_name(world: AccessWorld) -> None:
    url = {"redirect-url": "https://n1:8006"}
    with pytest.raises(ApiError) as refused:
        world.call("POST /access/openid/auth-url", realm="corp", **url)
    assert (refused.value.status, "OpenID" in refused.value.message) == (500, True)
    with pytest.raises(ApiError) as again:
        world.call("POST /access/openid/login", state="s", code="c", **url)
    assert (again.value.status, again.value.message) == (500, refused.value.message)
    assert _refused(world, "POST /access/openid/auth-url")[2].keys() == {"realm"}


def test_what_lies_below_access(world: AccessWorld) -> None:
    listed: Any = world.call("GET /access")
    names = [entry["subdir"] for entry in listed]
    assert {"acl", "domains", "groups", "openid", "password", "roles", "tfa", "ticket", "users"} <= set(names)
    assert world.call("GET /access/ticket") is None


def test_pools(world: AccessWorld) -> None:
    world.call("POST /pools", poolid="db", comment="Data")
    assert "VM 100 belongs already to pool 'web'" in _refused(world, "PUT /pools", poolid="db", vms="100")[1]
    world.call("PUT /pools", poolid="db", vms="100", storage="ceph", allow_move="1")
    assert "pool:db:Data:100:ceph:\n" in world.text("user.cfg")
    assert "pool:web:Web servers:101:local:\n" in world.text("user.cfg")
    one: Any = world.call("GET /pools/{poolid}", poolid="db")
    assert one["members"] == [
        {"id": "qemu/100", "type": "qemu", "vmid": 100, "node": "n1"},
        {"id": "storage/ceph", "type": "storage", "storage": "ceph"},
    ]
    assert "not empty" in _refused(world, "DELETE /pools/{poolid}", poolid="db")[1]
    world.call("PUT /pools/{poolid}", poolid="db", vms="100", storage="ceph", delete="1")
    world.call("POST /pools", poolid="db/test")
    assert "below it" in _refused(world, "DELETE /pools", poolid="db")[1]
    assert "parent 'x' of pool" in _refused(world, "POST /pools", poolid="x/y")[1]
    world.call("DELETE /pools", poolid="db/test")
    world.call("DELETE /pools", poolid="db")
    listed: Any = world.call("GET /pools")
    assert listed == [{"poolid": "web", "comment": "Web servers"}]
    assert world.call("GET /pools", "bob@pve") == []
    named: Any = world.call("GET /pools", poolid="web", type="storage")
    assert named[0]["members"] == [{"id": "storage/local", "type": "storage", "storage": "local"}]


def test_passwords(world: AccessWorld) -> None:
    change = "PUT /access/password"
    values = {"userid": "bob@pve", "password": "a new secret"}
    assert _refused(world, change, user="bob@pve", **values)[2].keys() == {"confirmation-password"}
    wrong = _refused(world, change, user="bob@pve", **values, confirmation_password="nonsense")
    assert wrong[:2] == (401, "authentication failure")
    # A ticket is no password: whoever stole one must not be able to lock the user out.
    ticket = world.directory.keys.login_ticket("bob@pve")
    assert _refused(world, change, user="bob@pve", **values, confirmation_password=ticket)[0] in (400, 401)
    world.call(change, "bob@pve", **values, confirmation_password=PASSWORD)
    assert world.call("POST /access/ticket", username="bob@pve", password="a new secret")
    assert _refused(world, "POST /access/ticket", username="bob@pve", password=PASSWORD)[0] == 401
    assert "no such user" in _refused(world, change, userid="x@pve", password="a new secret")[1]
    assert _refused(world, change, userid="bob@pve", password="short")[0] == 400


def test_passwords_of_the_host_go_through_standard_input(
    world: AccessWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    class Done:
        returncode = 0
        stderr = ""

    def run(words: list[str], **options: Any) -> Done:
        seen.append((words, options["input"]))
        return Done()

    monkeypatch.setattr("quorate.access.store.subprocess.run", run)
    world.call("PUT /access/password", userid="root@pam", password="a new secret")
    words, text = seen[0]
    assert words == ["/usr/sbin/chpasswd", "-e"]
    assert re.fullmatch(r"root:\$5\$.{8}\$.{43}\n", text)
    Done.returncode, Done.stderr = 1, "chpasswd: line 1: user 'root' does not exist\n"
    error = _refused(world, "PUT /access/password", userid="root@pam", password="a new secret")
    reason = "chpasswd failed for user 'root': chpasswd: line 1: user 'root' does not exist"
    assert error[:2] == (500, f"change password failed: {reason}")


def test_without_quorum_nothing_changes(world: AccessWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.cfs.Cfs.quorate", lambda self: False)
    before = world.text("user.cfg")
    status, text, _ = _refused(world, "POST /access/users", userid="x@pve")
    assert (status, text) == (500, "create user failed: cfs-lock 'file-user_cfg' error: no quorum!")
    assert world.text("user.cfg") == before


def _allow(world: AccessWorld, *rules: str) -> None:
    path = world.mount / "user.cfg"
    path.write_text(path.read_text() + "".join(f"{rule}\n" for rule in rules))


def test_who_manages_one_group_leaves_the_others_alone(world: AccessWorld) -> None:
    """Groups may also forbid: NoAccess goes with the membership."""
    _allow(world, "group:dev:alice@pve,off@pve::", "group:ops:off@pve,bob@pve::")
    _allow(world, "acl:1:/access/groups/ops:bob@pve:PVEUserAdmin:")
    before = world.text("user.cfg")
    for groups in ("ops", ""):
        status, message, _ = _refused(
            world, "PUT /access/users/{userid}", user="bob@pve", userid="off@pve", groups=groups
        )
        assert status == 403
        assert "/access/groups/dev, User.Modify" in message
    assert world.text("user.cfg") == before
    world.call("PUT /access/users/{userid}", user="bob@pve", userid="off@pve", groups="ops", append="1")
    world.call("PUT /access/users/{userid}", user="bob@pve", userid="bob@pve", groups="")
    assert "group:dev:alice@pve,off@pve:" in world.text("user.cfg")
    assert "group:ops:off@pve:" in world.text("user.cfg")


def test_moving_a_guest_changes_the_pool_it_leaves(world: AccessWorld) -> None:
    _allow(world, "pool:db::200::", "acl:1:/pool/db:bob@pve:Administrator:")
    move = {"poolid": "db", "vms": "100", "allow_move": "1"}
    status, message, _ = _refused(world, "PUT /pools", user="bob@pve", **move)
    assert (status, message) == (403, "Permission check failed (/pool/web, Pool.Allocate)")
    assert "pool:web:Web servers:100,101:local:" in world.text("user.cfg")
    _allow(world, "acl:1:/pool/web:bob@pve:PVEPoolAdmin:")
    world.call("PUT /pools", user="bob@pve", **move)
    assert "pool:db::100,200::" in world.text("user.cfg")


def test_a_new_user_has_no_password_of_an_older_one(world: AccessWorld) -> None:
    shadow = world.mount / "priv/shadow.cfg"
    shadow.write_text(shadow.read_text() + "carol:$5$old:\n")
    world.call("POST /access/users", userid="carol@pve")
    assert "carol" not in world.text("priv/shadow.cfg")
    assert world.text("priv/shadow.cfg").startswith("bob:")


@pytest.mark.parametrize("separator", ["\n", "\r", "\x0b", "\x85", "\u2028"])
def test_options_of_realms_are_one_line_for_every_reader(world: AccessWorld, separator: str) -> None:
    evil = f"x{separator}pve: other"
    for name in ("comment", "base_dn"):
        with pytest.raises(ApiError):
            world.call("POST /access/domains", realm="corp", type="ldap", **{name: evil})
    assert "other" not in world.directory.realms
    assert "corp" not in world.directory.realms
