"""A node of a large cluster: both halves of the API, and an IPC service that tells of many guests.

How fast they are is measured on real nodes: `./dev bench --part web`.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.node_http import KeptConnection
from quorate.ipc import codec
from quorate.ipc.operations import Op
from quorate.pmxcfs.ipcconnection import Peer
from quorate.pmxcfs.ipcserver import IpcServer
from quorate.pmxcfs.loop import Loop
from tests.real.api_host import ApiHost, Session
from tests.real.ipc_host import WWW_DATA

NODES: Final = 8
MEMORY: Final = 1 << 38
DISK: Final = 1 << 39

_EXTRA: Final = """
from quorate.ipc.client import Client
Client.__init__.__kwdefaults__["service"] = {service!r}
"""


class Texts:
    """What a daemon tells of ``guests`` guests on NODES nodes; the figures change every 10 s."""

    def __init__(self, guests: int) -> None:
        vmids = range(100, 100 + guests)
        names = [f"n{number}" for number in range(1, NODES + 1)]
        nodelist = {
            name: {"id": number, "online": 1, "ip": f"10.0.0.{number}"}
            for number, name in enumerate(names, 1)
        }
        cluster = {"name": "load", "version": 1, "nodes": NODES, "quorate": 1}
        members = {"nodename": "n1", "version": 1, "cluster": cluster, "nodelist": nodelist}
        ids = {str(vmid): {"node": names[vmid % NODES], "type": "qemu", "version": vmid} for vmid in vmids}
        self.members = json.dumps(members).encode()
        self.vmlist = json.dumps({"version": 1, "ids": ids}).encode()
        properties = {str(vmid): {"name": f"guest-{vmid}", "tags": "prod;web"} for vmid in vmids}
        self.properties = json.dumps(properties).encode()
        self._names, self._vmids = names, vmids

    def version(self) -> bytes:
        counters = {"starttime": 1, "clinfo": 1, "vmlist": 1, "storage.cfg": 1}
        return json.dumps({**counters, "kvstore": {"n1": {"tasklist": 1}}}).encode()

    def rrd(self) -> bytes:
        now = int(time.time()) // 10 * 10
        node = f"86400::{now}:0.5:64:0.25:0.01:{MEMORY}:174877906944:0:0:{DISK}:60000000000:7:8:9:0:0:0:0:0:0"
        sizes = "8589934592:4123456789:34359738368:0:123456789:23456789:3456789:456789"
        guest = f":running:0:{now}:4:0.03125:{sizes}"
        lines = [f"pve-node-9.0/{name}:{node}\n" for name in self._names]
        lines += [f"pve-vm-9.0/{vmid}:86400:guest-{vmid}{guest}:0:0:0:0:0:0:0\n" for vmid in self._vmids]
        return "".join(lines).encode()

    def answer(self, operation: int) -> tuple[int, bytes]:
        if operation == Op.GET_FS_VERSION:
            return 0, self.version()
        if operation == Op.GET_CLUSTER_INFO:
            return 0, self.members
        if operation == Op.GET_GUEST_LIST:
            return 0, self.vmlist
        if operation == Op.GET_GUEST_CONFIG_PROPERTIES:
            return 0, self.properties
        if operation == Op.GET_RRD_DUMP:
            return 0, self.rrd()
        return -44, b""


@contextmanager
def a_host(guests: int) -> Iterator[tuple[ApiHost, Session]]:
    """Both halves over an IPC service that tells of so many guests, and root's session."""
    texts = Texts(guests)
    with tempfile.TemporaryDirectory(prefix="quorate-load-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        service = f"load-{os.getpid()}-{time.monotonic_ns()}"
        pid = _serve(service, directory / "ipc", texts)
        host = ApiHost(extra=_EXTRA.format(service=service))
        try:
            (host.settings.mountpoint / ".members").write_bytes(texts.members)
            (host.settings.mountpoint / ".vmlist").write_bytes(texts.vmlist)
            host.start()
            yield host, host.root_session()
        finally:
            host.close()
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _serve(service: str, directory: Path, texts: Texts) -> int:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        assert os.read(reader, 1) == b"1"
        os.close(reader)
        return pid
    try:
        loop = Loop()

        def handle(_peer: Peer, message: bytes) -> tuple[int, bytes]:
            return texts.answer(codec.operation_of(message))

        log = logging.getLogger("load")
        server = IpcServer(loop, handle, gid=WWW_DATA, directory=directory, log=log, service=service)
        server.start()
        os.write(writer, b"1")
        loop.run()
    finally:
        os._exit(1)


def client(host: ApiHost, session: Session, *, compressed: bool) -> KeptConnection:
    """A kept connection of this session."""
    return KeptConnection("127.0.0.1", host.port, session.headers("GET"), compressed=compressed)
