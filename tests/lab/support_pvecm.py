"""What the tests of pvecm share: joins, a look at a node's whole state, its API, a terminal."""

from __future__ import annotations

import json
import os
import re
import select
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.base import ROOT_PASSWORD
from lab.cluster import JOIN_SECONDS, fingerprint
from lab.node import Node, Process
from lab.waiting import WaitTimeoutError, wait_for

JOIN_LIMIT = 240.0
"""A join that waits for a quorum that does not come gives up after 120 s; then it takes everything back."""
READY_SECONDS = 60.0

_STATE = r"""
cd /
find etc/corosync etc/ssh root/.ssh -type f -o -type l | sort | while read -r name; do
    echo "$name $(stat -c '%a %U:%G %F' "$name") $(sha256sum < "$name")"
done
find var/lib/pve-cluster ! -path '*/backup*' ! -name 'config.db-*' ! -name '*.lock' | sort
cd /etc/pve
find . -path './.*' -prune -o -type f -print | sort | while read -r name; do
    echo "pve $name $(stat -c '%a %U:%G' "$name") $(sha256sum < "$name")"
done
find . -path './.*' -prune -o -type d -print | sort
for unit in corosync pve-cluster pvedaemon pveproxy ssh; do echo "$unit $(systemctl is-active $unit)"; done
"""
_CALL = """
import json, ssl, sys, urllib.error, urllib.parse, urllib.request
address, method, path, form, headers = sys.argv[1], sys.argv[2], sys.argv[3], *map(json.loads, sys.argv[4:])
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
body, query = urllib.parse.urlencode(form), ""
if method in ("GET", "DELETE"):
    query, body = "?" + body if body else "", None
request = urllib.request.Request(
    f"https://{address}:8006/api2/json{path}{query}", body.encode() if body is not None else None, headers,
    method=method)
try:
    answer = urllib.request.urlopen(request, context=context, timeout=60)
except urllib.error.HTTPError as error:
    answer = error
print(json.dumps({"status": answer.status, "reason": answer.reason, "body": answer.read().decode()}))
"""


def add(
    node: Node,
    peer: Node,
    *options: str,
    password: str = ROOT_PASSWORD,
    pin: str | None = None,
    timeout: float = JOIN_LIMIT,
) -> tuple[int, str]:
    """``pvecm add`` with the fingerprint and the password on standard input; exit status and output."""
    argv = ["pvecm", "add", peer.address(), "--fingerprint", pin or fingerprint(peer), *options]
    done = node.run(argv, input=f"{password}\n", check=False, timeout=timeout)
    return done.returncode, done.stdout + done.stderr


def start_add(node: Node, peer: Node, *options: str) -> Process:
    """The same, left running; its output is the process's."""
    pin = fingerprint(peer)
    process = node.start_process(["pvecm", "add", peer.address(), "--fingerprint", pin, *options])
    process.stdin.write(f"{ROOT_PASSWORD}\n")
    process.stdin.close()
    return process


def state(node: Node) -> list[str]:
    """All that a join may change on a node: configuration, keys, database, /etc/pve, services."""
    return node.run(["sh", "-c", _STATE]).stdout.splitlines()


def assert_as_before(node: Node, before: Sequence[str]) -> None:
    """A failed join left the node as it was; services that restart are waited for."""

    def settled() -> bool:
        return state(node) == list(before)

    def difference() -> str:
        now = state(node)
        gone, new = [x for x in before if x not in now], [x for x in now if x not in before]
        return "\n".join([*(f"- {line}" for line in gone), *(f"+ {line}" for line in new)])

    wait_for(settled, timeout=30, what=f"{node.name} to be as it was before the join", seen=difference)


def configured(node: Node) -> dict[str, dict[str, str]]:
    """The node list of the cluster's corosync.conf, as the file system of this node shows it."""
    found = {}
    for block in re.findall(r"\n  node \{\n(.*?)\n  \}", node.read_file("/etc/pve/corosync.conf"), re.DOTALL):
        entry = dict(re.findall(r"(\w+): (\S+)", block))
        found[entry["name"]] = entry
    return found


def served_fingerprint(node: Node) -> str:
    """SHA-256 of the certificate that the API of this node shows to clients."""
    command = (
        f"openssl s_client -connect {node.address()}:8006 </dev/null 2>/dev/null"
        " | openssl x509 -noout -fingerprint -sha256"
    )
    return node.run(["sh", "-c", command], check=False).stdout.strip().partition("=")[2]


def can_ssh(source: Node, target: Node, name: str | None = None) -> bool:
    """Whether root gets from one member to the other without a password or a question."""
    argv = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", f"root@{name or target.name}"]
    return source.run([*argv, "hostname"], check=False).stdout.strip() == target.name


