"""Opening consoles: which program, for whom, and what is refused (pvecm 6.8, guests 9.2)."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from quorate.access.consoles import require_rights
from quorate.access.directory import AuthenticationError, Directory
from quorate.access.keys import KeyFileError, TicketKeys
from quorate.access.tickets import TicketError
from quorate.access.users import UserConfig, parse_user_config
from quorate.api.front import Front
from quorate.api.operations import make_router
from quorate.api.protocol import Request
from quorate.api.server import Outcome
from quorate.console import session
from quorate.schema import ApiError
from quorate.settings import CONSOLE_PORTS
from quorate.tasks import Upid
from tests.unit.api.access_world import AccessWorld

MEMBERS = """\
{"nodename":"n1","version":1,"cluster":{"name":"lab","version":1,"nodes":3,"quorate":1},"nodelist":
{"n1":{"id":1,"online":1,"ip":"10.0.0.1"},"n2":{"id":2,"online":1,"ip":"10.0.0.2"},"n3":{"id":3,"online":0}}}
"""
OPEN = "POST /nodes/{node}/termproxy"
UPID = "UPID:n1:000004D2:0000162E:6B02ED03:vncshell::root@pam:"


@pytest.fixture
def world(tmp_path: Path) -> AccessWorld:
    made = AccessWorld(tmp_path)
    (made.mount / ".members").write_text(MEMBERS)
    return made


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The programs of the tasks that would have been started."""
    found: list[list[str]] = []

    def start(kind: str, ident: str, user: str, work: Any, settings: object, keep: object) -> Upid:
        *_, argv = work.args
        found.append(argv)
        return Upid.parse(UPID)

    monkeypatch.setattr(session, "start_worker", start)
    return found


def test_a_console_here(world: AccessWorld, started: list[list[str]]) -> None:
    answer: Any = world.call(OPEN, node="n1")
    assert started == [[str(world.settings.login_program), "-f", "root"]]
    assert (answer["user"], answer["upid"]) == ("root@pam", UPID)
    assert answer["port"] in CONSOLE_PORTS
    keys = world.directory.keys
    keys.verify_console_ticket(answer["ticket"], "root@pam", "/nodes/n1", answer["port"])
    for wrong in (("bob@pve", "/nodes/n1", answer["port"]), ("root@pam", "/nodes/n2", answer["port"])):
        with pytest.raises(TicketError):
            keys.verify_console_ticket(answer["ticket"], *wrong)
    with pytest.raises(TicketError):
        keys.verify_console_ticket(answer["ticket"], "root@pam", "/nodes/n1", answer["port"] + 1)


def test_a_console_on_another_node(world: AccessWorld, started: list[list[str]]) -> None:
    (world.mount / "nodes/n2").mkdir()
    (world.mount / "nodes/n2/ssh_known_hosts").write_text("n2 ssh-rsa AAAA")
    answer: Any = world.call(OPEN, node="n2")
    (argv,) = started
    assert argv[:3] == ["/usr/bin/ssh", "-e", "none"]
    assert "HostKeyAlias=n2" in argv
    assert f"UserKnownHostsFile={world.mount}/nodes/n2/ssh_known_hosts" in argv
    assert argv[-3:] == ["-t", "root@10.0.0.2", "--"]
    world.directory.keys.verify_console_ticket(answer["ticket"], "root@pam", "/nodes/n2", answer["port"])


@pytest.mark.parametrize("node", ["n3", "n9"])
def test_a_node_whose_address_is_not_known(world: AccessWorld, started: list[list[str]], node: str) -> None:
    with pytest.raises(ApiError, match=f"unable to get remote IP address for node '{node}'"):
        world.call(OPEN, node=node)
    assert started == []


