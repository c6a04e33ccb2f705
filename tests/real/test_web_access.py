"""The dialogs of access control in a browser, and what the API says after each."""

from __future__ import annotations

import os
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.real.api_host import PASSWORDS, ApiHost, Session
from tests.real.web_page import Visitor

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

NEW_PASSWORD = "tropical fish"
NOON = 1_893_499_200
"""Of 2030-01-01: the forms show the day alone."""


def test_a_group_is_made_changed_and_removed(host: ApiHost, root: Session, visitor: Visitor) -> None:
    page = visitor.page
    visitor.open("datacenter/groups")
    page.get_by_role("button", name="Add group").click()
    dialog = page.get_by_role("dialog", name="Add group")
    _field(dialog, "Name").fill("night")
    _field(dialog, "Comment").fill("by night")
    _send(dialog, "Add")
    assert _read(host, root, "/access/groups/night") == {"comment": "by night", "members": []}

    _act(page, "night", "Edit")
    dialog = page.get_by_role("dialog", name="Edit group night")
    _field(dialog, "Comment").fill("")
    _send(dialog, "OK")
    assert _read(host, root, "/access/groups/night") == {"members": []}

    _remove(page, "night", "Remove the group night?")
    assert "night" not in [group["groupid"] for group in _read(host, root, "/access/groups")]


def test_a_role_is_made_changed_and_removed(host: ApiHost, root: Session, visitor: Visitor) -> None:
    page = visitor.page
    visitor.open("datacenter/roles")
    page.get_by_role("button", name="Add role").click()
    dialog = page.get_by_role("dialog", name="Add role")
    _field(dialog, "Name").fill("Watcher")
    _field(dialog, "Privileges").fill("Sys.Audit, VM.Fly")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("invalid privilege 'VM.Fly'")
    _field(dialog, "Privileges").fill("Sys.Audit, VM.Audit")
    _send(dialog, "Add")
    assert _read(host, root, "/access/roles/Watcher") == {"Sys.Audit": 1, "VM.Audit": 1}

    _act(page, "Watcher", "Edit")
    dialog = page.get_by_role("dialog", name="Edit role Watcher")
    expect(_field(dialog, "Privileges")).to_have_value("Sys.Audit, VM.Audit")
    _field(dialog, "Privileges").fill("VM.Audit VM.Console")
    _send(dialog, "OK")
    assert _read(host, root, "/access/roles/Watcher") == {"VM.Audit": 1, "VM.Console": 1}

    _remove(page, "Watcher", "Remove the role Watcher?")
    assert "Watcher" not in [role["roleid"] for role in _read(host, root, "/access/roles")]


def test_a_user_is_changed_gets_a_password_and_is_removed(
    host: ApiHost, root: Session, visitor: Visitor
) -> None:
    page = visitor.page
    for group in ("day", "late"):
        _do(host, root, "POST", "/access/groups", groupid=group)
    carol = "/access/users/carol@pve"
    secret = PASSWORDS["bob"]
    _do(host, root, "POST", "/access/users", userid="carol@pve", comment="old", password=secret)
    visitor.open("datacenter/users")
    _act(page, "carol@pve", "Edit")
    dialog = page.get_by_role("dialog", name="Edit user carol@pve")
    for label, text in (
        ("First name", "Carol"),
        ("Last name", "Danvers"),
        ("E-mail", "carol@example.org"),
        ("Groups", "day, late"),
        ("Expires", "2030-01-01"),
        ("Comment", ""),
    ):
        _field(dialog, label).fill(text)
    _send(dialog, "OK")
    found = _read(host, root, carol)
    assert found | {"tokens": {}} == {
        "enable": 1,
        "expire": NOON - 12 * 3600,
        "firstname": "Carol",
        "lastname": "Danvers",
        "email": "carol@example.org",
        "groups": ["day", "late"],
        "tokens": {},
    }

    _act(page, "carol@pve", "Edit")
    for label in ("Last name", "E-mail", "Expires"):
        _field(dialog, label).fill("")
    _field(dialog, "Groups").fill("late")
    dialog.get_by_label("Enabled").uncheck()
    _send(dialog, "OK")
    found = _read(host, root, carol)
    assert {"lastname", "email", "comment"}.isdisjoint(found)
    assert (found["enable"], found["expire"], found["groups"]) == (0, 0, ["late"])
    _do(host, root, "PUT", carol, enable="1")

    _act(page, "carol@pve", "Set password")
    dialog = page.get_by_role("dialog", name="Password of carol@pve")
    _field(dialog, "New password").fill(NEW_PASSWORD)
    _field(dialog, "New password again").fill(NEW_PASSWORD + "!")
    expect(dialog.get_by_text("The two differ.")).to_be_visible()
    expect(dialog.get_by_role("button", name="Set password")).to_be_disabled()
    _field(dialog, "New password again").fill(NEW_PASSWORD)
    _send(dialog, "Set password")
    assert host.login("carol@pve", NEW_PASSWORD).ticket
    form = {"username": "carol@pve", "password": secret}
    assert host.api("POST", "/access/ticket", form=form).status == 401

    _remove(page, "carol@pve", "Remove the user carol@pve?")
    assert "carol@pve" not in [user["userid"] for user in _read(host, root, "/access/users")]
    assert _read(host, root, "/access/groups/late") == {"members": []}


