"""Runs in a node with the project importable: the round trip of messages by the CPG bindings alone.

Prints {} when it has joined. Then one request per line ({"count": n, "size": bytes, "pipelined": bool}), one
answer per line: {"median": s, "mean": s} per message. Pipelined: all sent as fast as Corosync takes them; the
mean counts.
"""

from __future__ import annotations

import json
import os
import select
import statistics
import sys
import time
from collections.abc import Sequence

from quorate.corosync.address import Address
from quorate.corosync.cpg import Cpg
from quorate.corosync.errors import SendResult

IDLE = 0.02


class Echo:
    def __init__(self) -> None:
        self.came = 0
        self.joined = False
        self.cpg = Cpg(deliver=self.deliver, confchg=self.changed)
        while self.cpg.join(b"quorate_bench_%d\0" % os.getpid()) is SendResult.TRY_AGAIN:
            time.sleep(IDLE)
        self.poll = select.poll()
        self.poll.register(self.cpg.fileno(), select.POLLIN)
        while not self.joined:
            self.wait(1000)

    def deliver(self, _sender: Address, _message: bytes) -> None:
        self.came += 1

    def changed(
        self, _members: Sequence[Address], _left: Sequence[Address], _joined: Sequence[Address]
    ) -> None:
        self.joined = True

    def wait(self, milliseconds: int) -> None:
        if self.poll.poll(milliseconds):
            self.cpg.dispatch()

    def one(self, message: bytes) -> None:
        before = self.came
        self.send(message)
        while self.came == before:
            self.wait(1000)

    def send(self, message: bytes) -> None:
        while self.cpg.mcast((message,)) is SendResult.TRY_AGAIN:
            self.wait(1)

    def sequence(self, count: int, message: bytes) -> dict[str, float]:
        times = []
        for _ in range(count):
            start = time.perf_counter()
            self.one(message)
            times.append(time.perf_counter() - start)
        return {"median": statistics.median(times), "mean": statistics.fmean(times)}

    def burst(self, count: int, message: bytes) -> dict[str, float]:
        self.came = 0
        start = time.perf_counter()
        for _ in range(count):
            self.send(message)
            while self.poll.poll(0):
                self.cpg.dispatch()
        while self.came < count:
            self.wait(1000)
        took = (time.perf_counter() - start) / count
        return {"median": took, "mean": took}


def main() -> None:
    echo = Echo()
    print("{}", flush=True)  # ready
    for line in sys.stdin:
        request = json.loads(line)
        message = bytes(request["size"])
        answer = (echo.burst if request["pipelined"] else echo.sequence)(request["count"], message)
        print(json.dumps(answer), flush=True)


main()
