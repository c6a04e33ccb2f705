"""The service ``pve2`` of a whole daemon, asked by libqb's real client and by ours (status 6)."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import syslog
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from quorate.cfs import Cfs
from quorate.ipc import codec, operations
from quorate.ipc.client import Client, IpcError
from quorate.ipc.operations import Op
from quorate.pmxcfs.ipcserver import MAX_CLIENTS
from quorate.settings import Settings
from quorate.statd.cycle import Cycle, Readers
from quorate.statd.figures import NodeFigures
from quorate.statd.guestreader import GuestReader
from quorate.statd.monitors import Monitors
from quorate.statd.prober import Prober
from quorate.tasks import run_foreground
from tests.real.libqb import QbClient
from tests.real.pmxcfs_world import NODE, World, a_world

pytestmark = pytest.mark.real

WWW_DATA = 33


@pytest.fixture
def world() -> Iterator[World]:
    with a_world() as one:
        (one.root / "run").mkdir(mode=0o755)  # as on every host: the clients' way
        yield one


def ask(op: int, body: bytes = b"") -> tuple[int, bytes]:
    """One request through libqb."""
    with QbClient() as client:
        response = client.call(codec.pack_request(op, body), 10)
    return codec.unpack_response(response).error, response[codec.RESPONSE_BYTES :]


def text_of(op: int) -> str:
    error, payload = ask(op)
    assert error == 0
    return payload.decode()


def inside(world: World, body: Callable[[], Any], *, user: int = 0) -> Any:
    """The JSON value of ``body``, run where the daemon is."""
    answer = world.as_user(user, user, lambda: json.dumps(body()))
    assert answer.startswith("OK "), answer
    return json.loads(answer.removeprefix("OK "))


def test_what_is_written_through_one_door_is_seen_through_the_other(world: World) -> None:
    world.start("-l")
    (world.mount / "storage.cfg").write_text("dir: local\n")

    def talk() -> list[Any]:
        found: list[Any] = [
            ask(Op.SET_STATUS, operations.set_status("kv/x", b"hello\0"))[0],
            ask(Op.SET_STATUS, operations.set_status("rrd/pve2-storage/n1/a", b"1800000000:5:4\0"))[0],
            ask(Op.LOG_CLUSTER_MSG, operations.log(6, "root@pam", "test", "a message"))[0],
        ]
        for op, body in (
            (Op.GET_STATUS, operations.get_status("kv/x", NODE)),
            (Op.GET_CONFIG, operations.get_config("/storage.cfg")),
        ):
            error, payload = ask(op, body)
            found += [error, payload.decode()]
        return found

    assert inside(world, talk) == [0, 0, 0, 0, "hello\0", 0, "dir: local\n"]
    assert json.loads((world.mount / ".version").read_text())["kvstore"][NODE] == {"kv/x": 0}
    assert "a message" in (world.mount / ".clusterlog").read_text()
    for op, name in ((Op.GET_CLUSTER_INFO, ".members"), (Op.GET_GUEST_LIST, ".vmlist")):
        assert inside(world, partial(text_of, op)) == (world.mount / name).read_text()


def test_the_group_reads_and_no_more_and_others_nothing(world: World) -> None:
    world.expected = ["refused an IPC connection of pid"]
    world.start("-l")
    (world.mount / "priv").mkdir()
    (world.mount / "priv/key").write_text("secret\n")
    (world.mount / "open").write_text("public\n")

    def talk() -> list[Any]:
        return [
            ask(Op.GET_CONFIG, operations.get_config("open"))[1].decode(),
            ask(Op.GET_CONFIG, operations.get_config("priv//key")),
            ask(Op.SET_STATUS, operations.set_status("kv/x", b"v"))[0],
        ]

    def quiet() -> list[Any]:
        opened, (error, payload), refused = talk()
        return [opened, error, payload.decode(), refused]

    assert inside(world, quiet, user=WWW_DATA) == ["public\n", -errno.EPERM, "", -errno.EPERM]
    assert inside(world, quiet, user=0) == ["public\n", 0, "secret\n", 0]
    assert world.as_user(65534, 65534, lambda: ask(Op.GET_FS_VERSION)) != "OK"
    assert "refused" in "".join(text for _, text in world.log())


def test_rrd_values_reach_their_files(world: World) -> None:
    base = world.inside("/var/lib/rrdcached/db")
    base.mkdir(parents=True)
    daemon = world.start("-l")
    body = operations.set_status("rrd/pve2-storage/n1/a", b"1800000000:5:4\0")
    assert inside(world, lambda: ask(Op.SET_STATUS, body)[0]) == 0
    world.wait((base / "pve-storage-9.0/n1/a").exists, "the file")
    assert world.stop(daemon) == 0


def test_the_daemon_tells_what_it_counts(world: World) -> None:
    world.start("-l")
    (world.mount / "a").write_text("x" * 100)
    with pytest.raises(FileExistsError):
        (world.mount / "a").touch(exist_ok=False)
    settings = Settings(Path("/") / world.root.relative_to("/"))
    figures = inside(world, lambda: Cfs(settings).figures())
    flush = figures["requests"]["flush"]
    assert flush["answered"] >= 1  # answered later, after the commit
    assert sum(flush["buckets"]) == flush["answered"]
    assert flush["seconds"] > 0
    assert figures["requests"]["create"]["answered"] == 1
    assert figures["in_flight"] == 0
    assert figures["tree"] | {"version": 0} == {"entries": 2, "bytes": 100, "version": 0, "broken": False}
    assert figures["groups"] == {}
    assert figures["ipc_clients"] == 1


def test_tasks_and_the_status_daemon_tell_the_cluster(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command's task and one round of figures, as the daemon has them afterwards."""
    monkeypatch.setattr(syslog, "syslog", lambda *words: None)  # the world's journal is the daemon's
    world.start("-l")
    guest = world.mount / f"nodes/{NODE}/qemu-server/100.conf"
    guest.parent.mkdir(parents=True)
    guest.write_text("name: web\nmemory: 256\n")
    (world.root / "proc").mkdir()
    (world.root / "proc/mounts").touch()
    settings = Settings(Path("/") / world.root.relative_to("/"))

    def work() -> list[Any]:
        code = run_foreground("clustercreate", "lab", "root@pam", lambda upid: None, settings)
        cfs = Cfs(settings)
        told = (cfs.status_get("tasklist") or b"").rstrip(b"\0")
        prober = Prober()
        guests = GuestReader(settings, prober, Monitors(settings))
        readers = Readers(node=lambda: NodeFigures(uptime=1), guests=guests, prober=prober, processors=2)
        Cycle(settings, NODE, cfs, readers, {"version": "9"}).run(1_800_000_000, 1.0)
        everywhere = cfs.status_of_all("tasklist")
        log = [entry["msg"].split()[0] for entry in cfs.cluster_log()]
        return [code, json.loads(told), list(everywhere), log, cfs.rrd_dump(), cfs.guest_properties(["name"])]

    code, tasks, nodes, log, figures, properties = inside(world, work)
    assert (code, nodes, log) == (0, [NODE], ["end", "starting", "starting"])
    assert [(task["type"], task["status"]) for task in tasks] == [("clustercreate", "OK")]
    assert figures["pve2.3-vm/100"][1:5] == ["web", "stopped", "0", "1800000000"]
    assert f"pve2-node/{NODE}" in figures
    assert properties == {"100": {"name": "web"}}


