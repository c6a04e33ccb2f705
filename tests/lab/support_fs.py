"""For tests of the cluster file system on several nodes: clusters without the API, calls made in nodes, and
the comparison of what every node has in its mount and in its database.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import select
import time
import zlib
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from lab import Lab, LabError, Node, Process, WaitTimeoutError, wait_for
from lab.cluster import READY_SECONDS, wait_mounted, wait_writable
from lab.handmade import TEST_TOKEN, corosync_conf, wait_quorate
from lab.layer import DAEMONS
from quorate.pmxcfs.entry import DIRECTORY
from quorate.pmxcfs.rows import Row
from quorate.pmxcfs.tree import Tree

PVE = "/etc/pve"
DATABASE = "/var/lib/pve-cluster/config.db"
HERE = Path(__file__).parent
PYTHON = "/usr/bin/python3"
CALL_SECONDS = 60.0
"""Far above every bound of the system, so that a hanging call is told from a slow one."""
CONVERGE_SECONDS = 60.0
OTHER_UNITS = tuple(unit for unit in DAEMONS if unit != "pve-cluster")
"""Masked: they write into /etc/pve by themselves, which the comparison of nodes could meet."""

LOST_QUORUM = r"\[quorum\]|lost quorum"

# Clusters


@contextmanager
def file_system_cluster(laboratories: Any, *, nodes: int = 3, token: int = TEST_TOKEN) -> Iterator[Lab]:
    """Nodes with Corosync and pmxcfs alone; they form the cluster as they boot."""
    with laboratories.lab(nodes=nodes, boot=[]) as lab:
        prepare(lab, token=token)
        lab.power_on()
        wait_ready(lab.nodes)
        yield lab


def prepare(lab: Lab, *, token: int = TEST_TOKEN) -> None:
    """Put one corosync.conf and key on the disk of every node, all of them off, and mask all but pmxcfs."""
    text = corosync_conf(lab.record.node_names(), lab.record.links, token=token)
    key = os.urandom(256)
    for name in lab.record.node_names():
        etc = lab.record.node_dir(name) / "upper/etc"
        corosync = etc / "corosync"
        corosync.mkdir(parents=True)
        (corosync / "corosync.conf").write_text(text)
        (corosync / "authkey").touch(mode=0o400)
        (corosync / "authkey").write_bytes(key)
        units = etc / "systemd/system"
        units.mkdir(parents=True, exist_ok=True)
        for unit in OTHER_UNITS:
            (units / f"{unit}.service").symlink_to("/dev/null")


def wait_ready(nodes: Sequence[Node]) -> None:
    """Until these nodes, and no others, are quorate together and each of them can write."""
    wait_quorate(nodes)
    for node in nodes:
        wait_mounted(node)
        wait_writable(node)


def pmxcfs_pid(node: Node) -> int:
    """The daemon's pid as the node sees it."""
    return int(node.read_file("/run/pve-cluster.pid"))


def kill_pmxcfs(node: Node, signal: str) -> None:
    node.run(["kill", f"-{signal}", str(pmxcfs_pid(node))])


# Calls in a node


class Agent:
    """Makes file system calls in a node, one after the other; errors come as OSError."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._process: Process = start_script(node, "support_node_agent.py")

    def call(self, name: str, *arguments: object, timeout: float = CALL_SECONDS) -> Any:
        self.begin(name, *arguments)
        return self.end(timeout=timeout)

    def begin(self, name: str, *arguments: object) -> None:
        """Start a call; ``end`` must follow."""
        self._process.stdin.write(json.dumps([name, *arguments]) + "\n")
        self._process.stdin.flush()

    def end(self, *, timeout: float = CALL_SECONDS) -> Any:
        stream = self._process.stdout
        ready, _, _ = select.select([stream], [], [], timeout)
        if not ready:
            raise WaitTimeoutError(f"{self.node.name}: a call did not return within {timeout:g} s.")
        line = stream.readline()
        try:
            answer = json.loads(line)
        except ValueError:
            raise LabError(f"{self.node.name}: the agent died:\n{line}{stream.read()}") from None
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]))
        return answer["value"]

    def error(self, name: str, *arguments: object) -> str:
        """The name of the errno that the call fails with, "" when it succeeds."""
        try:
            self.call(name, *arguments)
        except OSError as fault:
            return errno.errorcode[fault.errno or 0]
        return ""

    def barrier(self) -> None:
        """An own operation, acknowledged: whatever was acknowledged anywhere before is visible now."""
        self.call("write", f"{PVE}/barrier-{self.node.name}", "x")

    def close(self) -> None:
        self._process.kill()

    def __enter__(self) -> Agent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def agents(nodes: Sequence[Node]) -> Iterator[list[Agent]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Agent(node)) for node in nodes]


def start_script(node: Node, file: str, *arguments: str) -> Process:
    """Start one of the support_node_*.py programs in a node."""
    target = f"/root/{file}"
    node.write_file(target, (HERE / file).read_text())
    return node.start_process([PYTHON, "-u", target, *arguments])


def run_scripts(processes: Mapping[str, Process], *, timeout: float) -> dict[str, Any]:
    """Wait for programs that print one JSON document; name to document."""
    results = {}
    deadline = time.monotonic() + timeout
    for name, process in processes.items():
        text = ""
        while True:
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise WaitTimeoutError(f"{name}: the program did not end within {timeout:g} s.")
            line = process.stdout.readline()
            if not line:
                break
            text += line
        assert process.wait() == 0, f"{name}: {text}"
        results[name] = json.loads(text)
    return results


# What a node has

_DUMP = f"""
import sqlite3, sys, json, zlib, base64
db = sqlite3.connect("{DATABASE}", timeout=20)
db.execute("PRAGMA query_only=1")
db.text_factory = bytes
rows = [
    [*row[:6], row[6].decode("latin-1"), None if row[7] is None else row[7].decode("latin-1")]
    for row in db.execute(
        "SELECT inode,parent,version,writer,mtime,type,name,data FROM tree ORDER BY inode")
]
db.close()
sys.stdout.write(base64.b64encode(zlib.compress(json.dumps(rows).encode())).decode())
"""


class Contents(NamedTuple):
    """A node's database: normalised rows, and the digest of the index that they make."""

    rows: tuple[Row, ...]
    digest: str

    def tree(self) -> Tree:
        return Tree.load(self.rows, 0.0)


