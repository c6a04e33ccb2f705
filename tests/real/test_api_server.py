"""Both halves over real TLS and the real local socket: protocol, login, permissions, limits (pvecm 6, 7)."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.api_host import PASSWORDS, TOKEN_SECRET, ApiHost, Session

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

EXTRA = """
import os, time
from quorate.api import operations
from quorate.api.router import Router
from quorate.schema import ALL, Operation
def whoami(ctx):
    return {"uid": os.getuid(), "user": ctx.user, "client": ctx.client_ip, "yes": True}
def die(ctx):
    os._exit(3)
def bug(ctx):
    raise KeyError("secret detail")
def declare(name, handler, **more):
    return Operation(method="GET", path=f"/test/{name}", name=name, description="", handler=handler,
                     permission=ALL, **more)
serving.make_router = lambda: Router([
    *operations.all_operations(),
    declare("root", whoami, protected=True), declare("plain", whoami),
    declare("die", die, protected=True), declare("bug", bug, protected=True),
])
"""


@pytest.fixture(scope="module")
def host() -> Iterator[ApiHost]:
    with ApiHost(extra=EXTRA) as api:
        yield api


@pytest.fixture(scope="module")
def alice(host: ApiHost) -> Session:
    return host.login("alice@pve", PASSWORDS["alice"])


@pytest.fixture(scope="module")
def bob(host: ApiHost) -> Session:
    return host.login("bob@pve", PASSWORDS["bob"])


def test_login_gives_ticket_token_and_capabilities(host: ApiHost) -> None:
    form = {"username": "alice", "realm": "pve", "password": PASSWORDS["alice"]}
    reply = host.api("POST", "/access/ticket", form=form)
    assert (reply.status, reply.reason) == (200, "OK")
    assert reply.data["username"] == "alice@pve"
    assert reply.data["ticket"].startswith("PVE:alice@pve:")
    assert reply.data["cap"]["dc"] == {"Sys.Audit": 1, "SDN.Audit": 1}
    assert "clustername" not in reply.data


def test_json_body_logs_in_too(host: ApiHost) -> None:
    body = json.dumps({"username": "bob@pve", "password": PASSWORDS["bob"]}).encode()
    reply = host.api("POST", "/access/ticket", body=body, headers={"Content-Type": "application/json"})
    assert reply.status == 200


def test_ticket_renews_itself_but_nobody_else(host: ApiHost, alice: Session) -> None:
    renewed = host.api("POST", "/access/ticket", form={"username": "alice@pve", "password": alice.ticket})
    assert renewed.status == 200
    stolen = host.api("POST", "/access/ticket", form={"username": "bob@pve", "password": alice.ticket})
    assert stolen.status == 401


@pytest.mark.parametrize(
    ("username", "password"),
    [("alice@pve", "wrong"), ("nobody@pve", "wrong"), ("off@pve", PASSWORDS["off"]), ("root@pam", "")],
)
def test_bad_login_is_delayed_and_says_nothing(host: ApiHost, username: str, password: str) -> None:
    reply = host.api("POST", "/access/ticket", form={"username": username, "password": password})
    assert (reply.status, reply.reason) == (401, "authentication failure")
    assert reply.json == {"data": None, "message": "authentication failure\n"}
    assert reply.seconds >= 3.0
    assert reply.headers["connection"] == "close"


def test_passwords_are_in_no_log(host: ApiHost) -> None:
    host.api("POST", "/access/ticket", form={"username": "alice@pve", "password": "very-secret-word"})
    for name in ("pvedaemon", "pveproxy"):
        assert "very-secret-word" not in host.log(name)
    host.api("POST", "/access/ticket?username=x@pve&password=very-secret-word&_dc=1")
    assert "password=...&_dc=1 HTTP" in (host.settings.proxy_log_dir / "access.log").read_text()
    assert "very-secret-word" not in (host.settings.proxy_log_dir / "access.log").read_text()


def test_no_ticket(host: ApiHost) -> None:
    reply = host.api("GET", "/version")
    assert (reply.status, reply.reason, reply.body) == (401, "No ticket", b"")


def test_forged_ticket_is_refused_by_both_halves(host: ApiHost, alice: Session) -> None:
    forged = Session(alice.ticket.replace("alice", "carol"), alice.csrf)
    for direct in (False, True):
        reply = host.api("GET", "/test/root", forged, direct=direct)
        assert (reply.status, reply.reason) == (401, "Authentication failed!")
    good = host.api("GET", "/test/root", alice, direct=True)
    assert good.status == 200


BAD_BYTES = b"PVE:\xff:65000000::QUJD"


@pytest.mark.parametrize(
    "lines",
    [
        [b"GET /api2/json/version HTTP/1.1", b"Cookie: PVEAuthCookie=" + BAD_BYTES],
        [b"GET /api2/json/test/root HTTP/1.1", b"Cookie: PVEAuthCookie=" + BAD_BYTES],
        [b"GET /api2/json/version HTTP/1.1", b"Authorization: PVEAPIToken=alice@pve!full=\xff"],
        [b"GET /api2/json/version HTTP/1.1", b"Authorization: PVEAPIToken=al\xffice@pve!full=1"],
        [b"GET /api2/json/version HTTP/1.1", b"Authorization: PVEAPIToken=alice@pve!full=1%0d%0ax: y"],
        [b"GET /api2/json/\xff HTTP/1.1"],
        [b"POST /api2/json/access/ticket?password=1&username=\xff@pve HTTP/1.1", b"Content-Length: 0"],
    ],
)
def test_bytes_that_are_no_text_are_answered_as_any_other_nonsense(host: ApiHost, lines: list[bytes]) -> None:
    context = ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", host.port)) as raw, context.wrap_socket(raw) as connection:
        connection.sendall(b"\r\n".join([*lines, b"Host: localhost", b"", b""]))
        answer = connection.recv(4096)
    assert answer.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 400 ")), answer  # 400: the parser itself
    assert "Traceback" not in host.log("pveproxy")


def test_half_characters_in_json_are_refused(host: ApiHost) -> None:
    body = b'{"username": "\\udc80@pam", "password": "x"}'
    reply = host.api("POST", "/access/ticket", body=body, headers={"Content-Type": "application/json"})
    assert (reply.status, reply.reason) == (500, "unable to parse the JSON body: not all of it is text")
    assert "Traceback" not in host.log("pvedaemon")


def test_csrf_token_of_no_text(host: ApiHost, alice: Session) -> None:
    headers = {**alice.headers("DELETE"), "CSRFPreventionToken": "65000000:\xff"}
    reply = host.api("DELETE", "/nodes/x/tasks/y", headers=headers)
    assert reply.status == 401


def test_ticket_in_the_authorization_header(host: ApiHost, alice: Session) -> None:
    reply = host.api("GET", "/version", headers={"Authorization": f"PVEAuthCookie={alice.ticket}"})
    assert reply.status == 200


def test_changes_need_the_csrf_token(host: ApiHost, alice: Session) -> None:
    path = "/nodes/localhost/tasks/UPID:x:"
    reply = host.api("DELETE", path, headers={"Cookie": f"PVEAuthCookie={alice.ticket}"})
    assert (reply.status, reply.reason) == (401, "Permission denied - invalid csrf token")
    assert host.api("DELETE", path, alice).status == 400


def test_api_token(host: ApiHost) -> None:
    def ask(credential: str, path: str) -> tuple[int, str]:
        reply = host.api("GET", path, headers={"Authorization": f"PVEAPIToken={credential}"})
        return reply.status, reply.reason

    assert ask(f"alice@pve!full={TOKEN_SECRET}", "/cluster/status") == (200, "OK")
    assert ask(f"alice@pve!none={TOKEN_SECRET}", "/cluster/status")[0] == 403
    assert ask("alice@pve!full=wrong", "/version") == (401, "Authentication failed!")
    assert ask(f"alice@pve!nosuch={TOKEN_SECRET}", "/version")[0] == 401


def test_protected_operation_runs_as_root_with_the_clients_address(host: ApiHost, alice: Session) -> None:
    protected = host.api("GET", "/test/root", alice).data
    assert protected == {"uid": 0, "user": "alice@pve", "client": "127.0.0.1", "yes": 1}
    plain = host.api("GET", "/test/plain", alice).data
    assert plain["uid"] != 0


def test_permission_denied_for_a_plain_user(host: ApiHost, bob: Session) -> None:
    reply = host.api("GET", "/cluster/status", bob)
    assert (reply.status, reply.reason) == (403, "Permission check failed (/, Sys.Audit)")
    reply = host.api("POST", "/cluster/config", bob, form={"clustername": "x"})
    assert (reply.status, reply.reason) == (403, "Permission check failed (user != root@pam)")


def test_permission_is_checked_again_by_the_privileged_half(host: ApiHost, bob: Session) -> None:
    assert host.api("GET", "/cluster/status", bob, direct=True).status == 403


def test_parameter_errors(host: ApiHost, alice: Session) -> None:
    reply = host.api("GET", "/nodes/localhost/tasks?limit=x&nosuch=1", alice)
    assert (reply.status, reply.reason) == (400, "Parameter verification failed.")
    assert reply.json["errors"] == {
        "limit": "type check ('integer') failed - got 'x'",
        "nosuch": "property is not defined in schema and the schema does not allow additional properties",
    }
    extjs = host.request("GET", "/api2/extjs/nodes/localhost/tasks?limit=x", session=alice)
    assert extjs.status == 200
    assert (extjs.json["success"], extjs.json["status"]) == (0, 400)


def test_unknown_path_method_format(host: ApiHost, alice: Session) -> None:
    reply = host.api("GET", "/nosuch", alice)
    assert (reply.status, reply.reason) == (501, "Method 'GET /nosuch' not implemented")
    assert host.api("PUT", "/version", alice).status == 501
    reply = host.request("GET", "/api2/yaml/version", session=alice)
    assert (reply.status, reply.reason) == (501, "no formatter for uri /version, yaml")
    assert host.request("GET", "/api2").reason == "no such uri"
    assert host.request("PATCH", "/api2/json/version").reason == "method 'PATCH' not available"
    assert host.request("GET", "/nothing").reason == "no such file '/nothing'"


def test_limits_of_a_request(host: ApiHost, alice: Session) -> None:
    reply = host.api("POST", "/access/ticket", body=b"x" * (512 * 1024 + 1))
    assert (reply.status, reply.reason) == (501, "for data too large")
    reply = host.api("POST", "/access/ticket", headers={"Transfer-Encoding": "chunked"}, body=b"0\r\n\r\n")
    assert (reply.status, reply.reason) == (501, "chunked transfer encoding not supported")
    reply = host.api("DELETE", "/version", alice, body=b"x")
    assert (reply.status, reply.reason) == (501, "Unexpected content for method 'DELETE'")
    many = {f"X-{n}": "1" for n in range(70)}
    assert host.api("GET", "/version", headers=many).status == 501
    reply = host.api("POST", "/access/ticket", body=b"x", headers={"Content-Type": "text/xml"})
    assert reply.status == 506


def test_plain_http_is_redirected(host: ApiHost) -> None:
    with socket.create_connection(("127.0.0.1", host.port), 10) as plain:
        plain.sendall(b"GET /path?a=b HTTP/1.1\r\nHost: node.example:8006\r\n\r\n")
        head = b""
        while data := plain.recv(4096):
            head += data
    assert head.startswith(b"HTTP/1.1 301 ")
    assert b"\r\nLocation: https://node.example:8006/path?a=b\r\n" in head


def test_other_nodes_that_are_not_known(host: ApiHost, alice: Session) -> None:
    reply = host.api("GET", "/nodes/elsewhere/version", alice)
    assert (reply.status, reply.reason) == (500, "unable to get remote IP address for node 'elsewhere'")
    looped = host.api("GET", "/nodes/elsewhere/version", alice, headers={"PVEDisableProxy": "true"})
    assert (looped.status, looped.reason) == (500, "proxy loop detected")


def test_dying_and_faulty_handlers_harm_nobody(host: ApiHost, alice: Session) -> None:
    assert host.api("GET", "/test/die", alice).status == 500
    reply = host.api("GET", "/test/bug", alice)
    assert reply.status == 500
    assert "secret detail" not in reply.reason
    assert host.api("GET", "/test/root", alice).status == 200


def test_privileged_half_away_and_back(host: ApiHost, alice: Session) -> None:
    host.kill("pvedaemon", signal.SIGTERM)
    reply = host.api("GET", "/test/root", alice)
    assert reply.status == 595
    assert host.api("GET", "/version", alice).status == 200
    host.start_daemon("pvedaemon")
    assert host.api("GET", "/test/root", alice).status == 200


def test_missing_keys_and_users_are_answered(host: ApiHost, alice: Session) -> None:
    mount, away = host.settings.mountpoint, host.root / "away"
    mount.rename(away)
    try:
        reply = host.api("GET", "/version", alice)
        assert reply.status == 500
        assert "pvecm updatecerts" in reply.reason
    finally:
        away.rename(mount)
    assert host.api("GET", "/version", alice).status == 200


def test_new_certificate_after_hangup(host: ApiHost) -> None:
    expected = host.make_certificate()
    process = host.processes["pveproxy"]
    process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 10
    while _served_certificate(host) != expected:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)


def test_socket_is_for_root_and_the_front_only(host: ApiHost) -> None:
    status = host.settings.api_socket.stat()
    assert (status.st_mode & 0o777, status.st_uid) == (0o660, 0)
    assert Path("/proc", str(host.processes["pveproxy"].pid)).stat().st_uid != 0


def test_the_supervisors_are_named_in_files(host: ApiHost) -> None:
    web_user = Path("/proc", str(host.processes["pveproxy"].pid)).stat().st_uid
    for file, name, owner in (
        (host.settings.daemon_pidfile, "pvedaemon", 0),
        (host.settings.proxy_pidfile, "pveproxy", web_user),
    ):
        assert file.read_text() == f"{host.processes[name].pid}\n"
        assert (file.stat().st_uid, file.stat().st_mode & 0o777) == (owner, 0o644)


def test_keep_alive_answers_many_requests(host: ApiHost, alice: Session) -> None:
    connection = host._tls()
    try:
        for _ in range(5):
            connection.request("GET", "/api2/json/version", headers=alice.headers("GET"))
            assert connection.getresponse().read().startswith(b'{"data":')
    finally:
        connection.close()


def _served_certificate(host: ApiHost) -> str:
    import hashlib

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", host.port), 10) as raw,
        context.wrap_socket(raw) as secure,
    ):
        return hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()