def test_a_client_of_ours_lives_through_a_restart(world: World) -> None:
    """The daemon sets its flag; the client finds it, waits, and asks again."""
    first = world.start("-l")
    reader, writer = os.pipe()
    go_on, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with world.entered():
                settings = Settings(Path("/") / world.root.relative_to("/"))
                with Client(settings, timeout=20) as client:
                    started = [client.version()["starttime"]]
                    client.set_status("kv/x", b"v")
                    os.write(writer, b"1")
                    os.read(go_on, 1)
                    started.append(client.version()["starttime"])
                    os.write(writer, json.dumps([client.get_status("kv/x") is None, *started]).encode())
        finally:
            os._exit(0)
    os.close(writer)
    assert os.read(reader, 1) == b"1"
    assert world.stop(first) == 0
    assert world.inside("/run/pve-cluster/cfs-restart-flag").exists()
    os.write(say, b"1")
    world.start("-l")
    forgotten, *started = json.loads(os.read(reader, 1000))
    os.waitpid(pid, 0)
    for fd in (reader, go_on, say):
        os.close(fd)
    assert forgotten
    assert started[0] <= started[1]
    assert not world.inside("/run/pve-cluster/cfs-restart-flag").exists()


def test_clients_notice_a_killed_daemon_and_nothing_is_left_after_the_next_start(world: World) -> None:
    world.expected = ["dead mount"]
    daemon = world.start("-l")

    def talk() -> list[Any]:
        client = QbClient()
        client.call(codec.pack_request(Op.GET_FS_VERSION, b""), 10)
        os.kill(daemon.pid, signal.SIGKILL)
        try:
            client.call(codec.pack_request(Op.GET_FS_VERSION, b""), 10)
        except OSError as error:
            return [error.errno in (errno.ENOTCONN, errno.ECONNRESET, errno.ECONNREFUSED, errno.EPIPE)]
        return [False]

    assert inside(world, talk) == [True]
    daemon.wait(10)
    again = world.start("-l")
    assert list(world.inside("/run/pve-cluster/ipc").iterdir()) == []
    assert inside(world, lambda: ask(Op.GET_FS_VERSION)[0]) == 0
    assert world.stop(again) == 0
    assert not world.inside("/run/pve-cluster/ipc").exists()


