"""Who gets in and what they see, in the browser on one node: second factor, few rights, API tokens."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from lab import Lab, Node
from lab.cluster import wait_api, wait_writable
from quorate.access.totp import TotpKey, parse_uri
from tests.lab.conftest import Laboratories
from tests.lab.support_web import Person, browser_in

PASSWORD = "a-password-of-tests"
NO_SUCH_CODE = "000000"


@pytest.fixture(scope="module")
def lab(laboratories: Laboratories) -> Iterator[Lab]:
    with laboratories.lab(nodes=1) as lab:
        node = lab.node("n1")
        wait_api(node)
        wait_writable(node)
        for vmid, name in ((100, "web-1"), (101, "database-1")):
            node.write_file(f"/etc/pve/nodes/n1/qemu-server/{vmid}.conf", f"name: {name}\nmemory: 512\n")
        yield lab


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.node("n1")


@pytest.fixture(scope="module")
def browser(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser_in(lab, tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def admin(browser: Browser, node: Node) -> Iterator[Person]:
    person = Person(browser, node)
    person.open()
    person.log_in()
    yield person
    assert person.faults == []
    person.context.close()


def test_a_second_factor_is_set_up_asked_for_and_taken_away(
    browser: Browser, node: Node, admin: Person, allow_warnings: Callable[[str], None]
) -> None:
    allow_warnings(r"authentication failure; .*wrong TOTP code")
    add_user(admin, "carol")
    carol = Person(browser, node)
    carol.open()
    carol.log_in(PASSWORD, "carol", "pve")
    key = set_up_authenticator(carol)
    carol.log_out()

    page = carol.page
    carol.enter(PASSWORD, "carol", "pve")
    expect(page.get_by_text("carol@pve has a second factor")).to_be_visible()
    assert carol.barriers() == []
    page.get_by_role("textbox", name="Code").fill(NO_SUCH_CODE)
    page.get_by_role("button", name="Confirm").click()
    refused = page.get_by_role("alert").filter(has_text="The second factor was refused")
    expect(refused).to_contain_text("authentication failure")  # the server's words
    carol.picture("21-code-refused")
    page.get_by_role("textbox", name="Code").fill(code_of(key, ahead=1))
    page.get_by_role("button", name="Confirm").click()
    carol.sees_node("n1", "online")

    carol.account("Second factor")
    dialog = page.get_by_role("dialog", name="Second factors of carol@pve")
    carol.choose(dialog.get_by_role("row").filter(has_text="phone"), "Remove")
    removal = page.get_by_role("dialog", name="Remove this second factor?")
    removal.get_by_label("Your password").fill(PASSWORD)
    removal.get_by_role("button", name="Remove", exact=True).click()
    expect(dialog.get_by_text("the password alone lets this user in")).to_be_visible()
    dialog.get_by_role("button", name="Close").last.click()
    carol.log_out()
    carol.log_in(PASSWORD, "carol", "pve")
    assert carol.faults == []


def test_a_user_sees_what_the_role_on_a_path_allows(browser: Browser, node: Node, admin: Person) -> None:
    add_user(admin, "bob")
    give_role(admin, "bob@pve", "PVEVMUser", "/vms/100")
    bob = Person(browser, node)
    bob.open("#/datacenter/summary")
    bob.log_in(PASSWORD, "bob", "pve")
    page = bob.page
    tree = page.get_by_role("tree")
    expect(tree.get_by_role("treeitem", name=re.compile("web-1"))).to_be_visible()
    expect(tree.get_by_role("treeitem", name=re.compile("database-1"))).to_have_count(0)
    tabs = page.get_by_role("navigation", name="Datacenter", exact=True)
    expect(tabs.get_by_role("tab", name="Summary")).to_be_visible()
    for hidden in ("Cluster", "Options"):
        expect(tabs.get_by_role("tab", name=hidden, exact=True)).to_have_count(0)
    bob.picture("22-few-rights")
    bob.go("node/n1/services")
    expect(page.get_by_role("alert")).to_contain_text("Permission check failed")
    assert bob.barriers() == []
    bob.picture("22-refused")
    assert bob.faults == []

    admin.go("datacenter/permissions")
    row = admin.page.get_by_role("row").filter(has_text="bob@pve")
    admin.remove(row)
    expect(row).to_have_count(0)
    expect(tree.get_by_role("treeitem", name=re.compile("web-1"))).to_have_count(0)


def test_a_token_shows_its_secret_once_and_works_until_it_is_removed(
    node: Node, admin: Person, allow_warnings: Callable[[str], None]
) -> None:
    allow_warnings(r"authentication failure; .*no such token 'ci'")
    page = admin.page
    admin.go("datacenter/tokens")
    page.get_by_role("button", name="Add API token").click()
    dialog = page.get_by_role("dialog", name="Add API token")
    dialog.get_by_label("Token name").fill("no blanks allowed")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog.get_by_label("Token name")).to_have_accessible_description(re.compile("."))
    admin.picture("23-token-refused")
    dialog.get_by_label("Token name").fill("ci")
    dialog.get_by_role("button", name="Add", exact=True).click()
    made = page.get_by_role("dialog", name="API token made")
    secret = made.get_by_label("Secret").input_value()
    assert re.fullmatch(r"[0-9a-f-]{36}", secret)
    assert admin.barriers() == []
    made.get_by_label("Secret").evaluate("field => { field.value = 'not in the picture' }")
    admin.picture("23-token")
    made.get_by_role("button", name="Close").last.click()
    expect(made).to_be_hidden()
    row = page.get_by_role("grid", name="API tokens").get_by_role("row").filter(has_text="ci")
    expect(row).to_be_visible()
    assert secret not in page.content()

    assert version_with_token(node, f"root@pam!ci={secret}") == 200
    admin.remove(row)
    expect(row).to_have_count(0)
    assert version_with_token(node, f"root@pam!ci={secret}") == 401


def add_user(admin: Person, name: str) -> None:
    page = admin.page
    admin.go("datacenter/users")
    page.get_by_role("button", name="Add user").click()
    dialog = page.get_by_role("dialog", name="Add user")
    dialog.get_by_label("User name").fill(name)
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("row").filter(has_text=f"{name}@pve")).to_be_visible()


def give_role(admin: Person, user: str, role: str, path: str) -> None:
    page = admin.page
    admin.go("datacenter/permissions")
    page.get_by_role("button", name="Add permission").click()
    dialog = page.get_by_role("dialog", name="Add permission")
    dialog.get_by_role("combobox", name="Path").fill(path)
    dialog.get_by_label("Who").fill("nobody-of-that-name@pve")
    dialog.get_by_label("Role").select_option(role)
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog.get_by_text("nobody-of-that-name@pve").first).to_be_visible()  # told at the field
    admin.picture("22-no-such-user")
    dialog.get_by_label("Who").fill(user)
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("row").filter(has_text=user)).to_contain_text(role)


def set_up_authenticator(person: Person) -> TotpKey:
    """As a person does with a phone; the key that the phone would have."""
    page = person.page
    person.account("Second factor")
    page.get_by_role("button", name="Add authenticator app").click()
    dialog = page.get_by_role("dialog", name=re.compile("^Authenticator app for"))
    expect(dialog.get_by_role("img", name="QR code of the secret below")).to_be_visible()
    secret = dialog.get_by_label("Secret", exact=True).input_value()
    key = parse_uri(f"otpauth://totp/x:y?secret={secret}")
    dialog.get_by_label("Description").fill("phone")
    dialog.get_by_label("Your password").fill(PASSWORD)
    dialog.get_by_label("Code of the app").fill(NO_SUCH_CODE)
    dialog.get_by_role("button", name="Add", exact=True).click()
    code = dialog.get_by_label("Code of the app")
    expect(code).to_be_focused()  # it lies below what one sees of the form
    expect(code).to_have_accessible_description(re.compile("code"))
    assert person.barriers() == []
    person.picture("20-authenticator")
    dialog.get_by_label("Code of the app").fill(code_of(key))
    dialog.get_by_role("button", name="Add", exact=True).click()
    factors = page.get_by_role("dialog", name=re.compile("^Second factors of"))
    expect(factors.get_by_role("row").filter(has_text="phone")).to_be_visible()
    factors.get_by_role("button", name="Close").last.click()
    return key


def code_of(key: TotpKey, *, ahead: int = 0) -> str:
    """The code of now, or of so many steps later: none is taken twice."""
    return key.code_at(int(time.time()) // key.period + ahead)


def version_with_token(node: Node, token: str) -> int:
    """The status of a request with it, the secret kept out of the argument list."""
    config = (
        f'header = "Authorization: PVEAPIToken={token}"\nwrite-out = "\\n%{{http_code}}"\ninsecure\nsilent\n'
    )
    answer = node.run(["curl", "-ksK", "-", "https://127.0.0.1:8006/api2/json/version"], input=config).stdout
    body, _, status = answer.rpartition("\n")
    if status == "200":
        assert json.loads(body)["data"]["version"]
    return int(status)