def test_commands(world: AccessWorld, started: list[list[str]]) -> None:
    world.call(OPEN, node="n1", cmd="upgrade", cmd_opts="")
    world.call(OPEN, node="n2", cmd="upgrade")
    assert started[0] == ["/usr/bin/apt-get", "dist-upgrade"]
    assert started[1][-4:] == ["root@10.0.0.2", "--", "/usr/bin/apt-get", "dist-upgrade"]
    with pytest.raises(ApiError, match="Ceph is not managed here") as refused:
        world.call(OPEN, node="n1", cmd="ceph_install")
    assert refused.value.status == 501
    for wrong in ({"cmd": "sh"}, {"cmd_opts": "-c\0id"}, {"cmd": "upgrade", "cmd_opts": "--force-yes"}):
        with pytest.raises(ApiError) as refused:
            world.call(OPEN, node="n1", **wrong)
        assert refused.value.status == 400
    assert len(started) == 2


def test_a_console_by_vnc_is_not_there_and_the_answer_says_what_is(world: AccessWorld) -> None:
    with pytest.raises(ApiError, match="use a terminal, POST /nodes/n1/termproxy") as refused:
        world.call("POST /nodes/{node}/vncshell", node="n1", websocket=1, width=800, height=600)
    assert refused.value.status == 501


