"""Consoles over both halves, from the login to the end of the shell (pvecm 6.8, guests 9)."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from lab.waiting import wait_for
from quorate.access.keys import TicketKeys
from tests.real.api_host import PASSWORDS, TOKEN_SECRET, USERS, ApiHost, Session
from tests.real.console_client import BINARY, PING, PONG, TEXT, Console, WebSocketClient, frame, typed

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

LOGIN = """\
#!/bin/sh
echo "called with: $*, $TERM, $HOME"
PS1='ready> ' exec /bin/sh
"""
"""In the place of the host's login; what a real one does is seen in the lab's tests."""
RIGHTS = "user:carol@pve:1:0::::::\ntoken:carol@pve!full:0:0::\nacl:1:/nodes:carol@pve:PVESysAdmin:\n"
SECONDS = 20.0

Opener = Callable[[Session], Console]


@pytest.fixture(scope="module")
def host() -> Iterator[ApiHost]:
    api = ApiHost()
    (api.settings.mountpoint / "user.cfg").write_text(USERS + RIGHTS)
    with (api.settings.mountpoint / "priv/token.cfg").open("a") as file:
        file.write(f"carol@pve!full {TOKEN_SECRET}\n")
    login = api.settings.login_program
    login.parent.mkdir()
    login.write_text(LOGIN)
    login.chmod(0o755)
    with api:
        yield api


@pytest.fixture
def opened(host: ApiHost) -> Iterator[Opener]:
    """``opened(session)``: a new console."""
    consoles: list[Console] = []

    def make(session: Session) -> Console:
        consoles.append(Console(host, session))
        return consoles[-1]

    yield make
    for console in consoles:
        console.close()


@pytest.fixture
def carol(host: ApiHost) -> Session:
    keys = TicketKeys(host.settings)
    return Session(keys.login_ticket("carol@pve"), keys.csrf_token("carol@pve"))


def _shell(console: Console) -> tuple[WebSocketClient, int]:
    """A client in the console's shell, and the shell's process."""
    client = console.connect()
    assert client.status == 101
    console.log_in(client)
    client.until(b"ready> ")
    client.send(typed("echo is=$$\n"))
    found = re.search(rb"\nis=(\d+)", client.until(b"ready> "))
    assert found is not None
    return client, int(found[1])


def _wait_gone(pid: int) -> None:
    def gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    wait_for(gone, timeout=SECONDS, what=f"the end of process {pid}")


def _wait_task(host: ApiHost, root: Session, upid: str) -> tuple[str, list[str]]:
    """How the task ended, and its log."""
    base = f"/nodes/{host.node}/tasks/{quote(upid)}"
    status = wait_for(
        lambda: host.api("GET", f"{base}/status", root).data.get("exitstatus", ""),
        timeout=SECONDS,
        what="the end of the console's task",
    )
    return status, [line["t"] for line in host.api("GET", f"{base}/log", root).data]


def test_a_shell_is_used_and_gone_afterwards(host: ApiHost, opened: Opener, root: Session) -> None:
    console = opened(root)
    assert console.user == "root@pam"
    assert 5900 <= console.port <= 5999
    client = console.connect()
    assert client.headers["sec-websocket-protocol"] == "binary"
    console.log_in(client)
    assert b"called with: -f root, xterm-256color, /root" in client.until(b"ready> ")
    client.send(typed("stty size; echo is=$$\n"))
    seen = client.until(b"ready> ")
    assert b"20 80" in seen
    found = re.search(rb"\nis=(\d+)", seen)
    assert found is not None
    client.send(b"1:101:33:2" + typed("stty size\n"))
    assert b"33 101" in client.until(b"ready> ")
    client.send(b"are you there", PING)
    assert client.receive() == (PONG, b"are you there")
    client.close()
    _wait_gone(int(found[1]))
    status, log = _wait_task(host, root, console.upid)
    assert status == "OK"
    assert log[-2] == "the client has left"


def test_what_is_typed_may_come_in_any_pieces_and_as_text(
    host: ApiHost, opened: Opener, root: Session
) -> None:
    client, _ = _shell(opened(root))
    for byte in b"2" + typed("echo $((6*7))ä\n") + b"1:90:30:" + typed("stty size\n"):
        client.send(bytes([byte]), TEXT)
    assert "42ä".encode() in client.until(b"30 90")


def test_much_output_and_much_input(host: ApiHost, opened: Opener, root: Session) -> None:
    client, _ = _shell(opened(root))
    client.send(typed("stty -echo raw; head -c 300000 | md5sum; stty sane; echo\n"))
    text = b"0123456789" * 30_000
    for place in range(0, len(text), 100_000):
        client.send(b"0:100000:" + text[place : place + 100_000])
    client.until(b"ready> ")
    client.send(typed("seq 200000\n"))
    seen = client.until(b"\n200000\r\n")
    assert seen.count(b"\r\n") >= 200_000


def test_the_end_of_the_program_is_the_end_of_the_connection(
    host: ApiHost, opened: Opener, root: Session
) -> None:
    console = opened(root)
    client, _ = _shell(console)
    client.send(typed("seq 30000; exit 3\n"))
    assert b"\n30000\r\n" in client.until(b"\n30000\r\n")
    assert client.closed() == 1000
    status, log = _wait_task(host, root, console.upid)
    assert (status, log[-2]) == ("OK", "the program has ended")


def test_a_shell_that_does_not_want_to_go_is_killed(host: ApiHost, opened: Opener, root: Session) -> None:
    client, pid = _shell(opened(root))
    client.send(typed("trap '' HUP TERM; echo deaf\n"))
    client.until(b"\ndeaf")
    client.send(typed("stty raw -echo; echo now; sleep 1000\n"))
    client.until(b"\nnow")
    client.send(b"0:1000000:" + b"x" * 100_000)  # more than a terminal keeps
    client.send(b"x" * 100_000)
    client.close()
    _wait_gone(pid)


def test_a_shell_ends_with_its_task(host: ApiHost, opened: Opener, root: Session) -> None:
    console = opened(root)
    client, pid = _shell(console)
    base = f"/nodes/{host.node}/tasks/{quote(console.upid)}"
    assert host.api("DELETE", base, root).status == 200
    _wait_gone(pid)
    assert client.closed() == 1000


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("user:carol@pve:1:", "user:carol@pve:0:", "user 'carol@pve' is disabled"),
        ("user:carol@pve:", "user:other@pve:", "no such user ('carol@pve')"),
        ("PVESysAdmin", "PVEAuditor", "no permission"),
    ],
    ids=["disabled", "deleted", "without the privilege"],
)
def test_a_shell_does_not_outlive_the_right_to_it(
    host: ApiHost, opened: Opener, root: Session, carol: Session, before: str, after: str, reason: str
) -> None:
    console, others = opened(carol), opened(root)
    client, pid = _shell(console)
    other, _ = _shell(others)
    users = host.settings.mountpoint / "user.cfg"
    text = users.read_bytes()
    host.put(users, text.replace(before.encode(), after.encode()), 0o640)
    try:
        assert f"*** This console is closed: {reason}. ***".encode() in client.until(b". ***\r\n")
        assert client.closed() == 1000
        _wait_gone(pid)
        status, _ = _wait_task(host, root, console.upid)
        assert status == f"the user may not have this console any more: {reason}"
    finally:
        host.put(users, text, 0o640)
    other.send(typed("echo $((6*7))\n"))
    assert b"42" in other.until(b"ready> ")


def test_a_shell_does_not_outlive_its_token(host: ApiHost, root: Session) -> None:
    token = {"Authorization": f"PVEAPIToken=carol@pve!full={TOKEN_SECRET}"}
    reply = host.api("POST", f"/nodes/{host.node}/termproxy", form={}, headers=token)
    query = f"port={reply.data['port']}&vncticket={quote(reply.data['ticket'], safe='')}"
    client = WebSocketClient(host.port, f"/api2/json/nodes/{host.node}/vncwebsocket?{query}", token)
    users = host.settings.mountpoint / "user.cfg"
    text = users.read_bytes()
    with client.socket:
        client.send(f"carol@pve!full:{reply.data['ticket']}\n".encode())
        client.until(b"ready> ")
        host.put(users, text.replace(b"token:carol@pve!full:0:0::\n", b""), 0o640)
        try:
            client.until(b"no such token 'full' for user 'carol@pve'. ***")
            assert client.closed() == 1000
        finally:
            host.put(users, text, 0o640)


def test_another_client_of_websockets(host: ApiHost, opened: Opener, root: Session) -> None:
    """One that we have not written: it knows the standard, not us."""
    import aiohttp

    console = opened(root)

    async def talk() -> bytes:
        url = f"https://127.0.0.1:{host.port}/api2/json/nodes/{host.node}/vncwebsocket"
        query = {"port": str(console.port), "vncticket": console.ticket}
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                url, params=query, headers=root.headers("GET"), ssl=False, protocols=["binary"]
            ) as socket,
        ):
            assert socket.protocol == "binary"
            connection = socket.get_extra_info("socket")
            await socket.send_str(f"{console.user}:{console.ticket}\n")
            seen = b""
            while b"ready> " not in seen:
                seen += await socket.receive_bytes(timeout=SECONDS)
            await socket.send_bytes(typed("exit\n"))
            async for message in socket:
                seen += message.data
            assert socket.close_code == 1000
        while connection.fileno() >= 0:  # the library closes it by and by
            await asyncio.sleep(0.01)
        return seen

    assert asyncio.run(talk()).startswith(b"OKcalled with")


def test_others_than_root_have_to_log_in(host: ApiHost, opened: Opener, carol: Session) -> None:
    console = opened(carol)
    client = console.connect()
    console.log_in(client)
    assert b"called with: , xterm" in client.until(b"ready> ")
    client.close()
    token = {"Authorization": f"PVEAPIToken=carol@pve!full={TOKEN_SECRET}"}
    reply = host.api("POST", f"/nodes/{host.node}/termproxy", form={}, headers=token)
    assert reply.data["user"] == "carol@pve!full"
    query = f"port={reply.data['port']}&vncticket={quote(reply.data['ticket'], safe='')}"
    target = f"/api2/json/nodes/{host.node}/vncwebsocket?{query}"
    client = WebSocketClient(host.port, target, token)
    with client.socket:
        client.send(f"carol@pve!full:{reply.data['ticket']}\n".encode())
        assert client.until(b"ready> ").startswith(b"OKcalled with: , xterm")


def test_who_may_not_gets_nothing(host: ApiHost, opened: Opener, root: Session, carol: Session) -> None:
    alice = host.login("alice@pve", PASSWORDS["alice"])  # an auditor
    path = f"/nodes/{host.node}/termproxy"
    assert host.api("POST", path, alice, form={}).status == 403
    assert host.api("POST", path, carol, form={"cmd": "upgrade"}).status == 403
    console = opened(root)
    client = console.connect(session=alice)
    assert (client.status, client.reason) == (
        403,
        f"Permission check failed (/nodes/{host.node}, Sys.Console)",
    )
    with ThreadPoolExecutor(2) as threads:  # each refusal takes three seconds
        refused = threads.map(lambda who: console.connect(session=who), [carol, Session()])
    # The one may have consoles, but this is another one's; the other is nobody.
    assert [client.reason for client in refused] == [
        "permission denied - invalid PVEVNC ticket",
        "No ticket",
    ]


def test_a_wrong_ticket_gets_nothing(host: ApiHost, opened: Opener, root: Session) -> None:
    console = opened(root)
    keys = TicketKeys(host.settings)
    late = TicketKeys(host.settings, lambda: time.time() - 41)
    path = f"/nodes/{host.node}"
    wrong = {
        "another port": keys.console_ticket("root@pam", path, console.port % 100 + 5901),
        "expired": late.console_ticket("root@pam", path, console.port),
        "another path": keys.console_ticket("root@pam", "/nodes/other", console.port),
        "for a login": root.ticket,
        "of nobody": "PVEVNC:00000000::AAAA",
    }
    with ThreadPoolExecutor(len(wrong)) as threads:  # each refusal takes three seconds
        clients = list(threads.map(lambda ticket: console.connect(ticket=ticket), wrong.values()))
    for name, client in zip(wrong, clients, strict=True):
        text = "permission denied - invalid PVEVNC ticket"
        assert (client.status, client.reason) == (401, text), name
        assert client.rest() == f'{{"data":null,"message":"{text}\\n"}}'.encode()
    good = console.connect()  # nobody was connected to it meanwhile
    console.log_in(good)
    good.until(b"ready> ")


@pytest.mark.parametrize("wrong", ["user", "later ticket", "no ticket", "garbage", "nothing"])
def test_a_wrong_first_line_starts_nothing(host: ApiHost, opened: Opener, root: Session, wrong: str) -> None:
    console = opened(root)
    keys = TicketKeys(host.settings, lambda: time.time() + 5)
    later = keys.console_ticket("root@pam", f"/nodes/{host.node}", console.port)  # valid, but not this one's
    client = console.connect()
    lines = {
        "user": f"carol@pve:{console.ticket}\n",
        "later ticket": f"root@pam:{later}\n",
        "no ticket": "root@pam\n",
        "garbage": "x" * 2000,
        "nothing": "",
    }
    if wrong == "nothing":
        client.send(b"", 8)
    else:
        client.send(lines[wrong].encode())
    assert client.closed() == 1000
    status, log = _wait_task(host, root, console.upid)
    assert re.match("the client (left|did not say)|the client's ticket is not the one", status)
    assert len(log) == 2  # nothing about a program
    assert console.ticket not in "\n".join(log)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(b"0:1:x", masked=False), 1002),
        (frame(b"0:1:", first=0x00), 1002),
        (frame(b"x", opcode=0), 1002),
        (frame(b"0:1:x", first=0xC0), 1002),
        (frame(b"x", opcode=3), 1002),
        (frame(b"x" * 126, opcode=PING), 1002),
        (frame(b"0:131073:" + b"x" * (131_073 - 9)), 1009),
    ],
    ids=["unmasked", "fragment", "continuation", "extension", "opcode", "long ping", "too large"],
)
def test_a_frame_against_the_rules_ends_the_console(
    host: ApiHost, opened: Opener, root: Session, data: bytes, code: int
) -> None:
    client, pid = _shell(opened(root))
    client.socket.sendall(data)
    assert client.closed() == code
    _wait_gone(pid)


def test_the_largest_frame_is_taken(host: ApiHost, opened: Opener, root: Session) -> None:
    client, _ = _shell(opened(root))
    client.send(typed("stty -echo raw; head -c 131000 | wc -c; stty sane\n"))
    data = b"0:131000:" + b"x" * 131_000
    client.send(data + b"2" * (131_072 - len(data)), BINARY)
    assert b"131000" in client.until(b"ready> ")


def test_words_that_are_no_messages_end_the_console(host: ApiHost, opened: Opener, root: Session) -> None:
    console = opened(root)
    client, pid = _shell(console)
    client.send(b"ls\n")
    assert client.closed() == 1000
    _wait_gone(pid)
    assert _wait_task(host, root, console.upid)[0].startswith("the client does not speak the protocol")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-WebSocket-Version": "8"},
        {"Sec-WebSocket-Version": ""},
        {"Sec-WebSocket-Key": ""},
        {"Sec-WebSocket-Key": "c2hvcnQ="},
    ],
)
def test_a_handshake_against_the_rules(
    host: ApiHost, opened: Opener, root: Session, headers: dict[str, str]
) -> None:
    console = opened(root)
    client = console.connect(headers=headers)
    assert client.status == 400
    assert "WebSocket" in client.reason
    # The console waits still: nobody was connected to it.
    again = console.connect(headers={"Sec-WebSocket-Protocol": ""})
    assert again.status == 101
    assert "sec-websocket-protocol" not in again.headers
    again.close()


def test_without_an_upgrade_the_ticket_is_checked_alone(host: ApiHost, opened: Opener, root: Session) -> None:
    console = opened(root)
    path = f"/nodes/{host.node}/vncwebsocket?port={console.port}&vncticket={quote(console.ticket, safe='')}"
    reply = host.api("GET", path, root)
    assert (reply.status, reply.data) == (200, {"port": console.port})
    form = {"authid": "root@pam", "vncticket": console.ticket, "path": f"/nodes/{host.node}"}
    more = {"privs": "Sys.Console", "port": str(console.port)}
    assert host.api("POST", "/access/vncticket", form=form | more).status == 200


def test_a_console_is_for_one_client(opened: Opener, root: Session) -> None:
    console = opened(root)
    _shell(console)
    second = console.connect()
    assert (second.status, second.reason) == (
        500,
        f"unable to connect to the console at port {console.port}: Connection refused",
    )


def test_consoles_end_with_the_front(host: ApiHost, opened: Opener, root: Session) -> None:
    client, pid = _shell(opened(root))
    started = time.monotonic()
    host.kill("pveproxy", signal.SIGTERM)
    assert client.closed() == 1001
    assert time.monotonic() - started < 60  # it did not wait to be killed by anybody
    _wait_gone(pid)
    host.start_daemon("pveproxy")


def test_tickets_are_in_no_log(host: ApiHost, opened: Opener, root: Session) -> None:
    console = opened(root)
    client, _ = _shell(console)
    client.close()
    access = host.settings.proxy_log_dir / "access.log"
    line = f"port={console.port}&vncticket=... HTTP"
    wait_for(lambda: line in access.read_text(), timeout=SECONDS, what="the line in the access log")
    _, log = _wait_task(host, root, console.upid)
    shown = quote(console.ticket, safe="")
    for text in (access.read_text(), host.log("pveproxy"), host.log("pvedaemon"), "\n".join(log)):
        assert console.ticket not in text
        assert shown not in text
