"""Both halves of the API over a real pmxcfs, in a host of their own (`pmxcfs_world`), with something in it.

The host has its own mounts, name and network, so changes of files below the root harm nobody. It has no
Corosync and no systemd: pmxcfs runs in local mode.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quorate.access.crypt import hash_password
from quorate.pmxcfs import librrd, rrd
from quorate.settings import Settings
from quorate.tasks import Upid
from tests.real.api_host import PASSWORDS, START_SECONDS, TOKEN_SECRET, USERS, ApiHost, _private
from tests.real.pmxcfs_world import CLONE, NODE, World, a_world

ADMIN_PASSWORD: Final = "an administrator"
_USERS: Final = USERS + (
    "user:admin@pve:1:0::::::\nuser:carol@pve:1:0:Carol:::::\ntoken:carol@pve!tk:0:1::\n\n"
    "group:ops:carol@pve:the operators:\n\npool:web:Web servers:100:local:\n\nrole:Reader:VM.Audit:\n\n"
    "acl:1:/:admin@pve:Administrator:\n"
)
_TOKENS: Final = ("alice@pve!full", "alice@pve!none", "carol@pve!tk")
_FILES: Final = {
    "domains.cfg": "ldap: corp\n\tserver1 10.0.0.9\n\tbase_dn dc=corp\n\tuser_attr uid\n\n",
    "storage.cfg": "dir: local\n\tpath /var/lib/vz\n\tcontent iso\n\n",
    "datacenter.cfg": "keyboard: de\nmax_workers: 3\n",
    f"nodes/{NODE}/qemu-server/100.conf": "name: web\nmemory: 512\n",
    f"nodes/{NODE}/lxc/101.conf": "hostname: db\nmemory: 512\n",
}
"""Below /etc/pve."""
_INTERFACES: Final = "auto lo\niface lo inet loopback\n\niface eth0 inet static\n\taddress 10.99.0.1/24\n"

_QUIET: Final = """
import syslog
syslog.syslog = lambda *words: None  # the journal of this host belongs to pmxcfs's lines
"""
_TASKS: Final = """
import sys, syslog, time
from pathlib import Path
syslog.syslog = lambda *words: None
from quorate.settings import Settings
from quorate.tasks import TaskStore, start_worker
settings = Settings(Path(sys.argv[1]))
TaskStore(settings).prepare()
def wait(upid):
    print("begun", flush=True)
    time.sleep(600)
print(start_worker("test", "done", "root@pam", lambda upid: print("hello"), settings))
print(start_worker("test", "runs", "root@pam", wait, settings))
"""


class WorldHost(ApiHost):
    """``upid``: a task that has ended; ``running``: one that does not end by itself.

    Requests have to be made by `within`: the host's network is its own.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.upid = self.running = ""
        super().__init__(extra=_QUIET, root=world.inside("/"))

    @property
    def inner_root(self) -> str:
        return str(self.world.root)

    def command(self, code: str) -> list[str]:
        command = self.world.command()
        return [*command[: command.index("-c") + 1], code]

    def close(self) -> None:
        for name in list(self.processes):
            self.kill(name, signal.SIGTERM)
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(Upid.parse(self.running).pid, signal.SIGKILL)

    def put(self, path: Path, content: bytes, mode: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)  # owner and mode are the file system's business

    def within(self, body: Callable[[], None]) -> None:
        """Run in a thread that is in the host's network."""
        failed: list[BaseException] = []

        def run() -> None:
            try:
                self.world.enter_network()
                body()
            except BaseException as err:  # noqa: BLE001 - raised again by the test's own thread
                failed.append(err)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]

    def make_certificate(self) -> str:
        self.node = NODE  # that of this host, not of the machine that the test runs on
        return super().make_certificate()

    def _wait_ready(self, name: str, served: int) -> None:
        self.world.wait(
            lambda: self.processes[name].poll() is not None or self._times_served(name) > served,
            f"{name} to serve",
            START_SECONDS,
        )
        assert self.processes[name].poll() is None, self.log(name)

    def _fill(self) -> None:
        self.make_certificate()
        mount = self.settings.mountpoint
        key = rsa.generate_private_key(65537, 2048)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        shadow = {**PASSWORDS, "admin": ADMIN_PASSWORD}
        tokens = "".join(f"{token} {TOKEN_SECRET}\n" for token in _TOKENS)
        for path, content in {
            "priv/authkey.key": _private(key),
            "authkey.pub": public,
            "pve-www.key": _private(rsa.generate_private_key(65537, 2048)),
            "user.cfg": _USERS.encode(),
            "priv/shadow.cfg": "".join(
                f"{name}:{hash_password(word)}:\n" for name, word in shadow.items()
            ).encode(),
            "priv/token.cfg": tokens.encode(),
            **{path: text.encode() for path, text in _FILES.items()},
        }.items():
            self.put(mount / path, content, 0o640)
        for path, text in (
            ("/etc/network/interfaces", _INTERFACES),
            ("/etc/resolv.conf", "search example.org\nnameserver 10.99.0.2\n"),
            ("/etc/hosts", "127.0.0.1 localhost\n"),
        ):
            file = self.settings.at(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self.settings.at("/var").chmod(0o755)  # pmxcfs made it for itself
        self.settings.at("/var/log").mkdir(mode=0o755)
        self.settings.at("/usr/share").mkdir(parents=True)
        for name in ("proc", "sys", "usr/share/zoneinfo"):
            self.settings.at(f"/{name}").symlink_to(f"/{name}")
        _write_history(self.settings)
        done = subprocess.run(
            [*self.command(_TASKS), self.inner_root],
            check=True, capture_output=True, text=True, timeout=START_SECONDS, cwd=CLONE,
        )  # fmt: skip
        self.upid, self.running = done.stdout.split()


def _write_history(settings: Settings) -> None:
    """Figures of the last hour, as pmxcfs writes them: of the node, the guests and the storage."""
    now = int(time.time())
    for kind, name in (
        (rrd.NODE, NODE),
        (rrd.GUEST, "100"),
        (rrd.GUEST, "101"),
        (rrd.STORAGE, f"{NODE}/local"),
    ):
        path = settings.rrd_dir / kind.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        librrd.create(str(path), rrd.STEP, now - 3600, kind.creation_arguments())
        for moment in range(now - 3540, now, 60):
            librrd.update(str(path), ":".join([str(moment), *("1" for _ in kind.sources)]))


@contextmanager
def an_api_on_pmxcfs() -> Iterator[WorldHost]:
    """pmxcfs, pvedaemon and pveproxy, with users, a token, a group, a realm, a pool, a guest and tasks."""
    with a_world() as world:
        (world.root / "run").mkdir(mode=0o755)
        world.start("-l")
        subprocess.run([*world.entering(), "ip", "link", "set", "lo", "up"], check=True, timeout=30)
        host = WorldHost(world)
        try:
            host.start()
            yield host
        finally:
            host.close()
