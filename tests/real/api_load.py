"""How fast /cluster/resources is answered with many guests: both halves and an IPC service as processes.

Run it by hand (as root): ``python -m tests.real.api_load``. The figures are of this machine, and of a client
beside the server on it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import logging
import os
import signal
import ssl
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

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


class Client:
    """One keep-alive connection that connects again when the server ends it, as browsers do."""

    def __init__(self, host: ApiHost, session: Session, *, compressed: bool) -> None:
        self._host, self._headers = host, session.headers("GET")
        if compressed:
            self._headers["Accept-Encoding"] = "gzip"
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._connection: http.client.HTTPSConnection | None = None

    def get(self, path: str) -> tuple[float, bytes]:
        """Seconds and body."""
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(
                "127.0.0.1", self._host.port, timeout=30, context=self._context
            )
            self._connection.connect()
        begin = time.perf_counter()
        self._connection.request("GET", f"/api2/json{path}", headers=self._headers)
        response = self._connection.getresponse()
        body = response.read()
        seconds = time.perf_counter() - begin
        assert response.status == 200, (response.reason, self._host.log("pveproxy")[-3000:])
        if response.will_close:
            self.close()
        return seconds, body

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def measure(
    host: ApiHost, session: Session, seconds: float, clients: int, *, compressed: bool
) -> dict[str, float]:
    """Latencies of one client alone, then requests per second of several at once."""
    path = "/cluster/resources"
    with closing(Client(host, session, compressed=compressed)) as alone:
        first, body = alone.get(path)
        latencies = [alone.get(path)[0] for _ in range(100)]
    counts = [0] * clients
    end = time.perf_counter() + seconds

    def work(number: int) -> None:
        with closing(Client(host, session, compressed=compressed)) as client:
            while time.perf_counter() < end:
                client.get(path)
                counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "bytes": float(len(body)),
        "first_ms": first * 1000,
        "median_ms": statistics.median(latencies) * 1000,
        "p99_ms": sorted(latencies)[98] * 1000,
        "requests_per_second": sum(counts) / (time.perf_counter() - begin),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure /cluster/resources.")
    parser.add_argument("--guests", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=4)
    options = parser.parse_args()
    with a_host(options.guests) as (host, session):
        for compressed in (False, True):
            figures = measure(host, session, options.seconds, options.clients, compressed=compressed)
            print(
                "gzip " if compressed else "plain", json.dumps({k: round(v, 2) for k, v in figures.items()})
            )


if __name__ == "__main__":
    main()