def test_a_second_daemon_of_the_host_is_refused_the_service(world: World) -> None:
    """Two roots, one network namespace: the service's name is taken."""
    world.start("-l")
    with a_world() as other:
        other.expected = ["cannot offer the IPC service"]

        def start() -> int:
            import subprocess

            command = [str(part) for part in other.command("-f", "-l")]
            command.remove("-n")  # of the other world all but the network
            return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode

        assert inside(world, start) == 255
        assert "another pmxcfs" in "".join(text for _, text in other.log())


def test_an_answer_with_an_error_raises_it(world: World) -> None:
    world.start("-l")

    def talk() -> list[Any]:
        with Client(timeout=10) as client:
            missing = [client.get_config("nope"), client.get_status("kv/x", "nowhere")]
            try:
                client.guest_properties(["lock"], 99)
            except IpcError as error:
                return [
                    *missing,
                    error.errno,
                    client.verify_token("a@pam!b c"),
                    client.guests(),
                    client.rrd_dump().decode(),
                ]
        return []

    assert inside(world, talk) == [None, None, errno.EINVAL, False, {"version": 0}, ""]


def test_a_thousand_clients_at_once(world: World) -> None:
    """All are served, one more is told so, files go on, and there is room again when they have gone."""
    world.expected = ["refused an IPC connection of pid .*: 1000 others are open"]
    world.start("-l")

    def work() -> list[Any]:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        with ExitStack() as stack:
            clients = [stack.enter_context(Client(timeout=60)) for _ in range(MAX_CLIENTS)]
            for number, client in enumerate(clients):
                client.set_status(f"kv/{number % 7}", b"%d" % number)
            starts = {client.version()["starttime"] for client in clients}
            with pytest.raises(IpcError) as refused, Client(timeout=5) as late:
                late.version()
            (world.mount / "a").write_text("x")
            connected = clients[-1].figures()["ipc_clients"]
        with Client(timeout=10) as again:
            return [len(starts), refused.value.errno, connected, (again.get_status("kv/5") or b"").decode()]

    assert inside(world, work) == [1, errno.EAGAIN, MAX_CLIENTS, "999"]
    assert (world.mount / "a").read_text() == "x"
