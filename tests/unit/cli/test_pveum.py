"""``pveum`` as a whole, and the guide to access control, word for word, on files of the test's own."""

from __future__ import annotations

import io
import json
import re
import shlex
from pathlib import Path

import pytest

from quorate.api.access import OPERATIONS
from quorate.cli.pveum import ALIASES, COMMANDS, build_tree, main
from quorate.settings import Settings
from tests.lab.guide import matches
from tests.unit.api.access_world import PASSWORD, AccessWorld

GUIDE = Path(__file__).resolve().parents[3] / "docs/guide/access.md"
NEW_PASSWORD = "a long secret"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AccessWorld:
    monkeypatch.setattr("quorate.cli.pveum.os.geteuid", lambda: 0)
    return AccessWorld(tmp_path)


def _types(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_every_operation_has_a_command_or_a_reason() -> None:
    used = {entry.operation for entry in COMMANDS.values()}
    others = {f"{operation.method} {operation.path}" for operation in OPERATIONS} - used
    assert others == {
        # asked for in a way of their own: passwd, ticket, permissions, tfa delete
        "PUT /access/password",
        "POST /access/ticket",
        "GET /access/permissions",
        "DELETE /access/tfa/{userid}/{id}",
        # for login pages; pvesh get /access/consent shows it
        "GET /access/consent",
        # one entry of what the list shows
        "GET /access/users/{userid}",
        "GET /access/users/{userid}/token/{tokenid}",
        "GET /access/groups/{groupid}",
        "GET /access/roles/{roleid}",
        "GET /access/domains/{realm}",
        "GET /access/tfa/{userid}",
        "GET /access/tfa/{userid}/{id}",
        "GET /access/users/{userid}/tfa",
        "GET /pools/{poolid}",
        # the same with the name in the path
        "PUT /pools/{poolid}",
        "DELETE /pools/{poolid}",
        # for login pages and consoles; a factor is set up with the device in the hand
        "GET /access/ticket",
        "POST /access/vncticket",
        "POST /access/openid/auth-url",
        "POST /access/openid/login",
        "POST /access/tfa/{userid}",
        "PUT /access/tfa/{userid}/{id}",
    }


def test_names_of_three_words(world: AccessWorld, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["user", "tok", "list", "bob@pve", "--output-format", "json"], world.settings) == 0
    assert json.loads(capsys.readouterr().out) == [{"expire": 0, "privsep": 1, "tokenid": "tk"}]
    for words, text in (
        (["user", "token"], "incomplete command 'pveum user token'"),
        (["user", "token", "nope"], "unknown command 'pveum user token nope'"),
        (["nope"], "unknown command 'pveum nope'"),
        ([], "no command specified"),
    ):
        assert main(words, world.settings) == 255
        assert text in capsys.readouterr().err
    tree = build_tree(world.settings)
    assert tree.completions("pveum user to", 13) == ["token"]
    assert tree.completions("pveum user token ", 17) == [
        "add", "delete", "list", "modify", "permissions", "remove",
    ]  # fmt: skip
    assert tree.completions("pveum us", 8) == ["user"]
    assert "--comment" in tree.completions("pveum user token add bob@pve x --", 33)


def test_older_names(world: AccessWorld) -> None:
    assert set(ALIASES.values()) <= COMMANDS.keys()
    assert main(["useradd", "carol@pve"], world.settings) == 0
    assert main(["aclmod", "/", "-users", "carol@pve", "-roles", "PVEAuditor"], world.settings) == 0
    assert "acl:1:/:alice@pve,carol@pve:PVEAuditor:\n" in world.text("user.cfg")


def test_a_password_is_asked_for(
    world: AccessWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _types(monkeypatch, NEW_PASSWORD)
    assert main(["user", "add", "carol@pve", "--password", "-"], world.settings) == 0
    _types(monkeypatch, NEW_PASSWORD)
    assert main(["ticket", "carol@pve"], world.settings) == 0
    ticket = capsys.readouterr().out.strip()
    assert world.directory.user_of_ticket(ticket) == "carol@pve"
    _types(monkeypatch, "short")
    assert main(["passwd", "carol@pve"], world.settings) == 255
    assert capsys.readouterr().err == (
        "400 Parameter verification failed.\npassword: value must be at least 8 characters long\n"
    )
    _types(monkeypatch)
    assert main(["passwd", "carol@pve"], world.settings) == 255
    _types(monkeypatch, "wrong password")
    assert main(["ticket", "bob@pve"], world.settings) == 255
    assert capsys.readouterr().err.endswith("authentication failure\n")
    _types(monkeypatch, PASSWORD)
    assert main(["ticket", "bob@pve"], world.settings) == 0


def test_errors_name_what_was_tried(world: AccessWorld, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["user", "delete", "x@pve"], world.settings) == 255
    assert capsys.readouterr().err == "delete user failed: no such user ('x@pve')\n"
    assert (
        main(["acl", "modify", "/nope", "--roles", "NoAccess", "--users", "bob@pve"], world.settings) == 255
    )
    assert "path: invalid ACL path '/nope'" in capsys.readouterr().err
    assert main(["realm", "modify", "pam", "--tfa", "carrier-pigeon"], world.settings) == 255
    assert "tfa.type: value 'carrier-pigeon'" in capsys.readouterr().err


def test_a_property_string_reaches_the_file(world: AccessWorld) -> None:
    assert main(["realm", "modify", "pam", "--tfa", "oath,digits=8"], world.settings) == 0
    assert "\ttfa oath,digits=8\n" in world.text("domains.cfg")
    assert main(["realm", "modify", "pam", "--delete", "tfa"], world.settings) == 0
    assert "tfa" not in world.text("domains.cfg")


def test_only_root_and_only_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("quorate.cli.pveum.os.geteuid", lambda: 1000)
    assert main(["user", "list"], Settings(root=tmp_path)) == 255
    assert capsys.readouterr().err == "please run as root\n"
    monkeypatch.setattr("quorate.cli.pveum.os.geteuid", lambda: 0)
    assert main(["user", "list"], Settings(root=tmp_path)) == 255
    assert "not mounted" in capsys.readouterr().err
    assert main(["help", "user", "token", "add"], Settings(root=tmp_path)) == 0
    assert "pveum user token add <userid> <tokenid> [OPTIONS]" in capsys.readouterr().out


def _steps() -> list[tuple[int, str, list[str]]]:
    """The commands of the guide, with their lines and what they print."""
    steps: list[tuple[int, str, list[str]]] = []
    inside = False
    for number, line in enumerate(GUIDE.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            inside = line == "```shell-session"
        elif inside and (command := re.fullmatch(r"n1# (.+)", line)):
            steps.append((number, command[1], []))
        elif inside:
            steps[-1][2].append(line)
    return steps


def test_the_guide(
    world: AccessWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (world.mount / "user.cfg").write_text("")  # a node that was installed just now
    steps = _steps()
    assert len(steps) > 20
    for number, line, expected in steps:
        _types(monkeypatch, NEW_PASSWORD)
        words = shlex.split(line)
        if words[0] == "grep":
            text = world.text(words[2].removeprefix("/etc/pve/"))
            shown = "".join(f"{found}\n" for found in text.splitlines() if words[1] in found)
            assert expected or not shown, f"access.md:{number}"
        else:
            assert words[0] == "pveum", line
            status = main(words[1:], world.settings)
            output = capsys.readouterr()
            assert status == 0, f"access.md:{number}: {output.err}"
            # A terminal shows the questions, and tables have a frame.
            shown = re.sub(r"^│ | │$", "", output.out, flags=re.MULTILINE)
            expected = [text for text in expected if not re.match(r"(Enter|Retype) new password", text)]
        assert matches(expected, shown), f"access.md:{number}: {shown}"
