"""The process of the history check that talks to pmxcfs by IPC: status keys of its node and the cluster log.

Runs inside a node: standard library, and the project's own client. What a node knows at the end:

    python3 -m tests.history.node_status
"""

from __future__ import annotations

import json
import mmap
import random
import struct
import sys
import time
from typing import Any

sys.path.insert(0, "/opt/quorate/src")

from quorate.ipc.client import Client, IpcError, IpcUnavailableError
from tests.history.node_calls import error_name
from tests.history.node_values import Result
from tests.history.node_worker import Recorder, Stopped

KEYS = ("history/a", "history/b", "history/c")
TAG = "history"
CALL_SECONDS = 30.0
PAUSE_SECONDS = 0.2
"""Mean, between two calls: the keys are told anew to all after each synchronisation."""


class StatusWorker:
    """One process; a node has only one, so that each key has one writer."""

    def __init__(self, plan: dict[str, Any], number: int, life: int, place: mmap.mmap) -> None:
        self.name = f"{plan['node']}-{number}.{life}"
        self.nodes: list[str] = plan["nodes"]
        self.own: str = plan["node"]
        self.random = random.Random(f"{plan['seed']}/{self.name}")
        self.recorder = Recorder(f"{plan['directory']}/{self.name}.jsonl")
        self.number = 0
        self._place, self._offset = place, number * 16
        self._client = Client(timeout=CALL_SECONDS)

    def run(self) -> None:
        while True:
            kind = self.random.choices(("tell", "ask", "note"), (4, 5, 1))[0]
            self.number += 1
            token = f"{self.name}:{self.number}"
            if kind == "ask":
                self._do(kind, f"{self.random.choice(self.nodes)} {self.random.choice(KEYS)}", None)
            elif kind == "tell":
                self._do(kind, f"{self.own} {self.random.choice(KEYS)}", token)
            else:
                self._do(kind, "log", token)
            time.sleep(self.random.random() * 2 * PAUSE_SECONDS)
            if self._place[0]:
                raise Stopped

    def _do(self, kind: str, where: str, token: str | None) -> None:
        self.recorder.write(t="invoke", i=self.number, op=kind, key=where, value=token)
        struct.pack_into("<QQ", self._place, 16 + self._offset, self.number, time.monotonic_ns())
        outcome, result = "ok", {}
        try:
            result = self._call(kind, where, token)
        except IpcUnavailableError as fault:
            outcome, result = "info" if fault.sent else "fail", {"error": error_name(fault.errno)}
        except IpcError as fault:
            outcome, result = "fail", {"error": error_name(fault.errno)}
        struct.pack_into("<QQ", self._place, 16 + self._offset, self.number, 0)
        self.recorder.write(t=outcome, i=self.number, **result)
        if outcome != "ok":
            time.sleep(0.05)  # without a daemon every call fails at once

    def _call(self, kind: str, where: str, token: str | None) -> Result:
        if kind == "ask":
            node, _, key = where.partition(" ")
            return {"value": told(self._client, key, node)}
        assert token is not None
        if kind == "tell":
            self._client.set_status(where.partition(" ")[2], token.encode())
        else:
            self._client.log(token, ident="root@pam", tag=TAG)
        return {}


def told(client: Client, key: str, node: str) -> str | None:
    value = client.get_status(key, node)
    return None if value is None else value.decode("latin-1")


def look(nodes: list[str]) -> dict[str, Any]:
    """What this node knows of all nodes' keys, and its log, oldest entry first."""
    with Client(timeout=CALL_SECONDS) as client:
        log = client.cluster_log(maximum=100_000)
        return {
            "keys": {f"{node} {key}": told(client, key, node) for node in nodes for key in KEYS},
            "log": [f"{each['time']} {each['node']} {each['pid']} {each['msg']}" for each in log][::-1],
        }


if __name__ == "__main__":
    print(json.dumps(look(sys.argv[1:])))