def test_what_somebody_else_changed_meanwhile_stays(host: ApiHost, root: Session, visitor: Visitor) -> None:
    page = visitor.page
    for group in ("early", "extra"):
        _do(host, root, "POST", "/access/groups", groupid=group)
    erin = "/access/users/erin@pve"
    _do(host, root, "POST", "/access/users", userid="erin@pve", groups="early", expire=str(NOON))
    visitor.open("datacenter/users")
    _act(page, "erin@pve", "Edit")
    dialog = page.get_by_role("dialog", name="Edit user erin@pve")
    _field(dialog, "Comment").fill("on leave")
    _do(host, root, "PUT", erin, groups="early,extra", enable="0", firstname="Erin")
    _send(dialog, "OK")
    found = _read(host, root, erin)
    assert (found["comment"], found["groups"], found["expire"]) == ("on leave", ["early", "extra"], NOON)
    assert (found["firstname"], found["enable"]) == ("Erin", 0)


def test_who_manages_one_of_a_users_groups_changes_the_comment(
    host: ApiHost, root: Session, visitor: Visitor
) -> None:
    for group in ("mine", "others"):
        _do(host, root, "POST", "/access/groups", groupid=group)
    _do(host, root, "POST", "/access/users", userid="frank@pve", groups="mine,others")
    acl = {"path": "/access/groups/mine", "users": "alice@pve", "roles": "PVEUserAdmin"}
    _do(host, root, "PUT", "/access/acl", **acl)
    alice = host.login("alice@pve", PASSWORDS["alice"])
    visitor.open("datacenter/users", alice)
    _act(visitor.page, "frank@pve", "Edit")
    dialog = visitor.page.get_by_role("dialog", name="Edit user frank@pve")
    _field(dialog, "Comment").fill("of two groups")
    _send(dialog, "OK")
    found = _read(host, root, "/access/users/frank@pve")
    assert (found["comment"], found["groups"]) == ("of two groups", ["mine", "others"])

    _act(visitor.page, "frank@pve", "Edit")
    _field(dialog, "Groups").fill("mine")
    dialog.get_by_role("button", name="OK").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Permission check failed (/access/groups/others")
    assert _read(host, root, "/access/users/frank@pve")["groups"] == ["mine", "others"]


def test_a_token_is_changed(host: ApiHost, root: Session, visitor: Visitor) -> None:
    page = visitor.page
    token = "/access/users/alice@pve/token/full"
    _do(host, root, "PUT", token, expire=str(NOON), privsep="0", comment="old")
    visitor.open("datacenter/tokens")
    _act(page, "alice@pve!full", "Edit")
    dialog = page.get_by_role("dialog", name="Edit token alice@pve!full")
    _field(dialog, "Comment").fill("")
    _send(dialog, "OK")
    assert _read(host, root, token) == {"expire": NOON, "privsep": 0}

    _act(page, "alice@pve!full", "Edit")
    _field(dialog, "Expires").fill("")
    dialog.get_by_label("Privilege separation").check()
    _send(dialog, "OK")
    assert _read(host, root, token) == {"expire": 0, "privsep": 1}


def test_a_group_gets_a_permission_and_loses_it(host: ApiHost, root: Session, visitor: Visitor) -> None:
    page = visitor.page
    _do(host, root, "POST", "/access/groups", groupid="guests")
    visitor.open("datacenter/permissions")
    page.get_by_role("button", name="Add permission").click()
    dialog = page.get_by_role("dialog", name="Add permission")
    dialog.get_by_role("combobox", name="Path").fill("/vms/100")
    dialog.get_by_label("Kind").select_option("group")
    _field(dialog, "Who").fill("guests")
    dialog.get_by_label("Role").select_option("PVEVMUser")
    dialog.get_by_label("Also for everything below the path").uncheck()
    _send(dialog, "Add")
    entry = {"path": "/vms/100", "type": "group", "ugid": "guests", "roleid": "PVEVMUser", "propagate": 0}
    assert entry in _read(host, root, "/access/acl")

    page.get_by_role("button", name="Remove: PVEVMUser of guests on /vms/100").click()
    _send(page.get_by_role("dialog"), "Remove")
    assert entry not in _read(host, root, "/access/acl")


def _field(dialog: Locator, label: str) -> Locator:
    return dialog.get_by_role("textbox", name=label, exact=True)


def _send(dialog: Locator, button: str) -> None:
    dialog.get_by_role("button", name=button, exact=True).click()
    expect(dialog).to_have_count(0)


def _act(page: Page, row: str, action: str) -> None:
    page.get_by_role("button", name=f"Actions: {row}", exact=True).click()
    page.get_by_role("menuitem", name=action, exact=True).click()


def _remove(page: Page, row: str, question: str) -> None:
    _act(page, row, "Remove")
    _send(page.get_by_role("dialog", name=question), "Remove")


def _read(host: ApiHost, session: Session, path: str) -> Any:
    reply = host.api("GET", path, session)
    assert reply.status == 200, reply.reason
    return reply.data


def _do(host: ApiHost, session: Session, method: str, path: str, /, **form: str) -> None:
    reply = host.api(method, path, session, form=form)
    assert reply.status == 200, reply.reason
