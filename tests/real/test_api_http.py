"""The HTTPS front against clients that are slow, too many or too big; TLS, files, pages, events, metrics."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator

import pytest

from quorate.api.clients import MAX_PER_CLIENT
from tests.real.api_host import PASSWORDS, TOKEN_SECRET, ApiHost, Session

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

EXTRA = """
from quorate.api import listener, server, throttle
server.BODY_SECONDS = 2.0
listener.HEADER_SECONDS = 2.0
listener.FIRST_BYTE_SECONDS = 2.0
throttle.CLIENT_FAILURES = 3
"""
HEADER_SECONDS = 2.0


@pytest.fixture(scope="module")
def host() -> Iterator[ApiHost]:
    with ApiHost(extra=EXTRA) as api:
        yield api


@pytest.fixture(scope="module")
def alice(host: ApiHost) -> Session:
    return host.login("alice@pve", PASSWORDS["alice"])


def _connect(host: ApiHost) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", host.port), timeout=30)
    return context.wrap_socket(plain)


def _until_closed(connection: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while piece := connection.recv(65536):
            data += piece
    return data


# -- slow, too many, too big ------------------------------------------------------------------------------


def test_headers_that_drip_are_cut(host: ApiHost) -> None:
    with _connect(host) as connection:
        connection.sendall(b"GET /api2/json/version HTTP/1.1\r\nHost: x\r\n")
        started = time.monotonic()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while time.monotonic() - started < 20:
                connection.sendall(b"X-A: b\r\n")
                time.sleep(0.3)
        assert time.monotonic() - started < 15


def test_a_body_that_drips_is_refused(host: ApiHost, alice: Session) -> None:
    with _connect(host) as connection:
        connection.sendall(
            b"POST /api2/json/access/ticket HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
        )
        started = time.monotonic()
        connection.settimeout(0.3)
        answer = b""
        while not answer and time.monotonic() - started < 20:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                connection.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(65536)
        connection.settimeout(30)
        answer += _until_closed(connection)  # it is not waited for the rest
    head = answer.decode().partition("\r\n\r\n")[0].split("\r\n")
    assert head[0] == "HTTP/1.1 500 the body did not arrive within 2 s"
    assert "connection: close" in [line.lower() for line in head]
    assert host.api("GET", "/version", alice).status == 200


def test_who_says_nothing_is_cut(host: ApiHost) -> None:
    with (
        socket.create_connection(("127.0.0.1", host.port), timeout=30) as silent,
        _connect(host) as idle,
    ):
        assert _until_closed(silent) == b""
        assert _until_closed(idle) == b""


def test_one_client_does_not_take_all_places(host: ApiHost, alice: Session) -> None:
    with contextlib.ExitStack() as stack:
        flood = [
            stack.enter_context(socket.create_connection(("127.0.0.1", host.port), timeout=10))
            for _ in range(MAX_PER_CLIENT + 20)
        ]
        closed = 0
        for connection in flood[-10:]:
            with contextlib.suppress(ConnectionError):
                closed += connection.recv(1) == b""
        assert closed > 0
    # Once they are gone, or cut as silent ones, there is room again.
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if host.api("GET", "/version", alice).status == 200:
                break
    assert host.api("GET", "/version", alice).status == 200


@pytest.mark.parametrize(
    ("head", "status", "reason"),
    [
        (
            b"GET /api2/json/version HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 70 + b"\r\n",
            501,
            "too many http header lines",
        ),
        (
            b"GET /api2/json/version HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 300 + b"\r\n",
            501,
            "too many http header lines",
        ),
        (
            b"GET /api2/json/version HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 9000 + b"\r\n\r\n",
            501,
            "http header too large",
        ),
        (b"GET /api2/json/" + b"v" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 501, "http header too large"),
        (b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n", 501, "for data too large"),
        (b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, "bad content length"),
        (
            b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            501,
            "chunked transfer encoding not supported",
        ),
        (
            b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
            501,
            "Unknown transfer encoding 'gzip'",
        ),
        (
            b"GET /api2/json/version HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody",
            501,
            "Unexpected content for method 'GET'",
        ),
        (b"OPTIONS /api2/json/version HTTP/1.1\r\nHost: x\r\n\r\n", 501, "method 'OPTIONS' not available"),
        (b"FOO /api2/json/version HTTP/1.1\r\nHost: x\r\n\r\n", 501, "method 'FOO' not available"),
        (b"\x00\x01\x02\r\n\r\n", 400, "bad request: no line of the form 'METHOD /PATH HTTP/1.1'"),
    ],
)
def test_requests_beyond_the_limits(host: ApiHost, head: bytes, status: int, reason: str) -> None:
    with _connect(host) as connection:
        connection.sendall(head)
        answer = _until_closed(connection)
    lines = answer.decode().partition("\r\n\r\n")[0].split("\r\n")
    assert lines[0] == f"HTTP/1.1 {status} {reason}"
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    assert headers["server"] == "pve-api-daemon/3.0"
    assert headers["connection"] == "close"
    assert headers["x-content-type-options"] == "nosniff"
    logged = (host.settings.proxy_log_dir / "access.log").read_text().splitlines()[-1]
    first = head.partition(b"\r\n")[0].decode()[:1024].replace("\x00\x01\x02", "???")
    assert re.fullmatch(rf'127\.0\.0\.1 - - \[[^]]+\] "{re.escape(first)}" {status} \d+', logged), logged


def test_a_connection_ends_after_a_hundred_requests(host: ApiHost, alice: Session) -> None:
    request = b"GET /api2/json/version HTTP/1.1\r\nHost: x\r\nCookie: PVEAuthCookie=%s\r\n\r\n" % (
        alice.ticket.encode()
    )
    with _connect(host) as connection:
        reader = connection.makefile("rb")
        for number in range(1, 101):
            connection.sendall(request)
            assert reader.readline().startswith(b"HTTP/1.1 200")
            headers = dict(iter(lambda: _header(reader.readline()), ("", "")))
            reader.read(int(headers["content-length"]))
            assert headers["connection"].lower() == ("close" if number == 100 else "keep-alive")
        assert reader.read() == b""


def _header(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode().partition(":")
    return name.strip().lower(), value.strip()


def test_guessing_is_slowed_down(host: ApiHost) -> None:
    wrong = {"username": "off@pve", "password": "wrong"}
    try:
        statuses = [host.api("POST", "/access/ticket", form=wrong).status for _ in range(3)]
        assert statuses == [401, 401, 401]
        refused = host.request("POST", "/api2/extjs/access/ticket", form=wrong)
        assert (refused.json["success"], refused.json["status"]) == (0, 429)
        again = host.api("POST", "/access/ticket", form=wrong)
        assert again.status == 429
        assert again.reason.startswith("too many failed logins, try again in")
        assert int(again.headers["retry-after"]) > 0
    finally:
        host.kill("pveproxy")
        host.start_daemon("pveproxy")


# -- TLS --------------------------------------------------------------------------------------------------


def _s_client(host: ApiHost, *options: str) -> str:
    argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{host.port}", *options]
    done = subprocess.run(argv, input=b"", capture_output=True, timeout=30, check=False)
    return (done.stdout + done.stderr).decode("utf-8", "replace")


def _offered(host: ApiHost) -> list[str]:
    """The TLS 1.2 ciphers that the front accepts of all that openssl knows."""
    names = subprocess.run(
        ["openssl", "ciphers", "-tls1_2", "-s", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
        capture_output=True,
        timeout=30,
        check=True,
        text=True,
    ).stdout.split(":")
    accepted = []
    for name in names:
        text = _s_client(host, "-tls1_2", "-cipher", f"{name.strip()}:@SECLEVEL=0")
        if f"Cipher is {name.strip()}" in text:
            accepted.append(name.strip())
    return accepted


def test_ciphers_have_forward_secrecy_and_authenticated_encryption(host: ApiHost) -> None:
    accepted = _offered(host)
    assert accepted
    assert [name for name in accepted if not re.match(r"(ECDHE|DHE)-.*(GCM|CHACHA20)", name)] == []


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(host: ApiHost, version: str) -> None:
    assert "Cipher is (NONE)" in _s_client(host, version, "-cipher", "ALL:@SECLEVEL=0")


@pytest.mark.parametrize(("option", "name"), [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_current_versions_are_spoken(host: ApiHost, option: str, name: str) -> None:
    text = _s_client(host, option)
    assert f"New, {name}, Cipher is" in text
    assert "Secure Renegotiation IS NOT supported" not in text or name == "TLSv1.3"
    assert "Compression: NONE" in text


def test_the_configuration_file_is_followed(host: ApiHost) -> None:
    path = host.settings.proxy_config
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        for text, accepted in (
            ("DISABLE_TLS_1_3=1\nCIPHERS=ECDHE-RSA-AES128-GCM-SHA256\n", ["ECDHE-RSA-AES128-GCM-SHA256"]),
            ('DENY_FROM="127.0.0.0/8"\n', []),
        ):
            path.write_text(text)
            host.kill("pveproxy")
            host.start_daemon("pveproxy")
            seen = _s_client(host, "-tls1_2", "-cipher", "ALL")
            assert [name for name in accepted if f"Cipher is {name}" not in seen] == []
            assert ("Cipher is (NONE)" in seen) == (not accepted)
            assert "New, TLSv1.3" not in _s_client(host)
    finally:
        path.unlink()
        host.kill("pveproxy")
        host.start_daemon("pveproxy")


# -- files, pages, document, metrics, events --------------------------------------------------------------


def test_the_index_page_needs_no_login(host: ApiHost) -> None:
    reply = host.request("GET", "/")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "script-src 'self'" in reply.headers["content-security-policy"]
    for name, value in (
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "SAMEORIGIN"),
        ("referrer-policy", "same-origin"),
    ):
        assert reply.headers[name] == value
    missing = host.request("GET", "/../../etc/passwd")
    assert (missing.status, missing.reason) == (500, "no such file '/../../etc/passwd'")


def test_pages_and_login_redirect(host: ApiHost, alice: Session) -> None:
    reply = host.request("GET", "/api2/html/nodes")
    assert (reply.status, reply.headers["location"]) == (302, "/")
    page = host.request("GET", "/api2/html/nodes", session=alice)
    assert page.status == 200
    assert f'<a href="/api2/html/nodes/{host.node}">' in page.body.decode()
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert (
        "Permission check failed"
        in host.request(
            "POST", "/api2/html/cluster/config", session=alice, form={"clustername": "x"}
        ).body.decode()
    )


def test_the_document_is_served(host: ApiHost) -> None:
    reply = host.request("GET", "/api2/openapi.json", headers={"Accept-Encoding": "identity"})
    assert reply.status == 200
    assert reply.json["openapi"] == "3.1.0"
    assert "/cluster/status" in reply.json["paths"]


def test_metrics_with_a_token(host: ApiHost) -> None:
    assert host.request("GET", "/metrics").status == 401
    weak = {"Authorization": f"PVEAPIToken=alice@pve!none={TOKEN_SECRET}"}
    assert host.request("GET", "/metrics", headers=weak).status == 403
    token = {"Authorization": f"PVEAPIToken alice@pve!full={TOKEN_SECRET}"}
    reply = host.request("GET", "/metrics", headers=token)
    assert (reply.status, reply.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    text = reply.body.decode()
    assert "quorate_pmxcfs_up 0" in text  # no daemon here, a plain directory
    assert 'quorate_api_requests_total{method="GET",path="/version",status="200"}' in text or (
        "quorate_api_requests_total" in text
    )
    for line in text.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) .*|[a-z_]+(\{.*\})? [0-9.e+-]+(inf)?", line), line


def test_events_greet_and_beat(host: ApiHost, alice: Session) -> None:
    assert host.request("GET", "/api2/events").status == 401
    with _connect(host) as connection:
        cookie = alice.headers("GET")["Cookie"]
        connection.sendall(f"GET /api2/events HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode())
        data = b""
        while not re.search(rb"event: hello\ndata: .*\n\n", data):
            piece = connection.recv(4096)
            assert piece, data
            data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    assert b"Content-Type: text/event-stream" in head
    assert b"Cache-Control: no-store" in head
    hello = re.search(rb"data: (.*)", rest)
    assert hello is not None
    assert "status" in json.loads(hello[1])["topics"]


def test_streams_do_not_hold_up_the_end(host: ApiHost, alice: Session) -> None:
    import signal

    with _connect(host) as connection:
        cookie = alice.headers("GET")["Cookie"]
        connection.sendall(f"GET /api2/events HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        started = time.monotonic()
        assert host.kill("pveproxy", signal.SIGTERM) == 0
        assert time.monotonic() - started < 9
    host.start_daemon("pveproxy")


def test_a_slow_reader_is_served_and_one_that_reads_nothing_is_cut(host: ApiHost) -> None:
    request = b"GET /api2/openapi.json HTTP/1.1\r\nHost: x\r\nAccept-Encoding: identity\r\n\r\n"
    size = len(host.request("GET", "/api2/openapi.json", headers={"Accept-Encoding": "identity"}).body)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for reads in (True, False):
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(30)
        plain.connect(("127.0.0.1", host.port))
        with context.wrap_socket(plain) as connection:
            connection.sendall(request * 40)  # more than the kernel's buffers hold
            data, started = b"", time.monotonic()
            while reads and time.monotonic() - started < 3 * HEADER_SECONDS:
                data += connection.recv(4096)
                time.sleep(0.2)
            if reads:
                assert len(data) > 4096 * 10
                assert connection.recv(4096)
            else:
                time.sleep(2 * HEADER_SECONDS + 2)
                with contextlib.suppress(ConnectionError, ssl.SSLError):
                    while piece := connection.recv(1 << 20):
                        data += piece
                assert len(data) < 40 * size


def test_a_script_that_connects_anew_for_each_request_is_served(host: ApiHost) -> None:
    """Connections that have ended count no more, also between two sweeps."""
    for _ in range(3 * MAX_PER_CLIENT):
        assert host.api("GET", "/access/domains").status == 200
