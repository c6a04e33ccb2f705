"""A stand for tests of joining: a node in a directory, pretended commands, and a peer over real TLS."""

from __future__ import annotations

import http.server
import json
import sqlite3
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from quorate.cfs import Clock
from quorate.cluster import certificates as certs
from quorate.cluster.commands import CommandError, Result
from quorate.cluster.host import Host, Output
from quorate.settings import Settings

AUTHKEY = bytes(range(256))
CONF = b"totem {\n  cluster_name: lab\n  config_version: 2\n}\n\n"
NOW = 1_700_000_000


class Recorder(Output):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.err: list[str] = []

    def line(self, text: str = "") -> None:
        self.out.append(text)

    def part(self, text: str) -> None:
        self.out.append(text)

    def error(self, text: str) -> None:
        self.err.append(text)

    def warning(self, text: str) -> None:
        self.err.append(f"WARN: {text}")


class JumpingClock:
    """Time passes only when somebody waits."""

    def __init__(self) -> None:
        self.passed = 0.0

    def clock(self) -> Clock:
        return Clock(now=lambda: NOW + self.passed, monotonic=lambda: self.passed, sleep=self.wait)

    def wait(self, seconds: float) -> None:
        self.passed += seconds


@dataclass
class Commands:
    """Stands for every program. ``fail`` names command lines that fail; ``on`` reacts to others."""

    fail: set[str] = field(default_factory=set)
    on: dict[str, Callable[[], None]] = field(default_factory=dict)
    called: list[str] = field(default_factory=list)

    def __call__(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 0,
        check: bool = True,
        echo: bool = False,
        interactive: bool = False,
    ) -> Result:
        line = " ".join(argv)
        self.called.append(line)
        if line in self.fail:
            if check:
                raise CommandError(argv, "exit code 1", "made to fail")
            return Result(1, "", "made to fail")
        if line in self.on:
            self.on[line]()
        if argv[0] == "corosync-quorumtool":
            return Result(1)
        if argv[0] == "ip":
            return Result(0, "2: eth0 inet 10.0.0.2/24\n")
        if argv[0] == "ssh-keygen":
            Path(argv[-1]).write_text("private\n")
            Path(f"{argv[-1]}.pub").write_text("ssh-rsa OWN root@n2\n")
        return Result(0)


class Node:
    """A node that is not in a cluster: its files below ``root``, its mount a plain directory."""

    def __init__(self, root: Path) -> None:
        self.settings = Settings(root=root)
        self.commands = Commands()
        self.time = JumpingClock()
        self.said = Recorder()
        self.host = Host(
            settings=self.settings,
            node="n2",
            run=self.commands,
            out=self.said,
            lookup=lambda name: ["10.0.0.2"],
            clock=self.time.clock(),
        )
        for path in (self.settings.ssh_dir, self.settings.state_dir, root / "root"):
            path.mkdir(parents=True)
        self._write_database()
        (self.settings.ssh_dir / "ssh_host_rsa_key.pub").write_text("ssh-rsa HOSTKEY root@n2\n")
        (self.settings.ssh_dir / "sshd_config").write_text("#PermitRootLogin no\n")
        self.mount_standalone()
        self.commands.on["systemctl stop pve-cluster"] = self.unmount
        self.commands.on["systemctl start corosync pve-cluster"] = self.mount_cluster

    def mount_standalone(self) -> None:
        mount = self.settings.mountpoint
        mount.mkdir(parents=True)
        (mount / ".members").write_text('{"nodename": "n2", "version": 0}')
        (mount / ".vmlist").write_text('{"version": 0}')
        (mount / "local").symlink_to("nodes/n2")

    def mount_cluster(self) -> None:
        """What the cluster's state brings."""
        self.mount_quorate()
        (self.settings.mountpoint / "nodes" / "n2").mkdir(parents=True)

    def mount_quorate(self) -> None:
        (self.settings.mountpoint / "local").symlink_to("nodes/n2")

    def unmount(self) -> None:
        (self.settings.mountpoint / "local").unlink()

    def state(self) -> dict[str, bytes]:
        """Every file outside the mount that a join may touch, but the backups."""
        kept = (self.settings.corosync_dir, self.settings.state_dir, self.settings.ssh_dir)
        return {
            str(path): path.read_bytes()
            for directory in kept
            for path in sorted(directory.rglob("*"))
            if path.is_file() and self.settings.backup_dir not in path.parents
        }

    def _write_database(self) -> None:
        with closing(sqlite3.connect(self.settings.database)) as database:
            database.execute("CREATE TABLE tree (inode INTEGER, name TEXT, data BLOB)")
            database.execute("INSERT INTO tree VALUES (1, CAST(x'ff41' AS TEXT), x'0102')")
            database.commit()


@dataclass
class Cluster:
    """The API of a member: answers by (method, path), and what it was asked."""

    answers: dict[tuple[str, str], tuple[int, str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    port: int = 0
    fingerprint: str = ""

    def set(self, method: str, path: str, data: Any = None, *, status: int = 200, reason: str = "OK") -> None:
        body = {"data": data} if status == 200 else {"data": None, "errors": data or {}}
        self.answers[method, path] = (status, reason, body)

    def requests(self) -> list[str]:
        return [f"{method} {path}" for method, path, _ in self.asked]


def usual_answers(cluster: Cluster) -> None:
    ticket = {"ticket": "PVE:root@pam:5::sig+/=", "CSRFPreventionToken": "5:csrf", "username": "root@pam"}
    cluster.set("POST", "/access/ticket", ticket)
    cluster.set("GET", "/cluster/config/apiversion", 1)
    cluster.set("GET", "/cluster/config/nodes", [{"name": "n1", "node": "n1"}])
    cluster.set(
        "POST",
        "/cluster/config/nodes/n2",
        {
            "corosync_authkey": AUTHKEY.decode("latin-1"),
            "corosync_conf": CONF.decode("latin-1"),
            "warnings": ["mind the gap"],
        },
    )
    cluster.set("DELETE", "/cluster/config/nodes/n2")


@contextmanager
def serve(cluster: Cluster, directory: Path) -> Iterator[Cluster]:
    """Run the member's API on a free port with a certificate of its own CA."""
    certificate = _certificate(directory)
    cluster.fingerprint = certs.fingerprint(certificate.read_bytes())

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

        def answer(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            path = url.path.removeprefix("/api2/json")
            cluster.asked.append((self.command, path, dict(parse_qsl(body or url.query))))
            cluster.headers.append(dict(self.headers))
            default = (501, "not implemented", {"data": None})
            status, reason, data = cluster.answers.get((self.command, path), default)
            if status == 0:
                self.close_connection = True
                return
            raw = json.dumps(data).encode()
            self.send_response(status, reason)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the base's names

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Clients that go away after the handshake are part of the tests."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        cluster.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield cluster
        finally:
            server.shutdown()
            thread.join()


def _certificate(directory: Path) -> Path:
    now = datetime.fromtimestamp(NOW, UTC)
    ca_key, key = certs.new_key(2048), certs.new_key(2048)
    pem = certs.new_node_certificate(
        ca_pem=certs.new_ca(ca_key, now),
        ca_key_pem=ca_key,
        key_pem=key,
        node="n1",
        ip="10.0.0.1",
        domain=None,
        serial=1,
        now=now,
    )
    path = directory / "peer.pem"
    path.write_bytes(pem)
    path.with_suffix(".key").write_bytes(key)
    return path
