"""A small cluster as the daemon tells it, for the tests of what is made of replicated state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from quorate.api.calls import run_operation
from quorate.api.operations import make_router
from quorate.api.protocol import plain
from quorate.api.results import Download, Page
from quorate.cfs import CfsUnavailableError, Guest, Member, Members
from quorate.ipc.shared import Changes
from quorate.schema import Context
from quorate.settings import Settings

N1 = "1000:c:1795353692:0.5:8:0.25:0.01:1000:400:0:0:5000:600:7:8:600:0:0:0:0:0:0"
QEMU_100 = "60:web:running:0:1795353692:4:0.5:2000:900:10000:0:11:12:13:14:0:0:0:0:0:0:0"


@dataclass
class World:
    """What the daemon would answer; ``asked`` counts the calls. Stands in for Cfs."""

    figures: dict[str, str] = field(
        default_factory=lambda: {
            "pve-node-9.0/n1": N1,
            "pve2-node/n3": N1,
            "pve-vm-9.0/100": QEMU_100,
            "pve-storage-9.0/n1/local": "1795353692:5000:600",
        }
    )
    found: dict[int, Guest] = field(
        default_factory=lambda: {100: Guest("n1", "qemu"), 101: Guest("n2", "lxc")}
    )
    properties: dict[int, dict[str, str]] = field(
        default_factory=lambda: {101: {"hostname": "db", "tags": "a;b", "lock": "backup"}}
    )
    files: dict[str, bytes] = field(
        default_factory=lambda: {
            "storage.cfg": b"dir: local\n\tpath /var/lib/vz\n\tcontent iso\n\nnfs: share\n\tnodes n1\n",
        }
    )
    nodes: dict[str, Member] = field(
        default_factory=lambda: {
            "n1": Member(1, True, "10.0.0.1"),
            "n2": Member(2, True, "10.0.0.2"),
            "n3": Member(3, False),
        }
    )
    values: dict[str, dict[str, bytes]] = field(default_factory=dict)
    log: list[dict[str, object]] = field(default_factory=list)
    down: bool = False
    clinfo: int = 1
    vmlist: int = 1
    storage: int = 1
    asked: list[str] = field(default_factory=list)

    def changes(self) -> Changes:
        self._ask("changes")
        return Changes(5, self.clinfo, self.vmlist, {"storage.cfg": self.storage})

    def members(self) -> Members:
        self._ask("members")
        return Members("n1", self.clinfo, self.nodes, "lab" if self.nodes else None, bool(self.nodes))

    def guests(self) -> dict[int, Guest]:
        self._ask("guests")
        return dict(self.found)

    def guest_properties(self, names: Sequence[str], vmid: int = 0) -> dict[int, dict[str, str]]:
        self._ask("guest_properties")
        return {number: dict(values) for number, values in self.properties.items()}

    def rrd_dump(self) -> dict[str, list[str]]:
        self._ask("rrd_dump")
        return {key: text.split(":") for key, text in self.figures.items()}

    def status_of_all(self, key: str) -> dict[str, bytes]:
        self._ask("status_of_all")
        return dict(self.values.get(key, {}))

    def cluster_log(self, maximum: int = 0, user: str = "") -> list[dict[str, object]]:
        self._ask("cluster_log")
        shown = [entry for entry in self.log if not user or entry["user"] == user]
        return shown[: maximum or 50]

    def read(self, path: str) -> bytes:
        self._ask("read")
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.down:
            raise CfsUnavailableError("unable to read the change counters - nobody there")


class Api:
    """Calls of operations as a user, past the gate. Results must be as declared."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._router = make_router()

    def __call__(self, method: str, path: str, user: str = "root@pam", **params: object) -> Any:
        result = self.raw(method, path, user, **params)
        return plain(result.data if isinstance(result, Page) else result)

    def raw(self, method: str, path: str, user: str = "root@pam", **params: object) -> object:
        match = self._router.match(method, path)
        context = Context(settings=self.settings, user=user, node="n1")
        given = {key.replace("_", "-") if key == "next_id" else key: value for key, value in params.items()}
        result = run_operation(match.operation, context, {**match.parameters, **given})
        if not isinstance(result, Download):
            data = plain(result.data if isinstance(result, Page) else result)
            problem = match.operation.returns.check("result", data)[1]
            assert problem is None, f"{method} {path} is declared differently: {problem}"
        return result
