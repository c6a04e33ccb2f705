"""A temporary /etc/pve with keys and users, and a way to call operations of access control on it."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from quorate.access.crypt import hash_password
from quorate.access.directory import Directory, directory_of
from quorate.api import calls
from quorate.api.operations import make_router
from quorate.api.protocol import plain
from quorate.api.results import Page
from quorate.schema import Context
from quorate.settings import Settings

USERS = """\
user:alice@pve:1:0::::::
user:bob@pve:1:0:Bob:Baker:bob@example.org:a %C3%A4 comment::
user:off@pve:0:0::::::
token:bob@pve!tk:0:1::
group:dev:alice@pve:the developers:
group:ops:bob@pve::
pool:web:Web servers:100,101:local:
role:Reader:VM.Audit:
acl:1:/:alice@pve:PVEAuditor:
acl:1:/vms:@ops,bob@pve!tk:Reader:
"""
PASSWORD = "battery staple"

_KEY = rsa.generate_private_key(65537, 2048)


class AccessWorld:
    """One node's files. ``quorate`` is what the file system would say."""

    def __init__(self, root: Path) -> None:
        self.settings = Settings(root=root)
        self.mount = self.settings.mountpoint
        (self.mount / "priv/lock").mkdir(parents=True)
        (self.mount / "nodes/n1").mkdir(parents=True)
        (self.mount / "local").symlink_to("nodes/n1")
        private = _KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        (self.mount / "priv/authkey.key").write_bytes(private)
        public = _KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (self.mount / "authkey.pub").write_bytes(public)
        (self.mount / "pve-www.key").write_text("abc\n")
        (self.mount / "user.cfg").write_text(USERS)
        (self.mount / "priv/shadow.cfg").write_text(f"bob:{hash_password(PASSWORD)}:\n")
        (self.mount / "priv/token.cfg").write_text("bob@pve!tk value\n")
        (self.mount / ".members").write_text('{"nodename":"n1","version":0}')
        (self.mount / ".vmlist").write_text(
            '{"version":1,"ids":{"100":{"node":"n1","type":"qemu","version":1}}}'
        )
        self._router = make_router()

    @property
    def directory(self) -> Directory:
        return directory_of(self.settings)

    def call(self, name: str, user: str = "root@pam", **parameters: object) -> object:
        """The result of ``METHOD /path`` with parameters checked; permissions are the gate's, not asked."""
        method, _, path = name.partition(" ")
        operation = self._router.find(method, path)
        context = Context(settings=self.settings, user=user, node="n1", client_ip="192.0.2.7")
        values = {
            key.replace("_", "-") if key not in operation.parameters else key: value
            for key, value in parameters.items()
        }
        result = calls.run_operation(operation, context, values)
        data = plain(result.data if isinstance(result, Page) else result)
        # What comes out has to look as it is declared.
        problem = operation.returns.check("result", data)[1]
        assert problem is None, f"{name}: {problem}: {data}"
        return data

    def text(self, path: str) -> str:
        return (self.mount / path).read_text(encoding="utf-8")

    def mode(self, path: str) -> int:
        return (self.mount / path).stat().st_mode & 0o777
