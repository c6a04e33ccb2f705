"""Both halves of the API as real processes over a temporary root: real TLS, real local socket.

The cluster file system is a plain directory here, with the files that the API reads.
"""

from __future__ import annotations

import datetime
import http.client
import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from quorate.access.crypt import hash_password
from quorate.access.keys import TicketKeys
from quorate.settings import GROUP, Settings
from quorate.tasks import local_node

SOURCE = Path(__file__).resolve().parents[2] / "src"
START_SECONDS = 60.0

USERS = """\
user:root@pam:1:0:::root@example.org:::
user:alice@pve:1:0::::::
user:bob@pve:1:0::::::
user:off@pve:0:0::::::
token:alice@pve!full:0:0::
token:alice@pve!none:0:1::

acl:1:/:alice@pve:PVEAuditor:
"""
PASSWORDS = {"alice": "correct horse", "bob": "battery staple", "off": "whatever"}
TOKEN_SECRET = "7c0f2a58-6e0a-4a53-9a3c-111111111111"

_DAEMON = """\
import logging, sys
from pathlib import Path
sys.path.insert(0, {source!r})
from quorate.api import service, serving
from quorate.settings import Settings
logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
{extra}
{call}
"""


@dataclass
class Reply:
    """An answer as a client sees it."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes
    seconds: float = 0.0

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        return self.json["data"]


@dataclass
class Session:
    """What a client sends to say who it is."""

    ticket: str = ""
    csrf: str = ""

    def headers(self, method: str) -> dict[str, str]:
        result = {"Cookie": f"PVEAuthCookie={quote(self.ticket)}"}
        if method != "GET":
            result["CSRFPreventionToken"] = self.csrf
        return result


@dataclass
class ApiHost:
    """A temporary node, which serves within ``with``. ``extra``: Python that the daemons run before that."""

    extra: str = ""
    port: int = 0
    root: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="quorate-api-")))

    def __post_init__(self) -> None:
        self.settings = Settings(root=self.root)
        self.node = local_node()
        self.port = _free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._fill()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # nobody else would end what has started
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        self.start_daemon("pvedaemon")
        self.start_daemon("pveproxy")

    def start_daemon(self, name: str) -> None:
        settings = f"Settings(root=Path({self.inner_root!r}))"
        if name == "pvedaemon":
            call = f"service.run_privileged({settings})"
        else:
            call = f"service.run_front({settings}, {self.port}, '127.0.0.1')"
        served = self._times_served(name)
        code = _DAEMON.format(source=str(SOURCE), extra=self.extra, call=call)
        log = (self.root / f"{name}.log").open("ab")
        with log:
            self.processes[name] = subprocess.Popen(
                self.command(code), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._wait_ready(name, served)

    @property
    def inner_root(self) -> str:
        """The root as the daemons see it."""
        return str(self.root)

    def command(self, code: str) -> list[str]:
        """What runs Python code where the daemons are."""
        return [sys.executable, "-c", code]

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        process = self.processes.pop(name)
        process.send_signal(number)
        return process.wait(START_SECONDS)

    def log(self, name: str) -> str:
        return (self.root / f"{name}.log").read_text(encoding="utf-8")

    def close(self) -> None:
        for name in list(self.processes):
            self.kill(name, signal.SIGTERM)
        shutil.rmtree(self.root)

    def make_certificate(self) -> str:
        """A new self-signed node certificate; its SHA-256 in hex."""
        key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.node)])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .sign(key, hashes.SHA256())
        )
        local = self.settings.mountpoint / "nodes" / self.node
        self.put(local / "pve-ssl.key", _private(key), 0o640)
        self.put(local / "pve-ssl.pem", certificate.public_bytes(Encoding.PEM), 0o640)
        return certificate.fingerprint(hashes.SHA256()).hex()

    # -- client ---------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        *,
        session: Session | None = None,
        form: dict[str, str] | None = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        direct: bool = False,
    ) -> Reply:
        """One request on a connection of its own; ``direct``: to the privileged half's socket."""
        sent = dict(headers or {})
        if session is not None:
            sent = session.headers(method) | sent
        if form is not None:
            body = urlencode(form).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection = self._direct() if direct else self._tls()
        started = time.monotonic()
        try:
            connection.request(method, path, body=body, headers=sent)
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        lowered = {key.lower(): value for key, value in response.getheaders()}
        return Reply(response.status, response.reason, lowered, data, time.monotonic() - started)

    def api(self, method: str, path: str, session: Session | None = None, **options: Any) -> Reply:
        return self.request(method, f"/api2/json{path}", session=session, **options)

    def login(self, username: str, password: str) -> Session:
        reply = self.api("POST", "/access/ticket", form={"username": username, "password": password})
        assert reply.status == 200, (reply.status, reply.reason, self.log("pvedaemon"))
        return Session(reply.data["ticket"], reply.data["CSRFPreventionToken"])

    def root_session(self) -> Session:
        """A session of root@pam without asking PAM: the test is root and has the key."""
        keys = TicketKeys(self.settings)
        return Session(keys.login_ticket("root@pam"), keys.csrf_token("root@pam"))

    def _tls(self) -> http.client.HTTPConnection:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=START_SECONDS, context=context)

    def _direct(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost", timeout=START_SECONDS)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(START_SECONDS)
        connection.sock.connect(str(self.settings.api_socket))
        return connection

    def put(self, path: Path, content: bytes, mode: int) -> None:
        """Make a file of the cluster file system."""
        _write(path, content, mode)

    # -- set-up ---------------------------------------------------------------------------------------

    def _fill(self) -> None:
        self.root.chmod(0o755)
        mount = self.settings.mountpoint
        (mount / "priv").mkdir(parents=True)
        # The cluster file system gives every file its group; here new ones inherit it.
        shutil.chown(mount, "root", GROUP)
        mount.chmod(0o2755)
        (mount / "priv").chmod(0o700)
        (mount / "nodes" / self.node).mkdir(parents=True)
        (mount / "local").symlink_to(f"nodes/{self.node}")
        key = rsa.generate_private_key(65537, 2048)
        self.put(mount / "priv/authkey.key", _private(key), 0o600)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.put(mount / "authkey.pub", public, 0o640)
        self.put(mount / "pve-www.key", _private(rsa.generate_private_key(65537, 2048)), 0o640)
        self.put(mount / "user.cfg", USERS.encode(), 0o640)
        shadow = "".join(f"{name}:{hash_password(password)}:\n" for name, password in PASSWORDS.items())
        self.put(mount / "priv/shadow.cfg", shadow.encode(), 0o600)
        tokens = f"alice@pve!full {TOKEN_SECRET}\nalice@pve!none {TOKEN_SECRET}\n"
        self.put(mount / "priv/token.cfg", tokens.encode(), 0o600)
        members = {"nodename": self.node, "version": 0}
        self.put(mount / ".members", json.dumps(members).encode(), 0o640)
        self.put(mount / ".vmlist", b'{"version":1,"ids":{}}', 0o640)
        self.make_certificate()

    def _times_served(self, name: str) -> int:
        """How many workers of a daemon have said so far that they serve."""
        return self.log(name).count("INFO: serving on ") if (self.root / f"{name}.log").exists() else 0

    def _wait_ready(self, name: str, served: int) -> None:
        address: Any = str(self.settings.api_socket) if name == "pvedaemon" else ("127.0.0.1", self.port)
        family = socket.AF_UNIX if name == "pvedaemon" else socket.AF_INET
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.processes[name].poll() is None, self.log(name)
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                if self._times_served(name) > served and probe.connect_ex(address) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError(f"{name} did not come up:\n{self.log(name)}")


def _private(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _write(path: Path, content: bytes, mode: int) -> None:
    path.write_bytes(content)
    path.chmod(mode)
    shutil.chown(path, "root", GROUP)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
