"""A person uses shells of nodes in the browser: here, on another node by SSH, and as somebody else than root.

Pictures lie in artifacts/web/.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from lab import Lab, Node
from lab.base import ROOT_PASSWORD
from lab.waiting import wait_for
from tests.lab.support_web import PATIENCE, PHONE, Person, browser_in

PASSWORD = "a long password"
END_SECONDS = 30.0


@pytest.fixture
def lab(new_cluster: Callable[..., Lab]) -> Lab:
    return new_cluster(nodes=2)


@pytest.fixture
def browser(lab: Lab, tmp_path: Path) -> Iterator[Browser]:
    with browser_in(lab, tmp_path) as found:
        yield found


@pytest.mark.timeout(900)
def test_a_person_uses_shells(lab: Lab, browser: Browser, allow_warnings: Callable[[str], None]) -> None:
    allow_warnings(r"pam_env\(login:session\)")  # the small Debian of the lab has no locales
    n1, n2 = lab.nodes
    admin = Person(browser, n1)
    admin.open()
    admin.log_in()
    here = use_shell(admin, n1)
    there = use_shell(admin, n2)
    gone(n1, here)
    end_shell(admin)
    gone(n2, there)
    tasks_are_over(n1)
    assert admin.faults == []
    another_one_logs_in(browser, n1, n2)
    fits_on_a_phone(browser, n1)
    tasks_are_over(n1)


def use_shell(admin: Person, node: Node) -> int:
    """Open it, run a command, make the window smaller; the shell's process on the node."""
    page = admin.page
    page.set_viewport_size({"width": 1280, "height": 860})
    admin.go(f"node/{node.name}/shell")
    terminal = page.get_by_role("group", name=f"Shell on {node.name}")
    expect(terminal).to_contain_text(f"root@{node.name}", timeout=PATIENCE)
    assert admin.barriers() == []
    say(terminal, "echo $((6*7))-$(hostname)-$(id -un); stty size; echo is=$$.")
    expect(terminal).to_contain_text(f"42-{node.name}-root", timeout=PATIENCE)
    expect(terminal).to_contain_text(re.compile(r"is=\d+\."), timeout=PATIENCE)
    text = terminal.inner_text()
    admin.picture(f"20-shell-{node.name}")
    size = re.search(r"\n(\d+) (\d+)\s", text.replace("\xa0", " "))
    shell = re.search(r"is=(\d+)\.", text)
    assert size is not None, text
    assert shell is not None, text
    page.set_viewport_size({"width": 700, "height": 860})
    say(terminal, "clear; echo now $(stty size | cut -d' ' -f2).")
    expect(terminal).to_contain_text(re.compile(r"now \d+\."), timeout=PATIENCE)
    columns = re.search(r"now (\d+)\.", terminal.inner_text().replace("\xa0", " "))
    assert columns is not None
    assert 20 < int(columns[1]) < int(size[2])
    return int(shell[1])


def end_shell(admin: Person) -> None:
    """By its own command; the page says so, and opens another one when asked."""
    page = admin.page
    terminal = page.get_by_role("group", name="Shell on n2")
    say(terminal, "exit")
    expect(page.get_by_text("The shell has ended.")).to_be_visible(timeout=PATIENCE)
    admin.picture("21-shell-ended")
    page.get_by_role("button", name="Connect again").click()
    expect(page.get_by_text("Ctrl+Shift+Home leaves the terminal")).to_be_visible(timeout=PATIENCE)
    expect(terminal).to_contain_text("root@n2", timeout=PATIENCE)
    page.keyboard.press("Tab")  # the shell's, not the page's
    page.keyboard.press("Control+Shift+Home")
    expect(page.get_by_role("button", name="New shell")).to_be_focused()
    admin.go("node/n2/summary")


def another_one_logs_in(browser: Browser, n1: Node, n2: Node) -> None:
    """The right to a console is none to be root: the host asks for name and password."""
    n1.run(["pveum", "user", "add", "carol@pve"])
    n1.run(["pveum", "passwd", "carol@pve"], input=f"{PASSWORD}\n{PASSWORD}\n")
    n1.run(["pveum", "acl", "modify", "/", "--users", "carol@pve", "--roles", "PVESysAdmin"])
    carol = Person(browser, n1)
    carol.open()
    carol.log_in(PASSWORD, "carol", "pve")
    for node in (n1, n2):
        carol.go(f"node/{node.name}/shell")
        terminal = carol.page.get_by_role("group", name=f"Shell on {node.name}")
        expect(terminal).to_contain_text(f"{node.name} login:", timeout=PATIENCE)
        carol.picture(f"22-login-{node.name}")
        say(terminal, "root")
        expect(terminal).to_contain_text("Password:", timeout=PATIENCE)
        say(terminal, ROOT_PASSWORD)
        expect(terminal).to_contain_text(f"root@{node.name}", timeout=PATIENCE)
    assert carol.faults == []
    carol.context.close()


def fits_on_a_phone(browser: Browser, node: Node) -> None:
    person = Person(browser, node, dark=True, screen=PHONE)
    person.open("#/node/n1/shell")
    person.page.get_by_label("User name").fill("root")
    person.page.get_by_label("Password").fill(ROOT_PASSWORD)
    person.page.get_by_label("Realm").select_option("pam")
    person.page.keyboard.press("Enter")
    expect(person.page.get_by_role("group", name="Shell on n1")).to_contain_text("root@n1", timeout=PATIENCE)
    person.picture("23-shell-phone")
    assert person.barriers() == []
    assert person.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert person.faults == []
    person.context.close()


def say(terminal: Locator, text: str) -> None:
    terminal.page.keyboard.type(f"{text}\n")


def gone(node: Node, shell: int) -> None:
    """The shell's process has ended."""
    wait_for(
        lambda: node.run(["test", "-d", f"/proc/{shell}"], check=False).returncode != 0,
        timeout=END_SECONDS,
        what=f"the end of the shell {shell} on {node.name}",
        seen=lambda: node.run(["ps", "-ef"]).stdout,
    )


def tasks_are_over(node: Node) -> None:
    """Every console's task has ended well, and nothing of it runs."""
    path = "/nodes/n1/tasks"
    wait_for(
        lambda: node.run(["pgrep", "-x", "termproxy|login|ssh"], check=False).returncode == 1,
        timeout=END_SECONDS,
        what="the end of all consoles",
        seen=lambda: node.run(["ps", "-ef"]).stdout,
    )
    argv = ["pvesh", "get", path, "--typefilter", "vncshell", "--output-format", "json"]
    tasks = json.loads(node.run(argv).stdout)
    assert {task["status"] for task in tasks} == {"OK"}, tasks