def tree_digest(node: Node) -> str:
    """One line for all that is in /etc/pve: names, content, times; without what each node says of itself."""
    command = (
        "cd /etc/pve; find . -path './.*' -prune -o -path ./local -prune -o -printf '%P %y %m %T@\\n' | sort;"
        " find . -path './.*' -prune -o -type f -print0 | sort -z | xargs -0 sha256sum"
    )
    return node.run(["sh", "-c", command]).stdout


def members(node: Node) -> set[str]:
    """Names of the members that are online, as ``pvecm status`` of this node tells."""
    done = node.run(["pvecm", "status", "--output-format", "json"], check=False)
    if done.returncode not in (0, 2):
        return set()
    return {str(member["name"]) for member in json.loads(done.stdout)["members"]}


def wait_members(node: Node, *names: str) -> None:
    wait_for(
        lambda: members(node) == set(names),
        timeout=READY_SECONDS,
        what=f"{node.name} to have exactly the members {', '.join(names)}",
        seen=lambda: node.run(["pvecm", "status"], check=False).stdout,
    )


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    reason: str
    body: Any

    @property
    def data(self) -> Any:
        assert self.status == 200, f"{self.status} {self.reason}: {self.body}"
        return self.body["data"]


class Api:
    """Root's session with the API of ``server``, spoken by a client on another node."""

    def __init__(self, client: Node, server: Node, password: str = ROOT_PASSWORD) -> None:
        self._client = client
        self._address = server.address()
        self._headers: dict[str, str] = {}
        data = self.call("POST", "/access/ticket", {"username": "root@pam", "password": password}).data
        self.ticket: dict[str, Any] = data
        self._headers = {
            "Cookie": f"PVEAuthCookie={data['ticket'].replace('/', '%2F').replace('+', '%2B')}",
            "CSRFPreventionToken": data["CSRFPreventionToken"],
        }

    def call(
        self,
        method: str,
        path: str,
        params: Mapping[str, object] | None = None,
        *,
        without: Sequence[str] = (),
    ) -> Answer:
        """One call; ``without`` names headers of the session to leave out."""
        headers = {name: value for name, value in self._headers.items() if name not in without}
        text = self._client.python(
            _CALL,
            self._address,
            method,
            path,
            json.dumps(dict(params or {})),
            json.dumps(headers),
            timeout=90,
        )
        answer = json.loads(text)
        try:
            body = json.loads(answer["body"])
        except ValueError:
            body = answer["body"]
        return Answer(answer["status"], answer["reason"], body)

    def wait_task(self, node: str, upid: str, *, timeout: float = JOIN_SECONDS) -> dict[str, Any]:
        """Poll the task's status as the web interface does, until it has ended.

        While a task restarts the cluster file system nobody's ticket can be verified.
        """

        def ended() -> dict[str, Any]:
            answer = self.call("GET", f"/nodes/{node}/tasks/{upid}/status")
            if answer.status == 500 and "is the cluster file system running and in sync" in answer.reason:
                return {}
            status: dict[str, Any] = answer.data
            return status if status["status"] == "stopped" else {}

        return wait_for(ended, timeout=timeout, what=f"the end of {upid}", period=1.0)

    def task_log(self, node: str, upid: str) -> str:
        lines = self.call("GET", f"/nodes/{node}/tasks/{upid}/log", {"limit": 500}).data
        return "\n".join(str(line["t"]) for line in lines)


class Terminal:
    """A command at a terminal of its node, with a person who reads and types."""

    def __init__(self, node: Node, command: str) -> None:
        self.name = f"{node.name}: {command}"
        self._process = node.start_process(["script", "-q", "-e", "-c", command, "/dev/null"])
        self.output = ""
        self._read_to = 0

    def expect(self, text: str, *, timeout: float = JOIN_LIMIT) -> None:
        """Wait until this is on the screen, behind what was expected before."""
        deadline = time.monotonic() + timeout
        while (at := self.output.find(text, self._read_to)) < 0:
            if not self._read(deadline):
                raise WaitTimeoutError(f"{self.name}: no {text!r}. It said:\n{self.output}")
        self._read_to = at + len(text)

    def type(self, text: str) -> None:
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def end(self, *, timeout: float = JOIN_LIMIT) -> int:
        """Its exit status, after all its output was read."""
        deadline = time.monotonic() + timeout
        while self._read(deadline):
            pass
        return self._process.wait(max(1.0, deadline - time.monotonic()))

    def _read(self, deadline: float) -> bool:
        stream = self._process.stdout.fileno()
        if not select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        data = os.read(stream, 4096)
        self.output += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