def test_two_consoles_have_two_ports(world: AccessWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def start(*arguments: Any, keep: tuple[int]) -> Upid:
        taken.append(socket.socket(fileno=socket.dup(keep[0])))
        return Upid.parse(UPID)

    monkeypatch.setattr(session, "start_worker", start)
    answers: list[Any] = [world.call(OPEN, node="n1") for _ in range(2)]
    ports = [listening.getsockname()[1] for listening in taken]
    assert ports == [answer["port"] for answer in answers]
    assert len(set(ports)) == 2
    for listening in taken:
        assert listening.getsockname()[0] == "127.0.0.1"
        assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
        listening.close()


def test_no_port_is_free(
    world: AccessWorld, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setattr(session, "CONSOLE_PORTS", range(port, port + 1))
        with pytest.raises(ApiError, match=f"no port from {port} to {port} is free: close other consoles"):
            world.call(OPEN, node="n1")
    monkeypatch.setattr(session, "LOOPBACK", "192.0.2.1")
    with pytest.raises(ApiError, match=f"unable to listen on port {port}: Cannot assign"):
        world.call(OPEN, node="n1")
    assert started == []


def test_no_console_where_no_ticket_would_be_taken(world: AccessWorld, started: list[list[str]]) -> None:
    """Without quorum the key is not renewed; after a day it signs nothing that counts."""
    past = time.time() - 86_500
    os.utime(world.mount / "authkey.pub", (past, past))
    with pytest.raises(ApiError, match="no ticket for a console would be taken: the key that signs"):
        world.call(OPEN, node="n1")
    assert started == []


# -- the way to the port, without a connection ----------------------------------------------------------


def _ask(world: AccessWorld, target: str, user: str = "root@pam", **headers: str) -> Outcome:
    async def main() -> Outcome:
        front = Front(world.settings, make_router(), "n1")
        try:
            cookie = f"PVEAuthCookie={world.directory.keys.login_ticket(user)}"
            given = {"cookie": cookie, **{name.replace("_", "-"): value for name, value in headers.items()}}
            outcome = await front.handle(Request("GET", target, given, b"", "192.0.2.7"))
            if outcome.upgrade is not None:
                outcome.upgrade.close()
            return outcome
        finally:
            await front.close()

    return asyncio.run(main())


UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec_websocket_version": "13",
    "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def _query(world: AccessWorld, port: int, *, node: str = "n1", clock: float = 0.0) -> str:
    keys = TicketKeys(world.settings, lambda: time.time() + clock)
    ticket = keys.console_ticket("root@pam", f"/nodes/{node}", port)
    return urlencode({"port": port, "vncticket": ticket})


@pytest.mark.parametrize("form", ["json", "extjs"])
def test_an_upgrade_needs_a_good_ticket_in_every_format(world: AccessWorld, form: str) -> None:
    where = f"/api2/{form}/nodes/n1/vncwebsocket"
    late = _ask(world, f"{where}?{_query(world, 5900, clock=-41)}", **UPGRADE)
    assert (late.answer.status, late.upgrade) == (401, None)
    other = _ask(world, f"{where}?{_query(world, 5900, node='n2')}", **UPGRADE)
    assert (other.answer.status, other.upgrade) == (401, None)


def test_an_upgrade_of_a_console_of_this_node(world: AccessWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "start_worker", lambda *_, **__: Upid.parse(UPID))
    with session._listen() as listening:
        port = listening.getsockname()[1]
        where = f"/api2/json/nodes/n1/vncwebsocket?{_query(world, port)}"
        assert _ask(world, where).answer.status == 200
        assert _ask(world, where, **{**UPGRADE, "sec_websocket_version": "8"}).answer.status == 400
        good = _ask(world, where, **UPGRADE)
        assert (good.answer.status, good.user) == (101, "root@pam")
        assert good.answer.headers["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    gone = _ask(world, where, **UPGRADE)
    assert (gone.answer.status, gone.upgrade) == (500, None)


def test_a_console_on_another_node_is_connected_to_here(world: AccessWorld) -> None:
    """Its port is one of ours, as the ticket says: the request is not passed on."""
    with session._listen() as listening:
        port = listening.getsockname()[1]
        where = f"/api2/json/nodes/n2/vncwebsocket?{_query(world, port, node='n2')}"
        assert _ask(world, where, **UPGRADE).answer.status == 101


@pytest.mark.parametrize("port", [22, 5899, 6000])
def test_other_ports_are_out_of_reach_even_with_a_ticket(world: AccessWorld, port: int) -> None:
    outcome = _ask(world, f"/api2/json/nodes/n1/vncwebsocket?{_query(world, port)}", **UPGRADE)
    assert outcome.answer.status == 400


def test_only_websockets_are_upgraded(world: AccessWorld) -> None:
    assert _ask(world, "/api2/json/version", **UPGRADE).answer.status == 200


# -- whether an open console may go on ------------------------------------------------------------------

RIGHTS = "user:carol@pve:1:0::::::\ntoken:carol@pve!tk:0:0::\nacl:1:/nodes/n1:carol@pve:PVESysAdmin:\n"


@pytest.mark.parametrize(
    ("who", "config", "reason"),
    [
        ("carol@pve", RIGHTS, None),
        ("carol@pve!tk", RIGHTS, None),
        ("root@pam", "", None),
        ("carol@pve", RIGHTS.replace("carol@pve:1:0", "carol@pve:0:0"), "user 'carol@pve' is disabled"),
        ("carol@pve", RIGHTS.replace("carol@pve:1:0", "carol@pve:1:9"), "user 'carol@pve' access expired"),
        ("carol@pve", "", "no such user ('carol@pve')"),
        ("carol@pve", RIGHTS.replace("PVESysAdmin", "PVEAuditor"), "no permission"),
        ("carol@pve", RIGHTS.replace("/nodes/n1", "/nodes/n2"), "no permission"),
        ("carol@pve!tk", RIGHTS.replace("token:", "#"), "no such token 'tk' for user 'carol@pve'"),
        ("carol@pve!tk", RIGHTS.replace("carol@pve:1:0", "carol@pve:0:0"), "user 'carol@pve' is disabled"),
    ],
)
def test_a_right_that_is_gone(world: AccessWorld, who: str, config: str, reason: str | None) -> None:
    (world.mount / "user.cfg").write_text(config)
    if reason is None:
        require_rights(world.directory, who, "/nodes/n1", ["Sys.Console"])
        return
    with pytest.raises(AuthenticationError) as refused:
        require_rights(world.directory, who, "/nodes/n1", ["Sys.Console"])
    assert str(refused.value) == reason


def test_without_the_file_system_nobody_is_refused(
    world: AccessWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unmounted() -> UserConfig:
        (world.mount / "authkey.pub").unlink()
        return parse_user_config("")[0]

    directory = Directory(world.settings)
    monkeypatch.setattr(Directory, "users", property(lambda self: unmounted()))
    with pytest.raises(KeyFileError):  # it went between two looks
        require_rights(directory, "carol@pve", "/nodes/n1", ["Sys.Console"])
    with pytest.raises(KeyFileError):
        require_rights(directory, "carol@pve", "/nodes/n1", ["Sys.Console"])