def contents(node: Node) -> Contents:
    """What is in the node's database now. The root row's type, and NULL or an empty blob, are no
    difference (core 3.3, 3.4)."""
    text = node.run([PYTHON, "-c", _DUMP]).stdout
    rows = []
    for inode, parent, version, writer, mtime, type_, name, data in json.loads(
        zlib.decompress(b64decode(text))
    ):
        blob = data.encode("latin-1") if data else None
        rows.append(
            Row(
                inode,
                parent,
                version,
                writer,
                mtime,
                type_ if inode else DIRECTORY,
                name.encode("latin-1"),
                blob,
            )
        )
    index = Tree.load(rows, 0.0).index()
    return Contents(tuple(rows), hashlib.sha256(index).hexdigest())


def mounted(tree: Tree) -> dict[str, list[object]]:
    """What a node with this tree shows in its mount, as the agent's ``walk`` tells it."""
    shown: dict[str, list[object]] = {}
    for entry in tree.by_inode.values():
        if not entry.inode:
            continue
        path = tree.path_of(entry).decode()
        if entry.children is not None:
            shown[path] = ["directory", 0, entry.mtime, ""]
        else:
            shown[path] = ["file", entry.size, entry.mtime, hashlib.sha256(entry.data or b"").hexdigest()]
    return shown


def differences(found: Mapping[str, Contents]) -> str:
    """The rows that are not the same on all nodes, for an error text."""
    everything = {name: set(each.rows) for name, each in found.items()}
    common = set.intersection(*everything.values())
    lines = []
    for name, rows in everything.items():
        own = sorted(rows - common, key=lambda row: row.inode)[:20]
        lines += [f"{name} alone: {str(row)[:200]}" for row in own]
    return "\n".join(lines)


def wait_converged(nodes: Sequence[Node], *, timeout: float = CONVERGE_SECONDS) -> Contents:
    """Wait until all these nodes have the same database (every column of every row, and so the same index
    digest), then check that every mount shows exactly that.

    Nothing may be writing meanwhile.
    """
    seen: dict[str, Contents] = {}

    def same() -> bool:
        seen.update({node.name: contents(node) for node in nodes})
        return len({each.rows for each in seen.values()}) == 1

    wait_for(same, timeout=timeout, what="identical databases", seen=lambda: differences(seen))
    assert len({each.digest for each in seen.values()}) == 1
    result = next(iter(seen.values()))
    expected = mounted(result.tree())
    with agents(nodes) as callers:
        for agent in callers:
            shown = agent.call("walk", PVE)
            assert shown == expected, f"{agent.node.name}: {compare(shown, expected)}"
    return result


def compare(shown: Mapping[str, object], expected: Mapping[str, object]) -> str:
    """Differences between two walks."""
    lines = [
        f"{path}: shown {shown.get(path)}, expected {expected.get(path)}"
        for path in sorted({*shown, *expected})
        if shown.get(path) != expected.get(path)
    ]
    return "\n".join(lines[:20])


def wait_read_only(agent: Agent, *, timeout: float = READY_SECONDS) -> None:
    """Until the node's file system refuses changes with EACCES (and with nothing else)."""
    path = f"{PVE}/probe-{agent.node.name}"
    wait_for(
        lambda: agent.error("mkdir", path) == "EACCES" or agent.error("rmdir", path) == "never",
        timeout=timeout,
        what=f"/etc/pve on {agent.node.name} to be read-only",
    )


def service_is_up(node: Node) -> bool:
    return node.is_active("pve-cluster") and node.run(["mountpoint", "-q", PVE], check=False).returncode == 0
